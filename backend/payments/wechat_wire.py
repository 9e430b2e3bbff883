"""What WeChat Pay says, in the port's words. No call is made here.

The theory
----------
Two products, told apart by the first word of ``ref``. A *trade* is a payment by QR code
(Native). A Pay Score *order* stands in for a deposit, and is not one: nothing is set aside.
The user confirms that they may be charged up to the risk amount; we complete the order with
what is owed, and WeChat collects that, at once or as soon as the user has it. So

*AUTHORIZED* is a promise: confirmed, or completed and not collected yet. It does not run out,
and there is no ``capture_before``.
*PAID* is collected; what was completed and not collected is still on its way.

An order is completed once and for at most the risk amount, after which it can only go down.

A payment does not tell how much of it was refunded, nor who its refunds are: each is asked
after by the number we gave it, which comes from the key of the wish.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from backend.payments.port import (
    PaymentStatus,
    ProviderAway,
    ProviderDeclined,
    ProviderPayment,
    ProviderRefund,
)

CURRENCY: Final = "CNY"
"""The only one."""

# -- what an error says ---------------------------------------------------------------------

MISCONFIGURED: Final = frozenset(
    {"SIGN_ERROR", "NO_AUTH", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS"}
)
"""Codes about us and not about the payment."""
_LATER: Final = frozenset(
    {"SYSTEM_ERROR", "BANK_ERROR", "FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED", "NOT_ENOUGH"}
)
"""Codes after which the same wish, with the same number, may go well. ``NOT_ENOUGH``: our
account has not the money for a refund yet."""


class NoSuch(ProviderDeclined):
    """WeChat Pay has nothing of that number."""


def meaning(status: int, code: str, message: str) -> ProviderDeclined | ProviderAway:
    """What an error says of the wish: that it was refused, or nothing at all."""
    says_nothing = status in {401, 408, 429} or status >= 500  # noqa: PLR2004 - HTTP's own
    if says_nothing or code in MISCONFIGURED | _LATER:
        return ProviderAway(f"WeChat Pay answered {status} {code}: {message}")
    kind = NoSuch if status == 404 else ProviderDeclined  # noqa: PLR2004
    return kind(code, message)


# -- where a payment stands -----------------------------------------------------------------

_TRADES: Final[Mapping[str, PaymentStatus]] = MappingProxyType(
    {
        "NOTPAY": PaymentStatus.OPEN,
        "USERPAYING": PaymentStatus.OPEN,
        "SUCCESS": PaymentStatus.PAID,
        "REFUND": PaymentStatus.PAID,
        "CLOSED": PaymentStatus.CANCELED,
        "REVOKED": PaymentStatus.CANCELED,
        "PAYERROR": PaymentStatus.FAILED,
    }
)
_ORDERS: Final[Mapping[str, PaymentStatus]] = MappingProxyType(
    {
        "CREATED": PaymentStatus.OPEN,
        "DOING": PaymentStatus.AUTHORIZED,
        "REVOKED": PaymentStatus.CANCELED,
        "EXPIRED": PaymentStatus.EXPIRED,
    }
)


def trade_status(state: str) -> PaymentStatus:
    """Where a trade stands, by its ``trade_state``.

    A code that nobody scanned in time is closed like one that we closed.

    Raises:
        ProviderAway: a state that WeChat Pay had not when this was written.
    """
    return _known(_TRADES, state)


def order_status(state: str, *, owed_minor: int, collected: str | None) -> PaymentStatus:
    """Where a Pay Score order stands.

    Args:
        state: its ``state``.
        owed_minor: what it was completed with; 0 until then, and if it cost nothing.
        collected: the ``state`` of its collection.

    Raises:
        ProviderAway: a state that WeChat Pay had not when this was written.
    """
    if state != "DONE":
        return _known(_ORDERS, state)
    if owed_minor == 0:
        return PaymentStatus.CANCELED
    return PaymentStatus.PAID if collected == "USER_PAID" else PaymentStatus.AUTHORIZED


def _known(states: Mapping[str, PaymentStatus], state: str) -> PaymentStatus:
    try:
        return states[state]
    except KeyError as new:
        message = f"WeChat Pay told of a state that is {new}"
        raise ProviderAway(message) from new


# -- names ----------------------------------------------------------------------------------


class Product(StrEnum):
    """Which of the two a payment is: the first word of its ``ref``."""

    TRADE = "trade"
    ORDER = "order"


def ref_of(product: Product, reference: str) -> str:
    """The ``ref`` of a payment: WeChat Pay is asked by our number of it, in either product."""
    return f"{product}:{reference}"


def read_ref(ref: str) -> tuple[Product, str]:
    """The product and our reference.

    Raises:
        NoSuch: it is no ref of ours.
    """
    product, _, reference = ref.partition(":")
    if product not in set(Product) or not reference:
        code = "ORDER_NOT_EXIST"
        raise NoSuch(code, f"no payment is named {ref}")
    return Product(product), reference


def refund_number(key: str) -> str:
    """The number of the refund that this key asks for: same key, same refund."""
    return hashlib.sha256(key.encode()).hexdigest()


# -- what WeChat Pay sends ------------------------------------------------------------------

_Minor = Annotated[int, Field(ge=0)]


class Wire(BaseModel):
    """What we read of an object; fields we do not know are WeChat Pay's own business."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Problem(Wire):
    """An error."""

    code: str
    message: str = ""


class NativeOpened(Wire):
    """The answer to a new trade."""

    code_url: str


class _Amount(Wire):
    total: _Minor
    currency: str = CURRENCY


class Trade(Wire):
    """A payment by QR code."""

    out_trade_no: str
    trade_state: str
    amount: _Amount

    def told(self, *, refunded_minor: int = 0) -> ProviderPayment:
        """The same in the port's words; where to pay is told once, in the answer to the wish."""
        status = trade_status(self.trade_state)
        return ProviderPayment(
            ref=ref_of(Product.TRADE, self.out_trade_no),
            status=status,
            amount_minor=self.amount.total,
            captured_minor=self.amount.total if status is PaymentStatus.PAID else 0,
            refunded_minor=refunded_minor,
            currency=self.amount.currency,
            reference=self.out_trade_no,
            pay_url="",
            capture_before=None,
        )


class _Risk(Wire):
    amount: _Minor


class _Collected(Wire):
    amount: _Minor = 0
    transaction_id: str | None = None


class _Collection(Wire):
    state: str
    paid_amount: _Minor = 0
    details: list[_Collected] = []


class Order(Wire):
    """A Pay Score order."""

    out_order_no: str
    state: str
    risk_fund: _Risk
    total_amount: _Minor = 0
    collection: _Collection | None = None
    package: str = ""
    """What opens the page where the user confirms; only in the answer to a new order."""

    def transaction_id(self) -> str | None:
        """The payment by which it was collected: what a refund is asked of."""
        details = self.collection.details if self.collection else []
        return next((each.transaction_id for each in details if each.transaction_id), None)

    def told(self, *, refunded_minor: int = 0, pay_url: str = "") -> ProviderPayment:
        """The same in the port's words."""
        status = order_status(
            self.state,
            owed_minor=self.total_amount,
            collected=self.collection.state if self.collection else None,
        )
        collected_minor = self.collection.paid_amount if self.collection else 0
        return ProviderPayment(
            ref=ref_of(Product.ORDER, self.out_order_no),
            status=status,
            amount_minor=self.risk_fund.amount,
            captured_minor=collected_minor if status is PaymentStatus.PAID else 0,
            refunded_minor=refunded_minor,
            currency=CURRENCY,
            reference=self.out_order_no,
            pay_url=pay_url,
            capture_before=None,
        )


class _RefundAmount(Wire):
    refund: _Minor


_RefundStatus = Literal["SUCCESS", "CLOSED", "PROCESSING", "ABNORMAL"]
FAILED: Final = frozenset({"CLOSED", "ABNORMAL"})
"""It did not reach the payer: closed, or their bank sends it back. We have the money."""


class Refund(Wire):
    """Money on its way back."""

    status: _RefundStatus
    amount: _RefundAmount


class RefundNotice(Wire):
    """What a notice tells of it."""

    out_trade_no: str = ""
    out_refund_no: str
    refund_id: str = ""
    refund_status: _RefundStatus
    amount: _RefundAmount

    def told(self, key: str) -> ProviderRefund:
        """The same in the port's words, if it was asked for with this key."""
        has_failed = self.refund_status in FAILED
        return ProviderRefund(
            ref=self.refund_id,
            key=key,
            is_gone=not has_failed,
            amount_minor=self.amount.refund,
            currency=CURRENCY,
            failure=self.refund_status if has_failed else "",
        )


class Sealed(Wire):
    """An encrypted resource."""

    algorithm: Literal["AEAD_AES_256_GCM"]
    ciphertext: str
    nonce: str
    associated_data: str = ""


class Notice(Wire):
    """What a webhook brings."""

    id: str
    create_time: AwareDatetime
    event_type: str
    resource: Sealed
