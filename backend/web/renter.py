"""The renter's pages: a scanned bank, my rentals, one rental from asking to its receipt, and me.

They show what the API answers, and their forms speak to the API; a rule that a page would
otherwise have to know is in neither.
"""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from backend.api import auth, delivery, disputes
from backend.api import renter as api
from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.schemas import Id
from backend.api.shapes import QrToken
from backend.domain.errors import Code, Refusal
from backend.domain.precheck import WhyNot
from backend.domain.rental import MOVES, RentalEvent, RentalState
from backend.services import payments, rentals
from backend.web import names, story, trade
from backend.web import offer as told
from backend.web.points import point
from backend.web.render import READ, SAFE, ReadersLang, Visit, asset, page
from backend.web.visitors import Visitor
from backend.web.words import TAGS, WORDS

router = APIRouter(include_in_schema=False)
_LABEL: Final[TypeAdapter[str]] = TypeAdapter(QrToken)
_ON_THE_WAY: Final = frozenset(
    {RentalState.REQUESTED, RentalState.ACCEPTED, RentalState.DELIVERING}
)
_BILLED: Final = frozenset({RentalState.PAYMENT_DUE, RentalState.COMPLETED})
_PAGE: Final = 20
_MINE_IN_THE_WAY: Final = frozenset({WhyNot.UNPAID_BILL, WhyNot.TOO_MANY_RENTALS})


def label_of(typed: str) -> str | None:
    """Give the token of a label, from itself or its link; None if it is none."""
    try:
        return _LABEL.validate_python(urlsplit(typed.strip()).path.rstrip("/"))
    except (ValidationError, ValueError):  # ValueError: a link that is none
        return None


@router.api_route("/b/{qr_token}", methods=READ)
def bank(
    *,
    request: Request,
    qr_token: str,
    session: DbSession,
    visitor: Visitor,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show what a scanned label opens: the bank, its price, and asking for it, or why not.

    Whoever has it already comes to their rental, where this scan makes it charge.

    Raises:
        Refusal: NOT_FOUND.
    """
    token = label_of(qr_token)
    if token is None:
        raise Refusal(Code.NOT_FOUND)
    visit = None if visitor is None else Visit.of(session, visitor)
    looked = rentals.look(
        session,
        qr_token=token,
        asker_id=None if visitor is None else visitor.person_id,
        here=None,
        now=now,
    )
    offer = api.OfferOut.of(looked, lang, now=now)
    if visitor is not None:
        open_ = api.mine(session=session, who=visitor, now=now, lang=lang, limit=_PAGE)
        for rental in open_.items:
            if rental.bank.id == offer.bank.id and rental.closed_at is None:
                return RedirectResponse(
                    f"/rentals/{rental.id}?label={token}", HTTPStatus.SEE_OTHER, headers=SAFE
                )
    return page(
        request,
        "renter/bank.html",
        visit=visit,
        offer=offer,
        token=token,
        may_be_mine=visit is None and WhyNot.RESERVED in looked.why_not,
        leads_to_mine=not _MINE_IN_THE_WAY.isdisjoint(looked.why_not),
        reasons=told.reasons(looked.why_not, lang),
        costs=None if looked.terms is None else told.costs(looked.terms, lang, now=now),
        reach=told.reach(looked.merchant.service_radius_m, WORDS[lang]),
    )


@router.api_route("/rentals", methods=READ)
def mine(
    *,
    request: Request,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    """List my rentals, newest first."""
    visit = Visit.of(session, who)
    found = api.mine(session=session, who=who, now=now, lang=lang, before=before, limit=_PAGE)
    return page(
        request,
        "renter/rentals.html",
        visit=visit,
        found=found,
        names=names,
        story=story,
        lang=lang,
    )


@router.api_route("/rentals/{rental_id}", methods=READ)
def one(
    *,
    request: Request,
    rental_id: str,
    session: DbSession,
    visitor: Visitor,
    now: Now,
    lang: ReadersLang,
    label: str = "",
) -> Response:
    """Show one of my rentals: one living page, stage by stage.

    A payment provider sends people here, too, and perhaps in a browser that is not signed in:
    that one is told nothing.
    """
    if visitor is None:
        return page(request, "thanks.html")
    who = visitor
    visit = Visit.of(session, who)
    rental = api.one(rental_id, session, who, now, lang)
    way, points = None, []
    if rental.state in _ON_THE_WAY:
        way = delivery.follow(rental_id, session, who, now)
        comes = point("shop", rental.merchant, rental.merchant.name)
        if way.position is not None:
            comes = point("staff", way.position, way.staff or "")
        points = [point("door", rental.place, rental.place.address), comes]
    is_billed = rental.state in _BILLED
    to_pay = 0
    if rental.state is RentalState.PAYMENT_DUE:
        to_pay = payments.to_pay_minor(session, rentals.own(session, who, rental_id))
    return page(
        request,
        "renter/rental.html",
        visit=visit,
        rental=rental,
        way=way,
        points=points,
        disputes=disputes.mine(rental_id, session, who).items if is_billed else [],
        credits=disputes.credits_of_mine(rental_id, session, who).credits if is_billed else [],
        to_pay_minor=to_pay,
        may={event for state, event in MOVES if state is rental.state},
        label=label_of(label) or "",
        names=names,
        story=story,
        trade=trade,
        lang=lang,
        S=RentalState,
        E=RentalEvent,
    )


@router.api_route("/me", methods=READ)
def me(*, request: Request, session: DbSession, who: CurrentPrincipal) -> Response:
    """Show who is signed in, and what they may become."""
    return page(request, "renter/me.html", visit=Visit.of(session, who), me=auth.me(session, who))


@router.api_route("/manifest.webmanifest", methods=READ)
def manifest(lang: ReadersLang) -> Response:
    """Tell a phone how to keep this as an app."""
    pictures = [
        {"src": asset(f"icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png"}
        for size in (192, 512)
    ]
    told_ = {
        "name": "Lendwatt",
        "short_name": "Lendwatt",
        "description": WORDS[lang].tagline,
        "lang": TAGS[lang],
        "start_url": "/rentals",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f3f5fa",
        "theme_color": "#1d4ed8",
        "icons": [*pictures, {**pictures[1], "purpose": "maskable"}],
    }
    return JSONResponse(told_, media_type="application/manifest+json", headers=SAFE)
