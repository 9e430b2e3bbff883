"""Payments: asked for in our transaction, made at the provider outside it, believed from it.

The theory
----------
A payment row is written with the wish for it, and an outbox row asks the provider later. What
the provider then tells (in its answer, in a webhook, when asked again) all ends in
:func:`learn`, in whatever order and however often: a payment only ever goes forward, and what
follows from it follows once, in the same transaction.

Money that came is never ignored: what pays for nothing any more goes back by itself. What follows
from a hold that was taken is told in ``deposits``, and how money goes back in ``refunds``.

Whoever learns of a payment locks its rental first, then the payment (:func:`lock`).
"""

import hashlib
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlmodel import Session

from backend.db import audit, disputes, money, outbox, rentals, stuck
from backend.db import credits as notes
from backend.db import deposits as dues
from backend.db.tables.credits import RefundWhy
from backend.db.tables.money import (
    Ask,
    DepositRow,
    InboxRow,
    PaymentRow,
    PaymentState,
    Purpose,
)
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.deposit import DepositEvent, DepositState, settle
from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Currency, Minor
from backend.domain.rental import RentalEvent, RentalState
from backend.ids import new_id
from backend.payments.port import (
    PaymentStatus,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
)
from backend.principal import Principal
from backend.services import availability, billing, deposits, refunds, withdrawals
from backend.services.credits import bill_of, close_if_covered
from backend.services.rentals import own
from backend.services.starting import command_start
from backend.services.steps import advance, hear

# -- asking for money -----------------------------------------------------------------------


def start_deposit(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    is_accepted: bool,
    provider: str,
    now: datetime,
) -> PaymentRow:
    """Note that the renter accepts what was disclosed, and have the deposit held.

    Asked again while one is under way, it is the same payment.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; DISCLOSURE_NOT_ACCEPTED; BANK_UNAVAILABLE.
    """
    rental = rentals.rental(session, own(session, who, rental_id).id)
    if rental.state is not RentalState.DEPOSIT_DUE:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.DEPOSIT_HELD)
    if not is_accepted:
        raise Refusal(Code.DISCLOSURE_NOT_ACCEPTED)
    live = money.live_payment(session, rental.id, Purpose.DEPOSIT)
    if live is not None:
        return live
    availability.must_feed(session, rental.bank_id, now=now)
    rental.disclosed_at = now
    session.add(rental)
    amount = billing.terms_of(rental).deposit_minor
    payment = _ask_for(session, rental, Purpose.DEPOSIT, amount, provider=provider, now=now)
    session.add(
        DepositRow(
            payment_id=payment.id,
            rental_id=rental.id,
            state=DepositState.PENDING,
            amount_minor=amount,
            currency=payment.currency,
        )
    )
    return payment


def start_bill(
    session: Session, *, who: Principal, rental_id: str, provider: str, now: datetime
) -> PaymentRow:
    """Have the renter pay what they owe and do not dispute.

    Asked again while one is under way, it is the same payment.

    Raises:
        Refusal: NOT_FOUND; NOTHING_TO_PAY; PAYMENT_IN_DOUBT while it is being taken from the
            deposit.
    """
    rental = rentals.rental(session, own(session, who, rental_id).id)
    if rental.state is not RentalState.PAYMENT_DUE:
        raise Refusal(Code.NOTHING_TO_PAY)
    live = money.live_payment(session, rental.id, Purpose.BILL)
    if live is not None:
        return live
    hold = money.deposit(session, rental.id)
    if hold is not None and deposits.is_being_taken(session, hold):
        raise Refusal(Code.PAYMENT_IN_DOUBT)
    amount = to_pay_minor(session, rental)
    if amount == 0:
        raise Refusal(Code.NOTHING_TO_PAY)
    return _ask_for(session, rental, Purpose.BILL, amount, provider=provider, now=now)


def _ask_for(
    session: Session,
    rental: RentalRow,
    purpose: Purpose,
    amount: Minor,
    *,
    provider: str,
    now: datetime,
) -> PaymentRow:
    payment = PaymentRow(
        id=new_id(),
        rental_id=rental.id,
        renter_id=rental.renter_id,
        purpose=purpose,
        state=PaymentState.CREATED,
        amount_minor=amount,
        currency=billing.terms_of(rental).currency,
        provider=provider,
        created_at=now,
        checked_at=now,
    )
    session.add(payment)
    session.flush()
    outbox.put(
        session,
        key=f"{Ask.CREATE}:{payment.id}",
        ask=Ask.CREATE,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        now=now,
    )
    return payment


def to_pay_minor(session: Session, rental: RentalRow) -> Minor:
    """What the renter is asked for now: what they owe and do not dispute."""
    owed = owed_minor(session, rental)
    return Minor(owed - min(owed, disputes.frozen_minor(session, rental.id)))


def owed_minor(session: Session, rental: RentalRow) -> Minor:
    """What is still to be paid: the bill, less credit notes, less what was paid or captured."""
    return bill_of(session, rental).owed_minor


def one(session: Session, *, who: Principal, payment_id: str) -> PaymentRow:
    """Show a payment to who is to pay it.

    Raises:
        Refusal: NOT_FOUND.
    """
    payment = money.payment_of(session, payment_id, renter_id=who.person_id)
    if payment is None:
        raise Refusal(Code.NOT_FOUND)
    return payment


# -- hearing from the provider ----------------------------------------------------------------

_Told = ProviderPayment | ProviderPayout | ProviderRefund


def take_notice(session: Session, notice: ProviderNotice, *, provider: str, now: datetime) -> None:
    """Keep a verified webhook, once, and do what follows from it.

    What fits no payment of ours, or not in amount, moves nothing: it stays in the inbox with
    its problem, for an operator. Not so what an operator has sent back already.
    """
    told = notice.payment or notice.payout or notice.refund
    if told is None or not outbox.receive(session, _kept(notice, told, provider, now)):
        return
    if isinstance(told, ProviderRefund):
        problem = _heard_of_refund(session, told, provider=provider, at=notice.at, now=now)
    elif isinstance(told, ProviderPayout):
        problem = withdrawals.learn(session, told, provider=provider, now=now)
    else:
        problem = _heard(session, told, provider=provider, now=now)
    if problem is not None:
        outbox.put_aside(session, provider, notice.id, problem=problem)


def _kept(notice: ProviderNotice, told: _Told, provider: str, now: datetime) -> InboxRow:
    row = InboxRow(
        provider=provider,
        id=notice.id,
        kind=notice.kind,
        reference="",
        provider_ref=told.ref,
        amount_minor=told.amount_minor,
        currency=told.currency,
        sent_at=notice.at,
        received_at=now,
    )
    if isinstance(told, ProviderRefund):
        row.reference, row.status = told.key, "gone" if told.is_gone else "returned"
        return row
    row.reference, row.status = told.reference, told.status
    row.captured_minor = told.captured_minor if isinstance(told, ProviderPayment) else 0
    return row


def _heard(session: Session, told: ProviderPayment, *, provider: str, now: datetime) -> str | None:
    payment = lock(session, told.reference)
    is_ours = payment is not None and payment.provider == provider
    problem = mismatch(payment, told) if payment is not None and is_ours else "unmatched"
    if problem is None and payment is not None:
        learn(session, payment, told, now=now)
    is_dealt_with = problem is not None and refunds.is_sent_back(session, told, provider=provider)
    return None if is_dealt_with else problem


def _heard_of_refund(
    session: Session, told: ProviderRefund, *, provider: str, at: datetime, now: datetime
) -> str | None:
    refund = notes.refund_under(session, told.key)
    if refund is None or refund.provider != provider:
        return "unmatched"
    if (told.amount_minor, told.currency) != (refund.amount_minor, refund.currency):
        return Code.AMOUNT_MISMATCH
    if outbox.has_newer(session, provider, reference=told.key, than=at):
        return None
    if refund.payment_id is not None:
        lock(session, refund.payment_id)
    refunds.learn(session, refund.id, told, now=now)
    return None


def lock(session: Session, payment_id: str) -> PaymentRow | None:
    """A payment by our id of it: its rental locked, and then itself."""
    seen = dues.payment_seen(session, payment_id)
    if seen is None:
        return None
    rentals.rental(session, seen.rental_id)
    return money.payment_row(session, payment_id)


def keep_unreadable(session: Session, body: bytes, *, provider: str, now: datetime) -> None:
    """Keep a notice that is truly a provider's and not understood: it may tell of money."""
    row = InboxRow(
        provider=provider,
        id=f"unreadable-{hashlib.sha256(body).hexdigest()}",
        kind="unreadable",
        reference="",
        provider_ref="",
        amount_minor=0,
        currency="",
        sent_at=now,
        received_at=now,
        raw=body,
        problem="unreadable",
    )
    outbox.receive(session, row)


def mismatch(payment: PaymentRow, told: ProviderPayment) -> str | None:
    """What of a provider's payment is not what we asked for; None if all is."""
    if told.reference != payment.id or payment.provider_ref not in {None, told.ref}:
        return "unmatched"
    taken = told.amount_minor if told.status is not PaymentStatus.PAID else told.captured_minor
    wrong_amount = (
        told.amount_minor != payment.amount_minor
        or (payment.purpose is Purpose.BILL and taken != payment.amount_minor)
        or not 0 < taken <= payment.amount_minor
    )
    if wrong_amount or told.currency != payment.currency:
        return Code.AMOUNT_MISMATCH
    return None


_RANK: Final = MappingProxyType(
    {
        PaymentState.CREATED: 0,
        PaymentState.UNKNOWN: 0,
        PaymentState.OPEN: 1,
        PaymentState.AUTHORIZED: 2,
        PaymentState.CANCELED: 3,
        PaymentState.FAILED: 3,
        PaymentState.EXPIRED: 3,
        PaymentState.PAID: 4,
    }
)
"""A payment goes up only. PAID is above what else is final: money that came is not ignored."""


def learn(session: Session, payment: PaymentRow, told: ProviderPayment, *, now: datetime) -> None:
    """Take over what a provider says of a payment, if it is news, and do what follows.

    Args:
        session: a writing transaction.
        payment: ours.
        told: the provider's; :func:`mismatch` found nothing.
        now: the time.
    """
    payment.provider_ref = told.ref
    payment.pay_url = told.pay_url or payment.pay_url
    payment.checked_at = now
    new = PaymentState(told.status.value)
    is_ended_hold = payment.purpose is Purpose.DEPOSIT and is_over(payment)
    is_news = _RANK[new] > _RANK[payment.state] and not is_ended_hold
    if is_news:
        payment.state = new
        payment.ended_at = now if is_over(payment) else None
    session.add(payment)
    session.flush()
    if not is_news:
        return
    forget_what_is_so(session, payment, now=now)
    rental = rentals.rental(session, payment.rental_id)
    if payment.purpose is Purpose.DEPOSIT:
        _follow_hold(session, rental, payment, told, now=now)
    else:
        _follow_bill(session, rental, payment, now=now)
    data = {"payment_id": payment.id, "rental_id": rental.id, "purpose": payment.purpose}
    hear(session, rental, kind=f"payment.{new}", data=data, now=now)


def is_over(payment: PaymentRow) -> bool:
    """Whether nothing more is to come of a payment."""
    return _RANK[payment.state] >= _RANK[PaymentState.CANCELED]


def is_made(payment: PaymentRow) -> bool:
    """Whether a provider has a payment, and it is known where to pay it if it is to be paid.

    Not every provider tells that to who only asks after it.
    """
    rank = _RANK[payment.state]
    is_to_be_paid = rank == _RANK[PaymentState.OPEN]
    return rank > _RANK[PaymentState.OPEN] or (is_to_be_paid and payment.pay_url is not None)


def forget_what_is_so(session: Session, payment: PaymentRow, *, now: datetime) -> None:
    """Take off the stuck list what was asked of a payment in vain, and is not wanted any more."""
    if is_over(payment):
        asks: tuple[Ask, ...] = (Ask.CREATE, Ask.RELEASE, Ask.CAPTURE)
    else:
        asks = (Ask.CREATE,) if is_made(payment) else ()
    if asks:
        outbox.needless_of(session, payment.id, asks=asks, now=now)


def declined(session: Session, payment: PaymentRow, *, now: datetime) -> None:
    """Take over that the provider refused to make a payment at all."""
    if _RANK[payment.state] > _RANK[PaymentState.UNKNOWN]:
        return
    payment.state, payment.ended_at, payment.checked_at = PaymentState.FAILED, now, now
    session.add(payment)
    session.flush()
    forget_what_is_so(session, payment, now=now)
    rental = rentals.rental(session, payment.rental_id)
    if payment.purpose is Purpose.DEPOSIT:
        hold = money.hold(session, payment.id)
        deposits.move(session, rental, hold, DepositEvent.DECLINE, now=now)
    data = {"payment_id": payment.id, "rental_id": rental.id, "purpose": payment.purpose}
    hear(session, rental, kind="payment.failed", data=data, now=now)


def lost_track(session: Session, payment: PaymentRow, *, now: datetime) -> None:
    """Note that the provider was asked for a payment, and that no answer came."""
    if payment.state is not PaymentState.CREATED:
        return
    payment.state, payment.checked_at = PaymentState.UNKNOWN, now
    session.add(payment)
    session.flush()
    if payment.purpose is Purpose.DEPOSIT:
        rental = rentals.rental(session, payment.rental_id)
        hold = money.hold(session, payment.id)
        deposits.move(session, rental, hold, DepositEvent.LOSE_TRACK, now=now)


def give_up(
    session: Session, *, who: Principal, payment_id: str, reason: str, now: datetime
) -> PaymentRow:
    """End a payment that its provider never heard of, on an operator's word: the next may begin.

    The word alone is not enough: the provider has said so since it was last asked to make it, and
    is not asked any more. Should it be paid all the same, that goes back.

    Raises:
        Refusal: NOT_FOUND; NOT_IN_DOUBT; PAYMENT_IN_DOUBT until the provider has said so.
    """
    payment = lock(session, payment_id)
    if payment is None:
        raise Refusal(Code.NOT_FOUND)
    if payment.state is not PaymentState.UNKNOWN:
        raise Refusal(Code.NOT_IN_DOUBT)
    if not stuck.ask_for_payment_no_more(session, payment.id, now=now):
        raise Refusal(Code.PAYMENT_IN_DOUBT)
    declined(session, payment, now=now)
    audit.write(
        session,
        by_id=who.person_id,
        action="payment.give_up",
        subject="payment",
        subject_id=payment.id,
        before={"state": PaymentState.UNKNOWN},
        after={"state": payment.state},
        why=reason,
        now=now,
    )
    return payment


# -- what follows ---------------------------------------------------------------------------

_HOLD_EVENTS: Final = MappingProxyType(
    {
        PaymentState.OPEN: DepositEvent.STILL_OPEN,
        PaymentState.AUTHORIZED: DepositEvent.HOLD,
        PaymentState.PAID: DepositEvent.CAPTURE,
        PaymentState.CANCELED: DepositEvent.RELEASE,
        PaymentState.FAILED: DepositEvent.DECLINE,
        PaymentState.EXPIRED: DepositEvent.EXPIRE,
    }
)


def _follow_hold(
    session: Session,
    rental: RentalRow,
    payment: PaymentRow,
    told: ProviderPayment,
    *,
    now: datetime,
) -> None:
    hold = money.hold(session, payment.id)
    hold.capture_before = told.capture_before
    hold.captured_minor = told.captured_minor
    session.add(hold)
    event = _HOLD_EVENTS[payment.state]
    if event is DepositEvent.CAPTURE:
        deposits.taken(session, rental, hold, now=now)
        return
    if hold.state is DepositState.PENDING:
        if event is DepositEvent.STILL_OPEN:
            return
        if event is DepositEvent.RELEASE:  # withdrawn, or held and released unheard: nothing stays
            event = DepositEvent.DECLINE
    if (hold.state, event) == (DepositState.HELD, DepositEvent.DECLINE):
        event = DepositEvent.RELEASE  # it was a hold, whatever its provider calls the end of it
    deposits.move(session, rental, hold, event, now=now)
    if event is DepositEvent.HOLD:
        _start(session, rental, payment, hold, now=now)


def _start(
    session: Session, rental: RentalRow, payment: PaymentRow, hold: DepositRow, *, now: datetime
) -> None:
    """On the deposit's payment, and only then, have the bank told to feed."""
    if rental.state is not RentalState.DEPOSIT_DUE:
        billing.release(session, hold, now=now)
        return
    advance(
        session,
        rental,
        RentalEvent.DEPOSIT_HELD,
        now=now,
        evidence=payment.id,
        deposit_held_at=now,
    )
    command_start(session, rental, now=now)


def _follow_bill(
    session: Session, rental: RentalRow, payment: PaymentRow, *, now: datetime
) -> None:
    """A payment that came pays what is owed; what is too much of it goes back."""
    if payment.state is not PaymentState.PAID:
        return
    owed = owed_minor(session, rental) if rental.state is RentalState.PAYMENT_DUE else ZERO
    parts = settle(held_minor=Minor(payment.amount_minor), fee_minor=owed)
    surplus, currency = parts.freed_minor, Currency.of(payment.currency)
    if parts.kept_minor > 0:
        transfer = ledger.rental_paid(
            payment_id=payment.id,
            renter=rental.renter_id,
            currency=currency,
            amount_minor=parts.kept_minor,
            surplus_minor=surplus,
        )
    else:
        transfer = ledger.payment_surplus(
            payment_id=payment.id,
            renter=rental.renter_id,
            currency=currency,
            amount_minor=surplus,
        )
    money.write(session, transfer, rental_id=rental.id, now=now)
    if surplus > 0:
        refunds.send_back(session, payment, amount_minor=surplus, why=RefundWhy.SURPLUS, now=now)
    rental.paid_minor += parts.kept_minor
    session.add(rental)
    session.flush()
    close_if_covered(session, rental, evidence=payment.id, now=now)
