"""Merchants, as an operator manages them."""

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT, After, WhyIn
from backend.api.schemas import Id, Out
from backend.api.settlement import Account, BeforeLine, LinesOut, SettlementOut, Statement
from backend.api.shapes import Limit, MerchantOut, Reader
from backend.db.tables.market import MerchantStatus
from backend.services import market, oversight, settlement
from backend.services.oversight import Correction

router = APIRouter(prefix="/merchants", route_class=IdempotentRoute)


class MerchantPageOut(Out):
    """A page of merchants, oldest first."""

    items: list[MerchantOut]
    next: str | None = Field(description=NEXT)


class CorrectionIn(WhyIn):
    """What to put right; what is left out stays as it is."""

    name: str | None = Field(default=None, min_length=1, max_length=80, examples=["阿明的充電寶"])
    commission_bp: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="The platform's part of bills of rentals asked for from now on, basis points.",
        examples=[800],
    )
    service_radius_m: int | None = Field(default=None, ge=100, le=50_000, examples=[2500])


@router.get("")
def merchants(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    status: MerchantStatus | None = None,
    after: After = "",
    limit: Limit = 20,
) -> MerchantPageOut:
    """List merchants."""
    rows = market.everybody(session, status=status, after=after, limit=limit)
    items = [MerchantOut.of(row) for row in rows]
    return MerchantPageOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/{merchant_id}/settlement")
def settled(*, merchant_id: Id, session: DbSession, _who: OperatorPrincipal) -> SettlementOut:
    """Show what a merchant has earned, as they see it."""
    merchant = oversight.find_merchant(session, merchant_id)
    return SettlementOut.of(settlement.standing_of(session, merchant))


@router.get("/{merchant_id}/ledger")
def ledger(
    *,
    merchant_id: Id,
    session: DbSession,
    _who: OperatorPrincipal,
    lang: Reader,
    of: Account = Statement.WITHDRAWABLE,
    before: BeforeLine = None,
    limit: Limit = 20,
) -> LinesOut:
    """Read one of a merchant's accounts line by line, as they see it."""
    merchant = oversight.find_merchant(session, merchant_id)
    lines = settlement.statement_of(session, merchant, of=of.account, before=before, limit=limit)
    return LinesOut.of(lines, lang, limit=limit)


@router.post("/{merchant_id}/approve")
def approve(
    *, merchant_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> MerchantOut:
    """Let a merchant lend."""
    return MerchantOut.of(
        market.approve(session, who=who, merchant_id=merchant_id, reason=body.reason, now=now)
    )


@router.post("/{merchant_id}/suspend")
def suspend(
    *, merchant_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> MerchantOut:
    """Let a merchant lend nothing more; what is rented goes on."""
    return MerchantOut.of(
        oversight.suspend_merchant(
            session, who=who, merchant_id=merchant_id, reason=body.reason, now=now
        )
    )


@router.post("/{merchant_id}/resume")
def resume(
    *, merchant_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> MerchantOut:
    """Let a suspended merchant lend again."""
    return MerchantOut.of(
        oversight.resume_merchant(
            session, who=who, merchant_id=merchant_id, reason=body.reason, now=now
        )
    )


@router.post("/{merchant_id}/correct")
def correct(
    *, merchant_id: Id, body: CorrectionIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> MerchantOut:
    """Put a merchant's record right."""
    correction = Correction(
        name=body.name,
        commission_bp=body.commission_bp,
        service_radius_m=body.service_radius_m,
    )
    merchant = oversight.correct_merchant(
        session,
        who=who,
        merchant_id=merchant_id,
        correction=correction,
        reason=body.reason,
        now=now,
    )
    return MerchantOut.of(merchant)
