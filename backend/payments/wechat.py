"""WeChat Pay behind the port: Native codes for bills, Pay Score orders for deposits.

The theory
----------
WeChat Pay knows no idempotency keys. What makes a repeat harmless is the number we give each
thing: a payment is named by our reference, a refund by its key. A repeat of what was done is
refused or done again to no effect; so after a no we look, and if things stand as was wished,
that is the answer.

Every request is signed with the merchant's key; every answer and notice by WeChat Pay's, and
one whose signature does not fit is no answer at all. A notice is also encrypted, and one that
was signed more than five minutes ago is a replay: WeChat Pay repeats under a new signature.

``pay_url`` of a bill is the ``code_url`` (``weixin://wxpay/bizpayurl?pr=...``): show it as a
QR code to scan with WeChat. Of a deposit it is ``confirm_url`` with the order's ``package``: a
page of the operator's inside WeChat, which opens Pay Score with it (``wxpayScoreUse``). Both
are told once, in the answer to the wish; a payment that is looked at later has none.

A Pay Score order is completed once, for at most its risk amount. What is owed beside it, as a
delivery fee beyond the deposit, is a bill of its own.

The library is used for its signatures (``wechat_keys``). Its client is not: it knows one host
only, raises ``Exception`` alike for all that goes wrong, and takes yesterday's notice.

Sources: https://pay.weixin.qq.com/doc/v3/merchant/4012365342 (signatures),
/4012791877 (Native), /4012587900 (Pay Score), /4012791865 (refunds)
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import httpx
import structlog
from pydantic import ValidationError

from backend.payments.pool import POOL
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    ProviderAway,
    ProviderDeclined,
    ProviderNotice,
    ProviderPayment,
    ProviderRefund,
)
from backend.payments.wechat_keys import Keys, WechatAccount
from backend.payments.wechat_wire import (
    CURRENCY,
    FAILED,
    MISCONFIGURED,
    NativeOpened,
    NoSuch,
    Notice,
    Order,
    Problem,
    Product,
    Refund,
    RefundNotice,
    Trade,
    Wire,
    meaning,
    read_ref,
    ref_of,
    refund_number,
)

BASE_URL: Final = "https://api.mch.weixin.qq.com"
TIMEOUT_S: Final = 10.0
TOLERANCE: Final = timedelta(minutes=5)

_log = structlog.get_logger(__name__)
_INTRODUCTION_CHARS_MAX: Final = 20
_TRADES: Final = "/v3/pay/transactions/out-trade-no"
_ORDERS: Final = "/v3/payscore/serviceorder"
_REFUNDS: Final = "/v3/refund/domestic/refunds"
_Read = TypeVar("_Read", bound=Wire)


class WechatProvider:
    """WeChat Pay, as :class:`backend.payments.port.Provider`. Thread-safe.

    Args:
        account: whose money it is.
        refund_keys: the keys under which refunds of a payment were, or are to be, asked for,
            by our reference of it: WeChat Pay cannot list them.
        base_url: another than WeChat Pay's own, for tests.
        timeout_s: for each call.

    Raises:
        ValueError: a key of the account cannot be used; says which.
    """

    def __init__(
        self,
        account: WechatAccount,
        *,
        refund_keys: Callable[[str], Iterable[str]],
        base_url: str = BASE_URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._account = account
        self._keys = Keys(account)
        self._refund_keys = refund_keys
        self._http = httpx.Client(base_url=base_url.rstrip("/"), timeout=timeout_s, limits=POOL)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- asking for money

    def create(
        self,
        *,
        key: str,  # noqa: ARG002 - the reference is what makes a repeat one
        reference: str,
        amount_minor: int,
        currency: str,
        capture: Capture,
        description: str,
        return_url: str,  # noqa: ARG002 - WeChat goes back to the app by itself
    ) -> ProviderPayment:
        """See the port."""
        if currency != CURRENCY:
            code = "CURRENCY"
            raise ProviderDeclined(code, f"WeChat Pay takes {CURRENCY} only")
        ask = self._open_order if capture is Capture.MANUAL else self._open_trade
        try:
            return ask(reference, amount_minor, description)
        except ProviderDeclined as no:
            product = Product.ORDER if capture is Capture.MANUAL else Product.TRADE
            return self._done_before(
                no, ref_of(product, reference), lambda told: told.amount_minor == amount_minor
            )

    def _open_trade(self, reference: str, amount_minor: int, description: str) -> ProviderPayment:
        wish = {
            "appid": self._account.appid,
            "mchid": self._account.mchid,
            "description": description,
            "out_trade_no": reference,
            "notify_url": self._account.notify_url,
            "amount": {"total": amount_minor, "currency": CURRENCY},
        }
        opened = _read(NativeOpened, self._ask("POST", "/v3/pay/transactions/native", wish))
        return ProviderPayment(
            ref=ref_of(Product.TRADE, reference),
            status=PaymentStatus.OPEN,
            amount_minor=amount_minor,
            captured_minor=0,
            refunded_minor=0,
            currency=CURRENCY,
            reference=reference,
            pay_url=opened.code_url,
            capture_before=None,
        )

    def _open_order(self, reference: str, amount_minor: int, description: str) -> ProviderPayment:
        wish = self._order_wish(
            out_order_no=reference,
            service_introduction=description[:_INTRODUCTION_CHARS_MAX],
            time_range={"start_time": "OnAccept"},
            risk_fund={"name": "DEPOSIT", "amount": amount_minor},
            notify_url=self._account.notify_url,
            need_user_confirm=True,
        )
        order = _read(Order, self._ask("POST", _ORDERS, wish))
        joint = "&" if "?" in self._account.confirm_url else "?"
        package = urlencode({"package": order.package})
        return order.told(pay_url=f"{self._account.confirm_url}{joint}{package}")

    # -- looking

    def fetch(self, ref: str) -> ProviderPayment:
        """See the port."""
        product, reference = read_ref(ref)
        if product is Product.TRADE:
            trade = self._trade(reference)
            is_touched = trade.trade_state == "REFUND"
            return trade.told(refunded_minor=self._refunded(reference) if is_touched else 0)
        order = self._order(reference)
        is_paid = order.told().status is PaymentStatus.PAID
        return order.told(refunded_minor=self._refunded(reference) if is_paid else 0)

    def find(self, reference: str) -> ProviderPayment | None:
        """See the port."""
        for product in Product:
            try:
                return self.fetch(ref_of(product, reference))
            except NoSuch:
                continue
        return None

    def _trade(self, reference: str) -> Trade:
        query = urlencode({"mchid": self._account.mchid})
        return _read(Trade, self._ask("GET", f"{_TRADES}/{_quoted(reference)}?{query}"))

    def _order(self, reference: str) -> Order:
        query = urlencode(self._order_wish(out_order_no=reference))
        return _read(Order, self._ask("GET", f"{_ORDERS}?{query}"))

    def _refunded(self, reference: str) -> int:
        """How much went back, or is on its way: each key was stored before it was used."""
        refunds = (self._refund(key) for key in self._refund_keys(reference))
        return sum(each.amount.refund for each in refunds if each and each.status not in FAILED)

    def _refund(self, key: str) -> Refund | None:
        try:
            return _read(Refund, self._ask("GET", f"{_REFUNDS}/{refund_number(key)}"))
        except NoSuch:
            return None

    # -- moving it

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:  # noqa: ARG002
        """Complete a Pay Score order. It stays AUTHORIZED until WeChat has collected the money."""
        product, reference = read_ref(ref)
        if product is Product.TRADE:
            code = "NOT_A_HOLD"
            raise ProviderDeclined(code, "a bill is taken when it is paid")
        wish = self._order_wish(
            post_payments=[{"name": "充電寶租借 rental", "amount": amount_minor}],
            total_amount=amount_minor,
        )
        try:
            self._ask("POST", f"{_ORDERS}/{_quoted(reference)}/complete", wish)
        except ProviderDeclined:
            if self._order(reference).total_amount != amount_minor:
                raise
        return self.fetch(ref)

    def release(self, ref: str, *, key: str) -> ProviderPayment:  # noqa: ARG002
        """See the port."""
        product, reference = read_ref(ref)
        try:
            if product is Product.TRADE:
                wish = {"mchid": self._account.mchid}
                self._ask("POST", f"{_TRADES}/{_quoted(reference)}/close", wish)
            else:
                wish = self._order_wish(reason="未使用 not used")
                self._ask("POST", f"{_ORDERS}/{_quoted(reference)}/cancel", wish)
        except ProviderDeclined as no:
            return self._done_before(no, ref, lambda told: told.status is PaymentStatus.CANCELED)
        return self.fetch(ref)

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        product, reference = read_ref(ref)
        if product is Product.TRADE:
            paid = self._trade(reference).told()
            of: dict[str, Any] = {"out_trade_no": reference}
        else:
            order = self._order(reference)
            paid = order.told()
            of = {"transaction_id": order.transaction_id()}
        if paid.status is not PaymentStatus.PAID:
            code = "NOT_PAID"
            raise ProviderDeclined(code, "nothing was taken that could be given back")
        amount = {"refund": amount_minor, "total": paid.captured_minor, "currency": CURRENCY}
        named = {"out_refund_no": refund_number(key), "notify_url": self._account.notify_url}
        refund = _read(Refund, self._ask("POST", _REFUNDS, {**of, **named, "amount": amount}))
        if refund.status in FAILED:
            code = f"REFUND_{refund.status}"
            raise ProviderDeclined(code, "the refund does not reach the payer")
        return self.fetch(ref)

    def _order_wish(self, **more: Any) -> dict[str, Any]:
        return {"appid": self._account.appid, "service_id": self._account.service_id, **more}

    def _done_before(
        self, no: ProviderDeclined, ref: str, is_as_wished: Callable[[ProviderPayment], bool]
    ) -> ProviderPayment:
        """After a no: how things stand, if that is as was wished; else the no."""
        try:
            told = self.fetch(ref)
        except NoSuch:
            raise no from None
        if not is_as_wished(told):
            raise no
        return told

    # -- the wire

    def _ask(self, method: str, path: str, wish: Mapping[str, Any] | None = None) -> bytes:
        """Ask, and give the body of an answer that is a yes, and WeChat Pay's."""
        body = "" if wish is None else json.dumps(wish, ensure_ascii=False)
        headers = {
            "authorization": self._keys.authorization(method, path, body),
            "accept": "application/json",
            "content-type": "application/json",
            "wechatpay-serial": self._keys.newest_of_theirs,
        }
        try:
            answer = self._http.request(method, path, headers=headers, content=body.encode())
        except httpx.RequestError as error:
            message = f"WeChat Pay did not answer: {str(error) or type(error).__name__}"
            raise ProviderAway(message) from error
        error_told = None if answer.is_success else _error(answer)
        if isinstance(error_told, ProviderAway):
            raise error_told
        try:
            self._keys.verify(answer.headers, answer.content)
        except BadNotice as bad:
            message = f"an answer that is not WeChat Pay's: {bad}"
            raise ProviderAway(message) from bad
        if error_told is not None:
            raise error_told
        return answer.content

    # -- notices

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        """See the port."""
        sent_at = self._keys.verify(headers, body)
        if abs(now - sent_at) > TOLERANCE:
            detail = f"sent at {sent_at.isoformat()}, now {now.isoformat()}"
            raise BadNotice(NoticeFault.STALE, detail)
        try:
            notice = Notice.model_validate_json(body)
            told = self._subject(notice.event_type, self._keys.unseal(notice.resource))
        except ValidationError as error:
            raise BadNotice(NoticeFault.UNREADABLE, _first(error)) from error
        at = notice.create_time.astimezone(UTC)
        return ProviderNotice(
            id=notice.id,
            kind=notice.event_type,
            payment=told if isinstance(told, ProviderPayment) else None,
            refund=told if isinstance(told, ProviderRefund) else None,
            at=at,
        )

    def _subject(self, kind: str, resource: str) -> ProviderPayment | ProviderRefund | None:
        """What a notice is about; None, if it moves nothing that the answers do not tell better."""
        if kind.startswith("TRANSACTION."):
            return Trade.model_validate_json(resource).told()
        if kind in {"PAYSCORE.USER_CONFIRM", "PAYSCORE.USER_PAID"}:
            return Order.model_validate_json(resource).told()
        if kind.startswith("REFUND."):
            return self._subject_of_refund(RefundNotice.model_validate_json(resource))
        return None

    def _subject_of_refund(self, notice: RefundNotice) -> ProviderRefund | None:
        """A refund by its number: only who has its key can tell it. None: nobody waits for it."""
        for key in self._refund_keys(notice.out_trade_no):
            if refund_number(key) == notice.out_refund_no:
                return notice.told(key)
        if notice.refund_status not in FAILED:
            return None
        detail = "a refund cannot reach the payer: see the merchant platform"
        raise BadNotice(NoticeFault.UNREADABLE, detail)


def _error(answer: httpx.Response) -> ProviderDeclined | ProviderAway:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        return ProviderAway(f"WeChat Pay answered {answer.status_code}, unreadably")
    if answer.status_code == httpx.codes.UNAUTHORIZED or problem.code in MISCONFIGURED:
        _log.error("wechat_refuses_us", code=problem.code, said=problem.message)
    return meaning(answer.status_code, problem.code, problem.message)


def _quoted(reference: str) -> str:
    return quote(reference, safe="")


def _read(kind: type[_Read], body: bytes) -> _Read:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        message = f"WeChat Pay answered, unreadably: {_first(error)}"
        raise ProviderAway(message) from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without the peer's bytes."""
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
