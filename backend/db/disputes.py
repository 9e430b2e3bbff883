"""Queries on disputes. Each is bound to who asks; a dispute ends by compare-and-set."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select, update

from backend.db.tables.disputes import DisputeRow
from backend.db.tables.rentals import RentalRow
from backend.domain.dispute import DisputeState, frozen
from backend.domain.money import ZERO, Minor


def dispute(session: Session, dispute_id: str) -> DisputeRow | None:
    """A dispute, to look at."""
    return session.exec(select(DisputeRow).where(DisputeRow.id == dispute_id)).first()


def open_one(session: Session, rental_id: str) -> DisputeRow | None:
    """The dispute of this rental that is open; there is at most one."""
    return session.exec(
        select(DisputeRow).where(
            DisputeRow.rental_id == rental_id, DisputeRow.state == DisputeState.OPEN
        )
    ).first()


def frozen_minor(session: Session, rental_id: str) -> Minor:
    """What of a rental's bill is disputed now: nobody takes it while it is."""
    found = open_one(session, rental_id)
    if found is None:
        return ZERO
    billed, credited = session.exec(
        select(RentalRow.amount_minor, RentalRow.credited_minor).where(RentalRow.id == rental_id)
    ).one()
    return frozen(
        found.state,
        disputed_minor=Minor(found.disputed_minor),
        left_minor=Minor((billed or 0) - credited),
    )


def count(session: Session, rental_id: str) -> int:
    """How often a rental's bill was disputed."""
    return session.exec(
        select(func.count()).select_from(DisputeRow).where(DisputeRow.rental_id == rental_id)
    ).one()


def of_rental(session: Session, rental_id: str) -> Sequence[DisputeRow]:
    """All disputes of a rental, oldest first."""
    return session.exec(
        select(DisputeRow).where(DisputeRow.rental_id == rental_id).order_by(col(DisputeRow.id))
    ).all()


def at_merchant(
    session: Session,
    merchant_id: str,
    *,
    state: DisputeState | None,
    before: str | None,
    limit: int,
) -> Sequence[DisputeRow]:
    """A merchant's disputes, newest first; those older than ``before``."""
    found = select(DisputeRow).where(DisputeRow.merchant_id == merchant_id)
    if state is not None:
        found = found.where(DisputeRow.state == state)
    if before is not None:
        found = found.where(DisputeRow.id < before)
    return session.exec(found.order_by(col(DisputeRow.id).desc()).limit(limit)).all()


def everywhere(
    session: Session, *, state: DisputeState | None, after: str, limit: int
) -> Sequence[DisputeRow]:
    """All disputes, for an operator, oldest first; those younger than ``after``."""
    found = select(DisputeRow).where(DisputeRow.id > after)
    if state is not None:
        found = found.where(DisputeRow.state == state)
    return session.exec(found.order_by(col(DisputeRow.id)).limit(limit)).all()


def end(
    session: Session,
    dispute_id: str,
    *,
    state: DisputeState,
    granted_minor: Minor,
    answer: str,
    by_id: str,
    now: datetime,
) -> bool:
    """End a dispute that is open; False if somebody else was quicker."""
    ended = session.exec(
        update(DisputeRow)
        .where(col(DisputeRow.id) == dispute_id, col(DisputeRow.state) == DisputeState.OPEN)
        .values(
            state=state,
            granted_minor=granted_minor,
            answer=answer,
            ended_by_id=by_id,
            ended_at=now,
        )
    )
    return ended.rowcount == 1
