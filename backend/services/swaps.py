"""A bank that is broken is swapped: it is fetched, and another one brought for nothing.

One rental is one bank, so a substitute is a rental of its own, under the terms that the renter
agreed to. It costs no delivery, and free minutes that are used up stay used up. Nothing changes
unless there is another bank to bring.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import market, rentals
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import RentalRow
from backend.domain.errors import Code, Refusal
from backend.domain.handover import CODE_DIGITS
from backend.domain.rental import RentalEvent, RentalState, step
from backend.ids import new_digits, new_id
from backend.limits import SWAPS_MAX
from backend.principal import Principal
from backend.services import billing, choice, handing_on, returns
from backend.services.places import Place, brought_to
from backend.services.rentals import order, own_locked
from backend.services.steps import note


def swap(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    place: Place | None,
    reason: str,
    now: datetime,
) -> RentalRow:
    """Have a broken bank fetched and another one brought; asked again, it is the same one.

    Args:
        session: a writing transaction.
        who: the renter.
        rental_id: theirs.
        place: where to come; None: where it was brought to.
        reason: what is wrong with it.
        now: the time.

    Returns:
        The rental of the substitute.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; SWAPPED_TOO_OFTEN; NOBODY_NEAR with another bank.
    """
    old = own_locked(session, who, rental_id)
    earlier = rentals.substitute(session, old.id)
    if earlier is not None:
        return earlier
    step(old.state, RentalEvent.SWAP)
    if _swaps_before(session, old) >= SWAPS_MAX:
        raise Refusal(Code.SWAPPED_TOO_OFTEN, most=SWAPS_MAX)
    where = place or brought_to(old)
    others = _others(session, old, place=where, now=now)
    _end(session, old, place=where, reason=reason, now=now)
    for bank in others:
        substitute = _substitute(session, old, bank, place=where, now=now)
        if _is_ordered(session, substitute, now=now):
            return substitute
    raise Refusal(Code.NOBODY_NEAR)


def _swaps_before(session: Session, rental: RentalRow) -> int:
    count = 0
    while rental.replaces_id is not None:
        rental = rentals.read(session, rental.replaces_id)
        count += 1
    return count


def _others(session: Session, old: RentalRow, *, place: Place, now: datetime) -> list[BankRow]:
    """The best other banks near, whoever lends them, for which these terms can be kept."""
    terms = billing.terms_of(old)
    wanted = choice.Wanted(
        here=place.point,
        currency=terms.currency,
        min_battery_pct=terms.min_battery_pct,
        not_banks=frozenset({old.bank_id}),
    )
    ranked = choice.candidates(session, wanted, now=now)[: handing_on.TRIES_MAX]
    return [market.bank(session, each.candidate.bank_id) for each in ranked]


def _is_ordered(session: Session, substitute: RentalRow, *, now: datetime) -> bool:
    """Have it brought; False if somebody else was quicker for its bank."""
    if market.lock_lendable(session, substitute.bank_id) is None:
        return False
    try:
        order(session, substitute, now=now)
    except Refusal as taken:
        if taken.code is not Code.ALREADY_TAKEN:
            raise
        return False
    return True


def _end(session: Session, old: RentalRow, *, place: Place, reason: str, now: datetime) -> None:
    """Have the broken one fetched; what nothing is owed for holds no money."""
    by_id, evidence = old.renter_id, reason[:160]
    if old.state is RentalState.START_FAILED:  # it is to be fetched already
        note(session, old, RentalEvent.SWAP, now=now, by_id=by_id, evidence=evidence)
    else:
        returns.send_for(
            session, old, RentalEvent.SWAP, place=place, now=now, by_id=by_id, evidence=evidence
        )
    market.needs_inspection(session, old.bank_id)
    is_known = old.confirmed_at is not None or old.deposit_held_at is None
    if is_known and billing.amount_of(old, now=now) == 0:
        billing.release_deposit(session, old, now=now)


def _substitute(
    session: Session, old: RentalRow, bank: BankRow, *, place: Place, now: datetime
) -> RentalRow:
    return RentalRow(
        id=new_id(),
        renter_id=old.renter_id,
        merchant_id=bank.merchant_id,
        bank_id=bank.id,
        tariff_id=old.tariff_id,
        terms=old.terms,
        commission_bp=market.merchant(session, bank.merchant_id).commission_bp,
        replaces_id=old.id,
        is_delivery_free=True,
        state=RentalState.REQUESTED,
        requested_at=now,
        lat=place.lat,
        lng=place.lng,
        address=place.address,
        code=new_digits(CODE_DIGITS),
    )
