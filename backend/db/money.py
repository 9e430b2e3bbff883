"""Queries on payments and deposits, and the one writer of the books.

A transfer is written once, by its key, and never changed. No account that may not go below zero
does: the UPDATE that moves a balance asks for that itself, so nothing is read first, nothing is
added up, and of two who take the last of it one is refused. Accounts are moved in the order of
their codes, each locked until the commit; who writes several transfers locks all their accounts
first (:func:`lock`, :func:`write_all`), or no order would hold.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, insert, select, update

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
from backend.domain.money import Currency, Minor
from backend.ids import new_id

# -- payments --------------------------------------------------------------------------


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


def lock(
    session: Session, accounts: Iterable[ledger.AccountCode], currency: str
) -> Mapping[ledger.AccountCode, Minor]:
    """Let nobody else move these accounts until the commit, and say what stands on each.

    One that is not there yet has nothing, and whoever makes it is not waited for.

    Returns:
        Balances, each from its account's natural side.
    """
    there = {}
    for account in sorted(accounts):
        found = select(AccountRow.balance_minor).where(
            AccountRow.code == account, AccountRow.currency == currency
        )
        balance_minor = session.exec(found.with_for_update()).first()
        there[account] = ledger.natural(account, balance_minor or 0)
    return there


def write_all(
    session: Session, transfers: Sequence[ledger.Transfer], *, rental_id: str | None, now: datetime
) -> None:
    """Write several transfers of one currency, in this order; those that are there are left out.

    Raises:
        Refusal: OVERDRAWN, as for :func:`write`.
    """
    if len(transfers) > 1:
        touched = {each.account for transfer in transfers for each in transfer.postings}
        lock(session, touched, transfers[0].currency)
    for transfer in transfers:
        write(session, transfer, rental_id=rental_id, now=now)


def write_fact(
    session: Session, transfer: ledger.Transfer, *, rental_id: str | None, now: datetime
) -> None:
    """Write what a provider has done: what our cash lacks for it, the platform pays in.

    Args:
        session: a writing transaction.
        transfer: not in the books yet.
        rental_id: whose; None: no rental's.
        now: the time.
    """
    cash = {ledger.PROVIDER_CASH, ledger.PROVIDER_TOPUPS}
    touched = cash | {each.account for each in transfer.postings}
    there = lock(session, touched, transfer.currency)
    for each in ledger.covered(transfer, cash_minor=there[ledger.PROVIDER_CASH]):
        write(session, each, rental_id=rental_id, now=now)


def write(
    session: Session, transfer: ledger.Transfer, *, rental_id: str | None, now: datetime
) -> bool:
    """Write a transfer, once. Refused, it leaves nothing behind.

    Returns:
        False, and nothing is written, if its key is in the books already.

    Raises:
        Refusal: OVERDRAWN, if an account would promise money that is not there.
    """
    postings = sorted(transfer.postings, key=lambda each: each.account)
    with session.begin_nested():
        transfer_id = _note(session, transfer, rental_id=rental_id, now=now)
        if transfer_id is None:
            return False
        rows = [
            {
                "transfer_id": transfer_id,
                "line": line,
                "account": posting.account,
                "currency": transfer.currency,
                "amount_minor": posting.amount_minor,
                **_post(session, posting, transfer.currency),
            }
            for line, posting in enumerate(postings)
        ]
        session.execute(insert(PostingRow), rows)
    return True


def _note(
    session: Session, transfer: ledger.Transfer, *, rental_id: str | None, now: datetime
) -> str | None:
    row = TransferRow(
        id=new_id(),
        key=transfer.key,
        kind=transfer.kind,
        currency=transfer.currency,
        rental_id=rental_id,
        at=now,
        digest=ledger.digest(
            key=transfer.key,
            kind=transfer.kind,
            currency=transfer.currency,
            rental_id=rental_id,
            at=now,
            postings=[(each.account, each.amount_minor) for each in transfer.postings],
        ),
    )
    return session.execute(
        upsert(session, TransferRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(col(TransferRow.id))
    ).scalar()


def _post(session: Session, posting: ledger.Posting, currency: Currency) -> dict[str, int]:
    """Move an account's balance; from then on nobody else does until the commit."""
    moved = _move(session, posting, currency)
    if moved is None:
        new = {"code": posting.account, "currency": currency, "balance_minor": 0, "postings": 0}
        session.execute(upsert(session, AccountRow).values(**new).on_conflict_do_nothing())
        moved = _move(session, posting, currency)
    if moved is None:
        after = balance(session, posting.account, currency) + posting.amount_minor
        raise ledger.overdrawn(posting.account, currency, after)
    return moved


def _move(session: Session, posting: ledger.Posting, currency: Currency) -> dict[str, int] | None:
    """Move an account's balance, if it is there and stays on its side."""
    after = col(AccountRow.balance_minor) + posting.amount_minor
    moved = (
        update(AccountRow)
        .where(col(AccountRow.code) == posting.account, col(AccountRow.currency) == currency)
        .values(balance_minor=after, postings=col(AccountRow.postings) + 1)
        .returning(col(AccountRow.postings), col(AccountRow.balance_minor))
        .execution_options(synchronize_session=False)
    )
    if ledger.may_run_short(posting):
        is_debit = ledger.kind_of(posting.account) in ledger.DEBIT_KINDS
        moved = moved.where(after >= 0 if is_debit else after <= 0)
    row = session.execute(moved).first()
    return None if row is None else {"number": row.postings, "balance_minor": row.balance_minor}


def balance(session: Session, account: str, currency: str) -> int:
    """What stands on an account: debit is positive, credit is negative; nothing is zero."""
    found = session.execute(
        select(AccountRow.balance_minor).where(
            AccountRow.code == account, AccountRow.currency == currency
        )
    ).scalar()
    return found or 0
