"""A rental, from the scan to the receipt, as a table.

The theory
----------
A rental is in one :class:`RentalState`. A :class:`RentalEvent` takes it along a row of
:data:`MOVES`, or is refused: an absent row is an error that names state and event. The table
says *what may follow what*; the proofs and the money that a move takes are other rules
(``custody``, ``handover``, ``deposit``, ``ledger``), each checked in the same transaction.

- **Before the door**: REQUESTED, ACCEPTED, DELIVERING. The renter may still cancel, for a fee
  that depends on the stage and was shown before: then it is PAYMENT_DUE at once. Whoever does
  not deliver in time is relieved: REASSIGN goes back to REQUESTED, with another bank if the
  first is on its way already; and when nobody is left to ask, it is given up: UNDELIVERABLE.
- **At the door**: DELIVERED (the handover is proven), DEPOSIT_DUE (the renter scanned to
  charge), STARTING (the deposit is held, the bank was told to feed). Nothing is billed yet: a
  bank that does not start is START_FAILED, and a renter who thinks better of it, or whose bank
  never says whether it started, asks for it to be fetched. Either way it is collected and
  costs nothing, unless the bank's late word proves that it fed before it was asked back.
- **Renting**: RENTING (the bank's own state confirmed), RETURNING (the renter asked for it to
  be fetched, or says that it is back already, or that it is broken: then the meter stands),
  PAYMENT_DUE (staff have it back; or it was bought, at the price of the cap).
- **Closed**: COMPLETED, CANCELLED, UNDELIVERABLE: nothing leads out.

A claim that the bank is back freezes the meter until staff confirm (COLLECT) or deny it
(DENY_RETURN), and then the meter was never frozen. A SWAP ends this rental as a return does and
begins another for the substitute: one rental is one bank, always. LOSE closes a rental whose bank
is gone and which never fed its renter: nobody is billed. A dispute is no state: it is about the
bill, not about the bank (``dispute``).

A move to the same state is a wish already granted: phones repeat themselves, and so do people.
News of the start that comes while RETURNING is evidence: it is written down, and moves nothing.

Time
----
Billing starts at what the tariff names, and never before **both** the handover is proven and
the bank's state confirms that it feeds (:func:`billing_start`). It ends at the **earliest**
credible evidence, in the renter's favour (:func:`returned_at`): a collection that comes late,
or news that does, costs the renter nothing.

What must always hold: RENTING is entered only from STARTING (or again, from a return that was
denied), and STARTING only with a deposit held; COMPLETED only from PAYMENT_DUE; PAYMENT_DUE only
by a collection, a purchase, or a cancellation that costs something. A rental with nothing
to pay is paid, by the platform itself, in the moment that it is collected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.errors import Code, Refusal
from backend.domain.tariff import BillingStart, Terms


class RentalState(StrEnum):
    """How far a rental is."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    DEPOSIT_DUE = "deposit_due"
    STARTING = "starting"
    RENTING = "renting"
    RETURNING = "returning"
    PAYMENT_DUE = "payment_due"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"
    START_FAILED = "start_failed"


class RentalEvent(StrEnum):
    """What happens to a rental."""

    ACCEPT = "accept"
    REASSIGN = "reassign"
    GIVE_UP = "give_up"
    CANCEL = "cancel"
    CANCEL_FOR_FEE = "cancel_for_fee"
    SET_OUT = "set_out"
    HAND_OVER = "hand_over"
    SCAN = "scan"
    DEPOSIT_HELD = "deposit_held"
    OUTPUT_CONFIRMED = "output_confirmed"
    START_REFUSED = "start_refused"
    REQUEST_RETURN = "request_return"
    CLAIM_RETURNED = "claim_returned"
    DENY_RETURN = "deny_return"
    SWAP = "swap"
    BUY_OUT = "buy_out"
    LOSE = "lose"
    COLLECT = "collect"
    PAID = "paid"


MOVES: Final[Mapping[tuple[RentalState, RentalEvent], RentalState]] = MappingProxyType(
    {
        # Before the door.
        (RentalState.REQUESTED, RentalEvent.ACCEPT): RentalState.ACCEPTED,
        (RentalState.REQUESTED, RentalEvent.REASSIGN): RentalState.REQUESTED,
        (RentalState.REQUESTED, RentalEvent.GIVE_UP): RentalState.UNDELIVERABLE,
        (RentalState.REQUESTED, RentalEvent.CANCEL): RentalState.CANCELLED,
        (RentalState.ACCEPTED, RentalEvent.SET_OUT): RentalState.DELIVERING,
        (RentalState.ACCEPTED, RentalEvent.REASSIGN): RentalState.REQUESTED,
        (RentalState.ACCEPTED, RentalEvent.GIVE_UP): RentalState.UNDELIVERABLE,
        (RentalState.ACCEPTED, RentalEvent.CANCEL): RentalState.CANCELLED,
        (RentalState.ACCEPTED, RentalEvent.CANCEL_FOR_FEE): RentalState.PAYMENT_DUE,
        (RentalState.DELIVERING, RentalEvent.HAND_OVER): RentalState.DELIVERED,
        (RentalState.DELIVERING, RentalEvent.REASSIGN): RentalState.REQUESTED,
        (RentalState.DELIVERING, RentalEvent.GIVE_UP): RentalState.UNDELIVERABLE,
        (RentalState.DELIVERING, RentalEvent.CANCEL): RentalState.CANCELLED,
        (RentalState.DELIVERING, RentalEvent.CANCEL_FOR_FEE): RentalState.PAYMENT_DUE,
        # At the door.
        (RentalState.DELIVERED, RentalEvent.SCAN): RentalState.DEPOSIT_DUE,
        (RentalState.DELIVERED, RentalEvent.REQUEST_RETURN): RentalState.RETURNING,
        (RentalState.DELIVERED, RentalEvent.SWAP): RentalState.RETURNING,
        (RentalState.DELIVERED, RentalEvent.COLLECT): RentalState.CANCELLED,
        (RentalState.DELIVERED, RentalEvent.LOSE): RentalState.CANCELLED,
        (RentalState.DEPOSIT_DUE, RentalEvent.SCAN): RentalState.DEPOSIT_DUE,
        (RentalState.DEPOSIT_DUE, RentalEvent.DEPOSIT_HELD): RentalState.STARTING,
        (RentalState.DEPOSIT_DUE, RentalEvent.REQUEST_RETURN): RentalState.RETURNING,
        (RentalState.DEPOSIT_DUE, RentalEvent.SWAP): RentalState.RETURNING,
        (RentalState.DEPOSIT_DUE, RentalEvent.COLLECT): RentalState.CANCELLED,
        (RentalState.DEPOSIT_DUE, RentalEvent.LOSE): RentalState.CANCELLED,
        (RentalState.STARTING, RentalEvent.OUTPUT_CONFIRMED): RentalState.RENTING,
        (RentalState.STARTING, RentalEvent.START_REFUSED): RentalState.START_FAILED,
        (RentalState.STARTING, RentalEvent.REQUEST_RETURN): RentalState.RETURNING,
        (RentalState.STARTING, RentalEvent.SWAP): RentalState.RETURNING,
        (RentalState.STARTING, RentalEvent.COLLECT): RentalState.PAYMENT_DUE,
        (RentalState.STARTING, RentalEvent.LOSE): RentalState.CANCELLED,
        (RentalState.START_FAILED, RentalEvent.SWAP): RentalState.START_FAILED,
        (RentalState.START_FAILED, RentalEvent.COLLECT): RentalState.CANCELLED,
        (RentalState.START_FAILED, RentalEvent.LOSE): RentalState.CANCELLED,
        # Renting.
        (RentalState.RENTING, RentalEvent.REQUEST_RETURN): RentalState.RETURNING,
        (RentalState.RENTING, RentalEvent.CLAIM_RETURNED): RentalState.RETURNING,
        (RentalState.RENTING, RentalEvent.SWAP): RentalState.RETURNING,
        (RentalState.RENTING, RentalEvent.COLLECT): RentalState.PAYMENT_DUE,
        (RentalState.RENTING, RentalEvent.BUY_OUT): RentalState.PAYMENT_DUE,
        (RentalState.RETURNING, RentalEvent.REQUEST_RETURN): RentalState.RETURNING,
        (RentalState.RETURNING, RentalEvent.CLAIM_RETURNED): RentalState.RETURNING,
        (RentalState.RETURNING, RentalEvent.DENY_RETURN): RentalState.RENTING,
        (RentalState.RETURNING, RentalEvent.COLLECT): RentalState.PAYMENT_DUE,
        (RentalState.RETURNING, RentalEvent.BUY_OUT): RentalState.PAYMENT_DUE,
        (RentalState.RETURNING, RentalEvent.LOSE): RentalState.CANCELLED,
        (RentalState.PAYMENT_DUE, RentalEvent.PAID): RentalState.COMPLETED,
    }
)

CLOSED: Final = tuple(state for state in RentalState if state not in {left for left, _ in MOVES})
"""States that nothing leads out of."""


def step(state: RentalState, event: RentalEvent) -> RentalState:
    """Take a rental one move on.

    Raises:
        Refusal: WRONG_STATE, naming the state and the event.
    """
    after = MOVES.get((state, event))
    if after is None:
        raise Refusal(Code.WRONG_STATE, state=state, event=event)
    return after


# -- what people are shown -----------------------------------------------------------------


class Stage(StrEnum):
    """A rental's state as a renter reads it (R9)."""

    DELIVERING = "delivering"
    RENTING = "renting"
    COMPLETED = "completed"
    CLOSED = "closed"


class MerchantList(StrEnum):
    """The list a merchant finds a rental in (M2)."""

    TO_FULFIL = "to_fulfil"
    IN_PROGRESS = "in_progress"
    TO_COLLECT = "to_collect"
    COMPLETED = "completed"
    CLOSED = "closed"


_SHOWN: Final[Mapping[RentalState, tuple[Stage, MerchantList]]] = MappingProxyType(
    {
        RentalState.REQUESTED: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.ACCEPTED: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.DELIVERING: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.DELIVERED: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.DEPOSIT_DUE: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.STARTING: (Stage.DELIVERING, MerchantList.TO_FULFIL),
        RentalState.RENTING: (Stage.RENTING, MerchantList.IN_PROGRESS),
        RentalState.RETURNING: (Stage.RENTING, MerchantList.TO_COLLECT),
        RentalState.PAYMENT_DUE: (Stage.RENTING, MerchantList.IN_PROGRESS),
        RentalState.COMPLETED: (Stage.COMPLETED, MerchantList.COMPLETED),
        RentalState.CANCELLED: (Stage.CLOSED, MerchantList.CLOSED),
        RentalState.UNDELIVERABLE: (Stage.CLOSED, MerchantList.CLOSED),
        RentalState.START_FAILED: (Stage.CLOSED, MerchantList.TO_COLLECT),
    }
)


_CALLED_OFF: Final = (Stage.CLOSED, MerchantList.CLOSED)
"""What came to nothing is shown as that, also while its fee is owed, and when it is paid."""


def stage_of(state: RentalState, *, is_called_off: bool = False) -> Stage:
    """Give the renter's word for a state."""
    return (_CALLED_OFF if is_called_off else _SHOWN[state])[0]


def list_of(state: RentalState, *, is_called_off: bool = False) -> MerchantList:
    """Give the merchant's list for a state."""
    return (_CALLED_OFF if is_called_off else _SHOWN[state])[1]


def shows_called_off(shown_as: Stage | MerchantList) -> bool:
    """Whether what was called off is shown as this stage, or in this list, whatever its state."""
    return shown_as in _CALLED_OFF


def states_in(shown_as: Stage | MerchantList) -> frozenset[RentalState]:
    """Give the states that are shown as this stage, or in this list, unless it was called off."""
    return frozenset(
        state for state, shown in _SHOWN.items() if any(word is shown_as for word in shown)
    )


# -- time ----------------------------------------------------------------------------------


def billing_start(
    terms: Terms,
    *,
    arrived_at: datetime | None,
    plugged_at: datetime | None,
    unlocked_at: datetime | None,
    handed_over_at: datetime | None,
    confirmed_at: datetime | None,
) -> datetime | None:
    """Find when billing starts: at what the tariff names, the handover and the proof in hand.

    Args:
        terms: name one of the first three as the start.
        arrived_at: when the delivery arrived.
        plugged_at: when a load was first plugged in and fed; None if none yet.
        unlocked_at: when the renter scanned the bank to unlock it.
        handed_over_at: when the handover was proven.
        confirmed_at: since when the bank's own state says that it feeds.

    Returns:
        None while any of what it takes is unknown: then nothing is billed.
    """
    named = {
        BillingStart.ARRIVAL: arrived_at,
        BillingStart.PLUGGED: plugged_at,
        BillingStart.UNLOCKED: unlocked_at,
    }[terms.billing_start]
    if named is None or handed_over_at is None or confirmed_at is None:
        return None
    return max(named, handed_over_at, confirmed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEvidence:
    """All that tells of a return. None: it did not happen, or was not heard of."""

    started_at: datetime | None
    """When billing started."""
    requested_at: datetime | None = None
    """When the renter asked for the bank to be fetched."""
    collected_at: datetime | None = None
    """When staff scanned the bank to collect it."""
    output_off_at: datetime | None = None
    """Since when the bank feeds nothing, by its own word, and has not fed again."""


def returned_at(evidence: ReturnEvidence) -> datetime | None:
    """Find when billing ends: at the earliest credible evidence, in the renter's favour.

    An output that was off before billing started tells of the time before. A rental that
    was asked back before billing could start has used no time: it ends where it starts.

    Returns:
        None while nothing tells of a return: the meter runs.
    """
    started_at, off_at = evidence.started_at, evidence.output_off_at
    if started_at is not None and off_at is not None and off_at < started_at:
        off_at = None
    told = [at for at in (evidence.requested_at, evidence.collected_at, off_at) if at is not None]
    if not told:
        return None
    return min(told) if started_at is None else max(started_at, min(told))


# -- the picture ---------------------------------------------------------------------------


def diagram() -> str:
    """Draw the table as a Mermaid state diagram; the README shows it."""
    first = next(iter(RentalState))
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {state} --> {after}: {event}" for (state, event), after in MOVES.items()]
    lines += [f"    {state} --> [*]" for state in RentalState if state in CLOSED]
    return "\n".join(lines) + "\n"
