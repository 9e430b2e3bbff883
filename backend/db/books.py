"""Queries over all of the books, for whoever checks them: page by page, and only to read.

A row that a hand has changed may hold anything, so these return what stands there: plain values,
no domain words.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import func, or_
from sqlmodel import Session, SQLModel, col, select

from backend.db.tables.credits import CreditNoteRow, RefundRow
from backend.db.tables.market import BankRow, CustodyMoveRow
from backend.db.tables.money import (
    AccountRow,
    DepositRow,
    PaymentRow,
    PostingRow,
    TransferRow,
)
from backend.db.tables.rentals import OCCUPYING, RentalRow
from backend.db.tables.withdrawals import WithdrawalRow

PAGE = 500

_Fact = TypeVar("_Fact", PaymentRow, DepositRow, CreditNoteRow, RefundRow)
_Paged = TypeVar("_Paged", TransferRow, RentalRow, WithdrawalRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A transfer as it stands in the database, with whatever postings there are."""

    id: str
    key: str
    kind: str
    currency: str
    rental_id: str | None
    at: datetime
    digest: str
    postings: tuple[tuple[str, str, int], ...]
    """Account, currency, amount."""

    @property
    def subject(self) -> str:
        """What it happened to, as ``payment:01K…``."""
        return ":".join(self.key.split(":")[:2])


# -- the books by themselves ---------------------------------------------------------------


def transfers(session: Session) -> Iterator[Written]:
    """All transfers, a page of them in memory at a time."""
    for page in _pages(session, TransferRow):
        yield from _with_postings(session, page)


def transfers_of(session: Session, rental_ids: Sequence[str]) -> Mapping[str, list[Written]]:
    """The transfers of these rentals, by rental."""
    rows = session.exec(
        select(TransferRow)
        .where(col(TransferRow.rental_id).in_(rental_ids))
        .order_by(col(TransferRow.id))
    ).all()
    found: dict[str, list[Written]] = defaultdict(list)
    for each in _with_postings(session, rows):
        found[str(each.rental_id)].append(each)
    _forget(session, rows)
    return found


def _with_postings(session: Session, rows: Sequence[TransferRow]) -> Iterator[Written]:
    postings: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for id_, account, currency, amount in session.exec(
        select(
            PostingRow.transfer_id,
            PostingRow.account,
            PostingRow.currency,
            PostingRow.amount_minor,
        ).where(col(PostingRow.transfer_id).in_([row.id for row in rows]))
    ):
        postings[id_].append((account, currency, amount))
    for row in rows:
        yield Written(
            id=row.id,
            key=row.key,
            kind=row.kind,
            currency=row.currency,
            rental_id=row.rental_id,
            at=row.at,
            digest=row.digest,
            postings=tuple(sorted(postings[row.id])),
        )


def _pages(session: Session, table: type[_Paged]) -> Iterator[Sequence[_Paged]]:
    after = ""
    while True:
        page = session.exec(
            select(table).where(col(table.id) > after).order_by(col(table.id)).limit(PAGE)
        ).all()
        if page:
            yield page
            after = page[-1].id
        _forget(session, page)
        if len(page) < PAGE:
            return


def _forget(session: Session, rows: Iterable[SQLModel]) -> None:
    """Keep no more than a page in memory."""
    for row in rows:
        session.expunge(row)


def orphans(session: Session) -> Sequence[tuple[str, int, str]]:
    """Postings whose transfer or account is gone: transfer id, line, account."""
    found = (
        select(PostingRow.transfer_id, PostingRow.line, PostingRow.account)
        .join(TransferRow, col(TransferRow.id) == col(PostingRow.transfer_id), isouter=True)
        .join(
            AccountRow,
            (col(AccountRow.code) == col(PostingRow.account))
            & (col(AccountRow.currency) == col(PostingRow.currency)),
            isouter=True,
        )
        .where(or_(col(TransferRow.id).is_(None), col(AccountRow.code).is_(None)))
    )
    return session.exec(found.order_by(col(PostingRow.transfer_id), col(PostingRow.line))).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as it stands, and what its postings come to."""

    code: str
    currency: str
    balance_minor: int
    postings: int
    sum_minor: int
    count: int


def accounts(session: Session) -> Sequence[Account]:
    """All accounts."""
    rows = session.execute(
        sa.select(
            col(AccountRow.code),
            col(AccountRow.currency),
            col(AccountRow.balance_minor),
            col(AccountRow.postings),
            func.coalesce(func.sum(PostingRow.amount_minor), 0),
            func.count(col(PostingRow.transfer_id)),
        )
        .join(
            PostingRow,
            (col(PostingRow.account) == col(AccountRow.code))
            & (col(PostingRow.currency) == col(AccountRow.currency)),
            isouter=True,
        )
        .group_by(
            col(AccountRow.code),
            col(AccountRow.currency),
            col(AccountRow.balance_minor),
            col(AccountRow.postings),
        )
        .order_by(col(AccountRow.code), col(AccountRow.currency))
    )
    return [
        Account(
            code=code,
            currency=currency,
            balance_minor=balance,
            postings=postings,
            sum_minor=int(total),
            count=count,
        )
        for code, currency, balance, postings, total, count in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A posting that does not follow from the one before it on its account."""

    account: str
    currency: str
    transfer_id: str
    number: int
    amount_minor: int
    balance_minor: int
    number_before: int
    balance_before_minor: int


def broken_steps(session: Session) -> Sequence[Step]:
    """Postings whose number or balance does not follow from the one before."""
    line, balance = col(PostingRow.number), col(PostingRow.balance_minor)
    account = (col(PostingRow.account), col(PostingRow.currency))
    number_before = func.lag(line, 1, 0).over(partition_by=account, order_by=line)
    balance_before = func.lag(balance, 1, 0).over(partition_by=account, order_by=line)
    steps = sa.select(
        *account,
        col(PostingRow.transfer_id),
        line,
        col(PostingRow.amount_minor),
        balance,
        number_before.label("number_before"),
        balance_before.label("balance_before_minor"),
    ).subquery()
    broken = sa.select(steps).where(
        or_(
            steps.c.number != steps.c.number_before + 1,
            steps.c.balance_minor != steps.c.balance_before_minor + steps.c.amount_minor,
        )
    )
    ordered = broken.order_by(steps.c.account, steps.c.currency, steps.c.number)
    return [Step(**row._mapping) for row in session.execute(ordered)]  # noqa: SLF001 - its API


# -- what the books are about ----------------------------------------------------------------


def rentals(session: Session) -> Iterator[Sequence[RentalRow]]:
    """All rentals, in pages."""
    return _pages(session, RentalRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What money has to do with some rentals, by rental."""

    payments: Mapping[str, Sequence[PaymentRow]]
    deposits: Mapping[str, Sequence[DepositRow]]
    credits: Mapping[str, Sequence[CreditNoteRow]]
    refunds: Mapping[str, Sequence[RefundRow]]


def facts(session: Session, rental_ids: Sequence[str]) -> Facts:
    """Read the payments, holds, credit notes and refunds of these rentals."""
    return Facts(
        payments=_by_rental(session, PaymentRow, rental_ids),
        deposits=_by_rental(session, DepositRow, rental_ids),
        credits=_by_rental(session, CreditNoteRow, rental_ids),
        refunds=_by_rental(session, RefundRow, rental_ids),
    )


def _by_rental(
    session: Session, table: type[_Fact], rental_ids: Sequence[str]
) -> Mapping[str, Sequence[_Fact]]:
    found: dict[str, list[_Fact]] = defaultdict(list)
    for row in session.exec(select(table).where(col(table.rental_id).in_(rental_ids))):
        found[str(row.rental_id)].append(row)
    return found


def unclaimed(session: Session) -> Sequence[RefundRow]:
    """Refunds of payments that fit none of ours."""
    return session.exec(select(RefundRow).where(col(RefundRow.payment_id).is_(None))).all()


def withdrawals(session: Session) -> Iterator[Sequence[WithdrawalRow]]:
    """All withdrawals, in pages."""
    return _pages(session, WithdrawalRow)


# -- whose hands -----------------------------------------------------------------------------


def crowded_banks(session: Session) -> Sequence[tuple[str, int]]:
    """Banks that more than one rental needs at once, and how many do."""
    return session.exec(
        select(RentalRow.bank_id, func.count())
        .where(col(RentalRow.state).in_(OCCUPYING))
        .group_by(col(RentalRow.bank_id))
        .having(func.count() > 1)
        .order_by(col(RentalRow.bank_id))
    ).all()


def occupied(session: Session) -> Sequence[tuple[RentalRow, BankRow]]:
    """Rentals that need their bank now, with it."""
    return session.exec(
        select(RentalRow, BankRow)
        .join(BankRow, col(BankRow.id) == col(RentalRow.bank_id))
        .where(col(RentalRow.state).in_(OCCUPYING))
        .order_by(col(RentalRow.id))
    ).all()


def last_moves(session: Session) -> Sequence[tuple[BankRow, CustodyMoveRow]]:
    """Every bank that ever changed hands, with the last time it did."""
    newest = select(func.max(col(CustodyMoveRow.id))).group_by(col(CustodyMoveRow.bank_id))
    return session.exec(
        select(BankRow, CustodyMoveRow)
        .join(CustodyMoveRow, col(CustodyMoveRow.bank_id) == col(BankRow.id))
        .where(col(CustodyMoveRow.id).in_(newest))
        .order_by(col(BankRow.id))
    ).all()
