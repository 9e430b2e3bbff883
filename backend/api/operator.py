"""What an operator does: approve merchants, each act with a trace."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import In, Out
from backend.api.shapes import Limit, MerchantOut
from backend.db.tables.market import MerchantStatus
from backend.services import market

router = APIRouter(prefix="/operator", tags=["operator"], route_class=IdempotentRoute)


class WhyIn(In):
    """Why: kept with who, before and after."""

    reason: str = Field(min_length=1, max_length=500, examples=["papers checked"])


class MerchantPageOut(Out):
    """A page of merchants, oldest first."""

    items: list[MerchantOut]
    next: str | None = Field(description="Ask with `after` this for the next page; null: none.")


@router.get("/merchants")
def merchants(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    status: MerchantStatus | None = None,
    after: Annotated[str, Query(max_length=26, description="`next` of the page before.")] = "",
    limit: Limit = 20,
) -> MerchantPageOut:
    """List merchants."""
    rows = market.everybody(session, status=status, after=after, limit=limit)
    items = [MerchantOut.of(row) for row in rows]
    return MerchantPageOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/merchants/{merchant_id}/approve")
def approve(
    *, merchant_id: str, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> MerchantOut:
    """Let a merchant lend."""
    merchant = market.approve(
        session, who=who, merchant_id=merchant_id, reason=body.reason, now=now
    )
    return MerchantOut.of(merchant)
