"""The operator's pages: the city, what is stuck, and everybody and everything to manage.

Each shows what the API answers to an operator; whoever is none is told so. What may be done about
a stuck item, the item itself says. What is chosen to be listed is read leniently: a choice that
there is not is no choice.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from backend.api.deps import AppParts, DbSession, Now, OperatorPrincipal, Parts
from backend.api.operator import banks as bank_api
from backend.api.operator import letters as letter_api
from backend.api.operator import merchants as merchant_api
from backend.api.operator import money as money_api
from backend.api.operator import people as people_api
from backend.api.operator import rentals as rental_api
from backend.api.operator import trace as trace_api
from backend.api.operator.rentals import JobOut
from backend.api.schemas import Id
from backend.api.settlement import BeforeLine, Statement
from backend.api.shapes import MerchantOut, RentalOut
from backend.db import books, disputes, market, seam
from backend.db import credits as notes
from backend.db import oversight as queries
from backend.db.tables.market import MerchantStatus
from backend.db.tables.money import PaymentState
from backend.db.tables.people import Person
from backend.db.tables.rentals import JobKind, RentalRow
from backend.domain.custody import Holder
from backend.domain.dispute import DisputeState
from backend.domain.errors import Code, Refusal
from backend.domain.rental import RentalState, Stage, stage_of
from backend.domain.withdrawal import WithdrawalState
from backend.limits import BANK_MOVES_SHOWN, PAGE_MAX
from backend.services import oversight, overview, rentals, stuck
from backend.services.stuck import Stuck
from backend.web import drawing, duties, names, trade
from backend.web.points import point
from backend.web.reader import Reader
from backend.web.render import READ, ReadersLang, Visit, page, reader_of
from backend.web.signing import as_number

router = APIRouter(include_in_schema=False)
_PAGE: Final = 20
_E = TypeVar("_E", bound=StrEnum)


class Money(StrEnum):
    """What the money page shows."""

    DISPUTES = "disputes"
    WITHDRAWALS = "withdrawals"
    PAYMENTS = "payments"
    BREAKS = "breaks"


def _page(request: Request, name: str, *, visit: Visit, section: str, **values: Any) -> Response:
    """Fill in one of the pages of an operator."""
    return page(
        request,
        f"operator/{name}.html",
        visit=visit,
        section=section,
        names=names,
        trade=trade,
        duties=duties,
        lang=reader_of(request).lang,
        **values,
    )


def _chosen(kind: type[_E], text: str) -> _E | None:
    """Read a choice."""
    return kind(text) if text in tuple(kind) else None


def _query(**chosen: str | None) -> str:
    """Write what is chosen, as it stands in the address."""
    return urlencode({name: value for name, value in chosen.items() if value})


# -- the city ------------------------------------------------------------------------------


@router.api_route("/operator", methods=READ)
def city(
    *, request: Request, parts: AppParts, session: DbSession, who: OperatorPrincipal, now: Now
) -> Response:
    """Show the city live: the map, what there is to do, and how it was of late."""
    visit = Visit.of(session, who)
    reader = reader_of(request)
    rates = [] if parts.pulse is None else parts.pulse.per_second()
    return _page(
        request,
        "city",
        visit=visit,
        section="city",
        charts=drawing.charts(overview.charts(session, zone=reader.zone, now=now), rates),
        **_now(session, parts, reader, now=now),
    )


@router.api_route("/operator/now", methods=READ)
def city_now(
    *, request: Request, parts: AppParts, session: DbSession, who: OperatorPrincipal, now: Now
) -> Response:
    """Show the part of the first page that is looked at again and again."""
    visit = Visit.of(session, who)
    told = _now(session, parts, reader_of(request), now=now)
    return _page(request, "now", visit=visit, section="city", **told)


def _now(session: DbSession, parts: Parts, reader: Reader, *, now: datetime) -> dict[str, Any]:
    seen = overview.city(session)
    rates = [] if parts.pulse is None else parts.pulse.per_second()
    return {
        "figures": overview.figures(session),
        "stuck_count": len(stuck.everything(session, now=now)),
        "per_second": rates[-1][1] if rates else None,
        "counts_messages": parts.pulse is not None,
        "points": drawing.points(seen, reader),
    }


# -- what is stuck ---------------------------------------------------------------------------


@router.api_route("/operator/stuck", methods=READ)
def stuck_list(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show all that does not go on by itself, with what may be done about each."""
    visit = Visit.of(session, who)
    kinds: dict[stuck.StuckKind, list[tuple[Stuck, list[duties.Detail]]]] = {}
    for item in stuck.everything(session, now=now):
        kinds.setdefault(item.kind, []).append((item, duties.details(item, lang)))
    return _page(
        request, "stuck", visit=visit, section="stuck", kinds=kinds, each_max=stuck.EACH_MAX
    )


# -- rentals -----------------------------------------------------------------------------------


@router.api_route("/operator/rentals", methods=READ)
def rental_list(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    state: str = "",
    late: bool = False,
    merchant_id: str = "",
    renter_id: str = "",
    find: str = "",
    before: str = "",
) -> Response:
    """List rentals: of a state, a merchant, a renter, a bank, or those that went wrong."""
    visit = Visit.of(session, who)
    chosen = _chosen(RentalState, state)
    wanted = find.strip().upper()
    found = queries.rentals(
        session,
        states=[] if chosen is None else [chosen],
        merchant_id=merchant_id or None,
        renter_id=renter_id or None,
        bank_id=wanted or None,
        is_abnormal=True if late else None,
        before=before or None,
        limit=_PAGE,
    )
    filtered = {
        "state": chosen,
        "late": "true" if late else None,
        "merchant_id": merchant_id,
        "renter_id": renter_id,
        "find": wanted,
    }
    return _page(
        request,
        "rentals",
        visit=visit,
        section="rentals",
        filtered=filtered,
        older=_query(**filtered, before=found[-1].id) if len(found) == _PAGE else None,
        rentals=found,
        merchants=queries.merchants_of(session, {each.merchant_id for each in found}),
        people=_people(session, {each.renter_id for each in found}),
        stages={each.id: _stage(each) for each in found},
        whose=_whose(session, merchant_id=merchant_id, renter_id=renter_id),
        S=RentalState,
    )


def _stage(rental: RentalRow) -> Stage:
    return stage_of(rental.state, is_called_off=rental.cancelled_at is not None)


def _whose(session: DbSession, *, merchant_id: str, renter_id: str) -> str:
    """Say whose rentals are listed, if anybody's."""
    merchant = queries.merchants_of(session, [merchant_id]).get(merchant_id)
    if merchant is not None:
        return merchant.name
    return _people(session, {renter_id}).get(renter_id, "")


def _people(session: DbSession, ids: Iterable[str | None]) -> dict[str, str]:
    """Name people: by their name, else by their phone."""
    found = queries.people_of(session, {each for each in ids if each})
    return {id_: _called(person) for id_, person in found.items()}


def _called(person: Person) -> str:
    if person.erased_at is not None:
        return "—"
    return person.name or person.phone


@router.api_route("/operator/rentals/{rental_id}", methods=READ)
def rental(
    *,
    request: Request,
    rental_id: Id,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: ReadersLang,
) -> Response:
    """Show a rental's whole story: what happened, by whom, why this bank, and all its money."""
    visit = Visit.of(session, who)
    row = rentals.find(session, rental_id)
    view = rentals.view(session, row, now=now)
    told = RentalOut.of(view, lang, for_renter=False)
    asked = rental_api.who_was_asked(rental_id=row.id, session=session, _who=who).items
    moves = queries.custody_of(
        session,
        row.id,
        bank_ids={row.bank_id, *(job.bank_id for job in asked)},
        limit=BANK_MOVES_SHOWN,
    )
    changes = queries.trace(
        session, subject="rental", subject_id=row.id, by_id=None, before=None, limit=_PAGE
    )
    concerned = {row.renter_id, *(step.by_id for step in view.steps), *_of_jobs(asked)}
    concerned |= {move.by_id for move in moves} | {change.by_id for change in changes}
    return _page(
        request,
        "rental",
        visit=visit,
        section="rentals",
        rental=told,
        row=row,
        steps=view.steps,
        jobs=asked,
        moves=moves,
        people=_people(session, concerned),
        merchants=queries.merchants_of(session, {job.merchant_id for job in asked}),
        payments=view.payments,
        transfers=books.transfers_of(session, [row.id]).get(row.id, []),
        disputes=disputes.of_rental(session, row.id),
        credits=notes.of_rental(session, row.id),
        refunds=notes.refunds_of(session, row.id),
        changes=[trace_api.ChangeOut.of(change) for change in changes],
        stuck=[item for item in stuck.everything(session, now=now) if item.rental_id == row.id],
        points=_places(told),
        S=RentalState,
        K=JobKind,
    )


def _of_jobs(jobs: Sequence[JobOut]) -> set[str | None]:
    return {job.staff_id for job in jobs} | {
        offer.person_id for job in jobs for offer in job.offers
    }


def _places(told: RentalOut) -> list[dict[str, Any]]:
    points = [
        point("shop", told.merchant, told.merchant.name),
        point("door", told.place, told.place.address),
    ]
    if told.return_place is not None and told.return_place != told.place:
        points.append(point("fetch", told.return_place, told.return_place.address))
    return points


# -- merchants -----------------------------------------------------------------------------------


@router.api_route("/operator/merchants", methods=READ)
def merchants(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    status: str = "",
    after: str = "",
) -> Response:
    """List merchants: first those that wait to be approved."""
    visit = Visit.of(session, who)
    chosen = _chosen(MerchantStatus, status)
    waiting = merchant_api.merchants(
        session=session, _who=who, status=MerchantStatus.PENDING, limit=PAGE_MAX
    ).items
    found = merchant_api.merchants(
        session=session, _who=who, status=chosen, after=after, limit=_PAGE
    )
    shown = list(found.items) if chosen else [each for each in found.items if each not in waiting]
    owners = [market.merchant(session, each.id) for each in waiting]
    return _page(
        request,
        "merchants",
        visit=visit,
        section="merchants",
        waiting=[] if chosen or after else waiting,
        owners={row.id: row.owner_id for row in owners},
        people=_people(session, {row.owner_id for row in owners}),
        shown=shown,
        chosen=chosen,
        more=_query(status=chosen, after=found.next) if found.next else None,
        statuses=MerchantStatus,
    )


@router.api_route("/operator/merchants/{merchant_id}", methods=READ)
def merchant(
    *,
    request: Request,
    merchant_id: Id,
    session: DbSession,
    who: OperatorPrincipal,
    lang: ReadersLang,
    of: Statement = Statement.WITHDRAWABLE,
    before: BeforeLine = None,
) -> Response:
    """Show one merchant: who they are, what they earned, and what may be done."""
    visit = Visit.of(session, who)
    row = oversight.find_merchant(session, merchant_id)
    standing = merchant_api.settled(merchant_id=row.id, session=session, _who=who)
    lines = merchant_api.ledger(
        merchant_id=row.id, session=session, _who=who, lang=lang, of=of, before=before, limit=_PAGE
    )
    staff = market.staff(session, row.id)
    return _page(
        request,
        "merchant",
        visit=visit,
        section="merchants",
        shop=MerchantOut.of(row),
        owner_id=row.owner_id,
        people=_people(session, {row.owner_id}),
        staff=staff,
        banks=market.count_banks(session, row.id),
        standing=standing,
        lines=lines,
        of=of,
        statements=Statement,
        points=[point("shop", row, row.name)],
    )


# -- banks -----------------------------------------------------------------------------------------


@router.api_route("/operator/banks", methods=READ)
def banks(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    holder: str = "",
    batch: str = "",
    recalled: bool = False,
    merchant_id: str = "",
    bank: str = "",
    after: str = "",
) -> Response:
    """List all banks, or one; recall a batch of them."""
    visit = Visit.of(session, who)
    wanted = bank.strip().upper()
    chosen = _chosen(Holder, holder)
    if wanted:
        items, more = _one_bank(session, wanted, now=now), None
    else:
        found = bank_api.banks(
            session=session,
            _who=who,
            now=now,
            merchant_id=merchant_id or None,
            batch=batch.strip() or None,
            holder=chosen,
            recalled=True if recalled else None,
            after=after,
            limit=_PAGE,
        )
        items, more = found.items, found.next
    filtered = {
        "holder": chosen,
        "batch": batch.strip(),
        "recalled": "true" if recalled else None,
        "merchant_id": merchant_id,
        "bank": wanted,
    }
    return _page(
        request,
        "banks",
        visit=visit,
        section="banks",
        filtered=filtered,
        banks=items,
        more=_query(**filtered, after=more) if more else None,
        merchants=queries.merchants_of(session, {each.merchant_id for each in items}),
        people=_people(session, {each.holder_id for each in items}),
        moves=market.moves(session, wanted, limit=BANK_MOVES_SHOWN) if wanted and items else [],
        H=Holder,
    )


def _one_bank(session: DbSession, bank_id: str, *, now: datetime) -> list[bank_api.AnyBankOut]:
    row = market.find_bank(session, bank_id)
    return (
        [] if row is None else [bank_api.AnyBankOut.seen(row, seam.seen(session, row.id), now=now)]
    )


# -- people ------------------------------------------------------------------------------------


@router.api_route("/operator/people", methods=READ)
def people(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    find: str = "",
    suspended: bool = False,
    after: str = "",
) -> Response:
    """Find somebody by their phone; suspend, put right, forget."""
    visit = Visit.of(session, who)
    phone = as_number(find)
    is_phone = phone is not None or not find.strip()
    found = people_api.people(
        session=session,
        _who=who,
        phone=phone,
        suspended=True if suspended else None,
        after=after,
        limit=_PAGE,
    )
    filtered = {"find": find.strip(), "suspended": "true" if suspended else None}
    return _page(
        request,
        "people",
        visit=visit,
        section="people",
        filtered=filtered,
        is_phone=is_phone,
        people=found.items if is_phone else [],
        more=_query(**filtered, after=found.next) if found.next else None,
        me=who.person_id,
    )


@router.api_route("/operator/people/{person_id}", methods=READ)
def person(
    *, request: Request, person_id: Id, session: DbSession, who: OperatorPrincipal
) -> Response:
    """Show one person.

    Raises:
        Refusal: NOT_FOUND.
    """
    visit = Visit.of(session, who)
    row = queries.people_of(session, [person_id]).get(person_id)
    if row is None:
        raise Refusal(Code.NOT_FOUND)
    return _page(
        request,
        "people",
        visit=visit,
        section="people",
        filtered={"find": "", "suspended": None},
        is_phone=True,
        people=[people_api.PersonOut.of(row)],
        more=None,
        me=who.person_id,
    )


# -- money -------------------------------------------------------------------------------------


@router.api_route("/operator/money", methods=READ)
def money(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    of: str = "",
    state: str = "",
    before: str = "",
    after: str = "",
) -> Response:
    """Show the books, disputes to decide, payments, withdrawals, and what providers say."""
    visit = Visit.of(session, who)
    shown = _chosen(Money, of) or Money.DISPUTES
    told, cursor = _money(session, who, shown, state=state, before=before, after=after)
    return _page(
        request,
        "money",
        visit=visit,
        section="money",
        of=shown,
        parts_=Money,
        state=state,
        balances=overview.balances(session),
        more=_query(of=shown, state=state, **cursor) if cursor else None,
        **{"disputes": [], "withdrawals": [], "payments": [], "breaks": [], "look": None, **told},
        merchants=queries.merchants_of(session, _merchants_in(told)),
        D=DisputeState,
        P=PaymentState,
        W=WithdrawalState,
    )


def _money(
    session: DbSession,
    who: OperatorPrincipal,
    shown: Money,
    *,
    state: str,
    before: str,
    after: str,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read one part of the money page, and where the next page of it begins."""
    if shown is Money.DISPUTES:
        is_all = state == "all"
        disputed = rental_api.every_dispute(
            session=session,
            _who=who,
            state=None if is_all else _chosen(DisputeState, state) or DisputeState.OPEN,
            after=after,
            limit=_PAGE,
        )
        return {"disputes": disputed.items}, _from("after", disputed.next)
    if shown is Money.WITHDRAWALS:
        one = _chosen(WithdrawalState, state)
        taken = money_api.withdrawals(
            session=session,
            _who=who,
            state=[] if one is None else [one],
            before=before or None,
            limit=_PAGE,
        )
        return {"withdrawals": taken.items}, _from("before", taken.next)
    if shown is Money.PAYMENTS:
        which = _chosen(PaymentState, state)
        paid = rental_api.payments(
            session=session,
            _who=who,
            state=[] if which is None else [which],
            before=before or None,
            limit=_PAGE,
        )
        return {"payments": paid.items}, _from("before", paid.next)
    broken = money_api.breaks(
        session=session, _who=who, resolved=state == "resolved", after=after, limit=_PAGE
    )
    told = {"breaks": broken.items, "look": broken.newest_look}
    return told, _from("after", broken.next)


def _from(name: str, cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {name: cursor}


def _merchants_in(told: dict[str, Any]) -> set[str]:
    found = [*told.get("disputes", []), *told.get("withdrawals", [])]
    return {each.merchant_id for each in found}


# -- dead letters, audit -----------------------------------------------------------------------


@router.api_route("/operator/letters", methods=READ)
def letters(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    closed: bool = False,
    before: str = "",
) -> Response:
    """Show banks' messages that were not believed, and why."""
    visit = Visit.of(session, who)
    found = letter_api.page(
        session=session, _who=who, closed=closed, before=before or None, limit=_PAGE
    )
    kept = "true" if closed else None
    return _page(
        request,
        "letters",
        visit=visit,
        section="letters",
        closed=closed,
        letters=found.items,
        older=_query(closed=kept, before=found.next) if found.next else None,
    )


@router.api_route("/operator/audit", methods=READ)
def audit(
    *,
    request: Request,
    session: DbSession,
    who: OperatorPrincipal,
    subject: str = "",
    subject_id: str = "",
    by_id: str = "",
    before: str = "",
) -> Response:
    """Show who changed what, from what, to what, and why."""
    visit = Visit.of(session, who)
    found = trace_api.changes(
        session=session,
        _who=who,
        subject=subject or None,
        subject_id=subject_id.strip() or None,
        by_id=by_id or None,
        before=before or None,
        limit=_PAGE,
    )
    filtered = {"subject": subject, "subject_id": subject_id.strip(), "by_id": by_id}
    return _page(
        request,
        "audit",
        visit=visit,
        section="audit",
        filtered=filtered,
        changes=found.items,
        people=_people(session, {each.by_id for each in found.items}),
        older=_query(**filtered, before=found.next) if found.next else None,
    )
