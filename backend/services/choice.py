"""Which bank is sent: found in widening rings around the renter, ranked, and explained."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from sqlmodel import Session

from backend.db import dispatch, jobs, scores, shifts
from backend.db.dispatch import Lender
from backend.db.places import rings_around
from backend.db.tables.rentals import JobKind, RentalRow
from backend.domain.dispatch import Candidate, Ranked, rank
from backend.domain.geo import Point, distance_m
from backend.domain.hours import is_open_at
from backend.domain.scoring import UNKNOWN, counted_on_time_bp
from backend.services import billing

ENOUGH: Final = 8
"""So many candidates are a choice: the ring is widened no further."""
AT_ONCE: Final = 16
"""Merchants whose banks are looked at together, the nearest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a bank is looked for."""

    here: Point
    currency: str
    min_battery_pct: int
    rental_id: str | None = None
    """The rental that looks: a bank that is reserved for it is free."""
    not_people: frozenset[str] = frozenset()
    """Who is not to be asked any more."""
    not_banks: frozenset[str] = frozenset()


def wanted_for(
    session: Session,
    rental: RentalRow,
    *,
    not_people: Collection[str] = (),
    not_banks: Collection[str] = (),
) -> Wanted:
    """What is looked for to deliver a rental, by the terms its renter was shown."""
    terms = billing.terms_of(rental)
    return Wanted(
        here=Point(lat=rental.lat, lng=rental.lng),
        currency=terms.currency,
        min_battery_pct=terms.min_battery_pct,
        rental_id=rental.id,
        not_people=jobs.not_again(session, rental.id, JobKind.DELIVERY).union(not_people),
        not_banks=frozenset(not_banks),
    )


def candidates(session: Session, wanted: Wanted, *, now: datetime) -> list[Ranked]:
    """Rank the banks that could be brought, the best first."""
    found: list[Candidate] = []
    for cells in rings_around(wanted.here):
        lenders = dispatch.lenders_in(session, cells, currency=wanted.currency)
        for some in _by_nearness(wanted, lenders, now=now):
            found += _reachable(session, wanted, some, now=now)
            if len(found) >= ENOUGH:
                return rank(found)
    return rank(found)


def _by_nearness(
    wanted: Wanted, lenders: list[Lender], *, now: datetime
) -> Iterator[dict[str, Lender]]:
    """The open merchants that come as far as this, the nearest first, some at a time, by id."""
    away_m = {each.id: distance_m(wanted.here, each.point) for each in lenders}
    close = (
        each
        for each in sorted(lenders, key=lambda each: (away_m[each.id], each.id))
        if away_m[each.id] <= each.service_radius_m and is_open_at(each.hours, each.timezone, now)
    )
    while some := {each.id: each for each in islice(close, AT_ONCE)}:
        yield some


def _reachable(
    session: Session, wanted: Wanted, lenders: Mapping[str, Lender], *, now: datetime
) -> list[Candidate]:
    """Of these merchants, the best bank of each that has one, and somebody to bring it."""
    banks = dispatch.best_banks(
        session,
        lenders,
        min_battery_pct=wanted.min_battery_pct,
        for_rental=wanted.rental_id,
        not_banks=wanted.not_banks,
        now=now,
    )
    owners = {bank.merchant_id: lenders[bank.merchant_id].owner_id for bank in banks}
    people = people_at(session, owners, but=wanted.not_people)
    loads = shifts.loads(session, {each for team in people.values() for each in team})
    records = scores.stored(session, list(people))
    return [
        Candidate(
            bank_id=bank.bank_id,
            merchant_id=bank.merchant_id,
            distance_m=distance_m(wanted.here, lenders[bank.merchant_id].point),
            battery_pct=bank.battery_pct,
            on_time_bp=counted_on_time_bp(records.get(bank.merchant_id, UNKNOWN)),
            load=min(loads.get(each, 0) for each in people[bank.merchant_id]),
        )
        for bank in banks
        if bank.merchant_id in people
    ]


def people_at(
    session: Session, owners: Mapping[str, str], *, but: Collection[str]
) -> dict[str, list[str]]:
    """Who can be asked at these open merchants: those on shift, and then the owner.

    Args:
        session: a transaction.
        owners: the owner of each merchant.
        but: who is not to be asked any more.

    Returns:
        People by merchant; a merchant without any is absent.
    """
    on_shift = shifts.on_shift(session, owners)
    away = frozenset(but) | shifts.suspended(session, set(owners.values()))
    teams = {
        merchant_id: [
            each
            for each in dict.fromkeys((*on_shift.get(merchant_id, ()), owner_id))
            if each not in away
        ]
        for merchant_id, owner_id in owners.items()
    }
    return {merchant_id: team for merchant_id, team in teams.items() if team}


def why(chosen: Ranked) -> str:
    """Write down why this one was chosen."""
    return json.dumps(chosen.explain(), separators=(",", ":"))
