"""A merchant's banks: reported with a secret of their own, offered, held back, looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from backend.db import market, rentals, seam
from backend.db.seam import Sample
from backend.db.tables.market import BankRow, CustodyMoveRow, MerchantRow, MerchantStatus
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.ids import new_token
from backend.limits import BANK_MOVES_SHOWN, BANK_SAMPLES_SHOWN, BANKS_PER_MERCHANT_MAX
from backend.principal import Principal
from backend.services import availability, dispatch, steps
from backend.services.availability import Looked
from backend.services.market import own, own_bank

# -- reporting -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A bank, and the secret that it connects with: shown this once."""

    bank: BankRow
    secret: str


def lender(session: Session, who: Principal, merchant_id: str) -> MerchantRow:
    """A merchant of this person's own that may lend.

    Raises:
        Refusal: NOT_FOUND, MERCHANT_NOT_APPROVED.
    """
    merchant = own(session, who, merchant_id)
    if merchant.status is not MerchantStatus.APPROVED:
        raise Refusal(Code.MERCHANT_NOT_APPROVED)
    return merchant


def register(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    model: str,
    batch: str,
    now: datetime,
) -> Registered:
    """Report a bank onto the platform, with a credential of its own to connect with.

    Raises:
        Refusal: NOT_FOUND, MERCHANT_NOT_APPROVED, BANK_ALREADY_REGISTERED, TOO_LARGE.
    """
    merchant = lender(session, who, merchant_id)
    if market.count_banks(session, merchant.id) >= BANKS_PER_MERCHANT_MAX:
        raise Refusal(Code.TOO_LARGE)
    if market.find_bank(session, bank_id) is not None:
        raise Refusal(Code.BANK_ALREADY_REGISTERED, bank=bank_id)
    (made,) = add(session, merchant, [New(bank_id=bank_id, model=model, batch=batch)], now=now)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A bank to report."""

    bank_id: str
    model: str
    batch: str


def add(
    session: Session, merchant: MerchantRow, banks: Sequence[New], *, now: datetime
) -> list[Registered]:
    """Add banks that nobody has to a merchant that may lend and has room for them.

    Raises:
        Refusal: TRY_AGAIN if somebody was quicker by a moment; then none was added.
    """
    rows = [
        BankRow(
            id=bank.bank_id,
            merchant_id=merchant.id,
            model=bank.model,
            batch=bank.batch,
            qr_token=new_token(),
            holder=Holder.MERCHANT,
            held_since=now,
            is_offered=True,
            created_at=now,
        )
        for bank in banks
    ]
    try:
        with session.begin_nested():
            session.add_all(rows)
    except IntegrityError as taken:
        raise Refusal(Code.TRY_AGAIN, retry_after_s=1) from taken
    secrets = seam.issue_secrets(session, [row.id for row in rows], now=now)
    return [Registered(bank=row, secret=secrets[row.id]) for row in rows]


def rotate_secret(
    session: Session, *, who: Principal, merchant_id: str, bank_id: str, now: datetime
) -> Registered:
    """Give a bank a new secret: the old one ends at once.

    Raises:
        Refusal: NOT_FOUND.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    return Registered(bank=bank, secret=seam.rotate_secret(session, bank_id, now=now))


# -- in and out of the shop ------------------------------------------------------------------


def receive(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    reason: str,
    now: datetime,
) -> BankRow:
    """Take a bank back from staff, in the merchant's own word; if it is sound, it is for rent.

    Raises:
        Refusal: NOT_FOUND; WRONG_HANDS if it is not with staff; BANK_WITH_RENTAL.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    if bank.holder is not Holder.STAFF:
        raise Refusal(Code.WRONG_HANDS, giver=bank.holder, taker=Holder.MERCHANT)
    if market.reserved(session, [bank.id]):
        raise Refusal(Code.BANK_WITH_RENTAL, bank=bank.id)
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
        is_offered=availability.is_sound(session, bank),
    )
    market.bank_is_home(session, bank.id)
    return bank


def offer(session: Session, *, who: Principal, merchant_id: str, bank_id: str) -> BankRow:
    """Put a bank that is at home up for rent.

    Raises:
        Refusal: NOT_FOUND, BANK_RECALLED, BANK_TO_INSPECT, BANK_NOT_AT_HOME.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    if bank.is_recalled:
        raise Refusal(Code.BANK_RECALLED, bank=bank.id)
    if bank.is_to_inspect:
        raise Refusal(Code.BANK_TO_INSPECT, bank=bank.id)
    return _done(session, bank, is_home=market.offer(session, bank.id, is_offered=True))


def withdraw(
    session: Session, *, who: Principal, merchant_id: str, bank_id: str, now: datetime
) -> BankRow:
    """Hold a bank that is at home back; a rental that waits for it is given another.

    Raises:
        Refusal: NOT_FOUND, BANK_NOT_AT_HOME.
    """
    own_bank(session, who, merchant_id, bank_id)
    rentals.lock_renting(session, [bank_id])
    bank = market.lock_bank(session, bank_id)
    if bank.holder is Holder.MERCHANT:
        dispatch.lose_bank(session, bank, now=now)
    return _done(session, bank, is_home=market.offer(session, bank.id, is_offered=False))


def inspected(session: Session, *, who: Principal, merchant_id: str, bank_id: str) -> BankRow:
    """Say that a bank was looked over and is sound: it is for rent again.

    Raises:
        Refusal: NOT_FOUND, BANK_RECALLED, BANK_NOT_AT_HOME.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    if bank.is_recalled:
        raise Refusal(Code.BANK_RECALLED, bank=bank.id)
    return _done(session, bank, is_home=market.pass_inspection(session, bank.id))


def _done(session: Session, bank: BankRow, *, is_home: bool) -> BankRow:
    if not is_home:
        raise Refusal(Code.BANK_NOT_AT_HOME, bank=bank.id, holder=bank.holder)
    session.refresh(bank)
    return bank


# -- looking ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """A page of a merchant's banks, and the totals over all of them (M3)."""

    banks: Sequence[Looked]
    all: int
    """Those that are theirs: what was sold is on the list and no more counted."""
    rentable: int
    rented: int


def stock(
    session: Session, *, who: Principal, merchant_id: str, after: str, limit: int, now: datetime
) -> Stock:
    """List the banks of a merchant, each with its shadow and what speaks against it.

    Every bank is looked at, whatever the page: whether one can be rented is one rule, told by
    ``precheck`` alone, and the totals cannot disagree with the list.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    banks = availability.look_at_all(session, merchant, market.banks(session, merchant.id), now=now)
    return Stock(
        banks=[looked for looked in banks if looked.bank.id > after][:limit],
        all=sum(looked.bank.holder is not Holder.SOLD for looked in banks),
        rentable=sum(not looked.why_not for looked in banks),
        rented=sum(looked.bank.holder is Holder.RENTER for looked in banks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """All that a merchant is shown of one bank."""

    looked: Looked
    rental_id: str | None
    """The rental that needs it now."""
    samples: Sequence[Sample]
    moves: Sequence[CustodyMoveRow]


def detail(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    history: timedelta,
    now: datetime,
) -> Detail:
    """Look at one bank: its state, its charge over time, and how it came to where it is.

    Raises:
        Refusal: NOT_FOUND.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    merchant = own(session, who, merchant_id)
    (looked,) = availability.look_at_all(session, merchant, [bank], now=now)
    return Detail(
        looked=looked,
        rental_id=market.rental_with(session, bank.id),
        samples=seam.samples(session, bank.id, since=now - history, limit=BANK_SAMPLES_SHOWN),
        moves=market.moves(session, bank.id, limit=BANK_MOVES_SHOWN),
    )
