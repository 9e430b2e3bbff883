"""Banks that are gone, as their merchant says, and banks that turn up again."""

from datetime import datetime

from sqlmodel import Session

from backend.db import market, rentals
from backend.db.tables.market import BankRow
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.principal import Principal
from backend.services import dispatch, purchases
from backend.services.market import own_bank
from backend.services.steps import pass_bank

_OURS = frozenset({Holder.MERCHANT, Holder.STAFF})
"""Whose hands a merchant answers for. What a renter has is bought, or an operator decides."""


def lose(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    reason: str,
    now: datetime,
) -> BankRow:
    """Say that a bank of mine is gone; a rental that waits for it gets another.

    Raises:
        Refusal: NOT_FOUND; WRONG_HANDS of a bank that is not with me or my staff.
    """
    own_bank(session, who, merchant_id, bank_id)
    rentals.lock_renting(session, [bank_id])
    bank = market.lock_bank(session, bank_id)
    if bank.holder is Holder.LOST:
        return bank
    if bank.holder not in _OURS:
        raise Refusal(Code.WRONG_HANDS, giver=bank.holder, taker=Holder.LOST)
    pass_bank(
        session,
        bank,
        taker=Holder.LOST,
        taker_id=None,
        proof=Proof.REASON,
        reason=reason,
        by_id=who.person_id,
        now=now,
        rental_id=None,
    )
    dispatch.lose_bank(session, bank, now=now)
    market.bank_is_home(session, bank.id)
    return bank


def find(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    bank_id: str,
    qr_token: str | None,
    reason: str,
    now: datetime,
) -> BankRow:
    """Say that a bank of mine turned up again. It goes out only when I offer it again.

    Raises:
        Refusal: NOT_FOUND; WRONG_BANK; WRONG_HANDS of a bank that was neither lost nor
            bought; SOLD_FOR_GOOD.
    """
    bank = own_bank(session, who, merchant_id, bank_id)
    return purchases.find(
        session, bank, by_id=who.person_id, qr_token=qr_token, reason=reason, now=now
    )
