"""Who has a bank in their hands, apart from what its rental believes.

The theory
----------
A rental's state is what was agreed; custody is where the thing is. Keeping them as one is how
zombie rentals are made: the record says "returned" while the bank lies in a renter's bag, or
goes on billing while it lies in the shop. So they are two records, and each change of custody
stands on its own **proof**:

- a *scan* of this very bank's QR label, which only somebody who has it before them can make;
- the renter's *code*, told to the staff face to face;
- an operator's or merchant's *reason*, in words, under their name.

:data:`HOLDINGS` says for each state of a rental in whose hands the bank may be. A rental
closes only when both agree: nothing closes while the renter still has the bank
(:func:`agrees`).

What must always hold: a bank is in exactly one pair of hands; it changes hands only along
:data:`CUSTODY_MOVES`, from the hands it is in, with a proof that the move accepts.

Not modelled: where on the map it is, and what state it is in.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.errors import Code, Refusal
from backend.domain.rental import RentalState


class Holder(StrEnum):
    """In whose hands a bank is."""

    MERCHANT = "merchant"
    STAFF = "staff"
    RENTER = "renter"
    LOST = "lost"
    SOLD = "sold"


class Proof(StrEnum):
    """What a change of custody stands on."""

    SCAN = "scan"
    CODE = "code"
    REASON = "reason"


_BY_SCAN: Final = frozenset({Proof.SCAN})
_BY_REASON: Final = frozenset({Proof.REASON})

CUSTODY_MOVES: Final[Mapping[tuple[Holder, Holder], frozenset[Proof]]] = MappingProxyType(
    {
        (Holder.MERCHANT, Holder.STAFF): _BY_SCAN | _BY_REASON,
        (Holder.STAFF, Holder.RENTER): frozenset({Proof.SCAN, Proof.CODE}),
        (Holder.RENTER, Holder.STAFF): _BY_SCAN,
        (Holder.STAFF, Holder.MERCHANT): _BY_SCAN | _BY_REASON,
        (Holder.RENTER, Holder.MERCHANT): _BY_SCAN | _BY_REASON,
        (Holder.MERCHANT, Holder.LOST): _BY_REASON,
        (Holder.STAFF, Holder.LOST): _BY_REASON,
        (Holder.RENTER, Holder.LOST): _BY_REASON,
        (Holder.LOST, Holder.MERCHANT): _BY_SCAN | _BY_REASON,
        (Holder.LOST, Holder.STAFF): _BY_SCAN,
        (Holder.RENTER, Holder.SOLD): _BY_REASON,
        (Holder.LOST, Holder.SOLD): _BY_REASON,
        (Holder.SOLD, Holder.MERCHANT): _BY_SCAN | _BY_REASON,
    }
)
"""From whom to whom a bank may go, and which proofs that takes. SOLD ends by buying it back."""

_AT_HOME: Final = frozenset({Holder.MERCHANT})
_ON_THE_WAY: Final = frozenset({Holder.STAFF})
_AWAY: Final = frozenset({Holder.RENTER})
_BACK: Final = frozenset({Holder.STAFF, Holder.MERCHANT})
_SOLD: Final = frozenset({Holder.SOLD})
_LOST: Final = frozenset({Holder.LOST})

HOLDINGS: Final[Mapping[RentalState, frozenset[Holder]]] = MappingProxyType(
    {
        RentalState.REQUESTED: _AT_HOME,
        RentalState.ACCEPTED: _AT_HOME,
        RentalState.DELIVERING: _ON_THE_WAY,
        RentalState.DELIVERED: _AWAY,
        RentalState.DEPOSIT_DUE: _AWAY,
        RentalState.STARTING: _AWAY,
        RentalState.RENTING: _AWAY,
        RentalState.RETURNING: _AWAY,
        RentalState.START_FAILED: _AWAY,
        RentalState.PAYMENT_DUE: _BACK | _SOLD,
        RentalState.COMPLETED: _BACK | _SOLD,
        RentalState.CANCELLED: _BACK | _LOST,
        RentalState.UNDELIVERABLE: _BACK | _LOST,
    }
)
"""In whose hands the bank is while, or in the moment when, its rental is in a state."""


def pass_on(*, giver: Holder, taker: Holder, proof: Proof) -> Holder:
    """Let a bank change hands, and give its new holder.

    Raises:
        Refusal: WRONG_HANDS if no bank goes that way; PROOF_REQUIRED if it does, but not on
            such a proof.
    """
    accepted = CUSTODY_MOVES.get((giver, taker))
    if accepted is None:
        raise Refusal(Code.WRONG_HANDS, giver=giver, taker=taker)
    if proof not in accepted:
        raise Refusal(Code.PROOF_REQUIRED, giver=giver, taker=taker, proof=proof)
    return taker


def agrees(state: RentalState, holder: Holder) -> bool:
    """Whether the bank is where the rental's state says that it is."""
    return holder in HOLDINGS[state]
