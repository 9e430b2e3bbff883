"""Stripe on loopback: localstripe holds the money, and what it has not stands in front of it.

localstripe (GPL: started as a program, never imported) keeps PaymentIntents, Charges, Refunds
and cards that decline, and says which of their steps are possible. It speaks the API of 2017
and knows neither Checkout nor idempotency keys, search, sums of refunds or when a hold runs
out. ``Stripe`` adds these as Stripe's documentation has them, and passes all else through.
The payer, the calendar and a lost line are played by the test.
"""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from backend.clock import SystemClock
from tests.fakes.http import PATIENCE_S, Answering, serving

API_KEY = "sk_test_lendwatt"
WEBHOOK_SECRET = "whsec_lendwatt_test"
CONFINED = Path(__file__).parent / "confined"
GOOD_CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
BAD_CARD = {**GOOD_CARD, "number": "4000000000000341"}

SESSION_LIVES_S = 86_400
HOLD_LIVES_S = 7 * SESSION_LIVES_S

Json = dict[str, Any]


@contextmanager
def localstripe() -> Iterator[str]:
    """Start localstripe on a free port of loopback; gives its address."""
    environment = os.environ | {"PYTHONPATH": str(CONFINED), "PYTHONUNBUFFERED": "1"}
    program = Path(sys.executable).with_name("localstripe")
    with subprocess.Popen(
        [program, "--port", "0", "--from-scratch"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield _address(process.stdout)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _address(lines: Iterator[str]) -> str:
    """Where it listens, as it says at its start."""
    for line in lines:
        if found := re.search(r"Running on (http://\S+)", line):
            port = urlsplit(found[1]).port
            return f"http://127.0.0.1:{port}"
    message = "localstripe did not start"
    raise AssertionError(message)


class Refused(Exception):  # noqa: N818 - named as what it is
    """An error as Stripe answers it."""

    def __init__(self, status: int, **error: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "param": None} | error}


@dataclass
class Sent:
    """A webhook as it left."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Json:
        return json.loads(self.body)


@dataclass
class Stripe:
    """A Stripe account. ``base_url`` is where its API is."""

    behind: httpx.Client
    """localstripe."""
    base_url: str = ""
    sent: list[Sent] = field(default_factory=list)
    """The webhooks, in order."""
    loses_next_answer: bool = False
    _sessions: dict[str, Json] = field(default_factory=dict)
    _refunds: list[Json] = field(default_factory=list)
    """Newest first."""
    _reasons: dict[str, str] = field(default_factory=dict)
    """Why an intent was canceled."""
    _answers: dict[str, tuple[str, tuple[int, Json]]] = field(default_factory=dict)
    """By idempotency key: what was asked, and the answer to it."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- whom the test plays

    def payer_agrees(self, session_id: str) -> None:
        """The payer fills in a good card."""
        session = self._sessions[session_id]
        intent = self._try(session, GOOD_CARD)
        assert intent["status"] in {"requires_capture", "succeeded"}, intent
        paid = "paid" if intent["status"] == "succeeded" else "unpaid"
        session.update(status="complete", payment_status=paid, url=None)
        self._tell("checkout.session.completed", session)

    def payer_is_declined(self, session_id: str) -> None:
        """The payer fills in a card that is declined; the page lets them try another."""
        intent = self._try(self._sessions[session_id], BAD_CARD)
        assert intent["status"] == "requires_payment_method", intent

    def time_passes(self, span: timedelta) -> None:
        """What ends by itself within this time ends: sessions after a day, holds after a week."""
        then = (SystemClock().now() + span).timestamp()
        for session in self._sessions.values():
            if session["status"] == "open" and session["created"] + SESSION_LIVES_S <= then:
                self._expire(session)
            elif session["status"] == "complete":
                self._run_out(session["payment_intent"], then)

    def keys_are_forgotten(self) -> None:
        """A day has passed since they were used."""
        self._answers.clear()

    def refund_fails(self, key: str) -> None:
        """The payer's bank sends back what was asked for with this key."""
        refund = next(each for each in self._refunds if each["metadata"]["key"] == key)
        refund.update(status="failed", failure_reason="expired_or_canceled_card")
        self._tell("refund.failed", refund)

    def _run_out(self, intent_id: str, then: float) -> None:
        intent = self._intent(intent_id)
        card = intent["latest_charge"]["payment_method_details"]["card"]
        if intent["status"] == "requires_capture" and card["capture_before"] <= then:
            self._behind("POST", f"/v1/payment_intents/{intent_id}/cancel")
            self._reasons[intent_id] = "expired"

    def _try(self, session: Json, card: Json) -> Json:
        data = session["payment_intent_data"]
        method = self._behind("POST", "/v1/payment_methods", {"type": "card", "card": card})
        wish = {
            "amount": session["amount_total"],
            "currency": session["currency"],
            "payment_method": method["id"],
            "capture_method": data["capture_method"],
            "metadata": data["metadata"],
        }
        intent = self._behind("POST", "/v1/payment_intents", wish)
        session["payment_intent"] = intent["id"]
        answer = self.behind.post(f"/v1/payment_intents/{intent['id']}/confirm", json={})
        assert answer.status_code in {200, 402}, answer.text
        return self._intent(intent["id"])

    # -- notices

    def signed(self, body: bytes, *, at: int | None = None) -> Sent:
        """Any body, as Stripe would sign it."""
        moment = _now() if at is None else at
        digest = hmac.digest(WEBHOOK_SECRET.encode(), b"%d." % moment + body, hashlib.sha256)
        return Sent({"Stripe-Signature": f"t={moment},v1={digest.hex()}"}, body)

    def _tell(self, kind: str, subject: Json) -> None:
        event = {
            "id": f"evt_{next(self._numbers)}",
            "object": "event",
            "created": _now(),
            "type": kind,
            "data": {"object": _shown(subject)},
        }
        self.sent.append(self.signed(json.dumps(event, indent=2).encode()))

    # -- the API

    def answer(self, method: str, path: str, form: Json, key: str | None) -> tuple[int, Json]:
        """Answer a request; the same key gets the same answer."""
        with self._lock:
            asked = json.dumps([method, path, form], sort_keys=True)
            if method == "POST" and key in self._answers:
                first, answer = self._answers[key]
                if first == asked:
                    return answer
                return _error(Refused(400, type="idempotency_error", message="another wish"))
            try:
                answer = 200, self._do(method, path, dict(form))
            except Refused as refused:
                answer = _error(refused)
            if method == "POST" and key:
                self._answers[key] = asked, answer
            return answer

    def _do(self, method: str, path: str, form: Json) -> Json:
        expand = form.pop("expand", [])
        for pattern, do in self._routes():
            if found := re.fullmatch(pattern, f"{method} {path}"):
                told = do(*found.groups(), form)
                return self._expanded(told, expand)
        raise Refused(404, message=f"Unrecognized request URL ({method}: {path})")

    def _routes(self) -> list[tuple[str, Callable[..., Json]]]:
        sessions, intents = "/v1/checkout/sessions", "/v1/payment_intents"
        return [
            (f"POST {sessions}", self._open),
            (f"GET {sessions}", self._list),
            (rf"GET {sessions}/(\w+)", lambda id_, _form: _shown(self._session(id_))),
            (rf"POST {sessions}/(\w+)", self._update),
            (rf"POST {sessions}/(\w+)/expire", lambda id_, _form: self._end(id_)),
            (f"GET {intents}/search", self._search),
            (rf"POST {intents}/(\w+)/capture", self._capture),
            (rf"POST {intents}/(\w+)/cancel", self._cancel),
            ("POST /v1/refunds", self._refund),
            ("GET /v1/refunds", self._list_refunds),
        ]

    def _open(self, form: Json) -> Json:
        item = form["line_items"]["0"]
        price = item["price_data"]
        amount = int(price["unit_amount"]) * int(item["quantity"])
        if amount <= 0:
            raise Refused(400, code="parameter_invalid_integer", message="amount too small")
        if price["currency"] not in {"cny", "eur", "usd"}:
            raise Refused(400, param="currency", message="Invalid currency")
        id_ = f"cs_test_{next(self._numbers)}"
        session = {
            "id": id_,
            "object": "checkout.session",
            "created": _now(),
            "mode": form["mode"],
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": amount,
            "currency": price["currency"],
            "client_reference_id": form["client_reference_id"],
            "metadata": form["metadata"],
            "payment_intent": None,
            "payment_intent_data": form["payment_intent_data"],
            "success_url": form["success_url"],
            "url": f"https://checkout.stripe.com/c/pay/{id_}",
        }
        self._sessions[id_] = session
        return _shown(session)

    def _list(self, form: Json) -> Json:
        newest = [_shown(session) for session in reversed(self._sessions.values())]
        if "payment_intent" in form:
            newest = [each for each in newest if each["payment_intent"] == form["payment_intent"]]
        if "starting_after" in form:
            ids = [each["id"] for each in newest]
            newest = newest[ids.index(form["starting_after"]) + 1 :]
        limit = int(form.get("limit", 10))
        return _page(newest[:limit], has_more=len(newest) > limit)

    def _update(self, id_: str, form: Json) -> Json:
        session = self._session(id_)
        session["metadata"] = session["metadata"] | form["metadata"]
        return _shown(session)

    def _end(self, id_: str) -> Json:
        session = self._session(id_)
        if session["status"] != "open":
            raise Refused(400, message="Only Checkout Sessions with a status of `open` can expire")
        return self._expire(session)

    def _expire(self, session: Json) -> Json:
        session.update(status="expired", url=None)
        self._tell("checkout.session.expired", session)
        return _shown(session)

    def _search(self, form: Json) -> Json:
        found = re.fullmatch(r"metadata\['reference'\]:'(.*)'", form["query"])
        assert found, form
        tried = [each["payment_intent"] for each in self._sessions.values()]
        intents = [self._intent(id_) for id_ in tried if id_]
        return _page([each for each in intents if each["metadata"]["reference"] == found[1]])

    def _capture(self, id_: str, form: Json) -> Json:
        status = self._intent(id_)["status"]
        if status != "requires_capture":  # localstripe captures what was canceled
            message = f"could not be captured because it has a status of {status}"
            raise Refused(400, code="payment_intent_unexpected_state", message=message)
        self._behind("POST", f"/v1/payment_intents/{id_}/capture", form)
        return self._intent(id_)

    def _cancel(self, id_: str, _form: Json) -> Json:
        self._behind("POST", f"/v1/payment_intents/{id_}/cancel")
        return self._intent(id_)

    def _refund(self, form: Json) -> Json:
        intent = self._intent(form["payment_intent"])
        left = intent["amount_received"] - intent["latest_charge"]["amount_refunded"]
        if int(form["amount"]) > left:
            raise Refused(400, message=f"Refund amount is greater than unrefunded amount {left}")
        self._refunds.insert(0, self._behind("POST", "/v1/refunds", form))
        return self._refunds[0]

    def _list_refunds(self, form: Json) -> Json:
        named = [each for each in self._refunds if each["payment_intent"] == form["payment_intent"]]
        limit = int(form.get("limit", 10))
        return _page(named[:limit], has_more=len(named) > limit)

    def _failed_minor(self, intent_id: str) -> int:
        failed = [each for each in self._refunds if each["status"] == "failed"]
        return sum(each["amount"] for each in failed if each["payment_intent"] == intent_id)

    def _session(self, id_: str) -> Json:
        if id_ not in self._sessions:
            message = f"No such checkout.session: {id_}"
            raise Refused(404, code="resource_missing", message=message)
        return self._sessions[id_]

    # -- today's words for what localstripe says

    def _behind(self, method: str, path: str, wish: Json | None = None) -> Json:
        answer = self.behind.request(method, path, json=wish or {})
        if answer.is_error:
            raise Refused(answer.status_code, **answer.json()["error"])
        return answer.json()

    def _intent(self, id_: str) -> Json:
        """An intent with its charge, in the words of 2025.

        Before, what was held and not captured counted as refunded.
        """
        intent = self._behind("GET", f"/v1/payment_intents/{id_}")
        charge = intent["latest_charge"]
        received = 0
        if charge is not None:
            refunds = charge.pop("refunds")["data"]
            freed = sum(each["amount"] for each in refunds if each["payment_intent"] is None)
            received = charge["amount"] - freed if intent["status"] == "succeeded" else 0
            charge["amount_captured"] = received
            charge["amount_refunded"] -= freed + self._failed_minor(id_)
            card = {"capture_before": charge["created"] + HOLD_LIVES_S}
            charge["payment_method_details"] = {"type": "card", "card": card}
        intent["amount_received"] = received
        intent["cancellation_reason"] = self._reasons.get(id_)
        return intent

    def _expanded(self, told: Json, paths: Json | list[str]) -> Json:
        """Put in what was asked for with ``expand``; the rest stays an id."""
        wanted = paths.values() if isinstance(paths, dict) else paths
        if not any("payment_intent.latest_charge" in path for path in wanted):
            return told
        for session in told.get("data", [told]):
            if session["payment_intent"] is not None:
                session["payment_intent"] = self._intent(session["payment_intent"])
        return told


def _now() -> int:
    return int(SystemClock().now().timestamp())


def _shown(session: Json) -> Json:
    return {name: value for name, value in session.items() if name != "payment_intent_data"}


def _page(data: list[Json], *, has_more: bool = False) -> Json:
    return {"object": "list", "url": "/v1/any", "data": data, "has_more": has_more}


def _error(refused: Refused) -> tuple[int, Json]:
    return refused.status, refused.body


def nested(form: str) -> Json:
    """A form as Stripe reads it: ``a[b][0]=c`` is ``{"a": {"b": {"0": "c"}}}``."""
    whole: Json = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        *outer, last = re.findall(r"[^\[\]]+", name)
        at = whole
        for step in outer:
            at = at.setdefault(step, {})
        at[last] = value
    return whole


class _Handler(Answering):
    stripe: Stripe

    def serve(self, form: str) -> None:
        if self.headers["authorization"] != f"Bearer {API_KEY}":
            self._send(*_error(Refused(401, message="Invalid API Key provided")))
            return
        path, key = urlsplit(self.path).path, self.headers["idempotency-key"]
        answer = self.stripe.answer(self.command, path, nested(form), key)
        if self.stripe.loses_next_answer and self.command == "POST":
            self.stripe.loses_next_answer = False
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, status: int, body: Json) -> None:
        self.send(status, json.dumps(body).encode())


@contextmanager
def stripe_account(localstripe_url: str) -> Iterator[tuple[Stripe, Callable[[], None]]]:
    """A fresh account; gives it, and how to make it unreachable."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    with closing(httpx.Client(base_url=localstripe_url, headers=headers, trust_env=False)) as to:
        account = Stripe(to)
        with serving(type("Handler", (_Handler,), {"stripe": account})) as (url, stop):
            account.base_url = url
            yield account, stop
