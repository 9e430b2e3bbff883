"""Queries on payments and deposits, and the one writer of the books.

A transfer is written once, by its key, and never changed; a balance is a sum. No account
that may not go below zero does: its postings are summed in the transaction that adds to
them, with the account's row locked.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.db.tables.money import (
    LIVE,
    AccountRow,
    DepositRow,
    PaymentRow,
    PaymentState,
    PostingRow,
    Purpose,
    TransferRow,
)
from backend.db.upsert import upsert
from backend.domain import ledger
from backend.domain.money import Currency
from backend.ids import new_id

# -- payments --------------------------------------------------------------------------


def payment(session: Session, payment_id: str) -> PaymentRow | None:
    """A payment by our id of it, locked for this transaction."""
    found = select(PaymentRow).where(PaymentRow.id == payment_id).with_for_update()
    return session.exec(found).first()


def payment_row(session: Session, payment_id: str) -> PaymentRow:
    """A payment that something in the database refers to, locked for this transaction."""
    found = select(PaymentRow).where(PaymentRow.id == payment_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).one()


def payment_of(session: Session, payment_id: str, *, renter_id: str) -> PaymentRow | None:
    """A payment, if it is this renter's."""
    return session.exec(
        select(PaymentRow).where(PaymentRow.id == payment_id, PaymentRow.renter_id == renter_id)
    ).first()


def payments(session: Session, rental_id: str) -> Sequence[PaymentRow]:
    """All payments of a rental, oldest first."""
    return session.exec(
        select(PaymentRow).where(PaymentRow.rental_id == rental_id).order_by(col(PaymentRow.id))
    ).all()


def live_payment(session: Session, rental_id: str, purpose: Purpose) -> PaymentRow | None:
    """The payment for this purpose that is not over; there is at most one."""
    return session.exec(
        select(PaymentRow).where(
            PaymentRow.rental_id == rental_id,
            PaymentRow.purpose == purpose,
            col(PaymentRow.state).in_(LIVE),
        )
    ).first()


def silent_payments(
    session: Session, *, states: Collection[PaymentState], since: datetime, limit: int
) -> Sequence[PaymentRow]:
    """Payments in these states that nothing was heard of since then, the longest first."""
    return session.exec(
        select(PaymentRow)
        .where(col(PaymentRow.state).in_(states), col(PaymentRow.checked_at) <= since)
        .order_by(col(PaymentRow.checked_at))
        .limit(limit)
    ).all()


# -- deposits --------------------------------------------------------------------------


def deposit(session: Session, rental_id: str) -> DepositRow | None:
    """The newest hold of a rental; None if none was asked for."""
    return session.exec(
        select(DepositRow)
        .where(DepositRow.rental_id == rental_id)
        .order_by(col(DepositRow.payment_id).desc())
        .limit(1)
    ).first()


def hold(session: Session, payment_id: str) -> DepositRow:
    """The hold that a deposit's payment is."""
    return session.exec(select(DepositRow).where(DepositRow.payment_id == payment_id)).one()


# -- the books -------------------------------------------------------------------------


def write(
    session: Session, transfer: ledger.Transfer, *, rental_id: str | None, now: datetime
) -> bool:
    """Write a transfer, once.

    Returns:
        False, and nothing is written, if its key is in the books already.

    Raises:
        Refusal: OVERDRAWN, if an account would promise money that is not there.
    """
    if session.exec(select(TransferRow.id).where(TransferRow.key == transfer.key)).first():
        return False
    row = TransferRow(
        id=new_id(),
        key=transfer.key,
        kind=transfer.kind,
        currency=transfer.currency,
        rental_id=rental_id,
        at=now,
    )
    session.add(row)
    session.flush()
    for line, posting in enumerate(sorted(transfer.postings, key=lambda each: each.account)):
        _lock(session, posting.account, transfer.currency)
        session.add(
            PostingRow(
                transfer_id=row.id,
                line=line,
                account=posting.account,
                currency=transfer.currency,
                amount_minor=posting.amount_minor,
            )
        )
        session.flush()
        _check(session, posting, transfer.currency)
    return True


def _check(session: Session, posting: ledger.Posting, currency: Currency) -> None:
    if ledger.natural(posting.account, posting.amount_minor) < 0:  # else it cannot run short
        after = balance(session, posting.account, currency)
        ledger.check_balance(posting.account, currency, after)


def _lock(session: Session, account: str, currency: str) -> None:
    """Make the account if need be, and let nobody else post to it until the commit."""
    key = {"code": account, "currency": currency}
    session.exec(upsert(session, AccountRow).values(**key).on_conflict_do_nothing())
    session.exec(select(AccountRow).filter_by(**key).with_for_update()).one()


def balance(session: Session, account: str, currency: str) -> int:
    """The sum of an account's postings: debit is positive, credit is negative."""
    total = session.exec(
        select(func.coalesce(func.sum(PostingRow.amount_minor), 0)).where(
            PostingRow.account == account, PostingRow.currency == currency
        )
    ).one()
    return int(total)
