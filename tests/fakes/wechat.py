"""WeChat Pay's API v3 on loopback: it checks the signatures of requests and makes real ones.

As WeChat Pay's documentation has it: Native payments, Pay Score orders, refunds, the rules of
each, notices encrypted and signed. The payer and a lost line are played by the test. Written
against ``cryptography`` and not against the library that our client uses, so that the two
check each other. Made up are ids and sentences.
"""

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from backend.clock import SystemClock
from backend.payments.wechat_keys import WechatAccount
from tests.fakes.http import Answering, serving

MCHID, APPID, SERVICE_ID = "1900000109", "wxd678efh567hg6787", "2002000000000558128851361561536"
SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
PLATFORM_KEY_ID = "PUB_KEY_ID_0119000001092026112200382"
API_V3_KEY = "a key of thirty-two bytes, really"[:32]
NOTIFY_URL = "https://lendwatt.example/api/v1/webhooks/wechat"
CONFIRM_URL = "https://lendwatt.example/wechat/confirm"
CHINA = timezone(timedelta(hours=8))

Json = dict[str, Any]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    encoded = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def sign(key: rsa.RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()


class Refused(Exception):  # noqa: N818 - named as what it is
    """An error as WeChat Pay answers it."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "message": message or code}


@dataclass
class Sent:
    """A notice as it left: what it says, and how that was wrapped."""

    kind: str
    resource: Json
    headers: dict[str, str]
    body: bytes


@dataclass
class WechatPay:
    """A merchant's account at WeChat Pay."""

    merchant_key: rsa.RSAPrivateKey
    platform_key: rsa.RSAPrivateKey
    sent: list[Sent] = field(default_factory=list)
    """The notices, in order."""
    loses_next_answer: bool = False
    forges_answers: bool = False
    """Another key than WeChat Pay's signs what it answers."""
    fails_with: Refused | None = None
    """What every request is answered with."""
    payer_has_no_money: bool = False
    """What a Pay Score order is completed with cannot be collected, until the payer pays."""
    trades: dict[str, Json] = field(default_factory=dict)
    orders: dict[str, Json] = field(default_factory=dict)
    refunds: dict[str, Json] = field(default_factory=dict)
    _wishes: dict[str, Json] = field(default_factory=dict)
    """What a trade, an order or a completion was first asked for with."""
    _nonces: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def account(self, **changes: Any) -> WechatAccount:
        """What the merchant knows."""
        known: dict[str, Any] = {
            "mchid": MCHID,
            "appid": APPID,
            "service_id": SERVICE_ID,
            "serial": SERIAL,
            "private_key": private_pem(self.merchant_key),
            "api_v3_key": API_V3_KEY,
            "platform_key": public_pem(self.platform_key),
            "platform_key_id": PLATFORM_KEY_ID,
            "notify_url": NOTIFY_URL,
            "confirm_url": CONFIRM_URL,
        }
        return WechatAccount(**known | changes)

    # -- whom the test plays

    def payer_agrees(self, reference: str) -> None:
        """The payer scans the code and pays, or confirms the order."""
        with self._lock:
            if reference in self.trades:
                trade = self.trades[reference]
                assert trade["trade_state"] == "NOTPAY", trade
                trade.update(trade_state="SUCCESS", transaction_id=self._number("42000"))
                self.tell("TRANSACTION.SUCCESS", trade)
                return
            order = self.orders[reference]
            assert order["state"] == "CREATED", order
            order.update(state="DOING", state_description="USER_CONFIRM")
            self.tell("PAYSCORE.USER_CONFIRM", order)

    def payer_pays_what_they_owe(self, reference: str) -> None:
        """What could not be collected at first is."""
        with self._lock:
            self._collect(self.orders[reference])

    def order_runs_out(self, reference: str) -> None:
        """A month is over and nobody confirmed."""
        self.orders[reference]["state"] = "EXPIRED"

    def refund_bounces(self, number: str) -> None:
        """The payer's bank sends back what was on its way."""
        self._refund_ends(number, "ABNORMAL")

    def refund_arrives(self, number: str) -> None:
        """It reaches the payer; where it had bounced, since somebody saw to it."""
        self._refund_ends(number, "SUCCESS")

    def _refund_ends(self, number: str, status: str) -> None:
        with self._lock:
            refund = self.refunds[number]
            refund["status"] = status
            named = ("out_trade_no", "out_refund_no", "refund_id", "transaction_id", "amount")
            told = {name: refund[name] for name in named} | {"refund_status": status}
            self.tell(f"REFUND.{status}", told)

    # -- signatures

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers that vouch for a body."""
        moment, nonce = str(_now()), secrets.token_hex(16)
        key = new_key() if self.forges_answers else self.platform_key
        return {
            "Wechatpay-Timestamp": moment,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": PLATFORM_KEY_ID,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
            "Wechatpay-Signature": sign(key, f"{moment}\n{nonce}\n".encode() + body + b"\n"),
        }

    def tell(self, kind: str, resource: Json) -> None:
        """Send a notice."""
        body = self.sealed(kind, json.dumps(resource, ensure_ascii=False))
        self.sent.append(Sent(kind, dict(resource), self.signed(body), body))

    def sealed(self, kind: str, text: str) -> bytes:
        """A notice's body, with this inside."""
        nonce, associated = secrets.token_hex(6), kind.partition(".")[0].lower()
        inside = AESGCM(API_V3_KEY.encode()).encrypt(
            nonce.encode(), text.encode(), associated.encode()
        )
        notice = {
            "id": f"EV-{next(self._numbers)}",
            "create_time": SystemClock().now().astimezone(CHINA).isoformat(timespec="seconds"),
            "resource_type": "encrypt-resource",
            "event_type": kind,
            "summary": kind,
            "resource": {
                "original_type": associated,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(inside).decode(),
                "associated_data": associated,
                "nonce": nonce,
            },
        }
        return json.dumps(notice).encode()

    def _check(self, method: str, path: str, authorization: str, body: str) -> None:
        """Refuse what the merchant did not sign, or signed long ago or twice."""
        scheme, _, rest = authorization.partition(" ")
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or given.get("mchid") != MCHID:
            raise Refused(401, "SIGN_ERROR", "who are you")
        if given["serial_no"] != SERIAL or abs(int(given["timestamp"]) - _now()) > 300:
            raise Refused(401, "SIGN_ERROR", "serial or timestamp")
        if given["nonce_str"] in self._nonces:
            raise Refused(401, "SIGN_ERROR", "nonce used before")
        self._nonces.add(given["nonce_str"])
        lines = (method, path, given["timestamp"], given["nonce_str"], body)
        text = "".join(f"{line}\n" for line in lines)
        try:
            self.merchant_key.public_key().verify(
                base64.b64decode(given["signature"]), text.encode(), PKCS1v15(), SHA256()
            )
        except InvalidSignature as error:
            raise Refused(401, "SIGN_ERROR", "the signature does not fit") from error

    # -- the API

    def answer(self, method: str, path: str, authorization: str, body: str) -> tuple[int, bytes]:
        """Answer a request."""
        with self._lock:
            try:
                self._check(method, path, authorization, body)
                if self.fails_with is not None:
                    raise self.fails_with
                told = self._do(method, path, json.loads(body) if body else {})
            except Refused as refused:
                return refused.status, json.dumps(refused.body).encode()
            return (204, b"") if told is None else (200, json.dumps(told).encode())

    def _do(self, method: str, path: str, wish: Json) -> Json | None:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for pattern, do in self._routes():
            if found := re.fullmatch(pattern, f"{method} {parts.path}"):
                return do(*found.groups(), {**query, **wish})
        raise Refused(404, "RESOURCE_NOT_EXISTS", path)

    def _routes(self) -> list[tuple[str, Callable[..., Json | None]]]:
        trades, orders = "/v3/pay/transactions/out-trade-no", "/v3/payscore/serviceorder"
        refunds = "/v3/refund/domestic/refunds"
        return [
            ("POST /v3/pay/transactions/native", self._open_trade),
            (f"GET {trades}/([^/]+)", self._show_trade),
            (f"POST {trades}/([^/]+)/close", self._close),
            (f"POST {orders}", self._open_order),
            (f"GET {orders}", lambda wish: self._order(wish["out_order_no"], wish)),
            (f"POST {orders}/([^/]+)/complete", self._complete),
            (f"POST {orders}/([^/]+)/cancel", self._cancel),
            (f"POST {refunds}", self._give_back),
            (f"GET {refunds}/([^/]+)", self._show_refund),
        ]

    def _open_trade(self, wish: Json) -> Json:
        _must(wish["appid"] == APPID and wish["mchid"] == MCHID, "APPID_MCHID_NOT_MATCH")
        number = wish["out_trade_no"]
        _must(re.fullmatch(r"[0-9A-Za-z_\-*]{6,32}", number), "out_trade_no")
        _must(0 < len(wish["description"]) <= 127, "description")
        _must(wish["notify_url"].startswith("https://"), "notify_url")
        _must(_is_amount(wish["amount"]["total"]), "amount.total")
        _must(wish["amount"]["currency"] == "CNY", "amount.currency")
        trade = self.trades.get(number)
        if trade is None:
            self.trades[number] = {
                "appid": APPID,
                "mchid": MCHID,
                "out_trade_no": number,
                "trade_type": "NATIVE",
                "trade_state": "NOTPAY",
                "trade_state_desc": "订单未支付",
                "amount": {**wish["amount"], "payer_currency": "CNY"},
                "payer": {},
            }
            self._wishes[number] = wish
        elif self._wishes[number] != wish:
            raise Refused(400, "INVALID_REQUEST", "201 商户订单号重复")
        elif trade["trade_state"] == "CLOSED":
            raise Refused(400, "ORDER_CLOSED", "该订单已关闭")
        elif trade["trade_state"] != "NOTPAY":
            raise Refused(400, "ORDER_PAID", "该订单已支付")
        return {"code_url": f"weixin://wxpay/bizpayurl?pr={number}"}

    def _trade(self, number: str) -> Json:
        if number not in self.trades:
            raise Refused(404, "ORDER_NOT_EXIST", "订单不存在")
        return self.trades[number]

    def _show_trade(self, number: str, wish: Json) -> Json:
        _must(wish["mchid"] == MCHID, "mchid")
        return self._trade(number)

    def _close(self, number: str, wish: Json) -> None:
        _must(wish["mchid"] == MCHID, "mchid")
        trade = self._trade(number)
        if trade["trade_state"] not in {"NOTPAY", "CLOSED"}:
            raise Refused(400, "ORDER_PAID", "该订单已支付")
        trade["trade_state"] = "CLOSED"

    def _open_order(self, wish: Json) -> Json:
        _of_service(wish)
        number = wish["out_order_no"]
        _must(re.fullmatch(r"[0-9A-Za-z_\-|*]{1,32}", number), "out_order_no")
        _must(0 < len(wish["service_introduction"]) <= 20, "service_introduction")
        _must(wish["time_range"]["start_time"] == "OnAccept", "time_range.start_time")
        _must(wish["risk_fund"]["name"] == "DEPOSIT", "risk_fund.name")
        _must(_is_amount(wish["risk_fund"]["amount"]), "risk_fund.amount")
        _must(wish["need_user_confirm"] is True, "need_user_confirm")
        _must(wish["notify_url"].startswith("https://"), "notify_url")
        if number not in self.orders:
            named = ("out_order_no", "service_introduction", "risk_fund", "time_range")
            self.orders[number] = {
                **{name: wish[name] for name in named},
                "appid": APPID,
                "mchid": MCHID,
                "service_id": SERVICE_ID,
                "state": "CREATED",
                "order_id": self._number("15646"),
                "need_collection": False,
            }
            self._wishes[number] = wish
        elif self._wishes[number] != wish or self.orders[number]["state"] != "CREATED":
            raise Refused(400, "INVALID_REQUEST", "商户订单号重复")
        return {**self.orders[number], "package": f"DJIOSQPYWDxsjdldeuwhdodwxasd_{number}"}

    def _order(self, number: str, wish: Json) -> Json:
        _of_service(wish)
        if number not in self.orders:
            raise Refused(404, "ORDER_NOT_EXIST", "订单不存在")
        return self.orders[number]

    def _complete(self, number: str, wish: Json) -> Json:
        order = self._order(number, wish)
        total = wish["total_amount"]
        _must(sum(each["amount"] for each in wish["post_payments"]) == total, "post_payments")
        if self._wishes.get(f"complete {number}") == wish:
            return order
        if order.get("state_description") != "USER_CONFIRM":
            raise Refused(400, "INVALID_ORDER_STATE", "单据状态错误")
        if total > order["risk_fund"]["amount"]:
            raise Refused(400, "INVALID_REQUEST", "完结金额超过风险金额")
        self._wishes[f"complete {number}"] = wish
        order.update(
            state_description="MCH_COMPLETE",
            total_amount=total,
            post_payments=wish["post_payments"],
            need_collection=total > 0,
        )
        if total > 0:
            order["collection"] = {
                "state": "USER_PAYING",
                "total_amount": total,
                "paying_amount": total,
                "paid_amount": 0,
                "details": [],
            }
        told = dict(order)
        if not self.payer_has_no_money:
            self._collect(order)
        return told

    def _collect(self, order: Json) -> None:
        order.update(state="DONE")
        del order["state_description"]
        collection = order["collection"]
        total = collection["total_amount"]
        paid = {"seq": 1, "amount": total, "paid_type": "NEWTON"}
        paid["transaction_id"] = self._number("15646")
        collection.update(state="USER_PAID", paying_amount=0, paid_amount=total, details=[paid])
        self.tell("PAYSCORE.USER_PAID", order)

    def _cancel(self, number: str, wish: Json) -> Json:
        order = self._order(number, wish)
        _must(0 < len(wish["reason"]) <= 30, "reason")
        is_open = order["state"] == "CREATED" or order.get("state_description") == "USER_CONFIRM"
        if order["state"] != "REVOKED" and not is_open:
            raise Refused(400, "INVALID_ORDER_STATE", "单据状态错误")
        order.update(state="REVOKED")
        order.pop("state_description", None)
        return order

    def _give_back(self, wish: Json) -> Json:
        number, amount = wish["out_refund_no"], wish["amount"]
        _must(re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", number), "out_refund_no")
        _must(_is_amount(amount["refund"]), "amount.refund")
        _must(wish["notify_url"].startswith("https://"), "notify_url")
        payment, total = self._paid(wish)
        _must(amount["total"] == total and amount["currency"] == "CNY", "amount.total")
        if number in self.refunds:
            if self.refunds[number]["amount"]["refund"] != amount["refund"]:
                raise Refused(400, "INVALID_REQUEST", "退款金额与之前请求不一致")
            return self.refunds[number]
        ours = [each for each in self.refunds.values() if each["transaction_id"] == payment]
        if sum(each["amount"]["refund"] for each in ours) + amount["refund"] > total:
            raise Refused(400, "INVALID_REQUEST", "累计退款金额超过支付金额")
        self.refunds[number] = {
            "refund_id": self._number("50000"),
            "out_refund_no": number,
            "transaction_id": payment,
            "out_trade_no": wish.get("out_trade_no", ""),
            "channel": "ORIGINAL",
            "status": "PROCESSING",
            "amount": {**amount, "payer_total": total, "payer_refund": amount["refund"]},
        }
        if "out_trade_no" in wish:
            self.trades[wish["out_trade_no"]]["trade_state"] = "REFUND"
        return self.refunds[number]

    def _paid(self, wish: Json) -> tuple[str, int]:
        """The payment that a refund is of, and how much was paid."""
        if "out_trade_no" in wish:
            trade = self._trade(wish["out_trade_no"])
            if "transaction_id" not in trade:
                raise Refused(400, "INVALID_REQUEST", "订单未支付")
            return trade["transaction_id"], trade["amount"]["total"]
        for order in self.orders.values():
            for paid in order.get("collection", {}).get("details", []):
                if paid["transaction_id"] == wish["transaction_id"]:
                    return paid["transaction_id"], paid["amount"]
        raise Refused(404, "RESOURCE_NOT_EXISTS", "订单不存在")

    def _show_refund(self, number: str, _wish: Json) -> Json:
        if number not in self.refunds:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return self.refunds[number]

    def _number(self, begin: str) -> str:
        return f"{begin}{next(self._numbers):023}"


def _now() -> int:
    return int(SystemClock().now().timestamp())


def _must(is_so: object, what: str) -> None:
    if not is_so:
        raise Refused(400, "PARAM_ERROR", what)


def _is_amount(value: object) -> bool:
    return type(value) is int and value > 0


def _of_service(wish: Json) -> None:
    _must(wish["appid"] == APPID and wish["service_id"] == SERVICE_ID, "appid or service_id")


class _Handler(Answering):
    wechat: WechatPay

    def serve(self, body: str) -> None:
        signed = body if self.command == "POST" else ""
        authorization = self.headers.get("authorization", "")
        status, told = self.wechat.answer(self.command, self.path, authorization, signed)
        if self.wechat.loses_next_answer and self.command == "POST":
            self.wechat.loses_next_answer = False
            self.close_connection = True
            return
        self.send(status, told, self.wechat.signed(told) if status != 401 else {})


@contextmanager
def wechat_running(wechat: WechatPay) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve it; gives its address, and how to make it unreachable."""
    with serving(type("Handler", (_Handler,), {"wechat": wechat})) as running:
        yield running
