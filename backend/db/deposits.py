"""Queries on what falls due: bills past their deadline, holds that run out, deposits to be spent.

A question that excludes what already waits for somebody's answer, so that a few that are stuck
never stand before the rest; and leaves out the first so many, if those were tried in vain.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, literal
from sqlmodel import Session, col, select

from backend.db.tables.disputes import DisputeRow
from backend.db.tables.money import (
    LIVE,
    DepositRow,
    OutboxRow,
    PaymentRow,
    Purpose,
)
from backend.db.tables.rentals import RentalRow
from backend.domain.deposit import ENDED, DepositState
from backend.domain.dispute import DisputeState
from backend.domain.rental import CLOSED, RentalState

RUNNING = (
    RentalState.STARTING,
    RentalState.RENTING,
    RentalState.RETURNING,
    RentalState.PAYMENT_DUE,
)
"""States in which something may yet be owed, and the deposit stands for it."""


def payment_seen(session: Session, payment_id: str) -> PaymentRow | None:
    """A payment by our id of it, to look at: its rental is locked before it."""
    found = select(PaymentRow).where(PaymentRow.id == payment_id)
    return session.exec(found.execution_options(populate_existing=True)).first()


def rental_seen(session: Session, rental_id: str) -> RentalRow | None:
    """A rental, whoever's, to look at: for an operator."""
    return session.exec(select(RentalRow).where(RentalRow.id == rental_id)).first()


def past_due(session: Session, *, now: datetime, limit: int, but: int = 0) -> Sequence[str]:
    """Ids of rentals whose deadline has passed and was not acted on, the longest first."""
    return session.exec(
        select(RentalRow.id)
        .where(
            RentalRow.state == RentalState.PAYMENT_DUE,
            col(RentalRow.payment_due_by) <= now,
            col(RentalRow.past_due_at).is_(None),
            ~_pays(_was_asked("release", PaymentRow.id)),
        )
        .order_by(col(RentalRow.payment_due_by), col(RentalRow.id))
        .offset(but)
        .limit(limit)
    ).all()


def running_out(
    session: Session, *, until: datetime, limit: int, but: int = 0
) -> Sequence[DepositRow]:
    """Holds that end by themselves before ``until`` while something may yet be owed."""
    return session.exec(
        select(DepositRow)
        .join(RentalRow, col(RentalRow.id) == col(DepositRow.rental_id))
        .where(
            DepositRow.state == DepositState.HELD,
            col(DepositRow.capture_before) <= until,
            col(RentalRow.state).in_(RUNNING),
            ~_was_asked("capture", DepositRow.payment_id),
            ~_was_asked("release", DepositRow.payment_id),
        )
        .order_by(col(DepositRow.capture_before), col(DepositRow.payment_id))
        .offset(but)
        .limit(limit)
    ).all()


def to_spend(session: Session, *, limit: int, but: int = 0) -> Sequence[str]:
    """Ids of rentals whose deposit is secured, and which can be settled from it now."""
    is_billed = (col(RentalRow.state) == RentalState.PAYMENT_DUE) & ~_pays() & ~_disputed()
    return session.exec(
        select(RentalRow.id)
        .join(DepositRow, col(DepositRow.rental_id) == col(RentalRow.id))
        .where(
            DepositRow.state == DepositState.SECURED,
            is_billed | col(RentalRow.state).in_(CLOSED),
        )
        .order_by(col(DepositRow.capture_before), col(RentalRow.id))
        .offset(but)
        .limit(limit)
    ).all()


def expired_while_running(
    session: Session, *, limit: int
) -> Sequence[tuple[DepositRow, RentalRow]]:
    """For the stuck list: holds that ended although something is, or will be, owed."""
    rows = session.exec(
        select(DepositRow, RentalRow)
        .join(RentalRow, col(RentalRow.id) == col(DepositRow.rental_id))
        .where(DepositRow.state == DepositState.EXPIRED, col(RentalRow.state).in_(RUNNING))
        .order_by(col(DepositRow.ended_at))
        .limit(limit)
    )
    return [(deposit, rental) for deposit, rental in rows]


def unpaid(session: Session, *, due_by: datetime, limit: int) -> Sequence[RentalRow]:
    """For the stuck list: bills due by then of which nothing more will come by itself.

    Those whose hold has expired are on it already.
    """
    return session.exec(
        select(RentalRow)
        .where(
            col(RentalRow.payment_due_by) <= due_by,
            *_uncollectable(),
            ~_has_deposit(DepositState.EXPIRED),
        )
        .order_by(col(RentalRow.payment_due_by))
        .limit(limit)
    ).all()


def is_uncollectable(session: Session, rental_id: str) -> bool:
    """Whether nothing more will come of a rental's bill by itself, though it is owed."""
    found = select(RentalRow.id).where(RentalRow.id == rental_id, *_uncollectable())
    return session.exec(found).first() is not None


def _uncollectable() -> tuple[ColumnElement[bool], ...]:
    """Owed, undisputed, and there is neither a payment under way nor a deposit to take it from."""
    return (
        col(RentalRow.state) == RentalState.PAYMENT_DUE,
        ~_pays(),
        ~_disputed(),
        ~_has_deposit(*(state for state in DepositState if state not in ENDED)),
    )


def _has_deposit(*states: DepositState) -> ColumnElement[bool]:
    return exists().where(
        col(DepositRow.rental_id) == col(RentalRow.id), col(DepositRow.state).in_(states)
    )


def _disputed() -> ColumnElement[bool]:
    return exists().where(
        col(DisputeRow.rental_id) == col(RentalRow.id),
        col(DisputeRow.state) == DisputeState.OPEN,
    )


def _pays(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the rental has a payment of its bill that is not over."""
    return exists().where(
        col(PaymentRow.rental_id) == col(RentalRow.id),
        col(PaymentRow.purpose) == Purpose.BILL,
        col(PaymentRow.state).in_(LIVE),
        *more,
    )


def _was_asked(ask: str, payment_id: Any) -> ColumnElement[bool]:
    """Whether the provider was asked this of this payment."""
    return exists().where(col(OutboxRow.key) == literal(f"{ask}:").concat(payment_id))
