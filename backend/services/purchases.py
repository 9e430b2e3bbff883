"""A bank that stays with its renter is bought, and what is found again comes back.

The price of the bank itself is what is left of the total cap after the time used: it stands on
the bill as a line of its own, and that line is what is given back if the bank is found in time.
"""

import json
from datetime import datetime

from sqlmodel import Session

from backend.db import market, rentals, seam
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import RentalRow
from backend.domain.credit import CreditKind, too_much
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor
from backend.domain.overdue import may_come_back
from backend.domain.rental import RentalEvent, step
from backend.domain.tariff import LineKind
from backend.principal import Principal
from backend.services import billing, dispatch
from backend.services.credits import bill_of, credit
from backend.services.rentals import check_label, own_locked
from backend.services.steps import hear, pass_bank


def buy(
    session: Session, *, who: Principal, rental_id: str, amount_minor: Minor, now: datetime
) -> RentalRow:
    """Keep the bank, or pay for having lost it: its renter's own word.

    Args:
        session: a writing transaction.
        who: the renter.
        rental_id: theirs.
        amount_minor: the price, as they saw it: the total cap, less what rentals that this one
            replaces cost.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; AMOUNT_MISMATCH if they saw another price.
    """
    rental = own_locked(session, who, rental_id)
    terms = billing.terms_of(rental)
    step(rental.state, RentalEvent.BUY_OUT)
    billing.note_evidence(session, rental)
    price = billing.bought(rental, at=now).total_minor
    if amount_minor != price:
        raise Refusal(
            Code.AMOUNT_MISMATCH,
            expected_minor=price,
            got_minor=amount_minor,
            currency=terms.currency,
        )
    sell(session, rental, by_id=who.person_id, why="kept by its renter", at=now, now=now)
    return rental


def sell(
    session: Session, rental: RentalRow, *, by_id: str, why: str, at: datetime, now: datetime
) -> None:
    """Bill a bank that does not come back, up to the total cap; it is the renter's from now on.

    Args:
        session: a writing transaction; the rental is locked in it.
        rental: a rental whose bank fed its renter.
        by_id: whose word it is; the renter's, where the price reached its cap by itself.
        why: in words.
        at: since when it counts as bought.
        now: the time.

    Raises:
        Refusal: WRONG_STATE, also of a bank that never fed.
    """
    step(rental.state, RentalEvent.BUY_OUT)
    billing.note_evidence(session, rental)
    if rental.confirmed_at is None:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.BUY_OUT)
    bank = market.bank(session, rental.bank_id)
    dispatch.end_jobs(session, rental, why="bought", now=now)
    seam.withdraw_all(session, bank.id, now=now)
    pass_bank(
        session,
        bank,
        taker=Holder.SOLD,
        taker_id=None,
        proof=Proof.REASON,
        reason=why,
        by_id=by_id,
        now=now,
        rental_id=rental.id,
    )
    billing.bill(
        session,
        rental,
        RentalEvent.BUY_OUT,
        price=billing.bought(rental, at=at),
        end=billing.end_at(rental, now=at),
        now=now,
        by_id=by_id,
        proof=Proof.REASON,
        evidence=why,
        bought_out_at=at,
    )
    data = {"rental_id": rental.id, "bank_id": bank.id, "amount_minor": rental.amount_minor}
    hear(session, rental, kind="rental.bought_out", data=data, now=now)


# -- found again --------------------------------------------------------------------------


def find(
    session: Session, bank: BankRow, *, by_id: str, qr_token: str | None, reason: str, now: datetime
) -> BankRow:
    """Take back a bank that was lost or bought; its merchant looks it over before it goes out.

    Args:
        session: a writing transaction.
        bank: the bank.
        by_id: its merchant, or an operator.
        qr_token: its label, if it was scanned.
        reason: in words, where it was not.
        now: the time.

    Raises:
        Refusal: WRONG_BANK; WRONG_HANDS of a bank that is neither; SOLD_FOR_GOOD.
    """
    if qr_token is not None:
        check_label(session, expected=bank.id, qr_token=qr_token)
    if bank.holder not in {Holder.LOST, Holder.SOLD}:
        raise Refusal(Code.WRONG_HANDS, giver=bank.holder, taker=Holder.MERCHANT)
    bought = rentals.purchase(session, bank.id) if bank.holder is Holder.SOLD else None
    if bought is not None:
        bought_at = bought.bought_out_at
        if bought_at is None or not may_come_back(bought_at=bought_at, now=now):
            raise Refusal(Code.SOLD_FOR_GOOD)
    pass_bank(
        session,
        bank,
        taker=Holder.MERCHANT,
        taker_id=None,
        proof=Proof.SCAN if qr_token is not None else Proof.REASON,
        reason=reason,
        by_id=by_id,
        now=now,
        rental_id=None if bought is None else bought.id,
    )
    market.needs_inspection(session, bank.id)
    session.refresh(bank)
    if bought is not None:
        _give_back(session, bought, bank, by_id=by_id, now=now)
    return bank


def _give_back(
    session: Session, rental: RentalRow, bank: BankRow, *, by_id: str, now: datetime
) -> None:
    """Give back what is left of what was taken for the bank itself; the time used stays paid."""
    rightful = Minor((rental.amount_minor or 0) - _for_the_bank(rental))
    amount = too_much(bill_of(session, rental), rightful_minor=rightful)
    if amount > 0:
        credit(
            session,
            rental,
            amount_minor=amount,
            kind=CreditKind.FOUND_AGAIN,
            why="the bank came back",
            by_id=by_id,
            evidence=bank.id,
            now=now,
        )
    data = {"rental_id": rental.id, "bank_id": bank.id, "credited_minor": amount}
    hear(session, rental, kind="rental.found_again", data=data, now=now)


def _for_the_bank(rental: RentalRow) -> int:
    """What a bill has for the bank itself."""
    lines = json.loads(rental.lines or "[]")
    return sum(line["amount_minor"] for line in lines if line["kind"] == LineKind.BUY_OUT)
