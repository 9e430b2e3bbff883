"""How a delivery stands, for the renter who waits for it; and what hurries it on (R4, R5).

Where somebody is, is theirs. The renter sees it only while they are on the way to them, told
since they set out for it; nobody else is shown it, and it is not kept for long.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from backend.db import jobs, market, rentals
from backend.db.notifications import notify
from backend.db.tables.dispatch import StaffPositionRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import eta
from backend.domain.dispatch import OfferState
from backend.domain.errors import Code, Refusal
from backend.domain.rental import RentalState
from backend.principal import Principal
from backend.services import arrival, hooks
from backend.services.dispatch import BEFORE_THE_DOOR
from backend.services.rentals import name_of

URGE_EVERY: Final = timedelta(minutes=1)
URGES_MAX: Final = 5
"""More urging makes nobody faster."""
ENOUGH_FOR: Final = timedelta(hours=1)
"""How long a renter waits from urge to urge who has urged so often."""
REMIND_EVERY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery, as its renter follows it."""

    rental_id: str
    state: RentalState
    promised_at: datetime | None
    eta_at: datetime | None
    """None: there is nothing to arrive any more, or it has arrived."""
    minutes: int | None
    is_late: bool
    is_abnormal: bool
    staff_name: str | None
    position: StaffPositionRow | None
    """None: they are not on the way to this renter, or their phone did not tell."""
    waits_until: datetime | None
    """Until when they wait at the door; None: they are not there."""
    urges_left: int
    now: datetime


def follow(session: Session, *, who: Principal, rental_id: str, now: datetime) -> DeliveryView:
    """Show a renter where the delivery of their rental stands.

    Raises:
        Refusal: NOT_FOUND.
    """
    rental = rentals.rented(session, rental_id, renter_id=who.person_id)
    if rental is None:
        raise Refusal(Code.NOT_FOUND)
    is_awaited = rental.state in BEFORE_THE_DOOR
    job = jobs.newest(session, rental.id, JobKind.DELIVERY)
    eta_at = arrival.expected_at(rental, now=now) if is_awaited else None
    arrived_at = rental.handed_over_at or now
    return DeliveryView(
        rental_id=rental.id,
        state=rental.state,
        promised_at=rental.promised_at,
        eta_at=eta_at,
        minutes=None if eta_at is None else eta.minutes_left(eta_at, now=now),
        is_late=rental.promised_at is not None and arrived_at > rental.promised_at,
        is_abnormal=rental.abnormal_at is not None,
        staff_name=name_of(session, rental, rental.staff_id),
        position=arrival.position_on(session, job) if is_awaited and job is not None else None,
        waits_until=None if job is None else arrival.waits_until(job),
        urges_left=max(0, URGES_MAX - rental.urges),
        now=now,
    )


# -- hurrying ------------------------------------------------------------------------------


def urge(session: Session, *, who: Principal, rental_id: str, now: datetime) -> RentalRow:
    """Pass a renter's urge on to the merchant and to whoever comes.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if nobody is to come; TOO_MANY_REQUESTS within a minute
            of the last one, or after many within an hour.
    """
    if rentals.rented(session, rental_id, renter_id=who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    rental = rentals.rental(session, rental_id)
    job = _awaited(session, rental)
    _must_be_calm(rental, now=now)
    rental.urges += 1
    rental.urged_at = now
    session.add(rental)
    owner_id = market.merchant(session, rental.merchant_id).owner_id
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "kind": job.kind,
        "urges": rental.urges,
        "address": job.address,
    }
    told = [owner_id, *_who_has(session, job)]
    notify(session, person_ids=told, kind="rental.urged", data=data, now=now)
    hooks.publish(session, merchant_id=rental.merchant_id, kind="rental.urged", data=data, now=now)
    return rental


def _awaited(session: Session, rental: RentalRow) -> JobRow:
    """The job that somebody waits for."""
    for kind in JobKind:
        job = jobs.going_on(session, rental.id, kind)
        if job is not None:
            return job
    raise Refusal(Code.WRONG_STATE, state=rental.state, event="urge")


def _must_be_calm(rental: RentalRow, *, now: datetime) -> None:
    if rental.urged_at is None:
        return
    calm_for = ENOUGH_FOR if rental.urges >= URGES_MAX else URGE_EVERY
    wait = rental.urged_at + calm_for - now
    if wait > timedelta(0):
        raise Refusal(Code.TOO_MANY_REQUESTS, retry_after_s=-(-wait // timedelta(seconds=1)))


def _who_has(session: Session, job: JobRow) -> list[str]:
    """Who has the job, or may take it."""
    if job.state is not JobState.OPEN and job.staff_id is not None:
        return [job.staff_id]
    asked = jobs.offers(session, job.id)
    return [each.person_id for each in asked if each.state in {OfferState.OPEN, OfferState.LAPSED}]


def remind(
    session: Session, *, who: Principal, merchant_id: str, rental_id: str, now: datetime
) -> JobRow:
    """Remind, as the merchant, whoever is to bring or to fetch a bank.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if nobody is to come; TOO_MANY_REQUESTS.
    """
    seen = rentals.rented_from(session, rental_id, merchant_id=merchant_id)
    if seen is None or merchant_id not in who.merchant_ids:
        raise Refusal(Code.NOT_FOUND)
    rental = rentals.rental(session, rental_id)
    job = _awaited(session, rental)
    if job.reminded_at is not None and now < job.reminded_at + REMIND_EVERY:
        left = job.reminded_at + REMIND_EVERY - now
        raise Refusal(Code.TOO_MANY_REQUESTS, retry_after_s=-(-left // timedelta(seconds=1)))
    job.reminded_at = now
    session.add(job)
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "kind": job.kind,
        "urges": rental.urges,
        "address": job.address,
    }
    told = _who_has(session, job)
    notify(session, person_ids=told, kind="delivery.reminded", data=data, now=now)
    return job
