"""The seam, as the backend uses it: facts come in, wishes go out.

``domain_event`` rows are the gateway's facts, worked off here; a ``command`` row is a wish
that the gateway sends. Milliseconds end here: this module speaks in aware UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import func, text
from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from backend.db.engine import tell
from backend.db.upsert import upsert
from gateway import credentials
from gateway.events import Event, OutputOn, from_row
from gateway.tables import BankSample, BankShadow, CommandRow, DomainEvent

COMMANDS = "commands"
"""Told when a command was written: the gateway's sender listens."""
CREDENTIALS = "credentials"
"""Told when a bank's secret was made or changed: the broker listens."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """UTC epoch milliseconds of an aware time."""
    return (at - _EPOCH) // _MS


def from_ms(at_ms: int) -> datetime:
    """The aware UTC time of epoch milliseconds."""
    return _EPOCH + at_ms * _MS


# -- what a bank last said -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The shadow of a bank, as far as the business looks at it."""

    heard_at: datetime
    """When it last said anything at all."""
    state_at: datetime
    """When the state below came: the age of what a page shows."""
    presence: str
    battery_pct: int
    energy_mwh: int
    """What it has given in its life."""
    lock: str
    is_feeding: bool
    is_plugged: bool
    faults: tuple[str, ...]


def seen(session: Session, bank_id: str) -> Seen | None:
    """What the bank last said; None if it never spoke."""
    return seen_all(session, [bank_id]).get(bank_id)


def seen_all(session: Session, bank_ids: Sequence[str]) -> dict[str, Seen]:
    """What these banks last said; who never told its state is absent."""
    rows = session.exec(select(BankShadow).where(col(BankShadow.bank_id).in_(bank_ids)))
    return {row.bank_id: told for row in rows if (told := _seen(row)) is not None}


def average_charge_pct(session: Session, banks: SelectOfScalar[str]) -> int | None:
    """How full these banks are on average, rounded; None if none is heard of."""
    heard = select(func.sum(BankShadow.battery), func.count()).where(
        col(BankShadow.bank_id).in_(banks),
        col(BankShadow.battery).is_not(None),
        col(BankShadow.presence) != "offline",
    )
    together, count = session.exec(heard).one()
    return None if together is None else round(together / count)


def _seen(row: BankShadow) -> Seen | None:
    if row.battery is None or row.lock is None:
        return None
    return Seen(
        heard_at=from_ms(row.heard_at_ms),
        state_at=from_ms(row.state_at_ms),
        presence=row.presence,
        battery_pct=row.battery,
        energy_mwh=row.energy_mwh,
        lock=row.lock,
        is_feeding=row.output == "on",
        is_plugged=bool(row.plugged),
        faults=tuple(row.faults.split()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How full a bank was."""

    at: datetime
    battery_pct: int


def samples(session: Session, bank_id: str, *, since: datetime, limit: int) -> list[Sample]:
    """How full a bank was since then, oldest first; of more than the limit, the newest."""
    rows = session.exec(
        select(BankSample)
        .where(BankSample.bank_id == bank_id, BankSample.at_ms >= to_ms(since))
        .order_by(col(BankSample.at_ms).desc())
        .limit(limit)
    )
    return [Sample(at=from_ms(row.at_ms), battery_pct=row.battery) for row in rows][::-1]


# -- wishes ----------------------------------------------------------------------------


def order(
    session: Session, *, id_: str, bank_id: str, kind: str, cause: str, now: datetime, expiry_s: int
) -> bool:
    """Write a physical command for the gateway to send.

    Returns:
        False, and nothing is written, while another one moves this bank: one at a time.
    """
    written = (
        upsert(session, CommandRow)
        .values(
            id=id_,
            bank_id=bank_id,
            kind=kind,
            cause=cause,
            created_at_ms=to_ms(now),
            expires_at_ms=to_ms(now) + expiry_s * 1000,
        )
        .on_conflict_do_nothing()  # the database lets one command move a bank
        .returning(col(CommandRow.id))
    )
    if session.execute(written).scalar() is None:
        return False
    tell(session, COMMANDS)
    return True


def withdraw(session: Session, command_id: str, *, now: datetime) -> bool:
    """Take a wish back that the gateway has not sent.

    Returns:
        False if it went out already: then the bank's word decides.
    """
    withdrawn = session.exec(
        update(CommandRow)
        .where(
            col(CommandRow.id) == command_id,
            col(CommandRow.status) == "created",
            col(CommandRow.attempts) == 0,
        )
        .values(status="failed", reason="withdrawn", ended_at_ms=to_ms(now))
    )
    return withdrawn.rowcount == 1


def withdraw_all(session: Session, bank_id: str, *, now: datetime) -> None:
    """Take every wish back that a bank was not sent yet."""
    session.exec(
        update(CommandRow)
        .where(col(CommandRow.bank_id) == bank_id, col(CommandRow.status) == "created")
        .values(status="failed", reason="withdrawn", ended_at_ms=to_ms(now))
    )


def is_in_doubt(session: Session, command_id: str) -> bool:
    """Whether a command's deadline passed, and nothing tells whether it was carried out."""
    found = select(CommandRow.status).where(CommandRow.id == command_id)
    return session.exec(found).one() == "unknown"


def stops_in_doubt(session: Session, *, until: datetime, limit: int) -> Sequence[CommandRow]:
    """Wishes that a bank stop, over by then, of which nobody knows whether it did."""
    return session.exec(
        select(CommandRow)
        .where(
            text("status IN ('created', 'sent', 'unknown')"),  # the index's own words
            CommandRow.status == "unknown",
            CommandRow.kind == "charge_stop",
            CommandRow.expires_at_ms <= to_ms(until),
        )
        .order_by(col(CommandRow.expires_at_ms), col(CommandRow.id))
        .limit(limit)
    ).all()


def give_up_stop(session: Session, command_id: str, *, now: datetime) -> bool:
    """Wait no more for word of a wish to stop; False if there is nothing to wait for."""
    given_up = session.exec(
        update(CommandRow)
        .where(
            col(CommandRow.id) == command_id,
            col(CommandRow.kind) == "charge_stop",
            col(CommandRow.status) == "unknown",
        )
        .values(status="failed", reason="by_hand", ended_at_ms=to_ms(now))
    )
    return given_up.rowcount == 1


def stops(session: Session, bank_id: str, *, since: datetime) -> list[datetime]:
    """When a bank was told to stop since then, newest first; not what never went out to it."""
    found = select(CommandRow.created_at_ms).where(
        CommandRow.bank_id == bank_id,
        text("kind = 'charge_stop'"),  # the index's own words
        CommandRow.attempts > 0,
        CommandRow.created_at_ms >= to_ms(since),
    )
    newest_first = found.order_by(col(CommandRow.created_at_ms).desc())
    return [from_ms(at_ms) for at_ms in session.exec(newest_first)]


def ordered_at(session: Session, command_id: str) -> datetime:
    """When a command was written."""
    found = select(CommandRow.created_at_ms).where(CommandRow.id == command_id)
    return from_ms(session.exec(found).one())


def issue_secrets(session: Session, bank_ids: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Give many banks what they connect with; shown once, stored hashed.

    Raises:
        AlreadyIssuedError: one of them has one.
    """
    tell(session, CREDENTIALS)
    return credentials.issue_all(session, bank_ids, now_ms=to_ms(now))


def rotate_secret(session: Session, bank_id: str, *, now: datetime) -> str:
    """Replace what a bank connects with; the old secret ends at once.

    Raises:
        NotIssuedError: it has none.
    """
    tell(session, CREDENTIALS)
    return credentials.rotate(session, cast("Any", bank_id), now_ms=to_ms(now))


# -- facts -----------------------------------------------------------------------------


def waiting(session: Session, *, limit: int) -> Sequence[str]:
    """Ids of the facts that nobody worked off yet, oldest first."""
    todo = (
        select(DomainEvent.id)
        .where(col(DomainEvent.done_at_ms).is_(None), col(DomainEvent.problem).is_(None))
        .order_by(col(DomainEvent.received_at_ms), col(DomainEvent.occurred_at_ms))
        .limit(limit)
    )
    return session.exec(todo).all()


def claim(session: Session, event_id: str, *, now: datetime) -> Event | None:
    """Take a fact and mark it done, both if and only if this transaction commits.

    Returns:
        None if another worker has it or had it.
    """
    row = session.exec(
        select(DomainEvent)
        .where(DomainEvent.id == event_id, col(DomainEvent.done_at_ms).is_(None))
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    row.done_at_ms = to_ms(now)
    session.add(row)
    return from_row(row)


def give_up(session: Session, event_id: str, *, problem: str, now: datetime) -> None:
    """Put a fact that cannot be applied on the operator's list."""
    session.exec(
        update(DomainEvent)
        .where(col(DomainEvent.id) == event_id, col(DomainEvent.done_at_ms).is_(None))
        .values(problem=problem, done_at_ms=to_ms(now))
    )


def feeding_since(session: Session, bank_id: str, *, until: datetime) -> datetime | None:
    """Since when the bank feeds, by its newest word up to then; None if it does not."""
    return _last(session, bank_id, "output_on", "output_off", until=until)


def idle_since(session: Session, bank_id: str, *, until: datetime | None = None) -> datetime | None:
    """Since when the bank feeds nothing, by its newest word up to then; None if it feeds."""
    return _last(session, bank_id, "output_off", "output_on", until=until)


def plugged_since(
    session: Session, bank_id: str, *, until: datetime | None = None
) -> datetime | None:
    """Since when a load hangs on the bank, by its newest word up to then; None if none does."""
    return _last(session, bank_id, "load_plugged", "load_unplugged", until=until)


def first_plugged(session: Session, bank_id: str, *, since: datetime) -> datetime | None:
    """When a load was first plugged in after that; None if none was."""
    return _first(session, bank_id, "load_plugged", since=since)


def first_fed(session: Session, bank_id: str, *, since: datetime) -> datetime | None:
    """When the bank first began to feed after that; None if it did not."""
    return _first(session, bank_id, "output_on", since=since)


def energy_when_fed(session: Session, bank_id: str, *, until: datetime) -> int | None:
    """What the bank had given in its life, mWh, when it last began to feed up to then."""
    began = session.exec(
        select(DomainEvent)
        .where(
            DomainEvent.bank_id == bank_id,
            DomainEvent.kind == OutputOn.kind,
            DomainEvent.occurred_at_ms <= to_ms(until),
        )
        .order_by(col(DomainEvent.occurred_at_ms).desc())
        .limit(1)
    ).first()
    if began is None:
        return None
    event = from_row(began)
    return event.energy_mwh if isinstance(event, OutputOn) else None


def _first(session: Session, bank_id: str, kind: str, *, since: datetime) -> datetime | None:
    found = select(func.min(DomainEvent.occurred_at_ms)).where(
        DomainEvent.bank_id == bank_id,
        DomainEvent.kind == kind,
        DomainEvent.occurred_at_ms >= to_ms(since),
    )
    first_ms: int | None = session.exec(found).one()
    return None if first_ms is None else from_ms(first_ms)


def _last(
    session: Session, bank_id: str, kind: str, opposite: str, *, until: datetime | None = None
) -> datetime | None:
    """When this last became so, unless its opposite did after it."""
    found = select(DomainEvent.kind, DomainEvent.occurred_at_ms).where(
        DomainEvent.bank_id == bank_id, col(DomainEvent.kind).in_((kind, opposite))
    )
    if until is not None:
        found = found.where(DomainEvent.occurred_at_ms <= to_ms(until))
    newest = session.exec(found.order_by(col(DomainEvent.occurred_at_ms).desc()).limit(1)).first()
    if newest is None or newest[0] != kind:
        return None
    return from_ms(newest[1])
