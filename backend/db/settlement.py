"""Queries on what merchants are owed: rentals to settle, totals, and the lines of an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_
from sqlmodel import Session, col, select

from backend.db.tables.disputes import DisputeRow
from backend.db.tables.money import PostingRow, TransferRow
from backend.db.tables.rentals import RentalRow
from backend.domain.dispute import DisputeState
from backend.domain.rental import RentalState

_PAID = RentalState.COMPLETED
_BILLED = (RentalState.PAYMENT_DUE, RentalState.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A merchant's billed rentals, counted."""

    settled: int
    unsettled: int
    next_settle_at: datetime | None
    """When the next one becomes theirs; None: none waits for a date."""


def due(
    session: Session, *, after: tuple[datetime, str] | None, now: datetime, limit: int
) -> Sequence[tuple[datetime, str]]:
    """Rentals whose dispute window is over and that are not settled whole, the longest first.

    Args:
        session: to read in.
        after: the last one of the page before.
        now: the time.
        limit: rows of the page.
    """
    found = select(RentalRow.settle_at, RentalRow.id).where(
        RentalRow.state == _PAID,
        col(RentalRow.settled_at).is_(None),
        col(RentalRow.settle_at) <= now,
    )
    if after is not None:
        settle_at, rental_id = after
        found = found.where(
            or_(
                col(RentalRow.settle_at) > settle_at,
                (col(RentalRow.settle_at) == settle_at) & (col(RentalRow.id) > rental_id),
            )
        )
    rows = session.exec(found.order_by(col(RentalRow.settle_at), col(RentalRow.id)).limit(limit))
    return [(at, rental_id) for at, rental_id in rows if at is not None]


def totals(session: Session, merchant_id: str) -> Totals:
    """Count a merchant's billed rentals."""
    settled, all_, next_at = session.exec(
        select(
            func.count(col(RentalRow.settled_at)),
            func.count(),
            func.min(RentalRow.settle_at).filter(col(RentalRow.settled_at).is_(None)),
        ).where(
            RentalRow.merchant_id == merchant_id,
            col(RentalRow.state).in_(_BILLED),
            col(RentalRow.amount_minor) > 0,
        )
    ).one()
    return Totals(settled=settled, unsettled=all_ - settled, next_settle_at=next_at)


def disputed(session: Session, merchant_id: str) -> Sequence[RentalRow]:
    """A merchant's rentals that have an open dispute."""
    return session.exec(
        select(RentalRow)
        .join(DisputeRow, col(DisputeRow.rental_id) == col(RentalRow.id))
        .where(DisputeRow.merchant_id == merchant_id, DisputeRow.state == DisputeState.OPEN)
    ).all()


def lines(
    session: Session, account: str, currency: str, *, before: int | None, limit: int
) -> Sequence[tuple[PostingRow, TransferRow]]:
    """An account's postings with their transfers, newest first.

    Args:
        session: to read in.
        account: its code.
        currency: its currency.
        before: only those with a smaller number; None: from the newest.
        limit: rows of the page.
    """
    found = (
        select(PostingRow, TransferRow)
        .join(TransferRow, col(TransferRow.id) == col(PostingRow.transfer_id))
        .where(PostingRow.account == account, PostingRow.currency == currency)
    )
    if before is not None:
        found = found.where(PostingRow.number < before)
    return session.exec(found.order_by(col(PostingRow.number).desc()).limit(limit)).all()
