"""A deposit is a hold: money set aside at a provider, ours to take only as far as we are owed.

The theory
----------
A hold begins PENDING (asked for, the renter has not answered), becomes HELD, and ends once:
CAPTURED (in part or whole), RELEASED, or EXPIRED (providers let a hold go after about seven
days, whether we like it or not). DECLINED is a hold that never was.

What is taken at the provider is taken whole or in part, once. If all of it pays the bill, the hold
is CAPTURED. If it is more than the bill, or there is no bill yet (the hold was about to run out
while the rental went on), it is SECURED: cash, and still the renter's. Bills take from that as
they come, the rest goes back, and then it is CAPTURED too (:func:`settle`).

UNKNOWN is when we asked the provider for a hold and no answer came. It is a state with a
rule: the renter's money counts as perhaps held, no second hold is begun, and only the
provider's own word leads out. A *capture or release* in doubt needs no state: until the
provider says otherwise the hold is HELD, and the wish is asked again under its own key. (Had
that doubt led to UNKNOWN as well, nobody could tell from it whether the books hold the money.)

The events are the provider's facts. They may be told twice, and may skip what we never
heard: a hold that was PENDING may turn out to be CAPTURED. :func:`transfers_for` therefore
writes the beginning with every end. Transfers' keys are made from the hold's id, so whichever
was written before is not written again, and **no hold can end twice**: all ends share one key.

What must always hold: the books hold the deposit exactly while it is HELD; posted + released =
held; captured = billed + returned + what is still secured; and a hold that nobody waits for (the
renter gave up, the start failed) is released.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain import ledger
from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Currency, Minor


class DepositState(StrEnum):
    """How far a hold is."""

    PENDING = "pending"
    HELD = "held"
    SECURED = "secured"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"
    DECLINED = "declined"
    UNKNOWN = "unknown"


class DepositEvent(StrEnum):
    """What became of a hold at the provider."""

    STILL_OPEN = "still_open"
    HOLD = "hold"
    CAPTURE = "capture"
    SECURE = "secure"
    SPEND = "spend"
    RELEASE = "release"
    EXPIRE = "expire"
    DECLINE = "decline"
    LOSE_TRACK = "lose_track"


DEPOSIT_MOVES: Final[Mapping[tuple[DepositState, DepositEvent], DepositState]] = MappingProxyType(
    {
        (DepositState.PENDING, DepositEvent.STILL_OPEN): DepositState.PENDING,
        (DepositState.PENDING, DepositEvent.HOLD): DepositState.HELD,
        (DepositState.PENDING, DepositEvent.DECLINE): DepositState.DECLINED,
        (DepositState.PENDING, DepositEvent.CAPTURE): DepositState.CAPTURED,
        (DepositState.PENDING, DepositEvent.SECURE): DepositState.SECURED,
        (DepositState.PENDING, DepositEvent.RELEASE): DepositState.RELEASED,
        (DepositState.PENDING, DepositEvent.EXPIRE): DepositState.EXPIRED,
        (DepositState.PENDING, DepositEvent.LOSE_TRACK): DepositState.UNKNOWN,
        (DepositState.UNKNOWN, DepositEvent.STILL_OPEN): DepositState.PENDING,
        (DepositState.UNKNOWN, DepositEvent.HOLD): DepositState.HELD,
        (DepositState.UNKNOWN, DepositEvent.DECLINE): DepositState.DECLINED,
        (DepositState.UNKNOWN, DepositEvent.CAPTURE): DepositState.CAPTURED,
        (DepositState.UNKNOWN, DepositEvent.SECURE): DepositState.SECURED,
        (DepositState.UNKNOWN, DepositEvent.RELEASE): DepositState.RELEASED,
        (DepositState.UNKNOWN, DepositEvent.EXPIRE): DepositState.EXPIRED,
        (DepositState.UNKNOWN, DepositEvent.LOSE_TRACK): DepositState.UNKNOWN,
        (DepositState.HELD, DepositEvent.CAPTURE): DepositState.CAPTURED,
        (DepositState.HELD, DepositEvent.RELEASE): DepositState.RELEASED,
        (DepositState.HELD, DepositEvent.SECURE): DepositState.SECURED,
        (DepositState.HELD, DepositEvent.EXPIRE): DepositState.EXPIRED,
        (DepositState.SECURED, DepositEvent.SPEND): DepositState.CAPTURED,
        # What is known already may be told again.
        (DepositState.HELD, DepositEvent.HOLD): DepositState.HELD,
        (DepositState.SECURED, DepositEvent.SECURE): DepositState.SECURED,
        (DepositState.CAPTURED, DepositEvent.CAPTURE): DepositState.CAPTURED,
        (DepositState.RELEASED, DepositEvent.RELEASE): DepositState.RELEASED,
        (DepositState.EXPIRED, DepositEvent.EXPIRE): DepositState.EXPIRED,
        (DepositState.DECLINED, DepositEvent.DECLINE): DepositState.DECLINED,
    }
)

ENDED: Final = (
    DepositState.CAPTURED,
    DepositState.RELEASED,
    DepositState.EXPIRED,
    DepositState.DECLINED,
)
"""States that nothing leads out of."""


def move_deposit(state: DepositState, event: DepositEvent) -> DepositState:
    """Take a hold one step on.

    Raises:
        Refusal: WRONG_STATE, naming both.
    """
    after = DEPOSIT_MOVES.get((state, event))
    if after is None:
        raise Refusal(Code.WRONG_STATE, state=state, event=event)
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A deposit, divided: what pays the bill, what waits for a dispute, and what goes back."""

    kept_minor: Minor
    freed_minor: Minor
    waiting_minor: Minor = ZERO


def settle(*, held_minor: Minor, fee_minor: Minor, frozen_minor: Minor = ZERO) -> Settled:
    """Take the fee out of the deposit, never more than was held.

    Args:
        held_minor: what there is.
        fee_minor: what is owed.
        frozen_minor: what of that is disputed: as far as there is anything left for it, that waits
            until it is decided. Who takes a hold takes it as well, or it would go back.
    """
    frozen = min(frozen_minor, fee_minor)
    kept = min(held_minor, fee_minor - frozen)
    waiting = min(held_minor - kept, frozen)
    return Settled(
        kept_minor=Minor(kept),
        freed_minor=Minor(held_minor - kept - waiting),
        waiting_minor=Minor(waiting),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold, as far as money goes."""

    id: str
    """Its own; the keys of its transfers are made from it."""
    renter: str
    currency: Currency
    held_minor: Minor
    captured_minor: Minor = ZERO
    """What was taken of it at its end."""


def transfers_for(
    state: DepositState, event: DepositEvent, hold: Hold
) -> tuple[ledger.Transfer, ...]:
    """List what the books must contain once this happened to a hold in this state.

    Whoever writes them skips those whose key is written already. What bills take from a secured
    deposit is written as they take it.
    """
    after = move_deposit(state, event)
    if after is state or event is DepositEvent.SPEND:
        return ()
    begun = ledger.deposit_held(
        hold_id=hold.id,
        renter=hold.renter,
        currency=hold.currency,
        amount_minor=hold.held_minor,
    )
    if after is DepositState.HELD:
        return (begun,)
    if after is DepositState.CAPTURED:
        return (begun, _captured(hold))
    if after is DepositState.SECURED:
        return (begun, _secured(hold))
    was_held = after is DepositState.RELEASED or state is DepositState.HELD
    return (begun, _released(hold)) if was_held else ()


def _captured(hold: Hold) -> ledger.Transfer:
    return ledger.deposit_captured(
        hold_id=hold.id,
        renter=hold.renter,
        currency=hold.currency,
        held_minor=hold.held_minor,
        captured_minor=hold.captured_minor,
    )


def _secured(hold: Hold) -> ledger.Transfer:
    return ledger.deposit_secured(
        hold_id=hold.id,
        renter=hold.renter,
        currency=hold.currency,
        held_minor=hold.held_minor,
        captured_minor=hold.captured_minor,
    )


def _released(hold: Hold) -> ledger.Transfer:
    return ledger.deposit_released(
        hold_id=hold.id,
        renter=hold.renter,
        currency=hold.currency,
        amount_minor=hold.held_minor,
    )
