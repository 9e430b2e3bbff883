"""The stuck list, and what may be done about each item."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import WhyIn
from backend.api.schemas import AnyId, Out
from backend.services import stuck
from backend.services.stuck import Act, Stuck, StuckKind

router = APIRouter(prefix="/stuck", route_class=IdempotentRoute)


class StuckOut(Out):
    """Something that does not go on by itself."""

    kind: StuckKind
    id: str = Field(description="Of its subject.", examples=["01KAP2M9V3Z1W6T7Q8R9S0ABCD"])
    since: datetime
    rental_id: str | None
    detail: dict[str, str] = Field(examples=[{"bank_id": "LW-000123", "state": "starting"}])
    acts: list[Act] = Field(description="What may be done: post to `…/{kind}/{id}/{act}`.")

    @classmethod
    def of(cls, item: Stuck) -> "StuckOut":
        """Show an item."""
        shared = ("kind", "id", "since", "rental_id")
        told = {name: getattr(item, name) for name in shared}
        return cls(**told, detail=dict(item.detail), acts=list(item.acts))


class StuckListOut(Out):
    """All that does not go on, what hurts people first; at most 100 of a kind."""

    items: list[StuckOut]


class DoneOut(Out):
    """The act was taken; what follows is seen on the subject."""

    kind: StuckKind
    id: str
    act: Act


@router.get("")
def everything(*, session: DbSession, _who: OperatorPrincipal, now: Now) -> StuckListOut:
    """List what does not go on by itself."""
    return StuckListOut(items=[StuckOut.of(item) for item in stuck.everything(session, now=now)])


@router.post("/{kind}/{item_id}/{act}")
def act(
    *,
    kind: StuckKind,
    item_id: AnyId,
    act: Act,
    body: WhyIn,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
) -> DoneOut:
    """Do something about an item, as anybody else would have to: with its ledger and its trace."""
    stuck.act(session, who=who, kind=kind, id_=item_id, act=act, reason=body.reason, now=now)
    return DoneOut(kind=kind, id=item_id, act=act)
