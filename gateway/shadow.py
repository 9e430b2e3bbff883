"""The device shadow: what a bank last said, folded message by message.

The theory
----------
**Order.** ``(boot, seq)`` orders a bank's states. A newer one overwrites the shadow; an older
one never does, but is still evidence: what it says was so *since* some moment is told as an
event. Those events are keyed by the moment, not by the message, so any order and any repeats
of a bank's messages end in one shadow and one set of :class:`~gateway.events.Since` facts.

**Time.** A message that left at ``up_ms`` and came at ``received_at`` says that the boot began
at or before ``s = received_at - up_ms``: a delay only ever makes ``s`` too late. The best
estimate is the least ``s`` seen; but a bank's crystal may run slow, and then the least ``s``
is too early by what it lost since. We allow it ``1/DRIFT`` (200 ppm): after ``u`` more
milliseconds the bound may have risen by ``u/DRIFT``. So we keep
``clock_bound = min(DRIFT*s - up_ms)``, which does not depend on the order either, and the boot
began at ``(clock_bound + up_ms) / DRIFT``. The bound errs towards early, so in the renter's
favour, and by at most the delay of the promptest message.

**Plausibility.** No number that a bank sends may silence its later messages. A state whose
``(boot, seq)`` leaps further than a bank could have counted is quarantined, not obeyed; the
line it came from goes on. A line that does not follow (a leap, or counters that went back: a
new board, a wiped flash) is believed only when the bank keeps to it, live, for two minutes,
and meanwhile says nothing that follows. So a wrong number mutes a bank for two minutes at
the worst, and a stale backlog never turns the shadow back.

**What it ignores.** It does not judge silence (``presence``), nor commands (``commands``).
"""

import json
from typing import Any, Final, NamedTuple

from gateway.events import (
    BankCountersReset,
    BankImplausible,
    BankLocked,
    BankOnline,
    BankRebooted,
    BankUnlocked,
    BatteryLow,
    BatteryRecovered,
    CountersShrank,
    Event,
    FaultCleared,
    FaultRaised,
    LoadPlugged,
    LoadUnplugged,
    LockJammed,
    OutputOff,
    OutputOn,
    Since,
    TwoConnections,
)
from gateway.presence import Presence
from gateway.protocol import BankId, Birth, FromBank, Lock, Output, Result, State, Will

DRIFT: Final = 5_000
"""A bank's clock loses at most one part in this: 200 ppm, a poor crystal in the cold."""

BOOT_LEAP: Final = 1_000
"""Boots a bank may have counted unheard, and one more for each two seconds of silence."""

SEQ_LEAP: Final = 1_000
"""Messages a bank may have sent unheard, and twenty more for each second of silence."""

ALARM_AFTER_MS: Final = 20_000
"""How long counters that went back are kept to before it is told: a broker that sends again
what was not acknowledged looks like it, for a moment."""

BELIEVED_AFTER_MS: Final = 120_000
BELIEVED_AFTER_MESSAGES: Final = 3
PACE_TOLERANCE_MS: Final = 10_000
"""How far a live line's clock and ours may drift apart while it is being believed."""

SAMPLE_EVERY_MS: Final = 300_000
SAMPLE_EVERY_PCT: Final = 2
RECOVERED_PCT: Final = 5
"""How far above the low mark the battery counts as recovered: hysteresis."""

_LOCK_EVENTS: Final[dict[str, type[Since]]] = {
    Lock.LOCKED: BankLocked,
    Lock.UNLOCKED: BankUnlocked,
    Lock.JAMMED: LockJammed,
}
_OUTPUT_EVENTS: Final[dict[str, type[Since]]] = {Output.ON: OutputOn, Output.OFF: OutputOff}


class Shadow(NamedTuple):
    """One row of ``bank_shadow``, where each field is explained, less the state's own words.

    A tuple, because tens of thousands a second are read from the database, replaced and
    written back: the row *is* the value.
    """

    bank_id: BankId
    conn_boot: int
    conn: int
    boot: int
    seq: int
    up_ms: int
    clock_bound: int | None
    heard_at_ms: int
    state_at_ms: int
    will_at_ms: int | None
    presence: str
    battery: int | None
    lock: str | None
    lock_ms: int | None
    output: str | None
    output_ms: int | None
    plugged: bool | None
    plugged_ms: int | None
    sessions: int
    on_s: int
    energy_mwh: int
    last_command: str | None
    faults: str
    config_version: int | None
    model: str | None
    hw: str | None
    fw: str | None
    sampled_at_ms: int
    sampled_battery: int
    suspect: str | None

    @property
    def is_known(self) -> bool:
        """Whether a state was ever obeyed."""
        return self.seq >= 0

    def boot_at_ms(self) -> int:
        """When the bank's present boot began, UTC.

        Raises:
            ValueError: nothing was heard of this boot yet.
        """
        if self.clock_bound is None:
            msg = f"bank {self.bank_id} has told no time yet"
            raise ValueError(msg)
        return (self.clock_bound + self.up_ms) // DRIFT


def unheard(bank: BankId) -> Shadow:
    """The shadow of a bank that has not spoken yet."""
    return Shadow(
        bank_id=bank, conn_boot=0, conn=0, boot=0, seq=-1, up_ms=0, clock_bound=None,
        heard_at_ms=0, state_at_ms=0, will_at_ms=None, presence=Presence.OFFLINE,
        battery=None, lock=None, lock_ms=None, output=None, output_ms=None,
        plugged=None, plugged_ms=None, sessions=0, on_s=0, energy_mwh=0,
        last_command=None, faults="", config_version=None, model=None, hw=None, fw=None,
        sampled_at_ms=0, sampled_battery=-1, suspect=None,
    )  # fmt: skip


class Suspect(NamedTuple):
    """A line of states that does not follow from the shadow's, while it is not believed."""

    boot: int
    seq: int
    up_ms: int
    received_at_ms: int
    since_ms: int
    """When its first message came."""
    messages: int

    def goes_on_with(self, state: State, received_at_ms: int) -> bool:
        """Whether a state is the next of this line, sent as it happened."""
        pace_ms = (received_at_ms - self.received_at_ms) - (state.up_ms - self.up_ms)
        return (
            state.boot == self.boot
            and state.seq > self.seq
            and state.up_ms >= self.up_ms
            and abs(pace_ms) <= PACE_TOLERANCE_MS
        )

    def is_believed(self) -> bool:
        """Whether it has been kept to for long enough."""
        return (
            self.messages >= BELIEVED_AFTER_MESSAGES
            and self.received_at_ms - self.since_ms >= BELIEVED_AFTER_MS
        )


class Applied(NamedTuple):
    """What a message made of a shadow."""

    shadow: Shadow
    events: tuple[Event, ...] = ()
    obeyed: bool = False
    """It was a state, and the shadow is now it."""
    sampled: bool = False
    """The battery level is due for the history."""
    quarantined: str | None = None
    """Why the message was not obeyed; it is kept as a dead letter."""


def apply(
    shadow: Shadow,
    message: FromBank,
    received_at_ms: int,
    *,
    retained: bool = False,
    low_battery_pct: int = 20,
) -> Applied:
    """Fold one message into a bank's shadow.

    Args:
        shadow: what is known; :func:`unheard` for a new bank.
        message: what the bank said, decoded.
        received_at_ms: when it came, UTC.
        retained: the broker kept it: it tells who the bank is, and not that it is there.
        low_battery_pct: at or under this the battery is low.
    """
    if isinstance(message, State):
        return _apply_state(shadow, message, received_at_ms, low_battery_pct)
    if isinstance(message, Result):
        return _heard(_timed(shadow, message, received_at_ms), received_at_ms)
    if isinstance(message, Birth):
        return _apply_birth(shadow, message, received_at_ms, retained=retained)
    return Applied(_apply_will(shadow, message, received_at_ms, retained=retained))


# -- states ---------------------------------------------------------------------------


def _apply_state(shadow: Shadow, state: State, received_at_ms: int, low_pct: int) -> Applied:
    if shadow.seq < 0:
        return _obey(shadow, state, received_at_ms, low_pct)
    if state.boot < shadow.boot or (state.boot == shadow.boot and state.seq <= shadow.seq):
        return _apply_older(shadow, state, received_at_ms, low_pct)
    why = _does_not_follow(shadow, state, received_at_ms)
    if why is not None:
        return _suspect(shadow, state, received_at_ms, low_pct, why=why)
    return _obey(shadow, state, received_at_ms, low_pct)


def _does_not_follow(shadow: Shadow, state: State, received_at_ms: int) -> str | None:
    """Why a newer ``(boot, seq)`` can't have been counted to since the shadow's, or None."""
    silent_ms = max(0, received_at_ms - shadow.state_at_ms)
    if state.boot > shadow.boot:
        if state.boot - shadow.boot > BOOT_LEAP + silent_ms // 2_000:
            return "boot_leapt"
        return "seq_leapt" if state.seq > SEQ_LEAP + state.up_ms // 50 else None
    if state.seq - shadow.seq > SEQ_LEAP + silent_ms // 50:
        return "seq_leapt"
    return "clock_went_back" if state.up_ms < shadow.up_ms else None


def _obey(
    shadow: Shadow, state: State, received_at_ms: int, low_pct: int, *, reset: bool = False
) -> Applied:
    """The newest state, taken over whole."""
    same_boot = state.boot == shadow.boot and shadow.seq >= 0 and not reset
    bound = _bound(state.up_ms, received_at_ms)
    if same_boot and shadow.clock_bound is not None and shadow.clock_bound < bound:
        bound = shadow.clock_bound
    sampled = (
        received_at_ms - shadow.sampled_at_ms >= SAMPLE_EVERY_MS
        or abs(state.battery - shadow.sampled_battery) >= SAMPLE_EVERY_PCT
    )
    heard_at_ms, will_at_ms = shadow.heard_at_ms, shadow.will_at_ms
    new = Shadow(
        shadow.bank_id, shadow.conn_boot, shadow.conn,
        state.boot, state.seq, state.up_ms, bound,
        max(heard_at_ms, received_at_ms), received_at_ms,
        None if will_at_ms is None or will_at_ms <= received_at_ms else will_at_ms,
        Presence.ONLINE, state.battery,
        state.lock, state.lock_ms, state.output, state.output_ms,
        state.plugged, state.plugged_ms, state.sessions, state.on_s, state.energy_mwh,
        state.last_command, " ".join(sorted(state.faults)) if state.faults else "",
        state.config_version, shadow.model, shadow.hw, shadow.fw,
        received_at_ms if sampled else shadow.sampled_at_ms,
        state.battery if sampled else shadow.sampled_battery,
        None,
    )  # fmt: skip
    if _tells_nothing_new(shadow, new, low_pct) and not reset:
        return Applied(new, (), obeyed=True, sampled=sampled)
    events = (
        *_online(shadow, received_at_ms),
        *_facts(shadow, state, new.boot_at_ms(), received_at_ms),
        *_changes(shadow, new, low_pct, reset=reset),
    )
    return Applied(new, events, obeyed=True, sampled=sampled)


def _tells_nothing_new(old: Shadow, new: Shadow, low_pct: int) -> bool:
    """The quick look that spares nearly every message the long one."""
    return (
        old.seq >= 0
        and old.boot == new.boot
        and old.output_ms == new.output_ms
        and old.lock_ms == new.lock_ms
        and old.plugged_ms == new.plugged_ms
        and old.output == new.output
        and old.lock == new.lock
        and old.plugged == new.plugged
        and old.faults == new.faults
        and old.battery is not None
        and new.battery is not None
        and (old.battery == new.battery or low_pct + RECOVERED_PCT < min(old.battery, new.battery))
        and old.on_s <= new.on_s
        and old.energy_mwh <= new.energy_mwh
        and old.sessions <= new.sessions
        and old.presence == Presence.ONLINE
    )


def _apply_older(shadow: Shadow, state: State, received_at_ms: int, low_pct: int) -> Applied:
    """A state that is not newer: a repeat, evidence from before, or counters that went back."""
    timed = _timed(shadow, state, received_at_ms)
    if (state.boot, state.seq) == (shadow.boot, shadow.seq):
        if state.up_ms == shadow.up_ms:
            return _heard(timed, received_at_ms)
        return _heard(timed, received_at_ms, (_twins(timed, state, received_at_ms),))
    if received_at_ms >= shadow.heard_at_ms:  # the newest arrival: it may be the bank's own line
        why = "boot_went_back" if state.boot < shadow.boot else "seq_went_back"
        return _suspect(timed, state, received_at_ms, low_pct, why=why)
    return _heard(timed, received_at_ms, _evidence(timed, state, received_at_ms))


def _suspect(
    shadow: Shadow, state: State, received_at_ms: int, low_pct: int, *, why: str
) -> Applied:
    """A state that does not follow: not obeyed, but followed up."""
    line = Suspect(*json.loads(shadow.suspect)) if shadow.suspect else None
    if line is not None and line.goes_on_with(state, received_at_ms):
        since_ms, messages = line.since_ms, line.messages + 1
    else:
        since_ms, messages = received_at_ms, 1
    line = Suspect(state.boot, state.seq, state.up_ms, received_at_ms, since_ms, messages)
    if line.is_believed():
        return _obey(shadow, state, received_at_ms, low_pct, reset=True)
    leapt = state.boot > shadow.boot or (state.boot == shadow.boot and state.seq > shadow.seq)
    told = () if leapt else _evidence(shadow, state, received_at_ms)
    if leapt or received_at_ms - since_ms >= ALARM_AFTER_MS:
        told += (_implausible(shadow, state, received_at_ms, why),)
    heard = _heard(shadow._replace(suspect=json.dumps(line)), received_at_ms, told)
    return Applied(heard.shadow, heard.events, quarantined=why if leapt else None)


# -- births, wills and results --------------------------------------------------------


def _apply_birth(shadow: Shadow, birth: Birth, received_at_ms: int, *, retained: bool) -> Applied:
    if (birth.boot, birth.conn) >= (shadow.conn_boot, shadow.conn):
        shadow = shadow._replace(
            conn_boot=birth.boot, conn=birth.conn, model=birth.model, hw=birth.hw, fw=birth.fw
        )
    return Applied(shadow) if retained else _heard(shadow, received_at_ms)


def _apply_will(shadow: Shadow, will: Will, received_at_ms: int, *, retained: bool) -> Shadow:
    """A will counts only when it is the newest connection's, and live: a takeover fires one too."""
    if retained or (will.boot, will.conn) < (shadow.conn_boot, shadow.conn):
        return shadow
    return shadow._replace(conn_boot=will.boot, conn=will.conn, will_at_ms=received_at_ms)


def _heard(shadow: Shadow, received_at_ms: int, events: tuple[Event, ...] = ()) -> Applied:
    """Any valid message says that the bank is there."""
    online = _online(shadow, received_at_ms)
    will_at_ms = shadow.will_at_ms
    return Applied(
        shadow._replace(
            heard_at_ms=max(received_at_ms, shadow.heard_at_ms),
            will_at_ms=None if will_at_ms is None or will_at_ms <= received_at_ms else will_at_ms,
            presence=Presence.ONLINE,
        ),
        (*online, *events),
    )


# -- time -----------------------------------------------------------------------------


def _bound(up_ms: int, received_at_ms: int) -> int:
    return (received_at_ms - up_ms) * DRIFT - up_ms


def _timed(shadow: Shadow, message: State | Result, received_at_ms: int) -> Shadow:
    """Let a message of the present boot sharpen the estimate of when that began."""
    if message.boot != shadow.boot or shadow.clock_bound is None:
        return shadow
    bound = _bound(message.up_ms, received_at_ms)
    return shadow if bound >= shadow.clock_bound else shadow._replace(clock_bound=bound)


def _older_boot_at(shadow: Shadow, state: State, received_at_ms: int) -> int:
    """When a boot before the present one began, at the latest: it was over when this one began."""
    return min(received_at_ms, shadow.boot_at_ms()) - state.up_ms


# -- events ---------------------------------------------------------------------------


def _online(shadow: Shadow, received_at_ms: int) -> tuple[Event, ...]:
    if shadow.presence == Presence.ONLINE:
        return ()
    return (
        BankOnline(
            bank=shadow.bank_id,
            key=str(received_at_ms),
            occurred_at_ms=received_at_ms,
            received_at_ms=received_at_ms,
        ),
    )


def _evidence(shadow: Shadow, state: State, received_at_ms: int) -> tuple[Event, ...]:
    """The facts in a state that is not the newest."""
    if state.boot == shadow.boot:
        boot_at_ms = shadow.boot_at_ms()
    else:
        boot_at_ms = _older_boot_at(shadow, state, received_at_ms)
    return _facts(shadow, state, boot_at_ms, received_at_ms)


def _facts(old: Shadow, state: State, boot_at_ms: int, received_at_ms: int) -> tuple[Event, ...]:
    """What a state says was so since when, where the shadow does not say the same."""
    same_boot = old.seq >= 0 and old.boot == state.boot
    lock, output = _LOCK_EVENTS[state.lock], _OUTPUT_EVENTS[state.output]
    plugged = LoadPlugged if state.plugged else LoadUnplugged
    facts: tuple[tuple[type[Since], int, bool], ...] = (
        (lock, state.lock_ms, (old.lock, old.lock_ms) == (state.lock, state.lock_ms)),
        (output, state.output_ms, (old.output, old.output_ms) == (state.output, state.output_ms)),
        (
            plugged,
            state.plugged_ms,
            (old.plugged, old.plugged_ms) == (state.plugged, state.plugged_ms),
        ),
    )
    told: list[Event] = []
    if not same_boot:
        told.append(
            BankRebooted(
                bank=old.bank_id,
                key=str(state.boot),
                boot=state.boot,
                bank_ms=0,
                occurred_at_ms=min(boot_at_ms, received_at_ms),
                received_at_ms=received_at_ms,
            )
        )
    told.extend(
        kind(
            bank=old.bank_id,
            key=f"{state.boot}-{since_ms}",
            boot=state.boot,
            bank_ms=since_ms,
            occurred_at_ms=min(boot_at_ms + since_ms, received_at_ms),
            received_at_ms=received_at_ms,
            battery_pct=state.battery,
            sessions=state.sessions,
            on_s=state.on_s,
            energy_mwh=state.energy_mwh,
        )
        for kind, since_ms, known in facts
        if not (same_boot and known)
    )
    return tuple(told)


def _changes(old: Shadow, new: Shadow, low_pct: int, *, reset: bool) -> tuple[Event, ...]:
    """The edges between two states that carry no since-time of their own."""
    key = f"{new.boot}-{new.seq}"
    about: dict[str, Any] = {
        "bank": new.bank_id,
        "boot": new.boot,
        "bank_ms": new.up_ms,
        "occurred_at_ms": min(new.boot_at_ms() + new.up_ms, new.state_at_ms),
        "received_at_ms": new.state_at_ms,
    }
    told: list[Event] = []
    was_pct = 100 if old.battery is None else old.battery
    is_pct = 100 if new.battery is None else new.battery
    if is_pct <= low_pct < was_pct:
        told.append(BatteryLow(key=key, battery_pct=is_pct, **about))
    if was_pct < low_pct + RECOVERED_PCT <= is_pct:
        told.append(BatteryRecovered(key=key, battery_pct=is_pct, **about))
    was, now = set(old.faults.split()), set(new.faults.split())
    told += [FaultRaised(key=f"{key}-{fault}", fault=fault, **about) for fault in sorted(now - was)]
    told += [
        FaultCleared(key=f"{key}-{fault}", fault=fault, **about) for fault in sorted(was - now)
    ]
    if new.sessions < old.sessions or new.on_s < old.on_s or new.energy_mwh < old.energy_mwh:
        told.append(CountersShrank(key=key, **about))
    if reset:
        told.append(BankCountersReset(key=key, **about))
    return tuple(told)


def _implausible(shadow: Shadow, state: State, received_at_ms: int, why: str) -> BankImplausible:
    return BankImplausible(
        bank=shadow.bank_id,
        key=f"{why}-{state.boot}",
        why=why,
        boot=state.boot,
        bank_ms=state.up_ms,
        occurred_at_ms=received_at_ms,
        received_at_ms=received_at_ms,
    )


def _twins(shadow: Shadow, state: State, received_at_ms: int) -> TwoConnections:
    """One ``(boot, seq)``, two contents: two devices speak for one bank."""
    return TwoConnections(
        bank=shadow.bank_id,
        key=f"{state.boot}-{state.seq}",
        boot=state.boot,
        bank_ms=state.up_ms,
        occurred_at_ms=received_at_ms,
        received_at_ms=received_at_ms,
    )
