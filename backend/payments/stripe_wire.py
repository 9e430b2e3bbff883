"""What Stripe says, in the port's words. No call is made here.

The theory
----------
A payment is a Checkout Session; the money is held by the PaymentIntent in it, which is there
only once the payer tried. Where the payment stands follows from both statuses:

*The session is open.* A declined card ends nothing: the payer may try another one.
*It is complete.* The intent tells: held, taken, let go, or run out. A way of paying that takes
days may still fail: then the intent wants another one, and nobody can give it.
*It is expired.* Nobody paid in time, or we ended it; we wrote down which.

A notice has the session without its intent, so there ``payment_status`` and the kind of event
decide, and when a hold runs out is not told: we say the shortest that card networks give,
until the payment is fetched.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backend.payments.port import (
    Capture,
    PaymentStatus,
    PayoutStatus,
    ProviderAway,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
)

HOLD_AT_LEAST: Final = timedelta(days=4, hours=18)
"""The shortest hold of a card network: Visa's, for a payment that the merchant began.

Source: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

# -- where a payment stands -----------------------------------------------------------------

_INTENTS: Final[Mapping[str, PaymentStatus]] = MappingProxyType(
    {
        "requires_payment_method": PaymentStatus.OPEN,
        "requires_confirmation": PaymentStatus.OPEN,
        "requires_action": PaymentStatus.OPEN,
        "processing": PaymentStatus.OPEN,
        "requires_capture": PaymentStatus.AUTHORIZED,
        "succeeded": PaymentStatus.PAID,
        "canceled": PaymentStatus.CANCELED,
    }
)
_RAN_OUT: Final = frozenset({"expired", "automatic"})
"""Why an intent was canceled by Stripe; the second word is from before 2025."""


def status_of(
    session: str, intent: str | None, *, reason: str | None = None, is_released: bool = False
) -> PaymentStatus:
    """Where a payment stands, by what was fetched.

    Args:
        session: the session's status.
        intent: its intent's; None: the payer has not tried.
        reason: the intent's ``cancellation_reason``.
        is_released: whether we ended the session.

    Raises:
        ProviderAway: a status that Stripe had not when this was written.
    """
    try:
        known = _INTENTS[intent] if intent is not None else PaymentStatus.OPEN
    except KeyError as new:
        message = f"Stripe told of an intent that is {new}"
        raise ProviderAway(message) from new
    if known in {PaymentStatus.AUTHORIZED, PaymentStatus.PAID}:
        return known
    if session == "expired":
        return PaymentStatus.CANCELED if is_released else PaymentStatus.EXPIRED
    if known is PaymentStatus.CANCELED:
        return PaymentStatus.EXPIRED if reason in _RAN_OUT else PaymentStatus.CANCELED
    if session == "complete" and intent == "requires_payment_method":
        return PaymentStatus.FAILED
    return PaymentStatus.OPEN


def noticed_status(
    kind: str, payment_status: str, *, is_hold: bool, is_released: bool = False
) -> PaymentStatus:
    """Where a payment stands, by a notice of its session."""
    if kind == "checkout.session.expired":
        return PaymentStatus.CANCELED if is_released else PaymentStatus.EXPIRED
    if kind == "checkout.session.async_payment_failed":
        return PaymentStatus.FAILED
    if payment_status == "paid":
        return PaymentStatus.PAID
    return PaymentStatus.AUTHORIZED if is_hold else PaymentStatus.OPEN


# -- what Stripe sends ----------------------------------------------------------------------


def _expanded(told: object) -> object:
    """An object that was not asked for with ``expand`` is only its id: we know nothing of it."""
    return None if isinstance(told, str) else told


_Minor = Annotated[int, Field(ge=0)]
_Currency = Annotated[str, BeforeValidator(str.upper)]
_Instant = Annotated[
    datetime, BeforeValidator(lambda seconds: datetime.fromtimestamp(seconds, UTC))
]


class Wire(BaseModel):
    """What we read of an object; Stripe adds fields as it likes."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Card(Wire):
    capture_before: _Instant | None = None


class _Method(Wire):
    card: _Card | None = None


class _Charge(Wire):
    status: str
    created: _Instant
    amount_refunded: _Minor
    payment_method_details: _Method | None = None

    def capture_before(self) -> datetime | None:
        """When its hold runs out: not every way of paying tells, and a failed one holds nothing."""
        if self.status != "succeeded":
            return None
        method = self.payment_method_details
        told = method.card.capture_before if method and method.card else None
        return told or self.created + HOLD_AT_LEAST


class _Intent(Wire):
    id: str
    status: str
    amount_received: _Minor
    cancellation_reason: str | None = None
    latest_charge: Annotated[_Charge | None, BeforeValidator(_expanded)] = None


class _Metadata(Wire):
    """What we wrote on the session."""

    capture: Capture = Capture.AUTOMATIC
    released_by: str = ""
    """The key of the wish that ended it."""


class Session(Wire):
    """A Checkout Session."""

    id: str
    status: Literal["open", "complete", "expired"]
    payment_status: str
    amount_total: _Minor
    currency: _Currency
    client_reference_id: str
    url: str | None = None
    """None once nobody can pay any more."""
    metadata: _Metadata
    payment_intent: Annotated[_Intent | None, BeforeValidator(_expanded)] = None

    def told(self) -> ProviderPayment:
        """The same in the port's words, if it was fetched with its intent and charge."""
        intent = self.payment_intent
        status = status_of(
            self.status,
            intent.status if intent else None,
            reason=intent.cancellation_reason if intent else None,
            is_released=bool(self.metadata.released_by),
        )
        charge = intent.latest_charge if intent else None
        return self._told(
            status,
            captured_minor=intent.amount_received if intent else 0,
            refunded_minor=charge.amount_refunded if charge else 0,
            capture_before=charge.capture_before() if charge else None,
        )

    def noticed(self, kind: str, at: datetime) -> ProviderPayment:
        """The same in the port's words, if it came with a notice."""
        status = noticed_status(
            kind,
            self.payment_status,
            is_hold=self._is_hold(),
            is_released=bool(self.metadata.released_by),
        )
        return self._told(
            status,
            captured_minor=self.amount_total if status is PaymentStatus.PAID else 0,
            refunded_minor=0,
            capture_before=at + HOLD_AT_LEAST if status is PaymentStatus.AUTHORIZED else None,
        )

    def _is_hold(self) -> bool:
        return self.metadata.capture is Capture.MANUAL

    def _told(
        self,
        status: PaymentStatus,
        *,
        captured_minor: int,
        refunded_minor: int,
        capture_before: datetime | None,
    ) -> ProviderPayment:
        return ProviderPayment(
            ref=self.id,
            status=status,
            amount_minor=self.amount_total,
            captured_minor=captured_minor,
            refunded_minor=refunded_minor,
            currency=self.currency,
            reference=self.client_reference_id,
            pay_url=self.url or "",
            capture_before=capture_before if self._is_hold() else None,
        )


class Page(Wire):
    """Some of a list, newest first. What is in it may be of another program's making."""

    data: list[dict[str, Any]]
    has_more: bool = False


class _RefundMetadata(Wire):
    """What we wrote on the refund; not on one that somebody made by hand."""

    key: str = ""


class Refund(Wire):
    """Money that goes back to who paid it."""

    id: str
    status: str
    amount: _Minor
    currency: _Currency
    failure_reason: str | None = None
    metadata: _RefundMetadata = _RefundMetadata()

    @property
    def has_failed(self) -> bool:
        """Whether we have the money again."""
        return self.status in {"failed", "canceled"}

    def told(self) -> ProviderRefund | None:
        """The same in the port's words; None: it is none of ours."""
        if not self.metadata.key:
            return None
        return ProviderRefund(
            ref=self.id,
            key=self.metadata.key,
            is_gone=not self.has_failed,
            amount_minor=self.amount,
            currency=self.currency,
            failure=self.failure_reason or "",
        )


class Transfer(Wire):
    """Money of ours that went to a connected account, or came back from it."""

    id: str
    amount: _Minor
    currency: _Currency
    destination: str
    transfer_group: str
    reversed: bool

    def told(self) -> ProviderPayout:
        """The same in the port's words."""
        return ProviderPayout(
            ref=self.id,
            status=PayoutStatus.FAILED if self.reversed else PayoutStatus.PAID,
            amount_minor=self.amount,
            currency=self.currency,
            reference=self.transfer_group,
            account=self.destination,
            failure="reversed" if self.reversed else None,
        )


class _Data(Wire):
    object: dict[str, Any]


class Event(Wire):
    """What a webhook brings."""

    id: str
    type: str
    created: _Instant
    data: _Data

    def subject(self) -> ProviderPayment | ProviderPayout | ProviderRefund | None:
        """What it is about; None, if it is of a kind that moves nothing here."""
        if self.type not in NOTICES:
            return None
        if self.type.startswith("transfer."):
            return Transfer.model_validate(self.data.object).told()
        if self.type.startswith("refund."):
            return Refund.model_validate(self.data.object).told()
        return Session.model_validate(self.data.object).noticed(self.type, self.created)


NOTICES: Final = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "transfer.created",
    "transfer.reversed",
    "refund.failed",
)
"""The kinds of event to have sent."""
