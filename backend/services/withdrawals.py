"""Withdrawals: a merchant takes out what is theirs, once, whatever becomes of the sending.

The theory is at the top of ``domain/withdrawal.py``. The amount leaves the merchant's reach in the
transaction that writes the wish down, by the UPDATE that checks it; so of any number of wishes at
once, no more is promised than is there. What a provider tells (in its answer, in a webhook, when
asked) all ends in :func:`learn`, in whatever order and however often.
"""

from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlmodel import Session

from backend.db import audit, market, money, withdrawals
from backend.db.notifications import notify
from backend.db.tables.market import MerchantRow, MerchantStatus
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain import ledger
from backend.domain.errors import Code, Refusal
from backend.domain.money import Currency, Minor
from backend.domain.withdrawal import OVER, WithdrawalEvent, WithdrawalState, move_withdrawal
from backend.ids import new_id
from backend.limits import PAYOUT_CHECK, WITHDRAWAL_MIN_MAJOR
from backend.payments.port import PayoutStatus, ProviderPayout
from backend.principal import Principal
from backend.services.market import own

_KEPT_CHARS: Final = 4
"""Of a payout account, in an answer or a trace: enough to know it by."""

# -- asking ---------------------------------------------------------------------------------


def masked(account: str) -> str:
    """Show a payout account so that its owner knows it and nobody else can use it."""
    kept = account[-_KEPT_CHARS:]
    return kept.rjust(len(account), "*") if len(account) > 2 * _KEPT_CHARS else f"****{kept[-2:]}"


def set_account(
    session: Session, *, who: Principal, merchant_id: str, account: str, now: datetime
) -> MerchantRow:
    """Say where withdrawals go from now on; those that are under way go where they were sent.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    before = merchant.payout_account
    if account == before:
        return merchant
    merchant.payout_account = account
    session.add(merchant)
    audit.write(
        session,
        by_id=who.person_id,
        action="merchant.payout_account",
        subject="merchant",
        subject_id=merchant_id,
        before={"account": masked(before) if before else ""},
        after={"account": masked(account)},
        why="by its owner",
        now=now,
    )
    data = {"merchant_id": merchant_id, "account": masked(account)}
    notify(
        session,
        person_ids=[merchant.owner_id],
        kind="merchant.payout_account_changed",
        data=data,
        now=now,
    )
    return merchant


def minimum(currency: str) -> Minor:
    """The least that is paid out: less would cost more than it is."""
    return Minor(WITHDRAWAL_MIN_MAJOR * 10 ** Currency(currency).exponent)


def withdraw(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    amount_minor: Minor,
    provider: str,
    now: datetime,
) -> WithdrawalRow:
    """Take an amount out of the merchant's reach, and have it sent to their account.

    Raises:
        Refusal: NOT_FOUND; MERCHANT_NOT_APPROVED; NO_PAYOUT_ACCOUNT; WITHDRAWAL_TOO_SMALL with
            the least; WITHDRAWAL_TOO_LARGE with what there is.
    """
    merchant = own(session, who, merchant_id)
    currency = Currency(merchant.currency)
    if merchant.status is not MerchantStatus.APPROVED:
        raise Refusal(Code.MERCHANT_NOT_APPROVED)
    if merchant.payout_account is None:
        raise Refusal(Code.NO_PAYOUT_ACCOUNT)
    least = minimum(currency)
    if amount_minor < least:
        raise Refusal(Code.WITHDRAWAL_TOO_SMALL, minimum_minor=least, currency=currency)
    id_ = new_id()
    row = WithdrawalRow(
        id=id_,
        merchant_id=merchant_id,
        asked_by=who.person_id,
        state=WithdrawalState.REQUESTED,
        amount_minor=amount_minor,
        currency=currency,
        account=merchant.payout_account,
        provider=provider,
        key=f"payout:{id_}",
        asked_at=now,
        due_at=now,
    )
    _claim(session, row, now=now)
    withdrawals.put(session, row)
    return row


def _claim(session: Session, row: WithdrawalRow, *, now: datetime) -> None:
    asked = ledger.withdrawal_asked(
        withdrawal_id=row.id,
        merchant=row.merchant_id,
        currency=Currency(row.currency),
        amount_minor=Minor(row.amount_minor),
    )
    try:
        money.write(session, asked, rental_id=None, now=now)
    except Refusal as no:
        if no.code is not Code.OVERDRAWN:
            raise
        account = ledger.merchant_available(row.merchant_id)
        there = ledger.natural(account, money.balance(session, account, row.currency))
        raise Refusal(
            Code.WITHDRAWAL_TOO_LARGE, available_minor=there, currency=row.currency
        ) from no


def mine(
    session: Session, *, who: Principal, merchant_id: str, before: str | None, limit: int
) -> Sequence[WithdrawalRow]:
    """List a merchant's withdrawals, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    return withdrawals.withdrawals_of(session, merchant.id, before=before, limit=limit)


def one(session: Session, *, who: Principal, merchant_id: str, withdrawal_id: str) -> WithdrawalRow:
    """Show where a withdrawal stands.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    row = withdrawals.withdrawal_of(session, withdrawal_id, merchant_id=merchant.id)
    if row is None:
        raise Refusal(Code.NOT_FOUND)
    return row


# -- hearing --------------------------------------------------------------------------------

_EVENTS: Final = MappingProxyType(
    {
        PayoutStatus.PENDING: WithdrawalEvent.STILL_PENDING,
        PayoutStatus.PAID: WithdrawalEvent.ARRIVE,
        PayoutStatus.FAILED: WithdrawalEvent.FAIL,
    }
)


def learn(session: Session, told: ProviderPayout, *, provider: str, now: datetime) -> str | None:
    """Take over what a provider says of a payout, if it is news, and do what follows.

    Args:
        session: a writing transaction.
        told: the provider's word.
        provider: whose word it is.
        now: the time.

    Returns:
        What of it does not fit, and so changed nothing: it is on the withdrawal as its problem, if
        there is one. None: it fits.
    """
    row = withdrawals.withdrawal(session, told.reference)
    if row is None or row.provider != provider:
        return "unmatched"
    problem = _mismatch(row, told)
    event = _EVENTS[told.status]
    if problem is None and move_withdrawal(row.state, event) is None:
        problem = "contradicted"
    if problem is not None:
        row.problem, row.due_at = problem, None
        session.add(row)
        return problem
    row.provider_ref = told.ref
    if row.state not in OVER:
        row.attempts, row.problem, row.due_at = 1, None, now + PAYOUT_CHECK
    session.add(row)
    _move(session, row, event, failure=told.failure or "", now=now)
    return None


def _mismatch(row: WithdrawalRow, told: ProviderPayout) -> str | None:
    if row.provider_ref not in {None, told.ref} or told.account != row.account:
        return "unmatched"
    if (told.amount_minor, told.currency) != (row.amount_minor, row.currency):
        return Code.AMOUNT_MISMATCH
    return None


def declined(session: Session, withdrawal_id: str, *, failure: str, now: datetime) -> None:
    """Take over that the provider refused to pay out at all."""
    row = withdrawals.withdrawal(session, withdrawal_id)
    if row is not None and row.state not in OVER:
        _move(session, row, WithdrawalEvent.FAIL, failure=failure, now=now)


def lost_track(
    session: Session, withdrawal_id: str, *, due_at: datetime | None, problem: str, now: datetime
) -> None:
    """Note that the provider was asked to pay out, and that no answer came.

    Args:
        session: a writing transaction.
        withdrawal_id: which.
        due_at: when to ask again; None: not any more, it is for a person.
        problem: what happened, for that person.
        now: the time.
    """
    row = withdrawals.withdrawal(session, withdrawal_id)
    if row is None or row.state in OVER:
        return
    row.due_at = due_at
    row.problem = problem if due_at is None else None
    session.add(row)
    _move(session, row, WithdrawalEvent.LOSE_TRACK, failure="", now=now)


def _move(
    session: Session, row: WithdrawalRow, event: WithdrawalEvent, *, failure: str, now: datetime
) -> None:
    """Take a withdrawal one step on; what ends it is written in the books and told."""
    before, new = row.state, move_withdrawal(row.state, event)
    if new is None or new is before:
        return
    row.state = new
    if new in OVER:
        row.ended_at, row.due_at, row.problem = now, None, None
        row.failure = failure[:200]
        _write_end(session, row, before=before, now=now)
    session.add(row)
    session.flush()
    data = {
        "withdrawal_id": row.id,
        "merchant_id": row.merchant_id,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "failure": row.failure,
    }
    owner_id = market.merchant(session, row.merchant_id).owner_id
    kind = "withdrawal.returned" if before in OVER else f"withdrawal.{new}"
    notify(session, person_ids=[owner_id], kind=kind, data=data, now=now)


def _write_end(
    session: Session, row: WithdrawalRow, *, before: WithdrawalState, now: datetime
) -> None:
    """Write that it has gone, is the merchant's again, or has come back after it had gone."""
    if row.state is WithdrawalState.PAID:
        recipe = ledger.withdrawal_paid
    elif before is WithdrawalState.PAID:
        recipe = ledger.withdrawal_returned
    else:
        recipe = ledger.withdrawal_failed
    transfer = recipe(
        withdrawal_id=row.id,
        merchant=row.merchant_id,
        currency=Currency(row.currency),
        amount_minor=Minor(row.amount_minor),
    )
    money.write_fact(session, transfer, rental_id=None, now=now)


# -- an operator ----------------------------------------------------------------------------


def resolve(
    session: Session,
    *,
    who: Principal,
    withdrawal_id: str,
    is_paid: bool,
    reason: str,
    now: datetime,
) -> WithdrawalRow:
    """End a withdrawal that is in doubt, on an operator's word who has looked at the provider.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it is over, or nobody doubts it.
    """
    row = _in_doubt(session, withdrawal_id, event="resolve")
    before = _doubts(row)
    event = WithdrawalEvent.ARRIVE if is_paid else WithdrawalEvent.FAIL
    _move(session, row, event, failure="" if is_paid else reason, now=now)
    _trace(session, row, "resolve", who=who, before=before, why=reason, now=now)
    return row


def ask_again(
    session: Session, *, who: Principal, withdrawal_id: str, reason: str, now: datetime
) -> WithdrawalRow:
    """Have the provider asked again, at once and with the same key.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it is over, or nobody doubts it.
    """
    row = _in_doubt(session, withdrawal_id, event="ask_again")
    before = _doubts(row)
    row.problem, row.due_at, row.attempts = None, now, 1
    withdrawals.put(session, row)
    _trace(session, row, "ask_again", who=who, before=before, why=reason, now=now)
    return row


def _in_doubt(session: Session, withdrawal_id: str, *, event: str) -> WithdrawalRow:
    row = withdrawals.withdrawal(session, withdrawal_id)
    if row is None:
        raise Refusal(Code.NOT_FOUND)
    is_doubted = row.state is WithdrawalState.UNKNOWN or row.problem is not None
    if row.state in OVER or not is_doubted:
        raise Refusal(Code.WRONG_STATE, state=row.state, event=event)
    return row


def _trace(
    session: Session,
    row: WithdrawalRow,
    act: str,
    *,
    who: Principal,
    before: dict[str, str],
    why: str,
    now: datetime,
) -> None:
    audit.write(
        session,
        by_id=who.person_id,
        action=f"withdrawal.{act}",
        subject="withdrawal",
        subject_id=row.id,
        before=before,
        after=_doubts(row),
        why=why,
        now=now,
    )


def _doubts(row: WithdrawalRow) -> dict[str, str]:
    return {"state": row.state, "problem": row.problem or ""}
