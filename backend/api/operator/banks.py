"""Banks, as an operator manages them."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT, After, WhyIn
from backend.api.schemas import BankId, Id, Out
from backend.api.shapes import BankOut, Limit
from backend.db import oversight as queries
from backend.db import seam
from backend.db.seam import Seen
from backend.db.tables.market import BankRow
from backend.domain import bank_list
from backend.domain.custody import Holder
from backend.limits import RECALLED_AT_ONCE_MAX
from backend.services import oversight

router = APIRouter(prefix="/banks", route_class=IdempotentRoute)

Batch = Annotated[str, Field(min_length=1, pattern=f"^{bank_list.BATCH}$", examples=["2026-09-A"])]


class AnyBankOut(BankOut):
    """A bank, as an operator sees it."""

    merchant_id: str
    batch: str = Field(description="The maker's production batch.", examples=["2026-09-A"])
    holder: Holder
    holder_id: str | None = Field(description="Which member of staff or renter.")
    is_offered: bool
    is_recalled: bool
    is_to_inspect: bool

    @classmethod
    def seen(cls, row: BankRow, shadow: Seen | None, *, now: datetime) -> Self:
        """Show a bank to an operator."""
        shown = BankOut.of(row, shadow, now=now).model_dump()
        return cls(**shown, **{name: getattr(row, name) for name in _OF_BANK})


class BanksOut(Out):
    """A page of banks, by id."""

    items: list[AnyBankOut]
    next: str | None = Field(description=NEXT)


class RecallIn(WhyIn):
    """What to recall: a whole batch, banks by id, or both."""

    batch: Batch | None = None
    bank_ids: list[BankId] = Field(
        default=[], max_length=RECALLED_AT_ONCE_MAX, examples=[["LW-000123"]]
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.batch is None and not self.bank_ids:
            msg = "give batch or bank_ids"
            raise ValueError(msg)
        return self


class RecalledOut(Out):
    """The banks that were not recalled before."""

    bank_ids: list[str] = Field(examples=[["LW-000123"]])


@router.get("")
def banks(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    now: Now,
    merchant_id: Id | None = None,
    batch: Annotated[Batch | None, Query()] = None,
    holder: Holder | None = None,
    recalled: bool | None = None,
    after: After = "",
    limit: Limit = 20,
) -> BanksOut:
    """List banks."""
    rows = queries.banks(
        session,
        merchant_id=merchant_id,
        batch=batch,
        holder=holder,
        is_recalled=recalled,
        after=after,
        limit=limit,
    )
    shadows = seam.seen_all(session, [row.id for row in rows])
    items = [AnyBankOut.seen(row, shadows.get(row.id), now=now) for row in rows]
    return BanksOut(items=items, next=items[-1].id if len(items) == limit else None)


_OF_BANK = tuple(name for name in AnyBankOut.model_fields if name not in BankOut.model_fields)
assert all(name in BankRow.model_fields for name in _OF_BANK)  # noqa: S101 - read from the row


@router.post("/recall")
def recall(*, body: RecallIn, session: DbSession, who: OperatorPrincipal, now: Now) -> RecalledOut:
    """Recall banks: they go out no more, and who has one hears of it."""
    recalled = oversight.recall(
        session,
        who=who,
        batch=body.batch,
        bank_ids=body.bank_ids,
        reason=body.reason,
        now=now,
    )
    return RecalledOut(bank_ids=[each.bank_id for each in recalled])


@router.post("/{bank_id}/end-recall")
def end_recall(
    *, bank_id: BankId, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> RecalledOut:
    """End a bank's recall: its merchant inspects it, and then it may go out again."""
    bank = oversight.end_recall(session, who=who, bank_id=bank_id, reason=body.reason, now=now)
    return RecalledOut(bank_ids=[bank.id])
