"""Where staff are, and in which order they go to the places of their day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlmodel import Session

from backend.db import jobs, market, rentals, shifts
from backend.db.tables.dispatch import PositionSampleRow
from backend.db.tables.market import MerchantRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import door, eta
from backend.domain.errors import Code, Refusal
from backend.domain.geo import Point, distance_m
from backend.domain.tour import Stop, Tour, length_m
from backend.ids import new_id
from backend.principal import Principal
from backend.services import arrival, dispatch, tours
from backend.services.steps import hear

SAMPLE_EVERY: Final = timedelta(seconds=15)
"""Positions in between are not kept."""
NEARER_M: Final = 50
"""So much nearer is progress; less is noise."""
KEEP_POSITIONS: Final = timedelta(days=7)

# -- positions -----------------------------------------------------------------------------


def tell_position(session: Session, *, who: Principal, at: Point, now: datetime) -> None:
    """Hear where somebody who works is; the renters they are on the way to hear what follows.

    Raises:
        Refusal: FORBIDDEN for who neither works for a merchant nor owns one.
    """
    if not who.staff_of | who.merchant_ids:
        raise Refusal(Code.FORBIDDEN)
    shifts.put_position(session, who.person_id, at, now=now)
    under_way = _delivering(session, who.person_id)
    arrivals = _arrivals(at, under_way, now=now)
    for job in sorted(under_way, key=lambda job: job.rental_id):  # all lock rentals in one order
        _came_to(session, job.id, who.person_id, at, expected_at=arrivals[job.id], now=now)


def _arrivals(at: Point, under_way: Sequence[JobRow], *, now: datetime) -> dict[str, datetime]:
    """When they come to each door, from where they are."""
    here, arrive_at, arrivals = at, now, {}
    for stop in tours.plan(at, [_to_door(job) for job in under_way]):
        arrive_at += eta.travel(distance_m(here, stop.point)) + eta.HANDOVER
        here, arrivals[stop.id] = stop.point, arrive_at
    return arrivals


def _delivering(session: Session, person_id: str) -> list[JobRow]:
    return [
        job
        for job in jobs.in_hand(session, person_id)
        if job.kind is JobKind.DELIVERY and job.state is JobState.UNDER_WAY
    ]


def _to_door(job: JobRow) -> Stop:
    return Stop(id=job.id, point=arrival.place_of(job))


def _came_to(
    session: Session,
    job_id: str,
    person_id: str,
    at: Point,
    *,
    expected_at: datetime,
    now: datetime,
) -> None:
    """Note what a position means for one delivery."""
    seen = jobs.read(session, job_id)
    if seen is None:
        return
    rental = rentals.rental(session, seen.rental_id)
    job = jobs.lock(session, job_id)
    if job.state is not JobState.UNDER_WAY or job.staff_id != person_id:
        return
    arrival.tell(session, rental, expected_at, now=now)
    left_m = distance_m(at, arrival.place_of(job))
    _at_door(session, rental, job, left_m=left_m, now=now)
    if job.moved_at is None or job.left_m is None or left_m <= job.left_m - NEARER_M:
        job.left_m, job.moved_at = left_m, now
        dispatch.look(session, rental, job, now=now)
    if job.state is not JobState.UNDER_WAY:
        return
    sampled_at = shifts.sampled_at(session, job_id)
    if sampled_at is None or now - sampled_at >= SAMPLE_EVERY:
        session.add(
            PositionSampleRow(
                id=new_id(),
                job_id=job_id,
                person_id=person_id,
                lat=at.lat,
                lng=at.lng,
                told_at=now,
            )
        )


def _at_door(
    session: Session, rental: RentalRow, job: JobRow, *, left_m: int, now: datetime
) -> None:
    """Note whether they are at the door; the renter hears that they are, and until when."""
    before = job.at_door_at
    job.at_door_at = door.at_door_since(before, left_m=left_m, now=now)
    session.add(job)
    if before is not None or job.at_door_at is None:
        return
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "staff_id": job.staff_id,
        "waits_until": door.waits_until(job.at_door_at).isoformat(),
    }
    hear(session, rental, kind="rental.at_door", data=data, now=now)


# -- the day's tour ------------------------------------------------------------------------


class Errand(StrEnum):
    """What is to be done at a stop."""

    PICK_UP = "pick_up"
    DELIVER = "deliver"
    COLLECT = "collect"
    CHECK_IN = "check_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One stop of a tour."""

    job: JobRow
    errand: Errand
    point: Point
    address: str
    arrive_at: datetime
    leg_m: int
    """From the stop before, as the crow flies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTour:
    """All that somebody has in hand, in an order that saves them the way."""

    visits: tuple[Visit, ...]
    length_m: int


def tour(session: Session, *, who: Principal, now: datetime) -> DayTour:
    """Order the stops of all that this person has in hand, from where they are."""
    in_hand = jobs.in_hand(session, who.person_id)
    shops = {job.merchant_id: market.merchant(session, job.merchant_id) for job in in_hand}
    stops = [stop for job in in_hand for stop in _stops(job, shops[job.merchant_id])]
    if not stops:
        return DayTour(visits=(), length_m=0)
    told = shifts.position(session, who.person_id)
    is_fresh = told is not None and now - told.told_at <= arrival.FRESH_FOR
    first = _shop(shops[in_hand[0].merchant_id])
    start = Point(lat=told.lat, lng=told.lng) if told is not None and is_fresh else first
    order = tours.plan(start, stops)
    by_id = {job.id: job for job in in_hand}
    return DayTour(
        visits=_visits(start, order, by_id, shops, now=now), length_m=length_m(start, order)
    )


def _shop(of: MerchantRow) -> Point:
    return Point(lat=of.lat, lng=of.lng)


def _stops(job: JobRow, of: MerchantRow) -> list[Stop]:
    """What is still to be done for a job: fetch before bring."""
    shop, door = _shop(of), arrival.place_of(job)
    home = Stop(id=f"{job.id}:{Errand.CHECK_IN}", point=shop)
    if job.state not in jobs.TAKEN:
        return [home]
    if job.kind is JobKind.DELIVERY and job.has_bank:
        return [Stop(id=f"{job.id}:{Errand.DELIVER}", point=door)]
    first, then = (
        (Stop(id=f"{job.id}:{Errand.PICK_UP}", point=shop), Errand.DELIVER)
        if job.kind is JobKind.DELIVERY
        else (Stop(id=f"{job.id}:{Errand.COLLECT}", point=door), Errand.CHECK_IN)
    )
    second = door if then is Errand.DELIVER else shop
    return [first, Stop(id=f"{job.id}:{then}", point=second, after=first.id)]


def _visits(
    start: Point,
    order: Tour,
    by_id: dict[str, JobRow],
    shops: dict[str, MerchantRow],
    *,
    now: datetime,
) -> tuple[Visit, ...]:
    visits, here, at = [], start, now
    for stop in order:
        job_id, errand = stop.id.split(":")
        job, leg_m = by_id[job_id], distance_m(here, stop.point)
        is_at_shop = errand in {Errand.PICK_UP, Errand.CHECK_IN}
        at += eta.travel(leg_m)
        visits.append(
            Visit(
                job=job,
                errand=Errand(errand),
                point=stop.point,
                address=shops[job.merchant_id].address if is_at_shop else job.address,
                arrive_at=at,
                leg_m=leg_m,
            )
        )
        here, at = stop.point, at + eta.HANDOVER
    return tuple(visits)
