"""When a delivery will arrive, as far as is known now; the renter hears when that shifts."""

from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from backend.db import market, shifts
from backend.db.notifications import notify
from backend.db.tables.dispatch import StaffPositionRow
from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.domain import eta
from backend.domain.eta import Stage
from backend.domain.geo import Point, distance_m

FRESH_FOR: Final = timedelta(minutes=3)
"""A position older than this tells nothing of where somebody is."""

_STAGES: Final = {
    JobState.OPEN: Stage.ASKED,
    JobState.ACCEPTED: Stage.ACCEPTED,
    JobState.UNDER_WAY: Stage.UNDER_WAY,
}


def from_shop_m(session: Session, job: JobRow) -> int:
    """How far it is from the job's merchant to its place."""
    of = market.merchant(session, job.merchant_id)
    return distance_m(Point(lat=of.lat, lng=of.lng), place_of(job))


def place_of(job: JobRow) -> Point:
    """Where a job leads to."""
    return Point(lat=job.lat, lng=job.lng)


def position_on(session: Session, job: JobRow) -> StaffPositionRow | None:
    """Where who delivers is, told since they set out; None: not known, or not on the way."""
    if job.state is not JobState.UNDER_WAY or job.staff_id is None or job.set_out_at is None:
        return None
    told = shifts.position(session, job.staff_id)
    return None if told is None or told.told_at < job.set_out_at else told


def expected_by_position(session: Session, job: JobRow, *, now: datetime) -> datetime | None:
    """When they arrive by where they are now; None: that is not known."""
    told = position_on(session, job)
    if told is None or now - told.told_at > FRESH_FOR:
        return None
    left_m = distance_m(Point(lat=told.lat, lng=told.lng), place_of(job))
    return eta.estimate(Stage.UNDER_WAY, distance_m=left_m, now=told.told_at)


def refresh(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Estimate a delivery anew from how far it is."""
    left_m = from_shop_m(session, job)
    tell(session, rental, eta.estimate(_STAGES[job.state], distance_m=left_m, now=now), now=now)


def tell(session: Session, rental: RentalRow, expected_at: datetime, *, now: datetime) -> None:
    """Keep an estimate that has shifted, and push it to the renter."""
    if not eta.has_shifted(told=rental.eta_at, new=expected_at):
        return
    rental.eta_at = expected_at
    session.add(rental)
    promised_at = rental.promised_at
    data = {
        "rental_id": rental.id,
        "eta_at": expected_at.isoformat(),
        "minutes": eta.minutes_left(expected_at, now=now),
        "promised_at": None if promised_at is None else promised_at.isoformat(),
    }
    notify(session, person_ids=[rental.renter_id], kind="rental.eta", data=data, now=now)
