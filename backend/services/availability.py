"""Whether a bank can be rented now, from what the database knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from backend.db import market, people, rentals, seam
from backend.db.seam import Seen
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus
from backend.domain.errors import Code, Refusal
from backend.domain.geo import Point, distance_m
from backend.domain.hours import is_open_at
from backend.domain.precheck import MIN_BATTERY_PCT, UNFIT, Facts, WhyNot, precheck
from backend.domain.tariff import Terms, from_json
from backend.limits import OPEN_RENTALS_MAX

MIN_FEEDING_PCT = 10
"""Below this a bank that is already out will not feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A bank with its shadow, and every reason against renting it now."""

    bank: BankRow
    seen: Seen | None
    why_not: tuple[WhyNot, ...]


def look_at_all(
    session: Session, of: MerchantRow, banks: Sequence[BankRow], *, now: datetime
) -> list[Looked]:
    """Look at banks of one merchant, for nobody in particular."""
    ids = [bank.id for bank in banks]
    shadows = seam.seen_all(session, ids)
    reserved = market.reserved(session, ids)
    terms = _terms(session, of)
    return [
        Looked(
            bank=bank,
            seen=shadows.get(bank.id),
            why_not=precheck(
                _facts(
                    bank,
                    of,
                    shadows.get(bank.id),
                    is_reserved=bank.id in reserved,
                    now=now,
                    **_asked(terms),
                )
            ),
        )
        for bank in banks
    ]


def look_at(
    session: Session, bank: BankRow, *, asker_id: str | None, here: Point | None, now: datetime
) -> Looked:
    """Look at one bank for one person, who may have said where they are."""
    of = market.merchant(session, bank.merchant_id)
    seen = seam.seen(session, bank.id)
    facts = _facts(
        bank,
        of,
        seen,
        is_reserved=bool(market.reserved(session, [bank.id])),
        now=now,
        distance=None if here is None else distance_m(here, Point(lat=of.lat, lng=of.lng)),
        **_asked(_terms(session, of)),
    )
    if asker_id is not None:
        facts = _for(session, asker_id, facts)
    return Looked(bank=bank, seen=seen, why_not=precheck(facts))


def must_be_fit(session: Session, bank: BankRow, *, min_battery_pct: int, now: datetime) -> None:
    """See that a bank which is out can do its work: heard lately, charged, and sound.

    Raises:
        Refusal: BANK_UNAVAILABLE, with the reasons.
    """
    of = market.merchant(session, bank.merchant_id)
    facts = _facts(
        bank,
        of,
        seam.seen(session, bank.id),
        has_tariff=True,
        is_reserved=True,
        now=now,
        min_battery_pct=min_battery_pct,
    )
    refuse([why for why in precheck(facts) if why in UNFIT])


def must_feed(session: Session, bank_id: str, *, now: datetime) -> None:
    """See that a bank which is with its renter could start now.

    Raises:
        Refusal: BANK_UNAVAILABLE, with the reasons.
    """
    bank = market.bank(session, bank_id)
    must_be_fit(session, bank, min_battery_pct=MIN_FEEDING_PCT, now=now)


def is_sound(session: Session, bank: BankRow) -> bool:
    """Whether nothing about a bank that comes home has to be looked into by its merchant."""
    seen = seam.seen(session, bank.id)
    return not (bank.is_to_inspect or bank.is_recalled or _is_faulty(seen))


def _is_faulty(seen: Seen | None) -> bool:
    return seen is not None and (bool(seen.faults) or seen.lock == "jammed")


def refuse(why_not: Sequence[WhyNot]) -> None:
    """Refuse if there is any reason against.

    Raises:
        Refusal: BANK_UNAVAILABLE, with the reasons.
    """
    if why_not:
        raise Refusal(Code.BANK_UNAVAILABLE, why=",".join(why_not))


def _terms(session: Session, of: MerchantRow) -> Terms | None:
    price = market.tariff(session, of.id)
    return None if price is None else from_json(price.terms)


def _asked(terms: Terms | None) -> dict[str, Any]:
    """What a tariff asks of a bank."""
    if terms is None:
        return {"has_tariff": False}
    return {"has_tariff": True, "min_battery_pct": terms.min_battery_pct}


def _for(session: Session, asker_id: str, facts: Facts) -> Facts:
    """Add what speaks against who asks."""
    asker = people.person(session, asker_id)
    return replace(
        facts,
        has_unpaid_bill=rentals.owes(session, asker_id),
        has_too_many=rentals.count_open(session, asker_id) >= OPEN_RENTALS_MAX,
        is_suspended=asker is not None and asker.suspended_at is not None,
    )


def _facts(
    bank: BankRow,
    of: MerchantRow,
    seen: Seen | None,
    *,
    has_tariff: bool,
    is_reserved: bool,
    now: datetime,
    distance: int | None = None,
    min_battery_pct: int = MIN_BATTERY_PCT,
) -> Facts:
    return Facts(
        is_recalled=bank.is_recalled,
        is_approved=of.status is MerchantStatus.APPROVED,
        has_tariff=has_tariff,
        holder=bank.holder,
        is_offered=bank.is_offered,
        is_reserved=is_reserved,
        is_open=of.is_open and is_open_at(of.hours, of.timezone, now),
        distance_m=distance,
        service_radius_m=of.service_radius_m,
        is_online=seen is not None and seen.presence != "offline",
        battery_pct=None if seen is None else seen.battery_pct,
        battery_age_s=None if seen is None else int((now - seen.state_at).total_seconds()),
        has_fault=_is_faulty(seen),
        has_unpaid_bill=False,
        min_battery_pct=min_battery_pct,
    )
