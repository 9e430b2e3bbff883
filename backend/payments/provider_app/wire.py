"""What goes over the line: request bodies in, payments and notices out."""

import json
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from backend.payments.provider_app.money import CURRENCIES
from backend.payments.provider_app.payment import Mode, Order, Payment
from backend.payments.provider_app.payout import Payout, PayoutOrder

MAX_AMOUNT_MINOR: Final = 10**10
_UNPRINTABLE: Final = frozenset({"Cc", "Cs"})


def _plain(text: str) -> str:
    if any(unicodedata.category(char) in _UNPRINTABLE for char in text):
        message = "no control characters"
        raise ValueError(message)
    return text


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        message = f"one of {', '.join(CURRENCIES)}"
        raise ValueError(message)
    return code


def _web_address(url: str) -> str:
    parts = urlsplit(_plain(url))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "an address that starts with http:// or https://"
        raise ValueError(message)
    return url


Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR)]
Reference = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
Description = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class CreateBody(_Body):
    """A payment asked for."""

    reference: Reference
    amount_minor: Amount
    currency: CurrencyCode
    capture: Annotated[Mode, Field(strict=False)] = Mode.AUTOMATIC
    description: Description
    return_url: Annotated[str, Field(max_length=2000), AfterValidator(_web_address)]

    def order(self) -> Order:
        """The same in the rules' words."""
        return Order(
            reference=self.reference,
            amount_minor=self.amount_minor,
            currency=self.currency,
            mode=self.capture,
            description=self.description,
            return_url=self.return_url,
        )


class AmountBody(_Body):
    """How much to capture or to refund."""

    amount_minor: Amount


class PayOutBody(_Body):
    """Money to be sent."""

    reference: Reference
    amount_minor: Amount
    currency: CurrencyCode
    account: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,120}$")]
    description: Description

    def order(self) -> PayoutOrder:
        """The same in the rules' words."""
        return PayoutOrder(
            reference=self.reference,
            amount_minor=self.amount_minor,
            currency=self.currency,
            account=self.account,
            description=self.description,
        )


class EmptyBody(_Body):
    """Nothing to add."""


def pay_url(payment_id: str, *, public_url: str) -> str:
    """Where the payer answers."""
    return f"{public_url.rstrip('/')}/pay/{payment_id}"


def payment_view(payment: Payment, *, public_url: str) -> dict[str, object]:
    """A payment as the payee sees it."""
    order = payment.order
    return {
        "id": payment.id,
        "status": payment.status,
        "capture": order.mode,
        "amount_minor": order.amount_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "currency": order.currency,
        "reference": order.reference,
        "description": order.description,
        "return_url": order.return_url,
        "pay_url": pay_url(payment.id, public_url=public_url),
        "created_at": _iso(payment.created_at),
        "pay_before": _iso(payment.pay_before),
        "capture_before": payment.capture_before and _iso(payment.capture_before),
    }


def payout_view(payout: Payout, *, public_url: str) -> dict[str, object]:
    """A payout as the payee sees it."""
    order = payout.order
    return {
        "id": payout.id,
        "status": payout.status,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "reference": order.reference,
        "account": order.account,
        "description": order.description,
        "failure": payout.failure,
        "receipt_url": f"{public_url.rstrip('/')}/payouts/{payout.id}",
        "created_at": _iso(payout.created_at),
    }


def notice_body(kind: str, view: dict[str, object], *, now: datetime) -> str:
    """A notice's body, in the shape that Standard Webhooks recommends."""
    return json.dumps({"type": kind, "timestamp": _iso(now), "data": view})


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
