"""A payment's life, as a table.

A payment is asked for by the payee and answered by the payer. With ``automatic`` the
payer's yes takes the money. With ``manual`` it sets the money aside, a *hold*: the payee
takes part or all of it once, or lets it go, or time does that. What is not captured of a
hold is the payer's again at that moment.

What must always hold: ``0 <= refunded <= captured <= amount``; nothing is captured unless
the payment is paid; and canceled, failed and expired payments never change again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from backend.payments.provider_app.problems import Code, Refused


class Mode(StrEnum):
    """When the money is taken once the payer agrees: at once, or when the payee says so."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Status(StrEnum):
    """Where a payment stands."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    PAID = "paid"
    CANCELED = "canceled"
    FAILED = "failed"
    EXPIRED = "expired"


class Act(StrEnum):
    """What can happen to a payment."""

    PAY = "pay"
    HOLD = "hold"
    DECLINE = "decline"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    EXPIRE = "expire"


MOVES: Final = {
    (Status.OPEN, Act.PAY): Status.PAID,
    (Status.OPEN, Act.HOLD): Status.AUTHORIZED,
    (Status.OPEN, Act.DECLINE): Status.FAILED,
    (Status.OPEN, Act.CANCEL): Status.CANCELED,
    (Status.OPEN, Act.EXPIRE): Status.EXPIRED,
    (Status.AUTHORIZED, Act.CAPTURE): Status.PAID,
    (Status.AUTHORIZED, Act.CANCEL): Status.CANCELED,
    (Status.AUTHORIZED, Act.EXPIRE): Status.EXPIRED,
    (Status.PAID, Act.REFUND): Status.PAID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the payee asks for."""

    reference: str
    """The payee's own id of the payment; no other has it."""
    amount_minor: int
    currency: str
    mode: Mode
    description: str
    return_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment. Times are aware UTC."""

    id: str
    order: Order
    status: Status
    captured_minor: int
    refunded_minor: int
    created_at: datetime
    pay_before: datetime
    capture_before: datetime | None
    """When the hold runs out; None until there is one."""
    paid_at: datetime | None
    """When it was taken; None unless it was."""


Rule = Callable[[Payment], Payment]
"""One move: from a payment as it is to the payment as it will be, or :class:`Refused`."""


def asked(order: Order, *, payment_id: str, now: datetime, pay_within: timedelta) -> Payment:
    """A new payment, waiting for the payer."""
    return Payment(
        id=payment_id,
        order=order,
        status=Status.OPEN,
        captured_minor=0,
        refunded_minor=0,
        created_at=now,
        pay_before=now + pay_within,
        capture_before=None,
        paid_at=None,
    )


def agreed(payment: Payment, *, now: datetime, hold: timedelta) -> Payment:
    """The payer says yes."""
    if payment.order.mode is Mode.MANUAL:
        return replace(payment, status=_next(payment, Act.HOLD), capture_before=now + hold)
    amount = payment.order.amount_minor
    return replace(payment, status=_next(payment, Act.PAY), captured_minor=amount, paid_at=now)


def declined(payment: Payment) -> Payment:
    """The payer says no."""
    return replace(payment, status=_next(payment, Act.DECLINE))


def captured(payment: Payment, *, amount_minor: int, now: datetime) -> Payment:
    """The payee takes this much of the hold; the rest is free again."""
    status = _next(payment, Act.CAPTURE)
    _bounded(amount_minor, payment.order.amount_minor, "held")
    return replace(payment, status=status, captured_minor=amount_minor, paid_at=now)


def canceled(payment: Payment) -> Payment:
    """The payee lets the hold go, or no longer asks."""
    return replace(payment, status=_next(payment, Act.CANCEL))


def refunded(payment: Payment, *, amount_minor: int) -> Payment:
    """The payee gives this much back."""
    status = _next(payment, Act.REFUND)
    _bounded(amount_minor, payment.captured_minor - payment.refunded_minor, "left to refund")
    return replace(payment, status=status, refunded_minor=payment.refunded_minor + amount_minor)


def expired(payment: Payment) -> Payment:
    """Nobody answered, or the hold ran out."""
    return replace(payment, status=_next(payment, Act.EXPIRE))


def due_at(payment: Payment) -> datetime | None:
    """When time alone will end it; None: never."""
    if payment.status is Status.OPEN:
        return payment.pay_before
    if payment.status is Status.AUTHORIZED:
        return payment.capture_before
    return None


def as_of(payment: Payment, now: datetime) -> Payment:
    """The payment with what time did to it."""
    due = due_at(payment)
    return expired(payment) if due is not None and due <= now else payment


def notice_kind(before: Payment, after: Payment) -> str:
    """What a notice of this change is called."""
    if after.refunded_minor != before.refunded_minor:
        return "payment.refunded"
    return f"payment.{after.status}"


def _next(payment: Payment, act: Act) -> Status:
    status = MOVES.get((payment.status, act))
    if status is None:
        raise Refused(Code.WRONG_STATE, f"cannot {act} a payment that is {payment.status}")
    return status


def _bounded(amount_minor: int, most_minor: int, what: str) -> None:
    if amount_minor > most_minor:
        raise Refused(Code.AMOUNT_TOO_LARGE, f"{amount_minor} is more than the {most_minor} {what}")
