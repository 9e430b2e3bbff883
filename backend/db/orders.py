"""Queries for the lists in which a merchant finds its rentals."""

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.domain.rental import RentalState

_OVER = (JobState.DONE, JobState.CANCELLED)


def count_by_state(session: Session, merchant_id: str) -> dict[RentalState, int]:
    """How many rentals of a merchant are in each state; in some there are none."""
    counted = (
        select(RentalRow.state, func.count())
        .where(RentalRow.merchant_id == merchant_id)
        .group_by(col(RentalRow.state))
    )
    return {RentalState(state): count for state, count in session.exec(counted)}


def jobs_to_do(session: Session, rental_ids: Sequence[str]) -> dict[str, str]:
    """The job that is to be done for each of these rentals; most have none."""
    found = select(JobRow.rental_id, JobRow.id).where(
        col(JobRow.rental_id).in_(rental_ids), col(JobRow.state).not_in(_OVER)
    )
    return dict(session.exec(found.order_by(col(JobRow.id))).all())
