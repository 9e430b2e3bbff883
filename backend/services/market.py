"""Merchants: registering, being approved, and changing what they said of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlmodel import Session

from backend.db import audit, market, scores
from backend.db.notifications import notify
from backend.db.places import cell_of
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus
from backend.domain.errors import Code, Refusal
from backend.domain.geo import Point
from backend.domain.hours import Hours, to_json
from backend.domain.money import Currency
from backend.ids import new_id
from backend.limits import COMMISSION_BP
from backend.principal import Principal
from backend.services.places import Place


def register(
    session: Session,
    *,
    who: Principal,
    name: str,
    timezone: str,
    currency: str,
    lat: float,
    lng: float,
    address: str,
    service_radius_m: int,
    now: datetime,
) -> MerchantRow:
    """Register a merchant; an operator has to approve it before it can lend.

    Raises:
        Refusal: UNKNOWN_TIMEZONE, UNKNOWN_CURRENCY, MERCHANT_NAME_TAKEN.
    """
    _check_timezone(timezone)
    if market.merchant_name_taken(session, owner_id=who.person_id, name=name):
        raise Refusal(Code.MERCHANT_NAME_TAKEN)
    merchant = MerchantRow(
        id=new_id(),
        owner_id=who.person_id,
        name=name,
        status=MerchantStatus.PENDING,
        timezone=timezone,
        currency=Currency.of(currency),
        lat=lat,
        lng=lng,
        address=address,
        cell=cell_of(Point(lat=lat, lng=lng)),
        service_radius_m=service_radius_m,
        commission_bp=COMMISSION_BP,
        created_at=now,
    )
    session.add(merchant)
    session.flush()
    scores.look_again(session, merchant.id, now=now)
    return merchant


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a merchant says anew of itself; None: as before."""

    name: str | None = None
    place: Place | None = None
    service_radius_m: int | None = None
    hours: Hours | None = None
    is_always_open: bool = False
    """No hours any more. Not the same as being open now, which is ``is_open``."""
    is_open: bool | None = None


def change(session: Session, *, who: Principal, merchant_id: str, changes: Changes) -> MerchantRow:
    """Change what a merchant said of itself, for rentals asked for from now on.

    Raises:
        Refusal: NOT_FOUND, MERCHANT_NAME_TAKEN.
    """
    merchant = own(session, who, merchant_id)
    if changes.name not in {None, merchant.name}:
        if market.merchant_name_taken(session, owner_id=who.person_id, name=changes.name or ""):
            raise Refusal(Code.MERCHANT_NAME_TAKEN)
        merchant.name = changes.name or merchant.name
    if changes.place is not None:
        place = changes.place
        merchant.lat, merchant.lng, merchant.address = place.lat, place.lng, place.address
        merchant.cell = cell_of(place.point)
    if changes.service_radius_m is not None:
        merchant.service_radius_m = changes.service_radius_m
    if changes.is_open is not None:
        merchant.is_open = changes.is_open
    if changes.is_always_open:
        merchant.hours = None
    elif changes.hours is not None:
        merchant.hours = to_json(changes.hours)
    session.add(merchant)
    return merchant


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as wrong:
        raise Refusal(Code.UNKNOWN_TIMEZONE, timezone=name) from wrong


def approve(
    session: Session, *, who: Principal, merchant_id: str, reason: str, now: datetime
) -> MerchantRow:
    """Let a merchant lend: an operator's act, with a trace.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it does not wait for approval.
    """
    merchant = market.find_merchant(session, merchant_id)
    if merchant is None:
        raise Refusal(Code.NOT_FOUND)
    old, new = MerchantStatus.PENDING, MerchantStatus.APPROVED
    if not market.move_merchant(session, merchant_id, old=old, new=new):
        raise Refusal(Code.WRONG_STATE, state=merchant.status, event="approve")
    session.refresh(merchant)
    audit.write(
        session,
        by_id=who.person_id,
        action="merchant.approve",
        subject="merchant",
        subject_id=merchant_id,
        before={"status": old},
        after={"status": new},
        why=reason,
        now=now,
    )
    data = {"merchant_id": merchant_id, "name": merchant.name}
    notify(session, person_ids=[merchant.owner_id], kind="merchant.approved", data=data, now=now)
    return merchant


def own(session: Session, who: Principal, merchant_id: str) -> MerchantRow:
    """A merchant of this person's own.

    Raises:
        Refusal: NOT_FOUND, also for somebody else's.
    """
    merchant = market.owned_merchant(session, merchant_id, owner_id=who.person_id)
    if merchant is None:
        raise Refusal(Code.NOT_FOUND)
    return merchant


def own_bank(session: Session, who: Principal, merchant_id: str, bank_id: str) -> BankRow:
    """A bank of this person's merchant.

    Raises:
        Refusal: NOT_FOUND, also for somebody else's.
    """
    merchant = own(session, who, merchant_id)
    bank = market.find_bank(session, bank_id)
    if bank is None or bank.merchant_id != merchant.id:
        raise Refusal(Code.NOT_FOUND)
    return bank


def mine(session: Session, *, who: Principal) -> Sequence[MerchantRow]:
    """List the merchants that this person owns."""
    return market.merchants_of(session, who.person_id)


def everybody(
    session: Session, *, status: MerchantStatus | None, after: str, limit: int
) -> Sequence[MerchantRow]:
    """List all merchants, for the operator."""
    return market.merchants(session, status=status, after=after, limit=limit)
