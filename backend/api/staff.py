"""What staff do, each change of hands proven by a scan or the renter's code."""

from typing import Self

from fastapi import APIRouter
from pydantic import Field, model_validator

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import In, Out
from backend.api.shapes import JobOut, QrToken, ScanIn
from backend.services import jobs

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


@router.get("/jobs")
def waiting(session: DbSession, who: CurrentPrincipal) -> JobsOut:
    """List what I may take, and what I have in hand."""
    found = jobs.waiting(session, who=who)
    return JobsOut(items=[JobOut.of(view, person_id=who.person_id) for view in found])


@router.post("/jobs/{job_id}/accept")
def accept(job_id: str, session: DbSession, who: CurrentPrincipal, now: Now) -> JobOut:
    """Take a job; the first one has it."""
    view = jobs.accept(session, who=who, job_id=job_id, now=now)
    return JobOut.of(view, person_id=who.person_id)


@router.post("/jobs/{job_id}/set-out")
def set_out(
    *, job_id: str, body: SetOutIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> JobOut:
    """Set out: to deliver, scan the bank that you take along."""
    view = jobs.set_out(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, person_id=who.person_id)


@router.post("/jobs/{job_id}/hand-over")
def hand_over(
    *, job_id: str, body: HandOverIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> JobOut:
    """Hand over, proven by the bank's label or the renter's code."""
    view = jobs.hand_over(
        session, who=who, job_id=job_id, qr_token=body.qr_token, code=body.code, now=now
    )
    return JobOut.of(view, person_id=who.person_id)


@router.post("/jobs/{job_id}/collect")
def collect(
    *, job_id: str, body: ScanIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> JobOut:
    """Take the bank back from the renter, proven by its label."""
    view = jobs.collect(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, person_id=who.person_id)


@router.post("/jobs/{job_id}/check-in")
def check_in(
    *, job_id: str, body: ScanIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> JobOut:
    """Bring the bank home, proven by its label: it is for rent again."""
    view = jobs.check_in(session, who=who, job_id=job_id, qr_token=body.qr_token, now=now)
    return JobOut.of(view, person_id=who.person_id)
