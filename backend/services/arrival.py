"""When a delivery will arrive, as far as is known now; the renter hears when that shifts.

There is one estimate, ``rental.eta_at``: it is shown, pushed when it has shifted from what was
pushed last, and what the watch over a delivery goes by. It counts the stops that come before.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from backend.db import market, shifts
from backend.db.notifications import notify
from backend.db.tables.dispatch import StaffPositionRow
from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.domain import door, eta
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


def fresh_position(session: Session, job: JobRow, *, now: datetime) -> StaffPositionRow | None:
    """Where who delivers is now; None: that is not known."""
    told = position_on(session, job)
    return told if told is not None and now - told.told_at <= FRESH_FOR else None


def waits_until(job: JobRow) -> datetime | None:
    """Until when who delivers waits at the door; None: they are not there."""
    if job.state is not JobState.UNDER_WAY or job.at_door_at is None:
        return None
    return door.waits_until(job.at_door_at)


def expected_at(rental: RentalRow, *, now: datetime) -> datetime | None:
    """When a delivery is expected; None: nothing was told."""
    return None if rental.eta_at is None else max(now, rental.eta_at)


def expected_by_position(
    session: Session, rental: RentalRow, job: JobRow, *, now: datetime
) -> datetime | None:
    """The same, if it rests on where they are now; None: that is not known."""
    is_known = fresh_position(session, job, now=now) is not None
    return expected_at(rental, now=now) if is_known else None


def refresh(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Estimate a delivery anew from how far it is."""
    left_m = from_shop_m(session, job)
    tell(session, rental, eta.estimate(_STAGES[job.state], distance_m=left_m, now=now), now=now)


def tell(session: Session, rental: RentalRow, expected_at: datetime, *, now: datetime) -> None:
    """Keep an estimate, and push it to the renter if it has shifted."""
    rental.eta_at = expected_at
    session.add(rental)
    if not eta.has_shifted(told=rental.eta_told_at, new=expected_at):
        return
    rental.eta_told_at = expected_at
    promised_at = rental.promised_at
    data = {
        "rental_id": rental.id,
        "eta_at": expected_at.isoformat(),
        "minutes": eta.minutes_left(expected_at, now=now),
        "promised_at": None if promised_at is None else promised_at.isoformat(),
    }
    notify(session, person_ids=[rental.renter_id], kind="rental.eta", data=data, now=now)
