"""Deposits, when a bill is not paid by itself or a hold is about to run out.

The theory is at the top of ``domain/deposit.py``. A hold is taken at its provider once, whole or in
part, under one key: whoever asks first is heard, and what more was taken than is owed when the
answer comes goes back by itself. So a deadline, a payment, a credit note and a hold's end may meet
in any order, and nothing is kept twice.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import audit, money, outbox, rentals
from backend.db import deposits as dues
from backend.db import disputes as frozen_by
from backend.db.tables.credits import RefundWhy
from backend.db.tables.money import Ask, DepositRow, Purpose
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.deposit import (
    ENDED,
    DepositEvent,
    DepositState,
    Hold,
    Settled,
    move_deposit,
    settle,
    transfers_for,
)
from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Currency, Minor
from backend.domain.rental import CLOSED, RentalState
from backend.principal import Principal
from backend.services import billing, refunds
from backend.services.credits import bill_of, close_if_covered
from backend.services.steps import hear

# -- asking ---------------------------------------------------------------------------------


def act_on_deadline(session: Session, rental_id: str, *, now: datetime) -> bool:
    """Take an unpaid bill from the deposit, as far as it is owed and not disputed.

    A hold is taken once, and what is not taken of it is gone. So if anything is taken, what is
    disputed is taken as well: it stays the renter's, and waits. Where all of it is disputed, the
    hold itself waits.

    A payment that the renter has begun is withdrawn first: nobody pays twice. Until that has
    ended, and while it is in doubt, nothing is taken.

    Returns:
        Whether the deadline was acted on now.
    """
    rental = rentals.rental(session, rental_id)
    due_by = rental.payment_due_by
    if rental.state is not RentalState.PAYMENT_DUE or due_by is None or due_by > now:
        return False
    if rental.past_due_at is not None:
        return False
    begun = money.live_payment(session, rental.id, Purpose.BILL)
    if begun is not None:
        billing.withdraw(session, begun, now=now)
        return False
    rental.past_due_at = now
    session.add(rental)
    hold = money.deposit(session, rental.id)
    if hold is not None and hold.state is DepositState.HELD:
        parts = _settled(session, rental, held_minor=Minor(hold.amount_minor))
        if parts.kept_minor > 0:
            amount = Minor(parts.kept_minor + parts.waiting_minor)
            _capture(session, hold, amount_minor=amount, now=now)
    owed = bill_of(session, rental).owed_minor
    _tell(session, rental, "rental.past_due", amount_minor=owed, owed_minor=owed, now=now)
    return True


def secure(session: Session, rental_id: str, *, now: datetime) -> bool:
    """Take a hold whole, before it runs out by itself while something may yet be owed.

    Returns:
        False if there is nothing to secure, or the provider was asked to end the hold already.
    """
    rental = rentals.rental(session, rental_id)
    hold = money.deposit(session, rental.id)
    if hold is None or hold.state is not DepositState.HELD or rental.state not in dues.RUNNING:
        return False
    if outbox.asked(session, f"{Ask.RELEASE}:{hold.payment_id}") is not None:
        return False
    return _capture(session, hold, amount_minor=Minor(hold.amount_minor), now=now)


def secure_now(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> RentalRow:
    """Secure a deposit on an operator's word, from the stuck list.

    Raises:
        Refusal: NOT_FOUND; DEPOSIT_NOT_HELD if there is no hold that can be taken;
            PAYMENT_IN_DOUBT if the provider was asked already.
    """
    rental = dues.rental_seen(session, rental_id)
    if rental is None:
        raise Refusal(Code.NOT_FOUND)
    hold = money.deposit(session, rental.id)
    if hold is not None and is_being_taken(session, hold):
        raise Refusal(Code.PAYMENT_IN_DOUBT)
    if not secure(session, rental.id, now=now):
        raise Refusal(Code.DEPOSIT_NOT_HELD)
    audit.write(
        session,
        by_id=who.person_id,
        action="deposit.secure",
        subject="rental",
        subject_id=rental.id,
        before={"deposit": DepositState.HELD},
        after={"asked": Ask.CAPTURE},
        why=reason,
        now=now,
    )
    return rental


def _capture(session: Session, hold: DepositRow, *, amount_minor: Minor, now: datetime) -> bool:
    return outbox.put(
        session,
        key=f"{Ask.CAPTURE}:{hold.payment_id}",
        ask=Ask.CAPTURE,
        payment_id=hold.payment_id,
        amount_minor=amount_minor,
        now=now,
    )


def is_being_taken(session: Session, hold: DepositRow) -> bool:
    """Whether a provider is to take a hold, or has said that it will, and did not yet.

    A provider that takes it later than it says so has answered, and the hold is still held.
    """
    row = outbox.asked(session, f"{Ask.CAPTURE}:{hold.payment_id}")
    is_asked = row is not None and (row.done_at is None or row.problem is None)
    return is_asked and hold.state is DepositState.HELD


def is_still_wanted(session: Session, payment_id: str) -> bool:
    """Whether a hold that is to be taken, and nobody was asked yet, should be taken still."""
    hold = money.hold(session, payment_id)
    rental = rentals.read(session, hold.rental_id)
    return hold.state is DepositState.HELD and rental.state in dues.RUNNING


# -- what follows -----------------------------------------------------------------------------


def taken(session: Session, rental: RentalRow, hold: DepositRow, *, now: datetime) -> None:
    """Follow that a hold was taken: it pays what is owed; the rest stays the renter's."""
    parts = _settled(session, rental, held_minor=Minor(hold.captured_minor))
    is_all_owed = parts.kept_minor == hold.captured_minor
    event = DepositEvent.CAPTURE if is_all_owed else DepositEvent.SECURE
    move(session, rental, hold, event, now=now)
    if is_all_owed:
        hold.billed_minor = hold.captured_minor
        _paid(session, rental, hold, parts.kept_minor, now=now)
    else:
        amount = Minor(hold.captured_minor)
        _tell(session, rental, "deposit.secured", amount_minor=amount, now=now)
        spend(session, rental, hold, now=now)


def spend(session: Session, rental: RentalRow, hold: DepositRow, *, now: datetime) -> bool:
    """Pay what is owed out of a secured deposit, and give back what nobody can ask for any more.

    While the rental goes on, or the renter is about to pay, nothing is taken; what is disputed
    stays until that is over.

    Returns:
        Whether anything moved.
    """
    if hold.state is not DepositState.SECURED or not _may_spend(session, rental):
        return False
    left = Minor(hold.captured_minor - hold.billed_minor - hold.returned_minor)
    parts = _settled(session, rental, held_minor=left)
    if parts.kept_minor > 0:
        _apply(session, rental, hold, parts.kept_minor, now=now)
    if parts.freed_minor > 0:
        _return(session, rental, hold, parts.freed_minor, now=now)
    if parts.waiting_minor == 0:
        move(session, rental, hold, DepositEvent.SPEND, now=now)
    session.add(hold)
    if parts.kept_minor > 0:
        _paid(session, rental, hold, parts.kept_minor, now=now)
    return parts.waiting_minor < left


def _may_spend(session: Session, rental: RentalRow) -> bool:
    if rental.state is RentalState.PAYMENT_DUE:
        return money.live_payment(session, rental.id, Purpose.BILL) is None
    return rental.state in CLOSED


def _settled(session: Session, rental: RentalRow, *, held_minor: Minor) -> Settled:
    """Divide what there is of a deposit by what the rental owes now."""
    owed = bill_of(session, rental).owed_minor
    if rental.state in CLOSED:
        owed = ZERO
    elif not _may_spend(session, rental):
        return Settled(kept_minor=ZERO, freed_minor=ZERO, waiting_minor=held_minor)
    disputed = frozen_by.frozen_minor(session, rental.id)
    return settle(held_minor=held_minor, fee_minor=owed, frozen_minor=disputed)


def _apply(
    session: Session, rental: RentalRow, hold: DepositRow, amount: Minor, *, now: datetime
) -> None:
    applied = ledger.deposit_applied(
        hold_id=hold.payment_id,
        renter=rental.renter_id,
        currency=Currency.of(hold.currency),
        amount_minor=amount,
        before_minor=Minor(hold.billed_minor),
    )
    money.write(session, applied, rental_id=rental.id, now=now)
    hold.billed_minor += amount


def _return(
    session: Session, rental: RentalRow, hold: DepositRow, amount: Minor, *, now: datetime
) -> None:
    payment = money.payment_row(session, hold.payment_id)
    refund = refunds.send_back(
        session, payment, amount_minor=amount, why=RefundWhy.DEPOSIT, now=now
    )
    returned = ledger.deposit_returned(
        hold_id=hold.payment_id,
        refund_id=refund.id,
        renter=rental.renter_id,
        currency=Currency.of(hold.currency),
        amount_minor=amount,
    )
    money.write(session, returned, rental_id=rental.id, now=now)
    hold.returned_minor += amount


def _paid(
    session: Session, rental: RentalRow, hold: DepositRow, amount: Minor, *, now: datetime
) -> None:
    """Note what the deposit paid, tell the renter, and end what is covered."""
    session.add(hold)
    rental.paid_minor += amount
    session.add(rental)
    session.flush()
    owed = bill_of(session, rental).owed_minor
    _tell(session, rental, "deposit.captured", amount_minor=amount, owed_minor=owed, now=now)
    close_if_covered(session, rental, evidence=hold.payment_id, now=now)


def move(
    session: Session, rental: RentalRow, row: DepositRow, event: DepositEvent, *, now: datetime
) -> None:
    """Take a hold one step on, and write what the books must contain then."""
    hold = Hold(
        id=row.payment_id,
        renter=rental.renter_id,
        currency=Currency.of(row.currency),
        held_minor=Minor(row.amount_minor),
        captured_minor=Minor(row.captured_minor),
    )
    money.write_all(session, transfers_for(row.state, event, hold), rental_id=rental.id, now=now)
    row.state = move_deposit(row.state, event)
    if event is DepositEvent.HOLD:
        row.held_at = now
    elif row.state in ENDED:
        row.ended_at = now
    session.add(row)
    session.flush()


def _tell(
    session: Session,
    rental: RentalRow,
    kind: str,
    *,
    amount_minor: Minor,
    now: datetime,
    owed_minor: Minor = ZERO,
) -> None:
    data = {
        "rental_id": rental.id,
        "amount_minor": amount_minor,
        "owed_minor": owed_minor,
        "currency": billing.terms_of(rental).currency,
    }
    hear(session, rental, kind=kind, data=data, now=now)
