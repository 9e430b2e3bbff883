"""Staff's pages: what to do next, and one job with its scans; made for a phone in a pocket.

What is done on them waits in a queue while there is no connection (``queue.js``), each with its
own key, and is done once.
"""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request, Response

from backend.api import staff as api
from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.schemas import Id
from backend.api.shapes import JobOut
from backend.db import market
from backend.db.tables.rentals import JobKind, JobState
from backend.domain.custody import Holder
from backend.services.whereabouts import Errand
from backend.web import names
from backend.web.points import point
from backend.web.render import READ, ReadersLang, Visit, page

router = APIRouter(include_in_schema=False)
_PINS: Final = {
    Errand.PICK_UP: "shop",
    Errand.DELIVER: "door",
    Errand.COLLECT: "door",
    Errand.CHECK_IN: "shop",
}


@router.api_route("/staff", methods=READ)
def work(
    *, request: Request, session: DbSession, who: CurrentPrincipal, now: Now, lang: ReadersLang
) -> Response:
    """Show what I am asked, what I have in hand in the order of my way, and my shifts."""
    visit = Visit.of(session, who)
    jobs = api.waiting(session, who, now, lang).items
    mine = {job.id: job for job in jobs if job.is_mine}
    tour = api.tour(session, who, now)
    stops = {stop.job_id for stop in tour.stops}
    employers = sorted(who.staff_of | who.merchant_ids)
    return page(
        request,
        "staff/work.html",
        visit=visit,
        asked=[job for job in jobs if not job.is_mine and job.state is JobState.OPEN],
        mine=mine,
        tour=tour,
        points=[point(_PINS[stop.errand], stop.place, stop.place.address) for stop in tour.stops],
        aside=[job for job in mine.values() if job.id not in stops],
        shifts={shift.merchant_id: shift for shift in api.my_shifts(session, who).items},
        employers=[market.merchant(session, merchant_id) for merchant_id in employers],
        names=names,
        lang=lang,
        K=JobKind,
    )


@router.api_route("/staff/jobs/{job_id}", methods=READ)
def job(
    *,
    request: Request,
    job_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show one job, and the one thing that comes next; or that it is over, or another's."""
    visit = Visit.of(session, who)
    found = _found(api.waiting(session, who, now, lang).items, job_id)
    if found is None:
        return page(request, "staff/gone.html", status=HTTPStatus.NOT_FOUND, visit=visit)
    shop = market.merchant(session, found.merchant_id)
    return page(
        request,
        "staff/job.html",
        visit=visit,
        job=found,
        merchant=shop,
        points=[
            point("shop", shop, shop.name),
            point("door", found.place, found.place.address),
        ],
        names=names,
        lang=lang,
        K=JobKind,
        J=JobState,
        H=Holder,
    )


def _found(jobs: list[JobOut], job_id: str) -> JobOut | None:
    return next((each for each in jobs if each.id == job_id), None)
