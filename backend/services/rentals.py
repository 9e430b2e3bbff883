"""The renter's use cases: look at a bank, ask for it, scan it, give it back."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from backend.db import market, money, rentals, seam
from backend.db.seam import Seen
from backend.db.tables.market import BankRow, MerchantRow
from backend.db.tables.money import DepositRow, PaymentRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow, RentalStepRow
from backend.domain import tariff
from backend.domain.errors import Code, Refusal
from backend.domain.geo import Point
from backend.domain.handover import CODE_DIGITS, check_scan
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.domain.rental import CLOSED, RentalEvent, RentalState, step
from backend.ids import new_digits, new_id
from backend.limits import COMMAND_EXPIRY_S
from backend.principal import Principal
from backend.services import availability, billing
from backend.services.steps import advance, announce, hear


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to bring a bank, or to fetch it: WGS-84, and in words."""

    lat: float
    lng: float
    address: str


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
    _insert(session, rental)
    open_job(session, rental, JobKind.DELIVERY, place=place, now=now)
    announce(session, rental, now=now)
    return rental


def _insert(session: Session, rental: RentalRow) -> None:
    try:
        with session.begin_nested():
            session.add(rental)
    except IntegrityError as taken:  # the database lets one rental have a bank
        raise Refusal(Code.ALREADY_TAKEN) from taken


def open_job(
    session: Session, rental: RentalRow, kind: JobKind, *, place: Place, now: datetime
) -> None:
    """Have staff asked to deliver or to collect."""
    session.add(
        JobRow(
            id=new_id(),
            rental_id=rental.id,
            merchant_id=rental.merchant_id,
            bank_id=rental.bank_id,
            kind=kind,
            state=JobState.OPEN,
            lat=place.lat,
            lng=place.lng,
            address=place.address,
            created_at=now,
        )
    )


def cancel(session: Session, *, who: Principal, rental_id: str, now: datetime) -> RentalRow:
    """Call a rental off before it is handed over.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE once it was handed over.
    """
    rental = own(session, who, rental_id)
    job = rentals.open_job(session, rental.id, JobKind.DELIVERY)
    advance(session, rental, RentalEvent.CANCEL, now=now, by_id=who.person_id, closed_at=now)
    if job is not None:
        old = (JobState.OPEN, JobState.ACCEPTED, JobState.UNDER_WAY)
        rentals.move_job(session, job.id, old=old, new=JobState.CANCELLED, done_at=now)
    return rental


def renew_code(session: Session, *, who: Principal, rental_id: str) -> RentalRow:
    """Make a new handover code; the old one, and the tries at it, are gone.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE once there is nothing to hand over.
    """
    rental = own(session, who, rental_id)
    if rental.handed_over_at is not None or rental.state in CLOSED:
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
    rental = own(session, who, rental_id)
    step(rental.state, RentalEvent.SCAN)
    check_label(session, expected=rental.bank_id, qr_token=qr_token)
    availability.must_feed(session, rental.bank_id, now=now)
    terms = billing.terms_of(rental)
    words = tariff.disclosure(terms, lang)
    seal = hashlib.sha256(words.encode()).hexdigest()
    if not advance(session, rental, RentalEvent.SCAN, now=now, by_id=who.person_id, scanned_at=now):
        hear(session, rental, kind="deposit.notice", data={"rental_id": rental.id}, now=now)
    rental.disclosure, rental.disclosure_sha256 = words, seal
    session.add(rental)
    return DepositNotice(rental=rental, terms=terms, disclosure=words, disclosure_sha256=seal)


def check_label(session: Session, *, expected: str, qr_token: str) -> None:
    """See that a scanned label is this bank's.

    Raises:
        Refusal: WRONG_BANK, which says so.
    """
    scanned = market.bank_by_token(session, qr_token)
    check_scan(expected=expected, scanned="?" if scanned is None else scanned.id)


# -- giving back --------------------------------------------------------------------------


def ask_return(
    session: Session, *, who: Principal, rental_id: str, place: Place, now: datetime
) -> RentalRow:
    """Ask for the bank to be fetched here. The meter stops now, and the bank is told to stop.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE.
    """
    rental = own(session, who, rental_id)
    moved = advance(
        session,
        rental,
        RentalEvent.REQUEST_RETURN,
        now=now,
        by_id=who.person_id,
        return_requested_at=now,
        return_lat=place.lat,
        return_lng=place.lng,
        return_address=place.address,
    )
    if moved:
        open_job(session, rental, JobKind.COLLECTION, place=place, now=now)
        stop_feeding(session, rental, now=now)
        if rental.deposit_held_at is None:
            billing.release_deposit(session, rental, now=now)
    return rental


def stop_feeding(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Have the bank stop and lock, if it feeds."""
    seen = seam.seen(session, rental.bank_id)
    if seen is not None and seen.is_feeding:
        seam.order(
            session,
            id_=new_id(),
            bank_id=rental.bank_id,
            kind="charge_stop",
            cause=rental.id,
            now=now,
            expiry_s=COMMAND_EXPIRY_S,
        )


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


def one(session: Session, *, who: Principal, rental_id: str, now: datetime) -> RentalView:
    """Show a renter one rental.

    Raises:
        Refusal: NOT_FOUND.
    """
    return view(session, own(session, who, rental_id), now=now)


def mine(
    session: Session, *, who: Principal, before: str | None, limit: int, now: datetime
) -> list[RentalView]:
    """Show a renter their rentals, newest first."""
    found = rentals.rentals_of(session, who.person_id, before=before, limit=limit)
    return [view(session, rental, now=now) for rental in found]


def at_merchant(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    states: Sequence[RentalState],
    before: str | None,
    limit: int,
    now: datetime,
) -> list[RentalView]:
    """Show a merchant its rentals in these states, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    if market.owned_merchant(session, merchant_id, owner_id=who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    found = rentals.rentals_at(session, merchant_id, states=states, before=before, limit=limit)
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
    names = market.staff_names(session, rental.merchant_id)
    return RentalView(
        rental=rental,
        terms=billing.terms_of(rental),
        bank=market.bank(session, rental.bank_id),
        seen=seam.seen(session, rental.bank_id),
        merchant=market.merchant(session, rental.merchant_id),
        staff_name=names.get(rental.staff_id or ""),
        collector_name=names.get(rental.collector_id or ""),
        deposit=money.deposit(session, rental.id),
        payments=money.payments(session, rental.id),
        steps=rentals.steps(session, rental.id),
        elapsed_s=billing.price_at(rental, now=now).elapsed_s,
        amount_minor=billing.amount_of(rental, now=now),
        lines=billing.lines_of(rental, now=now),
        now=now,
    )
