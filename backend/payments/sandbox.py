"""The client of the sandbox provider: the port, over HTTP.

It decides one thing: what an answer means. A 2xx that reads as the payment asked about, with
amounts that can be, is the truth. A 4xx is a no, except where it says nothing of the payment
(who we are, too fast, too slow): that, a 5xx, a time-out, a broken line, an answer that never
ends and one that does not read are all *away*. Nothing is repeated here: whoever stored the
key repeats.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from backend.payments import signing
from backend.payments.pool import POOL
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    PayoutStatus,
    ProviderAway,
    ProviderDeclined,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
)

TIMEOUT_S: Final = 10.0
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_ANSWER_BYTES: Final = 256 * 1024
_SAYS_NOTHING: Final = frozenset(
    {
        httpx.codes.UNAUTHORIZED,
        httpx.codes.FORBIDDEN,
        httpx.codes.REQUEST_TIMEOUT,
        httpx.codes.TOO_EARLY,
        httpx.codes.TOO_MANY_REQUESTS,
    }
)

_Minor = Annotated[int, Field(ge=0)]


class _Wire(BaseModel):
    """What the provider sends: strict; fields we do not know are its own business."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Payment(_Wire):
    id: str
    status: PaymentStatus
    amount_minor: _Minor
    captured_minor: _Minor
    refunded_minor: _Minor
    currency: str
    reference: str
    pay_url: str
    capture_before: AwareDatetime | None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        """Refuse what no payment can be: then the answer is not believed at all."""
        is_paid = self.status is PaymentStatus.PAID
        is_hold = self.status is PaymentStatus.AUTHORIZED
        if not self.refunded_minor <= self.captured_minor <= self.amount_minor:
            message = "refunded, captured and asked for do not fit"
            raise ValueError(message)
        if (self.captured_minor > 0) != is_paid or (is_hold and self.capture_before is None):
            message = f"no payment that is {self.status} is like this"
            raise ValueError(message)
        return self

    def told(self) -> ProviderPayment:
        """The same in the port's words."""
        return ProviderPayment(ref=self.id, **self.model_dump(exclude={"id"}))


class _Payout(_Wire):
    id: str
    status: PayoutStatus
    amount_minor: _Minor
    currency: str
    reference: str
    account: str
    failure: str | None

    def told(self) -> ProviderPayout:
        """The same in the port's words."""
        return ProviderPayout(ref=self.id, **self.model_dump(exclude={"id"}))


class _Found(_Wire):
    data: list[_Payment] = Field(max_length=1)


class _Page(_Wire):
    data: list[_Payment]
    has_more: bool


class _FoundPayout(_Wire):
    data: list[_Payout] = Field(max_length=1)


class _Notice(_Wire):
    type: str
    timestamp: AwareDatetime
    data: _Payment | _Payout


class _Problem(_Wire):
    code: str
    detail: str


_Read = TypeVar("_Read", bound=_Wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """All of an answer."""

    status: int
    body: bytes


class SandboxProvider:
    """The sandbox provider, as the port's ``Provider`` and ``PayoutProvider``. Thread-safe."""

    def __init__(
        self, *, base_url: str, api_key: str, webhook_secret: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        signing.key_of(webhook_secret)  # refuse a bad one now, not at the first webhook
        self._webhook_secret = webhook_secret
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + "/v1",
            headers={"authorization": f"Bearer {api_key}"},
            timeout=timeout_s,
            limits=POOL,
            trust_env=False,  # a proxy for the outside would swallow loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        capture: Capture,
        description: str,
        return_url: str,
    ) -> ProviderPayment:
        """See the port."""
        wish = {
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "capture": capture.value,
            "description": description,
            "return_url": return_url,
        }
        made = _read(_Payment, self._wish("/payments", key=key, wish=wish))
        return _about(reference, made.reference, made.told())

    def fetch(self, ref: str) -> ProviderPayment:
        """See the port."""
        return _payment(ref, self._ask("GET", _path(ref)))

    def find(self, reference: str) -> ProviderPayment | None:
        """See the port."""
        answer = self._ask("GET", "/payments", params={"reference": reference})
        found = _read(_Found, answer).data
        return _about(reference, found[0].reference, found[0].told()) if found else None

    def paid_since(self, since: datetime | None) -> Iterator[ProviderPayment]:
        """List what was taken since then; None: ever. No part of the port."""
        told = {"since": (since or _EVER).isoformat()}
        while True:
            page = _read(_Page, self._ask("GET", "/payments/paid", params=told))
            yield from (each.told() for each in page.data)
            if not page.has_more:
                return
            told["after"] = _last(told.get("after", ""), page)

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        wish = {"amount_minor": amount_minor}
        return _payment(ref, self._wish(_path(ref, "capture"), key=key, wish=wish))

    def release(self, ref: str, *, key: str) -> ProviderPayment:
        """See the port."""
        return _payment(ref, self._wish(_path(ref, "cancel"), key=key, wish={}))

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        wish = {"amount_minor": amount_minor}
        return _payment(ref, self._wish(_path(ref, "refund"), key=key, wish=wish))

    def pay_out(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        account: str,
        description: str,
    ) -> ProviderPayout:
        """See the port."""
        wish = {
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "account": account,
            "description": description,
        }
        sent = _read(_Payout, self._wish("/payouts", key=key, wish=wish))
        return _about(reference, sent.reference, sent.told())

    def find_payout(self, reference: str) -> ProviderPayout | None:
        """See the port."""
        answer = self._ask("GET", "/payouts", params={"reference": reference})
        found = _read(_FoundPayout, answer).data
        return _about(reference, found[0].reference, found[0].told()) if found else None

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        """See the port."""
        signed = signing.verify(self._webhook_secret, headers=headers, body=body, now=now)
        try:
            notice = _Notice.model_validate_json(body)
        except ValidationError as error:
            raise BadNotice(NoticeFault.UNREADABLE, _first(error)) from error
        told = notice.data.told()
        return ProviderNotice(
            id=signed.id,
            kind=notice.type,
            payment=told if isinstance(told, ProviderPayment) else None,
            payout=told if isinstance(told, ProviderPayout) else None,
            at=notice.timestamp,
        )

    def simulate(self, ref: str, action: str) -> ProviderPayment:
        """Do as the payer or the calendar would: ``pay``, ``decline`` or ``expire``.

        Only a sandbox has this; it is no part of the port.
        """
        return _payment(ref, self._ask("POST", _path(ref, "simulate"), json={"action": action}))

    def _wish(self, path: str, *, key: str, wish: Mapping[str, object]) -> _Answer:
        return self._ask("POST", path, headers={"idempotency-key": key}, json=wish)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> _Answer:
        request = self._http.build_request(method, path, headers=headers, params=params, json=json)
        try:
            answer = self._whole(request)
        except httpx.RequestError as error:
            message = f"the sandbox provider did not answer: {str(error) or type(error).__name__}"
            raise ProviderAway(message) from error
        if httpx.codes.is_success(answer.status):
            return answer
        if httpx.codes.is_client_error(answer.status) and answer.status not in _SAYS_NOTHING:
            problem = _read(_Problem, answer)
            raise ProviderDeclined(problem.code, problem.detail)
        message = f"the sandbox provider answered {answer.status}"
        raise ProviderAway(message)

    def _whole(self, request: httpx.Request) -> _Answer:
        """All of an answer; httpx bounds each wait, and this their sum and what they bring."""
        ends = time.monotonic() + self._timeout_s
        body = bytearray()
        answer = self._http.send(request, stream=True)
        try:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _MAX_ANSWER_BYTES or time.monotonic() > ends:
                    message = "the sandbox provider's answer did not end"
                    raise ProviderAway(message)
        finally:
            answer.close()
        return _Answer(status=answer.status_code, body=bytes(body))


def _path(ref: str, verb: str = "") -> str:
    path = f"/payments/{quote(ref, safe='')}"
    return f"{path}/{verb}" if verb else path


def _last(before: str, page: _Page) -> str:
    """The id to go on after: a list that does not go on is not believed."""
    last = page.data[-1].id if page.data else before
    if last <= before:
        message = "the sandbox provider's list does not go on"
        raise ProviderAway(message)
    return last


def _payment(ref: str, answer: _Answer) -> ProviderPayment:
    told = _read(_Payment, answer).told()
    return _about(ref, told.ref, told)


_Told = TypeVar("_Told", ProviderPayment, ProviderPayout)


def _about(asked: str, answered: str, told: _Told) -> _Told:
    """What was told, if it is about what was asked."""
    if asked != answered:
        message = "the sandbox provider answered about something else"
        raise ProviderAway(message)
    return told


def _read(kind: type[_Read], answer: _Answer) -> _Read:
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError as error:
        message = f"the sandbox provider answered {answer.status}, unreadably: {_first(error)}"
        raise ProviderAway(message) from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without the peer's bytes."""
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
