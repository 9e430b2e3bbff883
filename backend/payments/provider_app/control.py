"""How to have the sandbox misbehave: arm faults, leave them to chance, see what struck.

What there is, and what each does, is told in ``faults.py``. These routes are there only if the
settings say ``may_misbehave``.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from backend.payments.provider_app.deps import CurrentFaults, account
from backend.payments.provider_app.faults import (
    MAX_FOR_S,
    MAX_TIMES,
    Armed,
    At,
    Chance,
    Fault,
    Listing,
)

_ANY_SEED: Final = 2**63 - 1
Span = Annotated[float, Field(ge=0, le=MAX_FOR_S)]
"""Seconds."""

router = APIRouter(prefix="/sandbox/faults", dependencies=[Depends(account)], tags=["faults"])


class ArmBody(BaseModel):
    """A fault, and when it is to strike."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"fault": "no_answer", "at": ["capture"], "for_s": 2}]},
    )

    fault: Fault
    at: frozenset[At] = Field(default=frozenset(), description="Empty: wherever it fits.")
    reference: str | None = Field(default=None, max_length=64, description="Only what bears it.")
    times: int = Field(default=1, ge=1, le=MAX_TIMES)
    for_s: Span | None = Field(
        default=None, description="The fault's own span; left out: the usual."
    )


class ChanceBody(BaseModel):
    """What may happen at any time."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"seed": 7, "per_mille": {"notice_lost": 200}}]},
    )

    seed: int = Field(ge=0, le=_ANY_SEED)
    per_mille: dict[Fault, Annotated[int, Field(ge=0, le=1000)]]
    for_s: dict[Fault, Span] = Field(default_factory=dict, description="Where not the usual.")


@router.get("")
def listing(faults: CurrentFaults) -> Listing:
    """Tell what is armed and what struck."""
    return faults.listing()


@router.post("", status_code=201)
def arm(body: ArmBody, faults: CurrentFaults) -> Armed:
    """Have a fault strike the next times that it can."""
    return faults.arm(
        body.fault, at=body.at, reference=body.reference, times=body.times, for_s=body.for_s
    )


@router.put("/chance")
def leave_to_chance(body: ChanceBody, faults: CurrentFaults) -> ChanceBody:
    """Have faults strike by chance from now on: the same seed, the same faults."""
    faults.leave_to(Chance(seed=body.seed, per_mille=body.per_mille, for_s=body.for_s))
    return body


@router.delete("", status_code=204)
def calm(faults: CurrentFaults) -> None:
    """Behave from now on; what struck stays listed."""
    faults.calm()
