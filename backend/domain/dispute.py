"""A dispute: a renter says that a part of their bill is wrong, and somebody decides.

The theory
----------
A dispute is a record on a bill, not a state of its rental: the bank may be long back. It is OPEN
until the merchant concedes it, the renter withdraws it, or an operator decides it. While it is
open the **disputed part is frozen, and only that**: nobody is made to pay it, no deposit is
captured for it, and the merchant's share of it is not theirs yet. The undisputed part goes its
way.

What is granted becomes a credit note; a decision takes nothing else, and nothing leads out of it.
A rental has one open dispute at most, and no more than a few in all.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Minor


class DisputeState(StrEnum):
    """How far a dispute is."""

    OPEN = "open"
    UPHELD = "upheld"
    PARTLY_UPHELD = "partly_upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class DisputeEvent(StrEnum):
    """What ends a dispute."""

    UPHOLD = "uphold"
    UPHOLD_IN_PART = "uphold_in_part"
    REJECT = "reject"
    CONCEDE = "concede"
    WITHDRAW = "withdraw"


DISPUTE_MOVES: Final[Mapping[tuple[DisputeState, DisputeEvent], DisputeState]] = MappingProxyType(
    {
        (DisputeState.OPEN, DisputeEvent.UPHOLD): DisputeState.UPHELD,
        (DisputeState.OPEN, DisputeEvent.UPHOLD_IN_PART): DisputeState.PARTLY_UPHELD,
        (DisputeState.OPEN, DisputeEvent.REJECT): DisputeState.REJECTED,
        (DisputeState.OPEN, DisputeEvent.CONCEDE): DisputeState.UPHELD,
        (DisputeState.OPEN, DisputeEvent.WITHDRAW): DisputeState.WITHDRAWN,
    }
)


def move_dispute(state: DisputeState, event: DisputeEvent) -> DisputeState:
    """End a dispute.

    Raises:
        Refusal: WRONG_STATE, naming both: it has ended already.
    """
    after = DISPUTE_MOVES.get((state, event))
    if after is None:
        raise Refusal(Code.WRONG_STATE, state=state, event=event)
    return after


def verdict(*, disputed_minor: Minor, granted_minor: Minor) -> DisputeEvent:
    """Name an operator's decision by what it grants.

    Args:
        disputed_minor: above zero.
        granted_minor: zero to the disputed amount.

    Raises:
        Refusal: MORE_THAN_DISPUTED, with what is disputed.
    """
    if granted_minor > disputed_minor:
        raise Refusal(Code.MORE_THAN_DISPUTED, disputed_minor=disputed_minor)
    if granted_minor == disputed_minor:
        return DisputeEvent.UPHOLD
    return DisputeEvent.UPHOLD_IN_PART if granted_minor > 0 else DisputeEvent.REJECT


def frozen(state: DisputeState, *, disputed_minor: Minor, left_minor: Minor) -> Minor:
    """What of a bill nobody may take while this dispute is as it is.

    Args:
        state: how far the dispute is.
        disputed_minor: the amount it is about.
        left_minor: what credit notes have left of the bill.
    """
    return Minor(min(disputed_minor, left_minor)) if state is DisputeState.OPEN else ZERO
