"""The renter's use cases until the bank feeds: look, ask, call off, scan; and what all are shown.

How a bank comes back is ``returns``; one that is broken, ``swaps``; one that stays, ``purchases``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from backend.db import market, money, people, rentals, seam
from backend.db.engine import alone
from backend.db.seam import Seen
from backend.db.tables.market import BankRow, MerchantRow
from backend.db.tables.money import DepositRow, PaymentRow, Purpose
from backend.db.tables.rentals import OCCUPYING, RentalRow, RentalStepRow
from backend.domain import tariff
from backend.domain.cancellation import CancelFee, cancel_fee, check_seen
from backend.domain.custody import Proof
from backend.domain.errors import Code, Refusal
from backend.domain.geo import Point
from backend.domain.handover import CODE_DIGITS, check_scan
from backend.domain.lang import Lang
from backend.domain.money import Minor
from backend.domain.overdue import OUT, is_missing
from backend.domain.precheck import WhyNot
from backend.domain.rental import MerchantList, RentalEvent, RentalState, Stage, step
from backend.ids import new_digits, new_id
from backend.principal import Principal
from backend.services import availability, billing, dispatch
from backend.services.places import Place
from backend.services.steps import advance, announce, hear

# -- before -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a scanned label leads to."""

    bank: BankRow
    merchant: MerchantRow
    seen: Seen | None
    terms: tariff.Terms | None
    """None: there is no tariff."""
    why_not: tuple[WhyNot, ...]
    """Empty: it can be rented now."""


def look(
    session: Session, *, qr_token: str, asker_id: str | None, here: Point | None, now: datetime
) -> Offer:
    """Say what the bank with this label is, what it costs, and why it cannot be rented now.

    Raises:
        Refusal: NOT_FOUND.
    """
    bank = _by_label(session, qr_token)
    looked = availability.look_at(session, bank, asker_id=asker_id, here=here, now=now)
    price = market.tariff(session, bank.merchant_id)
    return Offer(
        bank=bank,
        merchant=market.merchant(session, bank.merchant_id),
        seen=looked.seen,
        terms=None if price is None else tariff.from_json(price.terms),
        why_not=looked.why_not,
    )


def _by_label(session: Session, qr_token: str) -> BankRow:
    bank = market.bank_by_token(session, qr_token)
    if bank is None:
        raise Refusal(Code.NOT_FOUND)
    return bank


def ask(
    session: Session, *, who: Principal, qr_token: str, place: Place, now: datetime
) -> RentalRow:
    """Ask for the bank with this label to be brought here; its merchant's people hear at once.

    Raises:
        Refusal: NOT_FOUND; BANK_UNAVAILABLE with the reasons; ALREADY_TAKEN if another
            renter was quicker by a moment.
    """
    bank = _by_label(session, qr_token)
    alone(session, f"renter:{who.person_id}")  # or of many wishes at once each were the first
    market.lock_bank(session, bank.id)
    here = Point(lat=place.lat, lng=place.lng)
    looked = availability.look_at(session, bank, asker_id=who.person_id, here=here, now=now)
    availability.refuse(looked.why_not)
    price = market.tariff(session, bank.merchant_id)
    if price is None:
        raise Refusal(Code.BANK_UNAVAILABLE, why=WhyNot.NO_TARIFF)
    rental = RentalRow(
        id=new_id(),
        renter_id=who.person_id,
        merchant_id=bank.merchant_id,
        bank_id=bank.id,
        tariff_id=price.id,
        terms=price.terms,
        commission_bp=market.merchant(session, bank.merchant_id).commission_bp,
        state=RentalState.REQUESTED,
        requested_at=now,
        lat=place.lat,
        lng=place.lng,
        address=place.address,
        code=new_digits(CODE_DIGITS),
    )
    order(session, rental, now=now)
    return rental


def order(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Have a new rental's bank brought; its merchant's people hear at once.

    Raises:
        Refusal: ALREADY_TAKEN if another renter was quicker by a moment.
    """
    try:
        with session.begin_nested():
            session.add(rental)
    except IntegrityError as taken:  # the database lets one rental have a bank
        raise Refusal(Code.ALREADY_TAKEN) from taken
    dispatch.begin_delivery(session, rental, now=now)
    announce(session, rental, now=now)


def cancel(
    session: Session, *, who: Principal, rental_id: str, seen_minor: Minor, now: datetime
) -> RentalRow:
    """Call a rental off before it is handed over, for the fee that its renter saw at the most.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE once it was handed over; CANCEL_COSTS if it costs more.
    """
    rental = own_locked(session, who, rental_id)
    fee = cancel_fee_of(rental, now=now)
    if fee is None:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.CANCEL)
    with billing.in_money_of(rental):
        check_seen(fee, seen_minor=seen_minor)
    by_id, evidence = who.person_id, fee.stage
    call_off(session, rental, fee, why="cancelled", by_id=by_id, evidence=evidence, now=now)
    return rental


def call_off(
    session: Session,
    rental: RentalRow,
    fee: CancelFee,
    *,
    why: str,
    by_id: str,
    evidence: str,
    now: datetime,
    proof: Proof | None = None,
) -> None:
    """End a delivery before it is handed over, for this fee.

    Args:
        session: a writing transaction.
        rental: the rental.
        fee: what that costs.
        why: what is noted of its jobs.
        by_id: who ends it.
        evidence: what that rests on.
        now: the time.
        proof: ``REASON`` if ``evidence`` is what somebody said, who is not the renter.
    """
    dispatch.end_jobs(session, rental, why=why, now=now)
    by: dict[str, Any] = {
        "by_id": by_id,
        "proof": proof,
        "evidence": evidence,
        "cancelled_at": now,
    }
    if fee.fee_minor == 0:
        advance(session, rental, RentalEvent.CANCEL, now=now, closed_at=now, **by)
        return
    price = tariff.cancelled(fee.fee_minor)
    billing.bill(session, rental, RentalEvent.CANCEL_FOR_FEE, price=price, end=now, now=now, **by)
    data = {"rental_id": rental.id, "fee_minor": fee.fee_minor}
    hear(session, rental, kind="rental.cancelled", data=data, now=now)


def cancel_fee_of(rental: RentalRow, *, now: datetime) -> CancelFee | None:
    """What calling this rental off costs, or cost then; None: it can not be called off any more."""
    is_late = rental.promised_at is not None and now > rental.promised_at
    is_excused = (
        is_late
        or (rental.abnormal_at is not None and rental.abnormal_at <= now)
        or rental.attempt > 1
        or rental.replaces_id is not None
    )
    return cancel_fee(billing.terms_of(rental), rental.state, is_excused=is_excused)


def renew_code(session: Session, *, who: Principal, rental_id: str) -> RentalRow:
    """Make a new handover code; the old one, and the tries at it, are gone.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE once there is nothing to hand over.
    """
    rental = own_locked(session, who, rental_id)
    if rental.state not in dispatch.BEFORE_THE_DOOR:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event="renew_code")
    rental.code = new_digits(CODE_DIGITS)
    rental.code_tries = 0
    session.add(rental)
    return rental


# -- at the door --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositNotice:
    """What a renter has to accept before the bank feeds."""

    rental: RentalRow
    terms: tariff.Terms
    disclosure: str
    disclosure_sha256: str


def scan(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    qr_token: str,
    lang: Lang,
    now: datetime,
) -> DepositNotice:
    """Answer the scan-to-charge of the delivered bank with a deposit notice.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; WRONG_BANK if it is another bank's label;
            BANK_UNAVAILABLE if this one would not start.
    """
    rental = own_locked(session, who, rental_id)
    step(rental.state, RentalEvent.SCAN)
    check_label(session, expected=rental.bank_id, qr_token=qr_token)
    availability.must_feed(session, rental.bank_id, now=now)
    terms = billing.terms_of(rental)
    if not advance(session, rental, RentalEvent.SCAN, now=now, by_id=who.person_id, scanned_at=now):
        hear(session, rental, kind="deposit.notice", data={"rental_id": rental.id}, now=now)
    words, seal = _disclose(session, rental, terms, lang)
    return DepositNotice(rental=rental, terms=terms, disclosure=words, disclosure_sha256=seal)


def _disclose(
    session: Session, rental: RentalRow, terms: tariff.Terms, lang: Lang
) -> tuple[str, str]:
    """The words to accept, and their seal; those accepted, while the payment they led to lives."""
    is_accepted = money.live_payment(session, rental.id, Purpose.DEPOSIT) is not None
    if is_accepted and rental.disclosure is not None and rental.disclosure_sha256 is not None:
        return rental.disclosure, rental.disclosure_sha256
    words = tariff.disclosure(terms, lang)
    rental.disclosure, rental.disclosed_at = words, None
    rental.disclosure_sha256 = seal = hashlib.sha256(words.encode()).hexdigest()
    session.add(rental)
    return words, seal


def check_label(session: Session, *, expected: str, qr_token: str) -> None:
    """See that a scanned label is this bank's.

    Raises:
        Refusal: WRONG_BANK, which says so.
    """
    scanned = market.bank_by_token(session, qr_token)
    check_scan(expected=expected, scanned="?" if scanned is None else scanned.id)


# -- looking ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalView:
    """A rental with all that its people are shown of it."""

    rental: RentalRow
    terms: tariff.Terms
    bank: BankRow
    seen: Seen | None
    merchant: MerchantRow
    staff_name: str | None
    """Who delivers, or delivered."""
    collector_name: str | None
    deposit: DepositRow | None
    payments: Sequence[PaymentRow]
    steps: Sequence[RentalStepRow]
    elapsed_s: int
    """Time billed so far."""
    amount_minor: int
    """The bill, or what it would be now."""
    lines: list[dict[str, object]]
    buy_out_minor: Minor
    """What keeping the bank costs, the time used included."""
    cancel_fee: CancelFee | None
    """None: it can not be called off any more."""
    is_missing: bool
    """Whether the bank is out and was silent for long."""
    given_mwh: int | None
    """What the bank has given to this rental; None before it feeds, and once it is collected."""
    now: datetime

    @property
    def is_final(self) -> bool:
        """Whether the amount is the bill."""
        return self.rental.amount_minor is not None


def own(session: Session, who: Principal, rental_id: str) -> RentalRow:
    """A rental of this renter's own.

    Raises:
        Refusal: NOT_FOUND, also for somebody else's.
    """
    rental = rentals.rented(session, rental_id, renter_id=who.person_id)
    if rental is None:
        raise Refusal(Code.NOT_FOUND)
    return rental


def own_locked(session: Session, who: Principal, rental_id: str) -> RentalRow:
    """A rental of this renter's own, to change it: nobody else does until we are done.

    Raises:
        Refusal: NOT_FOUND, also for somebody else's.
    """
    return rentals.rental(session, own(session, who, rental_id).id)


def find(session: Session, rental_id: str) -> RentalRow:
    """A rental of anybody's, for an operator to look at.

    Raises:
        Refusal: NOT_FOUND.
    """
    rental = rentals.find(session, rental_id)
    if rental is None:
        raise Refusal(Code.NOT_FOUND)
    return rental


def find_locked(session: Session, rental_id: str) -> RentalRow:
    """A rental of anybody's, for an operator to change it: nobody else does until we are done.

    Raises:
        Refusal: NOT_FOUND.
    """
    return rentals.rental(session, find(session, rental_id).id)


def of_merchant(session: Session, who: Principal, *, merchant_id: str, rental_id: str) -> RentalRow:
    """A rental of this person's merchant, to change it.

    Raises:
        Refusal: NOT_FOUND, also for somebody else's.
    """
    owned = market.owned_merchant(session, merchant_id, owner_id=who.person_id)
    rental = rentals.rented_from(session, rental_id, merchant_id=merchant_id)
    if owned is None or rental is None:
        raise Refusal(Code.NOT_FOUND)
    return rentals.rental(session, rental.id)


def one(session: Session, *, who: Principal, rental_id: str, now: datetime) -> RentalView:
    """Show a renter one rental.

    Raises:
        Refusal: NOT_FOUND.
    """
    return view(session, own(session, who, rental_id), now=now)


def mine(
    session: Session,
    *,
    who: Principal,
    stage: Stage | None,
    before: str | None,
    limit: int,
    now: datetime,
) -> list[RentalView]:
    """Show a renter their rentals of a stage, newest first."""
    found = rentals.rentals_of(session, who.person_id, stage=stage, before=before, limit=limit)
    return [view(session, rental, now=now) for rental in found]


def at_merchant(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    which: MerchantList | None,
    before: str | None,
    limit: int,
    now: datetime,
) -> list[RentalView]:
    """Show a merchant its rentals in a list, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    if market.owned_merchant(session, merchant_id, owner_id=who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    found = rentals.rentals_at(session, merchant_id, which=which, before=before, limit=limit)
    return [view(session, rental, now=now) for rental in found]


def one_at_merchant(
    session: Session, *, who: Principal, merchant_id: str, rental_id: str, now: datetime
) -> RentalView:
    """Show a merchant one of its rentals.

    Raises:
        Refusal: NOT_FOUND.
    """
    rental = rentals.rented_from(session, rental_id, merchant_id=merchant_id)
    owned = market.owned_merchant(session, merchant_id, owner_id=who.person_id)
    if rental is None or owned is None:
        raise Refusal(Code.NOT_FOUND)
    return view(session, rental, now=now)


def view(session: Session, rental: RentalRow, *, now: datetime) -> RentalView:
    """Put together what is shown of a rental."""
    seen = seam.seen(session, rental.bank_id)
    return RentalView(
        rental=rental,
        terms=billing.terms_of(rental),
        bank=market.bank(session, rental.bank_id),
        seen=seen,
        merchant=market.merchant(session, rental.merchant_id),
        staff_name=name_of(session, rental, rental.staff_id),
        collector_name=name_of(session, rental, rental.collector_id),
        deposit=money.deposit(session, rental.id),
        payments=money.payments(session, rental.id),
        steps=rentals.steps(session, rental.id),
        elapsed_s=billing.price_at(rental, now=now).elapsed_s,
        amount_minor=billing.amount_of(rental, now=now),
        lines=billing.lines_of(rental, now=now),
        buy_out_minor=billing.bought(rental, at=now).total_minor,
        cancel_fee=cancel_fee_of(rental, now=now),
        is_missing=_is_missing(rental, seen, now=now),
        given_mwh=_given_mwh(session, rental, seen),
        now=now,
    )


def _given_mwh(session: Session, rental: RentalRow, seen: Seen | None) -> int | None:
    if seen is None or rental.confirmed_at is None or rental.state not in OCCUPYING:
        return None
    before = seam.energy_when_fed(session, rental.bank_id, until=rental.confirmed_at)
    return None if before is None else max(0, seen.energy_mwh - before)


def name_of(session: Session, rental: RentalRow, person_id: str | None) -> str | None:
    """What the merchant's people call who brings or fetches a bank; an owner has a name too."""
    if person_id is None:
        return None
    named = market.staff_names(session, rental.merchant_id).get(person_id)
    shop = market.merchant(session, rental.merchant_id)
    if named or person_id != shop.owner_id:
        return named
    owner = people.person(session, person_id)
    return (owner.name if owner is not None else "") or shop.name


def _is_missing(rental: RentalRow, seen: Seen | None, *, now: datetime) -> bool:
    return rental.state in OUT and is_missing(None if seen is None else seen.heard_at, now=now)
