"""A withdrawal: money that leaves the platform for a merchant, once.

The theory
----------
It is claimed before it is sent. REQUESTED: the books have taken the amount out of the merchant's
reach, and nobody was asked yet. PROCESSING: the provider is asked, or has said that it is on its
way. PAID is gone, and FAILED the merchant's again. What was paid may come back, days later: then
it is FAILED too, and that is final.

UNKNOWN is when the provider was asked and gave no answer that can be believed. It may have gone,
so it stays out of reach and nothing is sent in its stead: the same wish is asked after, and made
again under the same key. Only the provider's word leads out, or an operator's who has looked.

The events are the provider's facts, told twice or late. What contradicts a final state is no move:
it is for a person to look at.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class WithdrawalState(StrEnum):
    """How far a withdrawal is."""

    REQUESTED = "requested"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"


class WithdrawalEvent(StrEnum):
    """What became of it."""

    SEND = "send"
    """The provider is about to be asked."""
    STILL_PENDING = "still_pending"
    ARRIVE = "arrive"
    FAIL = "fail"
    LOSE_TRACK = "lose_track"


_OPEN: Final = (
    WithdrawalState.REQUESTED,
    WithdrawalState.PROCESSING,
    WithdrawalState.UNKNOWN,
)

WITHDRAWAL_MOVES: Final[Mapping[tuple[WithdrawalState, WithdrawalEvent], WithdrawalState]] = (
    MappingProxyType(
        {
            (WithdrawalState.REQUESTED, WithdrawalEvent.SEND): WithdrawalState.PROCESSING,
            (WithdrawalState.PROCESSING, WithdrawalEvent.SEND): WithdrawalState.PROCESSING,
            (WithdrawalState.UNKNOWN, WithdrawalEvent.SEND): WithdrawalState.UNKNOWN,
            (WithdrawalState.PROCESSING, WithdrawalEvent.LOSE_TRACK): WithdrawalState.UNKNOWN,
            (WithdrawalState.UNKNOWN, WithdrawalEvent.LOSE_TRACK): WithdrawalState.UNKNOWN,
            **{
                (state, WithdrawalEvent.STILL_PENDING): WithdrawalState.PROCESSING
                for state in _OPEN
            },
            **{(state, WithdrawalEvent.ARRIVE): WithdrawalState.PAID for state in _OPEN},
            **{(state, WithdrawalEvent.FAIL): WithdrawalState.FAILED for state in _OPEN},
            (WithdrawalState.PAID, WithdrawalEvent.FAIL): WithdrawalState.FAILED,
            # What is known already may be told again, or later than what came after it.
            (WithdrawalState.PAID, WithdrawalEvent.ARRIVE): WithdrawalState.PAID,
            (WithdrawalState.PAID, WithdrawalEvent.STILL_PENDING): WithdrawalState.PAID,
            (WithdrawalState.FAILED, WithdrawalEvent.FAIL): WithdrawalState.FAILED,
            (WithdrawalState.FAILED, WithdrawalEvent.STILL_PENDING): WithdrawalState.FAILED,
        }
    )
)

OVER: Final = frozenset({WithdrawalState.PAID, WithdrawalState.FAILED})
"""Nothing is waited for any more; though what was paid may still come back."""


def move_withdrawal(state: WithdrawalState, event: WithdrawalEvent) -> WithdrawalState | None:
    """Take a withdrawal one step on; None: that contradicts what is known."""
    return WITHDRAWAL_MOVES.get((state, event))
