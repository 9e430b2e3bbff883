"""What staff do: shifts, jobs, the way. Each change of hands is proven by a scan or a code."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import Field, model_validator

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, In, Latitude, Longitude, Out
from backend.api.shapes import JobOut, PlaceOut, QrToken, Reader, ScanIn
from backend.db.tables.dispatch import ShiftRow
from backend.domain.geo import Point
from backend.services import jobs, shifts, whereabouts
from backend.services.whereabouts import DayTour, Errand

router = APIRouter(prefix="/staff", tags=["staff"], route_class=IdempotentRoute)


class JobsOut(Out):
    """Jobs, oldest first."""

    items: list[JobOut]


class SetOutIn(In):
    """Setting out."""

    qr_token: QrToken | None = Field(
        default=None, description="The label of the bank that is taken along; for a delivery."
    )


class HandOverIn(In):
    """The proof of a handover: one of the two."""

    qr_token: QrToken | None = None
    code: str | None = Field(default=None, pattern=r"^\d{4}$", examples=["0427"])

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if (self.qr_token is None) == (self.code is None):
            msg = "give qr_token or code"
            raise ValueError(msg)
        return self


class ReasonIn(In):
    """Why."""

    reason: Annotated[str, Field(min_length=1, max_length=120, examples=["a flat tyre"])]


class DeclinedOut(Out):
    """A job that I am not asked about again."""

    job_id: str


class ShiftIn(In):
    """Where I work, or worked."""

    merchant_id: Id


class ShiftOut(Out):
    """A shift."""

    id: str
    merchant_id: str
    started_at: datetime
    ended_at: datetime | None = Field(description="Null: I am on shift.")

    @classmethod
    def of(cls, row: ShiftRow) -> "ShiftOut":
        """Show a shift."""
        return cls.model_validate(row)


class ShiftsOut(Out):
    """The shifts that I am on."""

    items: list[ShiftOut]


class PositionIn(In):
    """Where I am."""

    lat: Latitude
    lng: Longitude


class HeardOut(Out):
    """When it was heard."""

    told_at: datetime


class VisitOut(Out):
    """A stop of my tour."""

    job_id: str
    rental_id: str
    bank_id: str = Field(examples=["LW-000123"])
    errand: Errand
    place: PlaceOut
    arrive_at: datetime
    leg_m: int = Field(description="From the stop before, as the crow flies.", examples=[840])


class TourOut(Out):
    """The stops of all that I have in hand, in an order that saves the way."""

    length_m: int = Field(examples=[3120])
    stops: list[VisitOut]

    @classmethod
    def of(cls, tour: DayTour) -> "TourOut":
        """Show a tour."""
        stops = [
            VisitOut(
                job_id=visit.job.id,
                rental_id=visit.job.rental_id,
                bank_id=visit.job.bank_id,
                errand=visit.errand,
                place=PlaceOut(lat=visit.point.lat, lng=visit.point.lng, address=visit.address),
                arrive_at=visit.arrive_at,
                leg_m=visit.leg_m,
            )
            for visit in tour.visits
        ]
        return cls(length_m=tour.length_m, stops=stops)


# -- shifts and the way --------------------------------------------------------------------


@router.get("/shifts")
def my_shifts(session: DbSession, who: CurrentPrincipal) -> ShiftsOut:
    """List the shifts that I am on."""
    return ShiftsOut(items=[ShiftOut.of(row) for row in shifts.mine(session, who=who)])


@router.post("/shifts", status_code=201)
def go_on(*, body: ShiftIn, session: DbSession, who: CurrentPrincipal, now: Now) -> ShiftOut:
    """Go on shift: the jobs that wait are offered to me at once."""
    return ShiftOut.of(shifts.start(session, who=who, merchant_id=body.merchant_id, now=now))


@router.post("/shifts/end")
def go_off(*, body: ShiftIn, session: DbSession, who: CurrentPrincipal, now: Now) -> ShiftOut:
    """Go off shift: what I accepted and did not begin goes to others. Not with a bank in hand."""
    return ShiftOut.of(shifts.end(session, who=who, merchant_id=body.merchant_id, now=now))


@router.post("/position")
def position(*, body: PositionIn, session: DbSession, who: CurrentPrincipal, now: Now) -> HeardOut:
    """Say where I am; only the renters whom I am on the way to are shown it."""
    at = Point(lat=body.lat, lng=body.lng)
    whereabouts.tell_position(session, who=who, at=at, now=now)
    return HeardOut(told_at=now)


@router.get("/tour")
def tour(session: DbSession, who: CurrentPrincipal, now: Now) -> TourOut:
    """Order the places that I have to go to."""
    return TourOut.of(whereabouts.tour(session, who=who, now=now))


# -- jobs ----------------------------------------------------------------------------------


@router.get("/jobs")
def waiting(session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader) -> JobsOut:
    """List what I may take, and what I have in hand."""
    found = jobs.waiting(session, who=who)
    return JobsOut(
        items=[JobOut.of(view, lang, person_id=who.person_id, now=now) for view in found]
    )


@router.post("/jobs/{job_id}/accept")
def accept(job_id: Id, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader) -> JobOut:
    """Take a job; the first one has it."""
    view = jobs.accept(session, who=who, job_id=job_id, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/decline")
def decline(job_id: Id, session: DbSession, who: CurrentPrincipal, now: Now) -> DeclinedOut:
    """Say no: I am not asked again, and the next ones are as soon as all have answered."""
    jobs.decline(session, who=who, job_id=job_id, now=now)
    return DeclinedOut(job_id=job_id)


@router.post("/jobs/{job_id}/give-back")
def give_back(
    *,
    job_id: Id,
    body: ReasonIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> JobOut:
    """Give back a job that I cannot do after all. A bank in hand is to be checked in."""
    view = jobs.give_back(session, who=who, job_id=job_id, reason=body.reason, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/renter-absent")
def renter_absent(
    *,
    job_id: Id,
    body: ReasonIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> JobOut:
    """Leave a door that nobody opened, once I have waited: the delivery is called off.

    My phone must have told that I am there, and the renter has heard it (`rental.at_door`).
    """
    view = jobs.renter_absent(session, who=who, job_id=job_id, reason=body.reason, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/set-out")
def set_out(
    *,
    job_id: Id,
    body: SetOutIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> JobOut:
    """Set out: to deliver, scan the bank that you take along."""
    view = jobs.set_out(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/hand-over")
def hand_over(
    *,
    job_id: Id,
    body: HandOverIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> JobOut:
    """Hand over, proven by the bank's label or the renter's code."""
    view = jobs.hand_over(
        session, who=who, job_id=job_id, qr_token=body.qr_token, code=body.code, now=now
    )
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/collect")
def collect(
    *, job_id: Id, body: ScanIn, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> JobOut:
    """Take the bank back from the renter, proven by its label."""
    view = jobs.collect(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)


@router.post("/jobs/{job_id}/check-in")
def check_in(
    *, job_id: Id, body: ScanIn, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> JobOut:
    """Bring the bank home, proven by its label: it is for rent again."""
    view = jobs.check_in(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, lang, person_id=who.person_id, now=now)
