"""Queries for the lists in which a merchant finds its rentals."""

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.db.rentals import is_called_off
from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.domain.rental import MerchantList, RentalState, list_of

_OVER = (JobState.DONE, JobState.CANCELLED)


def counts(session: Session, merchant_id: str) -> dict[MerchantList, int]:
    """How many rentals of a merchant are in each list."""
    is_off = is_called_off()
    counted = (
        select(RentalRow.state, is_off, func.count())
        .where(RentalRow.merchant_id == merchant_id)
        .group_by(col(RentalRow.state), is_off)
    )
    found = dict.fromkeys(MerchantList, 0)
    for state, is_off_now, count in session.exec(counted):
        found[list_of(RentalState(state), is_called_off=bool(is_off_now))] += count
    return found


def jobs_to_do(session: Session, rental_ids: Sequence[str]) -> dict[str, str]:
    """The job that is to be done for each of these rentals; most have none."""
    found = select(JobRow.rental_id, JobRow.id).where(
        col(JobRow.rental_id).in_(rental_ids), col(JobRow.state).not_in(_OVER)
    )
    return dict(session.exec(found.order_by(col(JobRow.id))).all())
