"""Domain events: what happened, in the past tense, from what the banks said.

An event is an *edge*, not a sample: a million banks that report each minute are 17,000
messages a second and a few hundred events. It is a fact, so nobody can refuse it.

Every event has a **key**, and ``bank.kind.key`` is its id. The key is made from what
the fact *is*, not from which message told of it. "Output on, in boot 7, since 904,120 ms"
is one event whether the first report of it arrives, its repeat, or one an hour late. So any
order and any repeats of a bank's messages tell the same set of :class:`Since` facts, and
writing one twice does nothing.

Every event carries three times: the bank's (``boot`` and ``bank_ms``), ``received_at_ms``,
and ``occurred_at_ms``, the gateway's mapping of the first to UTC. Times here are UTC epoch
milliseconds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple

from gateway.protocol import BankId, CommandId

LATE_AFTER_MS: Final = 120_000
"""News older than this on arrival is flagged late: two report periods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event tells."""

    kind: ClassVar[str]

    bank: BankId
    key: str
    """With the bank and the kind, what makes this fact this fact."""
    occurred_at_ms: int
    received_at_ms: int
    boot: int | None = None
    """The bank's boot, where the bank told it."""
    bank_ms: int | None = None
    """The bank's own time of it, milliseconds since boot, where the bank told it."""

    @property
    def id(self) -> str:
        """Deterministic, so that a replay is harmless."""
        return f"{self.bank}.{self.kind}.{self.key}"

    @property
    def is_late(self) -> bool:
        """Whether it is old news: nothing may be billed from its arrival."""
        return self.received_at_ms - self.occurred_at_ms > LATE_AFTER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Since(Event):
    """A part of the state took a value; the lifetime counters as they then stood."""

    battery_pct: int
    sessions: int
    on_s: int
    energy_mwh: int


class OutputOn(Since):
    """The bank may feed a load."""

    __slots__ = ()
    kind = "output_on"


class OutputOff(Since):
    """The bank feeds nothing any more."""

    __slots__ = ()
    kind = "output_off"


class LoadPlugged(Since):
    """A load draws current."""

    __slots__ = ()
    kind = "load_plugged"


class LoadUnplugged(Since):
    """No load draws current any more."""

    __slots__ = ()
    kind = "load_unplugged"


class BankLocked(Since):
    """The output lock closed."""

    __slots__ = ()
    kind = "bank_locked"


class BankUnlocked(Since):
    """The output lock opened."""

    __slots__ = ()
    kind = "bank_unlocked"


class LockJammed(Since):
    """The output lock neither opens nor closes."""

    __slots__ = ()
    kind = "lock_jammed"


class BankRebooted(Event):
    """A boot that was not heard of before."""

    __slots__ = ()
    kind = "bank_rebooted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryLow(Event):
    """The level fell to the low mark or under."""

    kind = "battery_low"
    battery_pct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryRecovered(Event):
    """The level rose clear of the low mark."""

    kind = "battery_recovered"
    battery_pct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRaised(Event):
    """A fault is now present."""

    kind = "fault_raised"
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCleared(Event):
    """A fault is no longer present."""

    kind = "fault_cleared"
    fault: str


class CountersShrank(Event):
    """A lifetime counter went down: a swapped board, or a lie."""

    __slots__ = ()
    kind = "counters_shrank"


@dataclass(frozen=True, slots=True, kw_only=True)
class BankImplausible(Event):
    """A message did not follow from the bank's last: quarantined, not obeyed."""

    kind = "bank_implausible"
    why: str


class BankCountersReset(Event):
    """The bank kept to a line that did not follow, and alone, until it was believed."""

    __slots__ = ()
    kind = "bank_counters_reset"


class TwoConnections(Event):
    """Two live connections speak for one bank."""

    __slots__ = ()
    kind = "two_connections"


class BankOnline(Event):
    """Heard from again, or for the first time."""

    __slots__ = ()
    kind = "bank_online"


class BankDegraded(Event):
    """Silent for three report periods."""

    __slots__ = ()
    kind = "bank_degraded"


class BankOffline(Event):
    """Silent for six report periods, or its Last Will stood."""

    __slots__ = ()
    kind = "bank_offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome(Event):
    """A command ended, or is in doubt. The key is the command's id."""

    command: CommandId
    command_kind: str
    reason: str | None = None


class CommandDone(CommandOutcome):
    """The bank's state says that it was carried out."""

    __slots__ = ()
    kind = "command_done"


class CommandFailed(CommandOutcome):
    """The bank said no, or tried and could not."""

    __slots__ = ()
    kind = "command_failed"


class CommandExpired(CommandOutcome):
    """It was not carried out, and can no longer be."""

    __slots__ = ()
    kind = "command_expired"


class CommandUnknown(CommandOutcome):
    """Its deadline passed, and nothing tells whether it was carried out."""

    __slots__ = ()
    kind = "command_unknown"


KINDS: Final[Mapping[str, type[Event]]] = {
    cls.kind: cls
    for cls in (
        OutputOn, OutputOff, LoadPlugged, LoadUnplugged, BankLocked, BankUnlocked, LockJammed,
        BankRebooted, BatteryLow, BatteryRecovered, FaultRaised, FaultCleared, CountersShrank,
        BankImplausible, BankCountersReset, TwoConnections, BankOnline, BankDegraded, BankOffline,
        CommandDone, CommandFailed, CommandExpired, CommandUnknown,
    )
}  # fmt: skip


class EventRow(NamedTuple):
    """An event as the ``domain_event`` table holds it: envelope in columns, the rest in JSON."""

    id: str
    bank_id: str
    kind: str
    key: str
    boot: int | None
    bank_ms: int | None
    occurred_at_ms: int
    received_at_ms: int
    late: bool
    data: str


_ENVELOPE: Final = frozenset(field.name for field in fields(Event))


def to_row(event: Event) -> EventRow:
    """The row that holds an event."""
    data = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in _ENVELOPE}
    return EventRow(
        id=event.id,
        bank_id=event.bank,
        kind=event.kind,
        key=event.key,
        boot=event.boot,
        bank_ms=event.bank_ms,
        occurred_at_ms=event.occurred_at_ms,
        received_at_ms=event.received_at_ms,
        late=event.is_late,
        data=json.dumps(data, separators=(",", ":"), sort_keys=True),
    )


def from_row(row: EventRow | Any) -> Event:
    """The event that a row holds.

    Args:
        row: anything with the attributes of :class:`EventRow`.

    Raises:
        KeyError: a kind that this version does not know.
    """
    return KINDS[row.kind](
        bank=BankId(row.bank_id),
        key=row.key,
        boot=row.boot,
        bank_ms=row.bank_ms,
        occurred_at_ms=row.occurred_at_ms,
        received_at_ms=row.received_at_ms,
        **json.loads(row.data),
    )
