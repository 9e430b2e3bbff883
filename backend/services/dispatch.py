"""Who brings a bank, and who fetches it: jobs begin, move on, and end."""

from datetime import datetime

from sqlmodel import Session

from backend.db import rentals
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.ids import new_id
from backend.services.places import Place


def begin_delivery(session: Session, rental: RentalRow, *, now: datetime) -> JobRow:
    """Have a bank brought to where the rental was asked for."""
    place = Place(lat=rental.lat, lng=rental.lng, address=rental.address)
    return _open_job(session, rental, JobKind.DELIVERY, place=place, now=now)


def begin_collection(session: Session, rental: RentalRow, *, place: Place, now: datetime) -> JobRow:
    """Have the rental's bank fetched here, by its own merchant's people."""
    return _open_job(session, rental, JobKind.COLLECTION, place=place, now=now)


def _open_job(
    session: Session, rental: RentalRow, kind: JobKind, *, place: Place, now: datetime
) -> JobRow:
    job = JobRow(
        id=new_id(),
        rental_id=rental.id,
        merchant_id=rental.merchant_id,
        bank_id=rental.bank_id,
        kind=kind,
        state=JobState.OPEN,
        lat=place.lat,
        lng=place.lng,
        address=place.address,
        created_at=now,
    )
    session.add(job)
    return job


def end_jobs(session: Session, rental: RentalRow, *, why: str, now: datetime) -> None:
    """Cancel what is still to be done for a rental; a bank in hand is yet to be checked in."""
    session.flush()
    for kind in JobKind:
        job = rentals.open_job(session, rental.id, kind)
        if job is not None:
            old = (JobState.OPEN, JobState.ACCEPTED, JobState.UNDER_WAY)
            rentals.move_job(
                session, job.id, old=old, new=JobState.CANCELLED, done_at=now, ended_why=why
            )


def lose_bank(session: Session, bank: BankRow, *, now: datetime) -> None:
    """Let the rental that waits for this bank have another: it is gone before the handover."""
