"""The client of the sandbox provider: the port, over HTTP.

It decides one thing: what an answer means. A 2xx that reads as a payment is the truth. A
4xx is a no, except where it says nothing of the payment (who we are, too fast, too slow):
that, a 5xx, a time-out, a broken line and an answer that does not read are all *away*.
Nothing is repeated here: whoever stored the key repeats.
"""

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Annotated, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from backend.payments import signing
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    ProviderAway,
    ProviderDeclined,
    ProviderNotice,
    ProviderPayment,
)

TIMEOUT_S: Final = 10.0
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

    def told(self) -> ProviderPayment:
        """The same in the port's words."""
        return ProviderPayment(ref=self.id, **self.model_dump(exclude={"id"}))


class _Found(_Wire):
    data: list[_Payment]


class _Notice(_Wire):
    type: str
    timestamp: AwareDatetime
    data: _Payment


class _Problem(_Wire):
    code: str
    detail: str


_Answer = TypeVar("_Answer", bound=_Wire)


class SandboxProvider:
    """The sandbox provider, as :class:`backend.payments.port.Provider`. Thread-safe."""

    def __init__(
        self, *, base_url: str, api_key: str, webhook_secret: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        signing.key_of(webhook_secret)  # refuse a bad one now, not at the first webhook
        self._webhook_secret = webhook_secret
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + "/v1",
            headers={"authorization": f"Bearer {api_key}"},
            timeout=timeout_s,
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
        return self._wish("/payments", key=key, wish=wish)

    def fetch(self, ref: str) -> ProviderPayment:
        """See the port."""
        return _read(_Payment, self._ask("GET", _path(ref))).told()

    def find(self, reference: str) -> ProviderPayment | None:
        """See the port."""
        answer = self._ask("GET", "/payments", params={"reference": reference})
        found = _read(_Found, answer).data
        return found[0].told() if found else None

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        return self._wish(_path(ref, "capture"), key=key, wish={"amount_minor": amount_minor})

    def release(self, ref: str, *, key: str) -> ProviderPayment:
        """See the port."""
        return self._wish(_path(ref, "cancel"), key=key, wish={})

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        return self._wish(_path(ref, "refund"), key=key, wish={"amount_minor": amount_minor})

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        """See the port."""
        signed = signing.verify(self._webhook_secret, headers=headers, body=body, now=now)
        try:
            notice = _Notice.model_validate_json(body)
        except ValidationError as error:
            raise BadNotice(NoticeFault.UNREADABLE, _first(error)) from error
        return ProviderNotice(
            id=signed.id, kind=notice.type, payment=notice.data.told(), at=notice.timestamp
        )

    def simulate(self, ref: str, action: str) -> ProviderPayment:
        """Do as the payer or the calendar would: ``pay``, ``decline`` or ``expire``.

        Only a sandbox has this; it is no part of the port.
        """
        answer = self._ask("POST", _path(ref, "simulate"), json={"action": action})
        return _read(_Payment, answer).told()

    def _wish(self, path: str, *, key: str, wish: Mapping[str, object]) -> ProviderPayment:
        answer = self._ask("POST", path, headers={"idempotency-key": key}, json=wish)
        return _read(_Payment, answer).told()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, headers=headers, params=params, json=json)
        except httpx.RequestError as error:
            message = f"the sandbox provider did not answer: {str(error) or type(error).__name__}"
            raise ProviderAway(message) from error
        if answer.is_success:
            return answer
        if answer.is_client_error and answer.status_code not in _SAYS_NOTHING:
            problem = _read(_Problem, answer)
            raise ProviderDeclined(problem.code, problem.detail)
        message = f"the sandbox provider answered {answer.status_code}"
        raise ProviderAway(message)


def _path(ref: str, verb: str = "") -> str:
    path = f"/payments/{quote(ref, safe='')}"
    return f"{path}/{verb}" if verb else path


def _read(kind: type[_Answer], answer: httpx.Response) -> _Answer:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        message = f"the sandbox provider answered {answer.status_code}, unreadably: {_first(error)}"
        raise ProviderAway(message) from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without the peer's bytes."""
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
