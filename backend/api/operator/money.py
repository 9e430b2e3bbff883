"""What merchants take out, and where providers and books do not agree, as an operator sees it."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, OperatorPrincipal
from backend.api.operator.shapes import NEXT, NEXT_OLDER, After
from backend.api.schemas import Id, Out
from backend.api.settlement import WithdrawalOut
from backend.api.shapes import Before, Limit
from backend.db import oversight as queries
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.reconcile import BreakKind
from backend.domain.withdrawal import WithdrawalState

router = APIRouter()


class PayoutOut(WithdrawalOut):
    """A withdrawal, with whose it is and what keeps it."""

    merchant_id: str = Field(examples=["01KBN2Y7J0Q4W8ZV5T3M6R9XCD"])
    provider: str = Field(examples=["sandbox"])
    provider_ref: str | None = Field(
        description="By which the provider knows it; null: it has not answered.", examples=[None]
    )
    attempts: int = Field(description="Since the provider last answered.", examples=[0])
    problem: str | None = Field(
        description="Why it needs a person: it is on the stuck list, too.", examples=[None]
    )

    @classmethod
    def seen(cls, row: WithdrawalRow) -> Self:
        """Show a withdrawal to an operator."""
        more = ("merchant_id", "provider", "provider_ref", "attempts", "problem")
        told = WithdrawalOut.of(row).model_dump()
        return cls(**told, **{name: getattr(row, name) for name in more})


class PayoutsOut(Out):
    """A page of withdrawals, newest first."""

    items: list[PayoutOut]
    next: str | None = Field(description=NEXT_OLDER, examples=[None])


class BreakOut(Out):
    """One thing that we and a provider say differently."""

    id: str = Field(description="Of the stuck list's item, too.")
    kind: BreakKind
    subject: str = Field(examples=["payment"])
    subject_id: str = Field(
        description="Our id of it; where we know none, the provider's.",
        examples=["01KBN2Y7J0Q4W8ZV5T3M6R9XCD"],
    )
    rental_id: str | None
    ours: str = Field(description="What we say.", examples=["paid 900 CNY"])
    theirs: str = Field(description="What they say.", examples=["paid 800 CNY"])
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None = Field(description="Since when it is not so any more.")


class LookOut(Out):
    """One day's comparison with the providers."""

    day: str = Field(description="UTC.", examples=["2026-11-22"])
    begun_at: datetime
    ended_at: datetime | None = Field(description="Null: it goes on.")
    payments: int = Field(description="How many were compared.", examples=[412])
    breaks: int = Field(description="How many did not agree.", examples=[0])


class BreaksOut(Out):
    """A page of the reconciliation's report, by when each was first seen."""

    newest_look: LookOut | None = Field(description="Null: nobody has looked yet.")
    items: list[BreakOut]
    next: str | None = Field(description=NEXT)


@router.get("/withdrawals")
def withdrawals(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    state: Annotated[list[WithdrawalState], Query()] = [],  # noqa: B006 - FastAPI copies it
    merchant_id: Id | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> PayoutsOut:
    """List withdrawals, newest first."""
    rows = queries.withdrawals(
        session, states=state, merchant_id=merchant_id, before=before, limit=limit
    )
    items = [PayoutOut.seen(row) for row in rows]
    return PayoutsOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/breaks")
def breaks(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    resolved: Annotated[bool, Query(description="Those that are over, instead.")] = False,
    after: After = "",
    limit: Limit = 20,
) -> BreaksOut:
    """List where providers, books and rentals do not agree, and say when that was last looked at.

    Nothing is mended here: the stuck list says what may be done.
    """
    rows = queries.breaks(session, is_open=not resolved, after=after, limit=limit)
    look = queries.newest_look(session)
    items = [BreakOut.model_validate(row) for row in rows]
    return BreaksOut(
        newest_look=None if look is None else LookOut.model_validate(look),
        items=items,
        next=items[-1].id if len(items) == limit else None,
    )
