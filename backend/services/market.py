"""Merchants: registering and being approved, and what they bring: banks, prices, staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlmodel import Session

from backend.db import audit, market, people, seam
from backend.db.notifications import notify
from backend.db.tables.market import (
    BankRow,
    MerchantRow,
    MerchantStatus,
    StaffRow,
    TariffRow,
)
from backend.domain import tariff
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.domain.money import Currency
from backend.ids import new_id, new_token
from backend.limits import BANKS_PER_MERCHANT_MAX, COMMISSION_BP
from backend.principal import Principal
from backend.services import availability, steps
from backend.services.availability import Looked

# -- merchants -------------------------------------------------------------------------


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
        service_radius_m=service_radius_m,
        commission_bp=COMMISSION_BP,
        created_at=now,
    )
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


def mine(session: Session, *, who: Principal) -> Sequence[MerchantRow]:
    """List the merchants that this person owns."""
    return market.merchants_of(session, who.person_id)


def everybody(
    session: Session, *, status: MerchantStatus | None, after: str, limit: int
) -> Sequence[MerchantRow]:
    """List all merchants, for the operator."""
    return market.merchants(session, status=status, after=after, limit=limit)


# -- tariffs and staff -----------------------------------------------------------------


def set_tariff(
    session: Session, *, who: Principal, merchant_id: str, terms: tariff.Terms, now: datetime
) -> TariffRow:
    """Put a new version of the price in force, for rentals asked for from now on.

    Raises:
        Refusal: NOT_FOUND; BAD_TARIFF with every problem the linter finds.
    """
    merchant = own(session, who, merchant_id)
    newest = market.tariff(session, merchant.id)
    row = TariffRow(
        id=new_id(),
        merchant_id=merchant.id,
        version=1 if newest is None else newest.version + 1,
        terms=tariff.to_json(tariff.check(terms)),
        created_at=now,
        created_by=who.person_id,
    )
    session.add(row)
    return row


def tariffs(session: Session, *, who: Principal, merchant_id: str) -> Sequence[TariffRow]:
    """List all versions of a merchant's price, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    return market.tariffs(session, own(session, who, merchant_id).id)


def staff(session: Session, *, who: Principal, merchant_id: str) -> Sequence[StaffRow]:
    """List who works for a merchant now.

    Raises:
        Refusal: NOT_FOUND.
    """
    return market.staff(session, own(session, who, merchant_id).id)


def hire(
    session: Session, *, who: Principal, merchant_id: str, phone: str, name: str, now: datetime
) -> StaffRow:
    """Have somebody, by their phone, deliver and collect for this merchant.

    Raises:
        Refusal: NOT_FOUND, STAFF_ALREADY_HIRED.
    """
    merchant = own(session, who, merchant_id)
    person = people.person_for_phone(session, phone=phone, new_id=new_id(), now=now)
    if merchant.id in market.employers(session, person.id):
        raise Refusal(Code.STAFF_ALREADY_HIRED)
    row = StaffRow(
        id=new_id(), merchant_id=merchant.id, person_id=person.id, name=name, joined_at=now
    )
    session.add(row)
    data = {"merchant_id": merchant.id, "name": merchant.name}
    notify(session, person_ids=[person.id], kind="staff.hired", data=data, now=now)
    return row


# -- banks -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A bank, and the secret that it connects with: shown this once."""

    bank: BankRow
    secret: str


def register_bank(
    session: Session, *, who: Principal, merchant_id: str, bank_id: str, model: str, now: datetime
) -> Registered:
    """Report a bank onto the platform, with a credential of its own to connect with.

    Raises:
        Refusal: NOT_FOUND, MERCHANT_NOT_APPROVED, BANK_ALREADY_REGISTERED.
    """
    merchant = own(session, who, merchant_id)
    if merchant.status is not MerchantStatus.APPROVED:
        raise Refusal(Code.MERCHANT_NOT_APPROVED)
    if market.find_bank(session, bank_id) is not None:
        raise Refusal(Code.BANK_ALREADY_REGISTERED, bank=bank_id)
    if market.count_banks(session, merchant.id) >= BANKS_PER_MERCHANT_MAX:
        raise Refusal(Code.TOO_LARGE)
    bank = BankRow(
        id=bank_id,
        merchant_id=merchant.id,
        model=model,
        qr_token=new_token(),
        holder=Holder.MERCHANT,
        held_since=now,
        is_offered=True,
        created_at=now,
    )
    session.add(bank)
    return Registered(bank=bank, secret=seam.issue_secret(session, bank_id, now=now))


def rotate_secret(
    session: Session, *, who: Principal, merchant_id: str, bank_id: str, now: datetime
) -> Registered:
    """Give a bank a new secret: the old one ends at once.

    Raises:
        Refusal: NOT_FOUND.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    return Registered(bank=bank, secret=seam.rotate_secret(session, bank_id, now=now))


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


def receive(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    reason: str,
    now: datetime,
) -> BankRow:
    """Take a bank back from staff, in the merchant's own word, and put it up for rent again.

    Raises:
        Refusal: NOT_FOUND; WRONG_HANDS if it is not with staff.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    if bank.holder is not Holder.STAFF or market.reserved(session, [bank.id]):
        raise Refusal(Code.WRONG_HANDS, giver=bank.holder, taker=Holder.MERCHANT)
    steps.pass_bank(
        session,
        bank,
        taker=Holder.MERCHANT,
        taker_id=None,
        proof=Proof.REASON,
        reason=reason,
        by_id=who.person_id,
        now=now,
        rental_id=None,
        is_offered=True,
    )
    market.bank_is_home(session, bank.id)
    return bank


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """A merchant's banks, and the totals that head the list."""

    banks: Sequence[Looked]
    rentable: int
    rented: int


def stock(session: Session, *, who: Principal, merchant_id: str, now: datetime) -> Stock:
    """List the banks of a merchant, each with its shadow and what speaks against it.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    banks = availability.look_at_all(session, merchant, market.banks(session, merchant.id), now=now)
    return Stock(
        banks=banks,
        rentable=sum(not looked.why_not for looked in banks),
        rented=sum(looked.bank.holder is Holder.RENTER for looked in banks),
    )
