"""Disputes of bills, and what was put right: for the renter, and for the merchant."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, In, Out
from backend.api.shapes import Before, Limit
from backend.db.tables.credits import CreditNoteRow, RefundRow, RefundWhy
from backend.db.tables.disputes import DisputeRow
from backend.domain.credit import CreditKind
from backend.domain.dispute import DisputeState
from backend.domain.money import Minor
from backend.services import credits as notes
from backend.services import disputes

router = APIRouter(tags=["disputes"], route_class=IdempotentRoute)

AMOUNT_MAX = 1_000_000_000


class DisputeIn(In):
    """What of a bill is wrong, and why."""

    disputed_minor: int = Field(
        ge=1,
        le=AMOUNT_MAX,
        description="The part that is disputed, in minor units; only that is frozen.",
        examples=[500],
    )
    reason: str = Field(
        min_length=1, max_length=500, examples=["The bank was empty after twenty minutes."]
    )


class DisputeOut(Out):
    """A dispute, and how it ended."""

    id: str = Field(examples=["01J9ZV3C8R0000000000000000"])
    rental_id: str = Field(examples=["01J9ZV3C8R0000000000000001"])
    merchant_id: str = Field(examples=["01J9ZV3C8R0000000000000002"])
    state: DisputeState = Field(examples=["open"])
    disputed_minor: int = Field(examples=[500])
    granted_minor: int = Field(description="What was given back.", examples=[0])
    currency: str = Field(examples=["CNY"])
    reason: str = Field(examples=["The bank was empty after twenty minutes."])
    answer: str = Field(description="Whoever decided it.", examples=[""])
    opened_at: datetime = Field(examples=["2026-11-22T12:00:00Z"])
    ended_at: datetime | None = Field(examples=[None])

    @classmethod
    def of(cls, row: DisputeRow) -> Self:
        """Show a dispute."""
        return cls.model_validate(row)


class DisputesOut(Out):
    """Disputes."""

    items: list[DisputeOut]
    next: str | None = Field(
        default=None,
        description="Ask with `before` this for the next page; null: none.",
        examples=[None],
    )


class CreditOut(Out):
    """A credit note: a part of a bill, taken back."""

    id: str = Field(examples=["01J9ZV3C8R0000000000000003"])
    kind: CreditKind = Field(examples=["dispute"])
    amount_minor: int = Field(examples=[500])
    refunded_minor: int = Field(
        description="The part of it that was paid, and goes back.", examples=[500]
    )
    currency: str = Field(examples=["CNY"])
    why: str = Field(examples=["The log of the bank says so."])
    at: datetime = Field(examples=["2026-11-22T12:00:00Z"])

    @classmethod
    def of(cls, row: CreditNoteRow) -> Self:
        """Show a credit note."""
        return cls.model_validate(row)


class RefundOut(Out):
    """Money that goes back to the payment it came from."""

    id: str = Field(examples=["01J9ZV3C8R0000000000000004"])
    payment_id: str | None = Field(examples=["01J9ZV3C8R0000000000000005"])
    why: RefundWhy = Field(examples=["credit"])
    amount_minor: int = Field(examples=[500])
    currency: str = Field(examples=["CNY"])
    asked_at: datetime = Field(examples=["2026-11-22T12:00:00Z"])
    refunded_at: datetime | None = Field(
        description="Null: it is on its way.", examples=["2026-11-22T12:00:05Z"]
    )

    @classmethod
    def of(cls, row: RefundRow) -> Self:
        """Show a refund."""
        return cls.model_validate(row)


class CreditsOut(Out):
    """What was put right on a bill, and what went back for it."""

    credits: list[CreditOut]
    refunds: list[RefundOut]


@router.post("/rentals/{rental_id}/disputes", status_code=201)
def begin(
    *, rental_id: Id, body: DisputeIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> DisputeOut:
    """Dispute a part of my bill, or all of it: that part is frozen until somebody decides."""
    dispute = disputes.begin(
        session,
        who=who,
        rental_id=rental_id,
        disputed_minor=Minor(body.disputed_minor),
        reason=body.reason,
        now=now,
    )
    return DisputeOut.of(dispute)


@router.get("/rentals/{rental_id}/disputes")
def mine(rental_id: Id, session: DbSession, who: CurrentPrincipal) -> DisputesOut:
    """List the disputes of a rental of mine, oldest first."""
    rows = disputes.mine(session, who=who, rental_id=rental_id)
    return DisputesOut(items=[DisputeOut.of(row) for row in rows])


@router.post("/rentals/{rental_id}/disputes/{dispute_id}/withdraw")
def withdraw(
    rental_id: Id, dispute_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> DisputeOut:
    """Take my dispute back: the bill stands."""
    dispute = disputes.withdraw(
        session, who=who, rental_id=rental_id, dispute_id=dispute_id, now=now
    )
    return DisputeOut.of(dispute)


@router.get("/rentals/{rental_id}/credits")
def credits_of_mine(rental_id: Id, session: DbSession, who: CurrentPrincipal) -> CreditsOut:
    """List what was put right on my bill, and what went back to me or is on its way."""
    noted, refunded = notes.mine(session, who=who, rental_id=rental_id)
    return CreditsOut(
        credits=[CreditOut.of(row) for row in noted],
        refunds=[RefundOut.of(row) for row in refunded],
    )


@router.get("/merchants/{merchant_id}/disputes")
def at_merchant(
    *,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    state: Annotated[DisputeState | None, Query(description="Only those.")] = None,
    before: Before = None,
    limit: Limit = 20,
) -> DisputesOut:
    """List the disputes of my rentals, newest first."""
    rows = disputes.at_merchant(
        session, who=who, merchant_id=merchant_id, state=state, before=before, limit=limit
    )
    items = [DisputeOut.of(row) for row in rows]
    return DisputesOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/merchants/{merchant_id}/disputes/{dispute_id}/concede")
def concede(
    merchant_id: Id, dispute_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> DisputeOut:
    """Admit that the renter is right: they get all that they dispute."""
    dispute = disputes.concede(
        session, who=who, merchant_id=merchant_id, dispute_id=dispute_id, now=now
    )
    return DisputeOut.of(dispute)
