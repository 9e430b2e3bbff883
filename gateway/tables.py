"""The seam: the gateway's tables, which are also how it talks with the backend.

``domain_event`` is written by the gateway and worked off by the backend; ``command`` is
written by the backend and sent by the gateway. The rest is the gateway's memory. Times are
UTC epoch milliseconds, names end in ``_ms``.
"""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Table, Text, text
from sqlmodel import Field, SQLModel

_OPEN = "status IN ('created', 'sent')"
_IN_DOUBT = "status IN ('created', 'sent', 'unknown')"


def _big(**kwargs: Any) -> Any:
    """A 64-bit integer column."""
    return Field(sa_type=BigInteger, **kwargs)


class BankCredential(SQLModel, table=True):
    """What a bank proves itself with. The secret itself is nowhere."""

    __tablename__ = "bank_credential"

    bank_id: str = Field(primary_key=True, max_length=32)
    secret_hash: str = Field(sa_type=Text)
    """In Mosquitto's own form, ``$7$…`` (PBKDF2-HMAC-SHA512), so that it serves both brokers."""
    issued_at_ms: int = _big()
    revoked_at_ms: int | None = _big(default=None)
    changed_at_ms: int = _big(index=True)
    """Moves on at every change: brokers that keep a copy look at its maximum."""


class BankShadow(SQLModel, table=True):
    """The last state a bank reported, as the gateway knows it: ``shadow.Shadow``, a row."""

    __tablename__ = "bank_shadow"

    bank_id: str = Field(primary_key=True, max_length=32)
    conn_boot: int = _big()
    conn: int = _big()
    """With ``conn_boot``: the newest connection that a birth or a will told of."""
    boot: int = _big()
    seq: int = _big()
    """With ``boot``: the newest state obeyed; -1 before the first."""
    up_ms: int = _big()
    clock_bound: int | None = _big(default=None)
    """See ``shadow``: the tightest bound yet on when this boot began."""
    heard_at_ms: int = _big()
    """When a valid message last came from the bank; 0 before the first."""
    state_at_ms: int = _big()
    """When the newest state obeyed came."""
    will_at_ms: int | None = _big(default=None)
    """When the newest connection's Last Will came, unless the bank spoke since."""
    presence: str = Field(max_length=8)
    battery: int | None = None
    """This and what follows it is null until the first state."""
    lock: str | None = Field(default=None, max_length=8)
    lock_ms: int | None = _big(default=None)
    output: str | None = Field(default=None, max_length=3)
    output_ms: int | None = _big(default=None)
    plugged: bool | None = None
    plugged_ms: int | None = _big(default=None)
    sessions: int = _big(default=0)
    on_s: int = _big(default=0)
    energy_mwh: int = _big(default=0)
    last_command: str | None = Field(default=None, max_length=40)
    faults: str = Field(default="", sa_type=Text)
    """Sorted, one space between."""
    config_version: int | None = _big(default=None)
    model: str | None = Field(default=None, max_length=32)
    hw: str | None = Field(default=None, max_length=32)
    fw: str | None = Field(default=None, max_length=32)
    sampled_at_ms: int = _big()
    sampled_battery: int
    suspect: str | None = Field(default=None, sa_type=Text)
    """A line that does not follow, while it is not yet believed: see ``shadow.Suspect``."""
    said: str | None = Field(default=None, sa_type=Text)
    """The newest state obeyed, word for word: temperature, position and the like are here."""


class DomainEvent(SQLModel, table=True):
    """A fact for the backend; ``gateway.events`` reads and writes it."""

    __tablename__ = "domain_event"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_domain_event_todo",
            "received_at_ms",
            sqlite_where=text("done_at_ms IS NULL"),
            postgresql_where=text("done_at_ms IS NULL"),
        ),
        Index("ix_domain_event_bank", "bank_id", "occurred_at_ms"),
        Index(
            "ix_domain_event_problem",
            "received_at_ms",
            sqlite_where=text("problem IS NOT NULL"),
            postgresql_where=text("problem IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True, max_length=128)
    bank_id: str = Field(max_length=32)
    kind: str = Field(max_length=32)
    key: str = Field(max_length=80)
    boot: int | None = _big(default=None)
    bank_ms: int | None = _big(default=None)
    occurred_at_ms: int = _big()
    received_at_ms: int = _big()
    late: bool
    data: str = Field(sa_type=Text)
    done_at_ms: int | None = _big(default=None)
    """Set by the backend, in the transaction that holds the event's effects."""
    problem: str | None = Field(default=None, sa_type=Text)
    """Why the backend gave up on it, for the operator's list."""


class CommandRow(SQLModel, table=True):
    """A wish: one instruction to one bank. See ``gateway.commands`` for its life."""

    __tablename__ = "command"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_command_one_physical_open",
            "bank_id",
            unique=True,
            sqlite_where=text(f"{_OPEN} AND kind IN ('charge_start', 'charge_stop')"),
            postgresql_where=text(f"{_OPEN} AND kind IN ('charge_start', 'charge_stop')"),
        ),
        Index(
            "ix_command_stop",
            "bank_id",
            "created_at_ms",
            sqlite_where=text("kind = 'charge_stop'"),
            postgresql_where=text("kind = 'charge_stop'"),
        ),
        Index(
            "ix_command_open",
            "bank_id",
            sqlite_where=text(_IN_DOUBT),
            postgresql_where=text(_IN_DOUBT),
        ),
        CheckConstraint(
            "status IN ('created','sent','done','failed','rejected','expired','unknown')",
            name="ck_command_status",
        ),
        CheckConstraint(
            "kind IN ('charge_start','charge_stop','locate','report','reboot','update')",
            name="ck_command_kind",
        ),
    )

    id: str = Field(primary_key=True, max_length=40)
    bank_id: str = Field(max_length=32)
    kind: str = Field(max_length=16)
    args: str = Field(default="{}", sa_type=Text)
    status: str = Field(default="created", max_length=8)
    reason: str | None = Field(default=None, max_length=32)
    created_at_ms: int = _big()
    expires_at_ms: int = _big()
    """UTC deadline; the gateway tells the bank in the bank's own clock."""
    cause: str | None = Field(default=None, max_length=64)
    """What asked for it: a rental's id, an operator's. The gateway does not read it."""
    boot: int | None = _big(default=None)
    """The boot it was last addressed to."""
    not_after_ms: int | None = _big(default=None)
    """Its deadline in that boot's clock."""
    attempts: int = 0
    sent_at_ms: int | None = _big(default=None)
    """When it was last sent."""
    result: str | None = Field(default=None, max_length=48)
    """The bank's own word, ``status`` or ``status:reason``, if one came."""
    ended_at_ms: int | None = _big(default=None)


class DeadLetter(SQLModel, table=True):
    """A message that was not believed, and why."""

    __tablename__ = "dead_letter"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_dead_letter_wanted",
            "wanted_at_ms",
            sqlite_where=text("wanted_at_ms IS NOT NULL"),
            postgresql_where=text("wanted_at_ms IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True, max_length=64)
    """A hash of topic, payload and arrival, so that a redelivery is kept once."""
    topic: str = Field(sa_type=Text)
    payload: bytes = Field(sa_type=LargeBinary)
    """At most the first 4 KiB."""
    reason: str = Field(max_length=16, index=True)
    detail: str = Field(sa_type=Text)
    received_at_ms: int = _big(index=True)
    wanted_at_ms: int | None = _big(default=None)
    """When an operator asked to have it taken in again; None once that was tried."""
    closed_at_ms: int | None = _big(default=None)
    """When it was replayed or put aside; None: it waits for a person."""
    outcome: str | None = Field(default=None, sa_type=Text)
    """What came of replaying it; None: nobody tried."""


class BankSample(SQLModel, table=True):
    """Battery history: one row per bank per five minutes or per 2 %."""

    __tablename__ = "bank_sample"

    bank_id: str = Field(primary_key=True, max_length=32)
    at_ms: int = Field(primary_key=True, sa_type=BigInteger)
    battery: int
    energy_mwh: int = _big()


class BankConfig(SQLModel, table=True):
    """Settings wished for a bank, where they differ from the fleet's."""

    __tablename__ = "bank_config"

    bank_id: str = Field(primary_key=True, max_length=32)
    version: int = _big()
    report_s: int = 60
    low_battery: int = 20
    min_output_battery: int = 10
    sent_at_ms: int | None = _big(default=None)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


SHADOW = _table("bank_shadow")
EVENT = _table("domain_event")
COMMAND = _table("command")
DEAD_LETTER = _table("dead_letter")
SAMPLE = _table("bank_sample")
CONFIG = _table("bank_config")
CREDENTIAL = _table("bank_credential")
