"""What a merchant has earned, line by line, and how they take it out."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.ledger_words import LINES
from backend.api.schemas import Id, In, Out
from backend.api.shapes import Before, Limit, Reader
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang
from backend.domain.ledger import AccountKind, TransferKind
from backend.domain.money import Minor
from backend.domain.withdrawal import WithdrawalState
from backend.payments.choose import pays_out
from backend.services import settlement, withdrawals

router = APIRouter(
    prefix="/merchants/{merchant_id}", tags=["merchant"], route_class=IdempotentRoute
)

_CURRENCY = Field(examples=["CNY"])


def _payout_provider(parts: AppParts) -> str:
    """The name of the provider that withdrawals go through: the first that pays out.

    Raises:
        Refusal: PROVIDER_AWAY, if none does.
    """
    name = pays_out(parts.providers)
    if name is None:
        raise Refusal(Code.PROVIDER_AWAY)
    return name


PayoutProviderName = Annotated[str, Depends(_payout_provider)]


class Statement(StrEnum):
    """A merchant's own accounts, as they call them."""

    PENDING = "pending"
    WITHDRAWABLE = "withdrawable"
    IN_PAYOUT = "in_payout"
    DEBT = "debt"

    @property
    def account(self) -> AccountKind:
        """The same in the books."""
        return _ACCOUNTS[self]


_ACCOUNTS = dict(zip(Statement, settlement.STATEMENTS, strict=True))


class SettlementOut(Out):
    """What a merchant has earned, and where it is. Amounts in minor units of their currency."""

    currency: str = _CURRENCY
    settled_orders: int = Field(description="Theirs to withdraw, or withdrawn.", examples=[41])
    unsettled_orders: int = Field(
        description="Billed, and not paid yet or within the dispute window.", examples=[3]
    )
    next_settlement_at: datetime | None = Field(
        description="When the next one becomes withdrawable; null: none waits for a date.",
        examples=["2026-11-29T12:00:00Z"],
    )
    pending_minor: int = Field(description="Of unsettled orders.", examples=[2430])
    frozen_minor: int = Field(
        description="The part of that which open disputes keep back.", examples=[0]
    )
    withdrawable_minor: int = Field(examples=[33210])
    in_payout_minor: int = Field(description="On its way to the payout account.", examples=[0])
    debt_minor: int = Field(
        description="Laid out for the merchant; taken from what is settled next.", examples=[0]
    )
    minimum_minor: int = Field(description="The least that is paid out.", examples=[100])
    payout_account: str | None = Field(description="Masked.", examples=["****************CVdK"])

    @classmethod
    def of(cls, standing: settlement.Standing) -> "SettlementOut":
        """Show where a merchant stands."""
        merchant, totals = standing.merchant, standing.totals
        account = merchant.payout_account
        return cls(
            currency=merchant.currency,
            settled_orders=totals.settled,
            unsettled_orders=totals.unsettled,
            next_settlement_at=totals.next_settle_at,
            pending_minor=standing.pending_minor,
            frozen_minor=standing.frozen_minor,
            withdrawable_minor=standing.withdrawable_minor,
            in_payout_minor=standing.in_payout_minor,
            debt_minor=standing.debt_minor,
            minimum_minor=withdrawals.minimum(merchant.currency),
            payout_account=None if account is None else withdrawals.masked(account),
        )


class LineOut(Out):
    """One line: what comes in is positive."""

    number: int = Field(description="The account's first line is 1.", examples=[17])
    at: datetime = Field(examples=["2026-11-29T12:00:05Z"])
    kind: TransferKind = Field(examples=["rental_settled"])
    text: str = Field(
        description="What, in the reader's language.",
        examples=["Rental settled: yours to withdraw"],
    )
    rental_id: str | None = Field(examples=["01KBN2Y7J0Q4W8ZV5T3M6R9XCD"])
    withdrawal_id: str | None = Field(examples=[None])
    amount_minor: int = Field(examples=[810])
    balance_minor: int = Field(description="The account's, after it.", examples=[33210])
    currency: str = _CURRENCY

    @classmethod
    def of(cls, line: settlement.Line, lang: Lang) -> "LineOut":
        """Show a line to a reader."""
        subject, _, rest = line.key.partition(":")
        return cls(
            number=line.number,
            at=line.at,
            kind=line.kind,
            text=LINES[line.kind][lang],
            rental_id=line.rental_id,
            withdrawal_id=rest.partition(":")[0] if subject == "withdrawal" else None,
            amount_minor=line.amount_minor,
            balance_minor=line.balance_minor,
            currency=line.currency,
        )


class LinesOut(Out):
    """A page of lines, newest first."""

    items: list[LineOut]
    next: int | None = Field(
        description="Ask with `before` this for the next page; null: none.", examples=[None]
    )

    @classmethod
    def of(cls, lines: Sequence[settlement.Line], lang: Lang, *, limit: int) -> "LinesOut":
        """Show a page to a reader."""
        items = [LineOut.of(line, lang) for line in lines]
        return cls(items=items, next=items[-1].number if len(items) == limit else None)


Account = Annotated[Statement, Query(description="Which account.")]
BeforeLine = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before.")
]


class PayoutAccountIn(In):
    """Where withdrawals go, as the payment provider names it."""

    account: str = Field(pattern=r"^[\x21-\x7e]{4,120}$", examples=["acct_1Nv0FGQ9RKHgCVdK"])


class PayoutAccountOut(Out):
    """Where withdrawals go."""

    account: str = Field(description="Masked.", examples=["****************CVdK"])


class WithdrawalIn(In):
    """An amount to take out, in minor units of the merchant's currency."""

    amount_minor: int = Field(gt=0, examples=[20000])


class WithdrawalOut(Out):
    """A withdrawal. While it is `unknown`, nobody can say whether it went; we keep asking."""

    id: str = Field(examples=["01KBN2Y7J0Q4W8ZV5T3M6R9XCE"])
    state: WithdrawalState = Field(examples=["requested"])
    amount_minor: int = Field(examples=[20000])
    currency: str = _CURRENCY
    account: str = Field(
        description="Where it goes, masked: a later change does not redirect it.",
        examples=["****************CVdK"],
    )
    asked_at: datetime = Field(examples=["2026-11-29T13:00:00Z"])
    ended_at: datetime | None = Field(examples=[None])
    failure: str = Field(description="Why it failed; empty otherwise.", examples=[""])

    @classmethod
    def of(cls, row: WithdrawalRow) -> "WithdrawalOut":
        """Show a withdrawal to its merchant."""
        shared = ("id", "state", "amount_minor", "currency", "asked_at", "ended_at", "failure")
        return cls(
            **{name: getattr(row, name) for name in shared},
            account=withdrawals.masked(row.account),
        )


class WithdrawalsOut(Out):
    """A page of withdrawals, newest first."""

    items: list[WithdrawalOut]
    next: str | None = Field(
        description="Ask with `before` this for the next page; null: none.", examples=[None]
    )


@router.get("/settlement")
def settled(merchant_id: Id, session: DbSession, who: CurrentPrincipal) -> SettlementOut:
    """Show what I have earned: settled and unsettled orders, what is pending, what is mine."""
    return SettlementOut.of(settlement.standing(session, who=who, merchant_id=merchant_id))


@router.get("/ledger")
def ledger(
    *,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    lang: Reader,
    of: Account = Statement.WITHDRAWABLE,
    before: BeforeLine = None,
    limit: Limit = 20,
) -> LinesOut:
    """Read one of my accounts line by line, newest first, with the balance after each line."""
    lines = settlement.statement(
        session, who=who, merchant_id=merchant_id, of=of.account, before=before, limit=limit
    )
    return LinesOut.of(lines, lang, limit=limit)


@router.post("/payout-account")
def set_payout_account(
    *,
    merchant_id: Id,
    body: PayoutAccountIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> PayoutAccountOut:
    """Say where my withdrawals go. Those that are under way go where they were sent."""
    withdrawals.set_account(
        session, who=who, merchant_id=merchant_id, account=body.account, now=now
    )
    return PayoutAccountOut(account=withdrawals.masked(body.account))


@router.post("/withdrawals", status_code=202)
def withdraw(
    *,
    merchant_id: Id,
    body: WithdrawalIn,
    session: DbSession,
    who: CurrentPrincipal,
    provider: PayoutProviderName,
    now: Now,
) -> WithdrawalOut:
    """Take out what is mine: it is kept for this at once, and sent soon."""
    row = withdrawals.withdraw(
        session,
        who=who,
        merchant_id=merchant_id,
        amount_minor=Minor(body.amount_minor),
        provider=provider,
        now=now,
    )
    return WithdrawalOut.of(row)


@router.get("/withdrawals")
def list_withdrawals(
    *,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    before: Before = None,
    limit: Limit = 20,
) -> WithdrawalsOut:
    """List my withdrawals, newest first."""
    rows = withdrawals.mine(session, who=who, merchant_id=merchant_id, before=before, limit=limit)
    items = [WithdrawalOut.of(row) for row in rows]
    return WithdrawalsOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/withdrawals/{withdrawal_id}")
def withdrawal(
    merchant_id: Id, withdrawal_id: Id, session: DbSession, who: CurrentPrincipal
) -> WithdrawalOut:
    """Show where a withdrawal of mine stands."""
    row = withdrawals.one(session, who=who, merchant_id=merchant_id, withdrawal_id=withdrawal_id)
    return WithdrawalOut.of(row)
