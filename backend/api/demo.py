"""What only a demonstration has: a clock that can be turned forward."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import AppParts, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import In, Out
from backend.domain.errors import Code, Refusal

router = APIRouter(prefix="/demo", tags=["demo"], route_class=IdempotentRoute)


class ForwardIn(In):
    """How far."""

    forward_s: int = Field(gt=0, le=31 * 86_400, examples=[1800])


class ClockOut(Out):
    """What time it is now."""

    now: datetime


@router.post("/clock")
def turn(*, body: ForwardIn, parts: AppParts, _who: OperatorPrincipal) -> ClockOut:
    """Turn the clock of backend, gateway and sandbox provider forward; banks keep their own.

    Every deadline in between falls due. A bank counts as heard again at its next report.
    """
    if parts.turn_clock is None:
        raise Refusal(Code.NOT_FOUND)
    parts.turn_clock(body.forward_s)
    return ClockOut(now=parts.clock.now())
