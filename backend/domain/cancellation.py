"""What it costs to call a delivery off, by how far it has come.

The theory
----------
Until somebody has accepted, nothing was lost, and calling off is free. After that it costs the
flat fee that the terms name for the stage, because somebody works for it. Who kept the renter
waiting has no claim: once a delivery is late, or had to be begun again, or only brings a
substitute for what was broken, calling off is free whatever the stage (EXCUSED).

The fee is shown before, and only a fee that was seen is charged: :func:`check_seen` refuses
when it has risen meanwhile, naming what it is now. Who saw more than it is now pays what it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Minor
from backend.domain.rental import RentalState
from backend.domain.tariff import Terms


class CancelStage(StrEnum):
    """How far a delivery is, for who thinks of calling it off."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DELIVERING = "delivering"
    EXCUSED = "excused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFee:
    """What calling off costs now, and why."""

    stage: CancelStage
    fee_minor: Minor


_STAGES: Final[Mapping[RentalState, CancelStage]] = MappingProxyType(
    {
        RentalState.REQUESTED: CancelStage.WAITING,
        RentalState.ACCEPTED: CancelStage.ACCEPTED,
        RentalState.DELIVERING: CancelStage.DELIVERING,
    }
)


def cancel_fee(terms: Terms, state: RentalState, *, is_excused: bool) -> CancelFee | None:
    """Tell what calling off costs in this state.

    Args:
        terms: what the renter agreed to.
        state: the rental's.
        is_excused: whether the renter was kept waiting.

    Returns:
        None: it can not be called off any more.
    """
    stage = _STAGES.get(state)
    if stage is None:
        return None
    if is_excused:
        return CancelFee(stage=CancelStage.EXCUSED, fee_minor=ZERO)
    fees = {
        CancelStage.ACCEPTED: terms.cancel_accepted_minor,
        CancelStage.DELIVERING: terms.cancel_delivering_minor,
    }
    return CancelFee(stage=stage, fee_minor=fees.get(stage, ZERO))


def check_seen(fee: CancelFee, *, seen_minor: Minor) -> None:
    """Charge nobody more than they saw.

    Raises:
        Refusal: CANCEL_COSTS, with what it costs now.
    """
    if fee.fee_minor > seen_minor:
        raise Refusal(Code.CANCEL_COSTS, fee_minor=fee.fee_minor, seen_minor=seen_minor)
