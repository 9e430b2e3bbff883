"""The merchant's pages: today's work, their banks, price, money, staff, score, and settings.

Each shows what the API answers to the owner; who does not own a merchant is told that there is
none. What a page lets do depends on what a thing is now only as far as it would be in the way;
whether it may be done, the API says.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from backend.api import disputes, hooks, settlement, stock, tariffs
from backend.api import merchant as api
from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.schemas import BankId, Id
from backend.api.settlement import BeforeLine, Statement
from backend.api.shapes import Before, MerchantOut, PlaceOut
from backend.api.stock import BankDetailOut, SampleOut, StockBankOut
from backend.db import disputes as bills
from backend.db import market, rentals
from backend.db import orders as lists
from backend.db.tables.market import MerchantStatus
from backend.domain.custody import Holder
from backend.domain.hours import Day
from backend.domain.money import Currency
from backend.domain.rental import MerchantList, RentalState
from backend.limits import PAGE_MAX
from backend.services import labels, orders
from backend.services.orders import Order
from backend.web import names, trade
from backend.web.points import place_of, point
from backend.web.render import READ, SAFE, ReadersLang, Visit, page, reader_of

router = APIRouter(include_in_schema=False)
_ON_BOARD: Final = 20
"""Orders of one list on the board; the list itself has the rest."""
_TO_DO: Final = (MerchantList.TO_FULFIL, MerchantList.TO_COLLECT, MerchantList.IN_PROGRESS)
_OUT: Final = frozenset({Holder.STAFF, Holder.RENTER})
_BEGIN_AT: Final = PlaceOut(lat=31.2304, lng=121.4737, address="")
"""What a map shows of whom nothing is known."""
_ZONES: Final = (
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Macau",
    "Asia/Taipei",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "UTC",
)
_LEVELS_TOLD: Final = 12
"""Rows of a chart's table."""


def _page(
    request: Request, name: str, *, shop: MerchantOut, section: str, **values: Any
) -> Response:
    """Fill in one of the pages of a merchant."""
    return page(
        request,
        f"merchant/{name}.html",
        shop=shop,
        section=section,
        names=names,
        trade=trade,
        lang=reader_of(request).lang,
        H=Holder,
        **values,
    )


# -- which merchant ------------------------------------------------------------------------


@router.api_route("/merchant", methods=READ)
def mine(*, request: Request, session: DbSession, who: CurrentPrincipal) -> Response:
    """Go to my merchant; choose, if there are several; become one, if there is none."""
    visit = Visit.of(session, who)
    shops = api.mine(session, who).items
    if not shops:
        return _register(request, visit=visit, is_first=True)
    if len(shops) == 1:
        where = f"/merchant/{shops[0].id}"
        return RedirectResponse(where, HTTPStatus.SEE_OTHER, headers=SAFE)
    lang = reader_of(request).lang
    return page(request, "merchant/choose.html", visit=visit, shops=shops, trade=trade, lang=lang)


@router.api_route("/merchant/new", methods=READ)
def register(*, request: Request, session: DbSession, who: CurrentPrincipal) -> Response:
    """Become a merchant, or one more."""
    return _register(request, visit=Visit.of(session, who), is_first=not who.merchant_ids)


def _register(request: Request, *, visit: Visit, is_first: bool) -> Response:
    reader = reader_of(request)
    zone = reader.zone.key if isinstance(reader.zone, ZoneInfo) else _ZONES[0]
    return page(
        request,
        "merchant/register.html",
        visit=visit,
        is_first=is_first,
        start=_BEGIN_AT,
        zone=zone,
        zones=_ZONES if zone in _ZONES else (zone, *_ZONES),
        currencies=tuple(Currency),
    )


# -- the work ------------------------------------------------------------------------------


@router.api_route("/merchant/{merchant_id}", methods=READ)
def work(
    *,
    request: Request,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    which: Annotated[MerchantList | None, Query(alias="list")] = None,
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    """Show what is to be done, list by list; or one list, page by page."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    found = {
        each: orders.in_list(
            session,
            who=who,
            merchant_id=shop.id,
            which=each,
            before=before,
            limit=_ON_BOARD,
            now=now,
        )
        for each in (_TO_DO if which is None else (which,))
    }
    return _page(
        request,
        "work",
        shop=shop,
        section="work",
        visit=visit,
        which=which,
        board={each: told.orders for each, told in found.items()},
        counts=next(iter(found.values())).counts,
        page_size=_ON_BOARD,
        people=market.staff_names(session, shop.id),
        begun=_begun(session, shop),
        L=MerchantList,
        S=RentalState,
    )


def _begun(session: DbSession, shop: MerchantOut) -> dict[str, bool]:
    """Tell which of the first steps of a merchant are taken."""
    return {
        "approved": shop.status is not MerchantStatus.PENDING,
        "price": market.tariff(session, shop.id) is not None,
        "banks": market.count_banks(session, shop.id) > 0,
        "staff": bool(market.staff(session, shop.id)),
    }


@router.api_route("/merchant/{merchant_id}/rentals/{rental_id}", methods=READ)
def rental(
    *,
    request: Request,
    merchant_id: Id,
    rental_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show one of my rentals: who has it in hand, where, and what it brings."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    seen = api.rental(
        merchant_id=shop.id, rental_id=rental_id, session=session, who=who, now=now, lang=lang
    )
    places = [point("shop", shop, shop.name), point("door", seen.place, seen.place.address)]
    if seen.return_place is not None and seen.return_place != seen.place:
        places.append(point("door", seen.return_place, seen.return_place.address))
    return _page(
        request,
        "rental",
        shop=shop,
        section="work",
        visit=visit,
        rental=seen,
        points=places,
        job_id=lists.jobs_to_do(session, [seen.id]).get(seen.id),
        collector_id=rentals.read(session, seen.id).collector_id,
        disputes=bills.of_rental(session, seen.id),
        S=RentalState,
    )


# -- banks ---------------------------------------------------------------------------------


@router.api_route("/merchant/{merchant_id}/banks", methods=READ)
def banks(
    *,
    request: Request,
    merchant_id: Id,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
    after: Annotated[str, Query(pattern=r"^[0-9A-Z-]{0,32}$")] = "",
    find: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show my banks, and where they are; or go to the one that was asked for."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    wanted = find.strip().upper()
    sought = market.find_bank(session, wanted) if wanted else None
    if sought is not None and sought.merchant_id == shop.id:
        where = f"/merchant/{shop.id}/banks/{sought.id}"
        return RedirectResponse(where, HTTPStatus.SEE_OTHER, headers=SAFE)
    found = stock.banks(
        merchant_id=shop.id,
        parts=parts,
        session=session,
        who=who,
        now=now,
        lang=lang,
        after=after,
        limit=PAGE_MAX,
    )
    out = _out(session, who=who, shop=shop, now=now)
    return _page(
        request,
        "banks",
        shop=shop,
        section="banks",
        visit=visit,
        found=found,
        sought=wanted,
        after=after,
        points=_whereabouts(found.items, shop, out),
        sheets=max(1, -(-found.totals.all // labels.PER_SHEET)),
    )


def _out(
    session: DbSession, *, who: CurrentPrincipal, shop: MerchantOut, now: Now
) -> dict[str, Order]:
    """Give the rentals that need a bank now, by the bank."""
    return {
        order.rental.bank_id: order
        for each in _TO_DO
        for order in orders.in_list(
            session,
            who=who,
            merchant_id=shop.id,
            which=each,
            before=None,
            limit=PAGE_MAX,
            now=now,
        ).orders
    }


def _whereabouts(
    items: Iterable[StockBankOut], shop: MerchantOut, out: dict[str, Order]
) -> list[dict[str, Any]]:
    """Say where banks are: at home, or where their rentals are.

    Where staff are is theirs, so a bank that they carry is shown where it is to be brought to.
    """
    points = [point("shop", shop, shop.name)]
    for bank in items:
        order = out.get(bank.id)
        if bank.holder not in _OUT or order is None:
            continue
        level = f" · {bank.state.battery_pct} %" if bank.state else ""
        ails = bank.state is None or bank.state.faults or bank.state.presence == "offline"
        kind = "alarm" if ails else "staff" if bank.holder is Holder.STAFF else "door"
        href = f"/merchant/{shop.id}/banks/{bank.id}"
        points.append(point(kind, place_of(order.rental), f"{bank.id}{level}", href=href))
    return points


@router.api_route("/merchant/{merchant_id}/banks/{bank_id}", methods=READ)
def bank(
    *,
    request: Request,
    merchant_id: Id,
    bank_id: BankId,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
) -> Response:
    """Show one bank: how it is and was, in whose hands, and what can be done with it."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    seen = stock.bank(
        merchant_id=shop.id,
        bank_id=bank_id,
        parts=parts,
        session=session,
        who=who,
        now=now,
        lang=lang,
        hours=hours,
    )
    return _page(
        request,
        "bank",
        shop=shop,
        section="banks",
        visit=visit,
        bank=seen,
        hours=hours,
        columns=_columns(seen),
        some=_some(seen.levels),
    )


def _columns(bank: BankDetailOut) -> list[list[int]]:
    """Give levels as ``chart.js`` reads them: seconds, and per cent."""
    times = [int(each.at.timestamp()) for each in bank.levels]
    return [times, [each.battery_pct for each in bank.levels]]


def _some(levels: Sequence[SampleOut]) -> list[SampleOut]:
    """Choose a few, evenly, newest first: what a chart says to whom cannot see it."""
    step = max(1, -(-len(levels) // _LEVELS_TOLD))
    return list(levels[::-1][::step])


# -- people --------------------------------------------------------------------------------


@router.api_route("/merchant/{merchant_id}/staff", methods=READ)
def staff(
    *, request: Request, merchant_id: Id, session: DbSession, who: CurrentPrincipal
) -> Response:
    """Show who works for me, and who of them is on shift."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    found = api.staff(shop.id, session, who).items
    since = market.on_shift(session, shop.id).get(who.person_id)
    return _page(
        request,
        "staff",
        shop=shop,
        section="staff",
        visit=visit,
        staff=found,
        is_staff=any(each.person_id == who.person_id for each in found),
        my_shift=since,
    )


@router.api_route("/merchant/{merchant_id}/score", methods=READ)
def score(
    *,
    request: Request,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show my score, and how it comes about."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    told = api.score(merchant_id=shop.id, session=session, who=who, now=now, lang=lang)
    return _page(request, "score", shop=shop, section="score", visit=visit, score=told)


# -- the price -----------------------------------------------------------------------------


@router.api_route("/merchant/{merchant_id}/tariff", methods=READ)
def tariff(
    *,
    request: Request,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    lang: ReadersLang,
) -> Response:
    """Show my price in force, and let the next one be tried out before it is."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    versions = tariffs.versions(shop.id, session, who, lang).items
    presets = [
        each
        for each in tariffs.presets(who, lang).items
        if each.rules.currency in {None, shop.currency}
    ]
    begin = versions[0] if versions else presets[0]
    return _page(
        request,
        "tariff",
        shop=shop,
        section="tariff",
        visit=visit,
        versions=versions,
        presets=presets,
        terms=begin.terms,
        market=begin.market,
    )


# -- money ---------------------------------------------------------------------------------


@router.api_route("/merchant/{merchant_id}/money", methods=READ)
def money(
    *,
    request: Request,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    lang: ReadersLang,
    of: Statement = Statement.WITHDRAWABLE,
    before: BeforeLine = None,
    withdrawn_before: Before = None,
) -> Response:
    """Show what I have earned, where it is, and how it came there."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    return _page(
        request,
        "money",
        shop=shop,
        section="money",
        visit=visit,
        of=of,
        standing=settlement.settled(shop.id, session, who),
        withdrawals=settlement.list_withdrawals(
            merchant_id=shop.id, session=session, who=who, before=withdrawn_before
        ),
        lines=settlement.ledger(
            merchant_id=shop.id, session=session, who=who, lang=lang, of=of, before=before
        ),
        disputes=disputes.at_merchant(merchant_id=shop.id, session=session, who=who).items,
        statements=tuple(trade.STATEMENTS),
    )


# -- what is said of the merchant ----------------------------------------------------------


@router.api_route("/merchant/{merchant_id}/settings", methods=READ)
def settings(
    *, request: Request, merchant_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> Response:
    """Show what I said of my merchant, and who else hears what I hear."""
    visit = Visit.of(session, who)
    shop = api.one(merchant_id, session, who)
    addresses = hooks.mine(merchant_id=shop.id, session=session, who=who, now=now).items
    return _page(
        request,
        "settings",
        shop=shop,
        section="settings",
        visit=visit,
        days=tuple(Day),
        webhooks=[
            (
                each,
                hooks.messages(
                    merchant_id=shop.id, webhook_id=each.id, session=session, who=who, limit=10
                ).items,
            )
            for each in addresses
        ],
    )
