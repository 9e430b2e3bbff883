"""Credit notes: a bill put right, and what of it was paid sent back.

The one way in which a bill becomes less, before it is paid or after. The caller knows why; here
it is divided, written once, and followed to its end: less to pay, perhaps nothing more, or money
back to the payments that it came from.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session

from backend.db import credits as notes
from backend.db import money, rentals
from backend.db.tables.credits import CreditNoteRow, RefundRow, RefundWhy
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.credit import Bill, CreditKind, TakenBack, take_back
from backend.domain.errors import Code, Refusal
from backend.domain.money import Currency, Minor
from backend.domain.rental import RentalState
from backend.ids import new_id
from backend.principal import Principal
from backend.services import billing, refunds
from backend.services.steps import hear


def bill_of(session: Session, rental: RentalRow) -> Bill:
    """A rental's bill, and what became of it so far. Before there is one, it is zero."""
    return bill(rental, given_minor=notes.given_minor(session, rental.id))


def bill(rental: RentalRow, *, given_minor: Minor) -> Bill:
    """A rental's bill, where it is known what the platform gave of its own on it."""
    return Bill(
        amount_minor=Minor(rental.amount_minor or 0),
        commission_bp=rental.commission_bp,
        credited_minor=Minor(rental.credited_minor),
        given_minor=given_minor,
        paid_minor=Minor(rental.paid_minor),
    )


def close_if_covered(session: Session, rental: RentalRow, *, evidence: str, now: datetime) -> None:
    """Complete a rental that owes nothing more."""
    if rental.state is RentalState.PAYMENT_DUE and bill_of(session, rental).owed_minor == 0:
        billing.complete(session, rental, evidence=evidence, now=now)


def credit(
    session: Session,
    rental: RentalRow,
    *,
    amount_minor: Minor,
    kind: CreditKind,
    why: str,
    by_id: str | None,
    evidence: str,
    now: datetime,
) -> CreditNoteRow:
    """Take back a part of a bill, or all of it: less is owed, and what was paid goes back.

    Args:
        session: a writing transaction.
        rental: a rental that was billed; it is locked and read anew.
        amount_minor: above zero.
        kind: why; it decides who gives it up.
        why: the same in words, for the renter to read.
        by_id: who decided; None is the platform, on evidence.
        evidence: what it rests on. A note of the same kind on the same evidence was written
            already: it is returned, and nothing happens. Empty: every call is a note.
        now: the time.

    Raises:
        Refusal: MORE_THAN_BILLED, with what is left of the bill.
    """
    rental = rentals.rental(session, rental.id)
    earlier = notes.by_evidence(session, rental.id, kind, evidence)
    if earlier is not None:
        return earlier
    with billing.in_money_of(rental):
        taken = take_back(bill_of(session, rental), amount_minor=amount_minor, kind=kind)
    note = CreditNoteRow(
        id=new_id(),
        rental_id=rental.id,
        kind=kind,
        amount_minor=amount_minor,
        currency=billing.terms_of(rental).currency,
        refunded_minor=taken.refunded_minor,
        merchant_minor=taken.reduced.merchant_minor + taken.refunded.merchant_minor,
        platform_minor=taken.reduced.platform_minor + taken.refunded.platform_minor,
        why=why,
        by_id=by_id,
        evidence=evidence,
        at=now,
    )
    session.add(note)
    rental.credited_minor += amount_minor
    rental.paid_minor -= taken.refunded_minor
    session.add(rental)
    session.flush()
    _write(session, rental, note, taken, now=now)
    if taken.refunded_minor > 0:
        _send_back(session, rental, note, now=now)
    data = {
        "rental_id": rental.id,
        "credit_id": note.id,
        "kind": kind,
        "amount_minor": amount_minor,
        "refunded_minor": taken.refunded_minor,
        "currency": note.currency,
        "why": why,
    }
    hear(session, rental, kind="rental.credited", data=data, now=now)
    close_if_covered(session, rental, evidence=note.id, now=now)
    return note


def _write(
    session: Session, rental: RentalRow, note: CreditNoteRow, taken: TakenBack, *, now: datetime
) -> None:
    currency = billing.terms_of(rental).currency
    there = lock_accounts(session, merchant_id=rental.merchant_id, currency=currency)
    if taken.reduced_minor > 0:
        reduced = ledger.bill_reduced(
            credit_id=note.id,
            renter=rental.renter_id,
            merchant=rental.merchant_id,
            currency=currency,
            split=taken.reduced,
        )
        money.write(session, reduced, rental_id=rental.id, now=now)
    if taken.refunded_minor > 0:
        part = taken.refunded.merchant_minor
        merchant = ledger.merchant_pending(rental.merchant_id)
        pending = min(part, notes.standing_minor(session, rental.id, merchant))
        available = min(part - pending, there[ledger.merchant_available(rental.merchant_id)])
        credited = ledger.bill_credited(
            credit_id=note.id,
            renter=rental.renter_id,
            merchant=rental.merchant_id,
            currency=currency,
            split=taken.refunded,
            available_minor=Minor(available),
            debt_minor=Minor(part - pending - available),
        )
        money.write(session, credited, rental_id=rental.id, now=now)


def _send_back(session: Session, rental: RentalRow, note: CreditNoteRow, *, now: datetime) -> None:
    """Refund the payments that the money came from, the oldest first."""
    left = note.refunded_minor
    for payment, kept_minor in notes.kept(session, rental.id):
        part = min(left, kept_minor)
        if part > 0:
            refunds.send_back(
                session,
                payment,
                amount_minor=Minor(part),
                why=RefundWhy.CREDIT,
                credit_id=note.id,
                now=now,
            )
            left -= part
    if left > 0:
        message = f"{note.id}: {left} more is to go back than ever came"
        raise AssertionError(message)


def lock_accounts(
    session: Session, *, merchant_id: str, currency: str
) -> Mapping[ledger.AccountCode, Minor]:
    """Lock what takings move between, before any of it is moved; and say what stands there."""
    of = (ledger.merchant_available, ledger.merchant_debt, ledger.merchant_pending)
    return money.lock(session, [account(merchant_id) for account in of], currency)


def repay_debt(session: Session, *, merchant_id: str, currency: str, now: datetime) -> Minor:
    """Take what was laid out for a merchant from what is theirs by now.

    Returns:
        What was repaid: zero if they owe nothing, or have nothing.
    """
    there = lock_accounts(session, merchant_id=merchant_id, currency=currency)
    has, owes = ledger.merchant_available(merchant_id), ledger.merchant_debt(merchant_id)
    amount = Minor(min(there[has], there[owes]))
    if amount > 0:
        repaid = ledger.debt_repaid(
            repayment_id=new_id(),
            merchant=merchant_id,
            currency=Currency.of(currency),
            amount_minor=amount,
        )
        money.write(session, repaid, rental_id=None, now=now)
    return amount


def mine(
    session: Session, *, who: Principal, rental_id: str
) -> tuple[Sequence[CreditNoteRow], Sequence[RefundRow]]:
    """Show a renter the credit notes on their bill, and what went back or is on its way.

    Raises:
        Refusal: NOT_FOUND.
    """
    if rentals.rented(session, rental_id, renter_id=who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    return notes.of_rental(session, rental_id), notes.refunds_of(session, rental_id)
