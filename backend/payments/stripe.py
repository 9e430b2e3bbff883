"""Stripe behind the port: Checkout for whoever pays, transfers for whoever is paid.

The theory
----------
A payment is a *Checkout Session*: a page at Stripe that lives for a day, where the payer picks
how to pay. Its PaymentIntent, which holds the money, is there only once the payer tried; so
the session is what we keep and name (``ref``), and the intent is reached through it. A deposit
is the same with ``capture_method: manual``.

Each wish carries its key as ``Idempotency-Key``; Stripe repeats its first answer, also an
error, for a day, and may have forgotten it then. The library's own retries are off: whoever stored
the key repeats. What was captured or let go is so once, whatever the key; a session that nobody
heard of is over by then. Only a refund could be made twice: so each bears its key, and is looked
for first. After a wish we look at the session, so that what we tell is always how it stands.

Have Stripe send the events of ``NOTICES``; others move nothing and are told without a payment.
One thing no event tells: that a hold ran out. It is heard when the payment is fetched.

Sources: https://docs.stripe.com/api/checkout/sessions, /api/idempotent_requests,
/api/transfers, /webhooks#verify-manually
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeVar

import stripe
import structlog
from pydantic import Field, TypeAdapter, ValidationError
from stripe.params.checkout import SessionListParams

from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    ProviderAway,
    ProviderDeclined,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
)
from backend.payments.stripe_wire import Event, Page, Refund, Session, Transfer, Wire

TIMEOUT_S: Final = 10.0
TOLERANCE: Final = timedelta(minutes=5)
PAGES_MAX: Final = 10
"""How many pages of the newest sessions, 100 each, ``find`` looks through before it searches."""

_log = structlog.get_logger(__name__)
_WITH: Final = "payment_intent.latest_charge"
_MISCONFIGURED: Final = (stripe.AuthenticationError, stripe.PermissionError)
_NO: Final = (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError)
_Read = TypeVar("_Read", bound=Wire)


def meaning(error: stripe.StripeError) -> ProviderDeclined | ProviderAway:
    """What an error says of the wish: that it was refused, or nothing at all.

    The same wish being worked on (409), too many (429), any 5xx and a broken line say nothing.
    """
    said = error.user_message or str(error)
    if isinstance(error, _MISCONFIGURED):
        _log.error("stripe_refuses_our_key", status=error.http_status, said=said)
        return ProviderAway(f"Stripe refuses our key, look at LENDWATT_STRIPE_API_KEY: {said}")
    if isinstance(error, stripe.IdempotencyError):
        return ProviderDeclined("idempotency_key_reused", said)
    if isinstance(error, _NO):
        return ProviderDeclined(error.code or "refused", said)
    return ProviderAway(f"Stripe did not answer: {type(error).__name__}: {said}")


@contextmanager
def _asking() -> Iterator[None]:
    """Around every call: the library's errors in the port's words."""
    try:
        yield
    except stripe.StripeError as error:
        raise meaning(error) from error


def _read(kind: type[_Read], answer: object) -> _Read:
    given = answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        message = f"Stripe answered, unreadably: {_first(error)}"
        raise ProviderAway(message) from error


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without the peer's bytes."""
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"


# -- the port -------------------------------------------------------------------------------


class StripeProvider:
    """Stripe, as :class:`backend.payments.port.Provider` and ``PayoutProvider``. Thread-safe.

    Args:
        api_key: a secret or restricted key: Checkout Sessions, PaymentIntents, Refunds and,
            to pay out, Transfers, all to write.
        webhook_secret: of the endpoint that Stripe sends to, ``whsec_...``.
        base_url: another than Stripe's own, for tests.
        timeout_s: for each call.
    """

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secret: str,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._webhook_secret = webhook_secret
        self._http = stripe.RequestsClient(timeout=timeout_s)
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": base_url.rstrip("/")} if base_url else {},
            max_network_retries=0,
            http_client=self._http,
        )
        self._stripe = client.v1

    def close(self) -> None:
        """Close the connections."""
        self._http.close()  # type: ignore[no-untyped-call]

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
        with _asking():
            session = self._stripe.checkout.sessions.create(
                params={
                    "mode": "payment",
                    "client_reference_id": reference,
                    "metadata": {"reference": reference, "capture": capture.value},
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": currency.lower(),
                                "unit_amount": amount_minor,
                                "product_data": {"name": description},
                            },
                        }
                    ],
                    "payment_intent_data": {
                        "capture_method": "manual" if capture is Capture.MANUAL else "automatic",
                        "description": description,
                        "metadata": {"reference": reference},
                    },
                    "success_url": return_url,
                    "cancel_url": return_url,
                    "expand": [_WITH],
                },
                options={"idempotency_key": key},
            )
        return _read(Session, session).told()

    def fetch(self, ref: str) -> ProviderPayment:
        """See the port."""
        return self._session(ref).told()

    def find(self, reference: str) -> ProviderPayment | None:
        """See the port.

        Stripe cannot be asked for a session by our reference. So we look through the newest;
        an older one that somebody paid is found by searching for its intent. One that nobody
        paid is over by then.
        """
        after: SessionListParams = {}
        for _page in range(PAGES_MAX):
            page = self._list(after)
            for session in page.data:
                if session.get("client_reference_id") == reference:
                    return _read(Session, session).told()
            if not page.has_more:
                break
            after = {"starting_after": page.data[-1]["id"]}
        for intent in self._search(reference).data:
            for session in self._list({"payment_intent": intent["id"]}).data:
                return _read(Session, session).told()
        return None

    def _search(self, reference: str) -> Page:
        """The intent that bears our reference; who is refused the search knows nothing."""
        quoted = reference.replace("\\", "\\\\").replace("'", "\\'")
        query = f"metadata['reference']:'{quoted}'"
        try:
            with _asking():
                answer = self._stripe.payment_intents.search(params={"query": query, "limit": 1})
        except ProviderDeclined as no:
            message = f"Stripe does not search for us: {no}"
            raise ProviderAway(message) from no
        return _read(Page, answer)

    def _list(self, params: SessionListParams) -> Page:
        with _asking():
            answer = self._stripe.checkout.sessions.list(
                params={"limit": 100, "expand": [f"data.{_WITH}"], **params}
            )
        return _read(Page, answer)

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        intent = self._intent(ref)
        with _asking():
            self._stripe.payment_intents.capture(
                intent,
                params={"amount_to_capture": amount_minor},
                options={"idempotency_key": key},
            )
        return self.fetch(ref)

    def release(self, ref: str, *, key: str) -> ProviderPayment:
        """See the port."""
        session = self._session(ref)
        if session.status == "open":
            return self._expire(ref, key=key)
        if session.status == "expired" and session.metadata.released_by == key:
            return session.told()
        intent = self._intent(ref)
        with _asking():
            self._stripe.payment_intents.cancel(intent, options={"idempotency_key": key})
        return self.fetch(ref)

    def _expire(self, ref: str, *, key: str) -> ProviderPayment:
        """End a session before its time. Written down first: expired, it looks like any other."""
        with _asking():
            self._stripe.checkout.sessions.update(ref, params={"metadata": {"released_by": key}})
            session = self._stripe.checkout.sessions.expire(
                ref,
                params={"expand": [_WITH]},
                options={"idempotency_key": f"{key}:expire"},  # one key, one kind of call
            )
        return _read(Session, session).told()

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """See the port."""
        intent = self._intent(ref)
        refund = self._refund_under(intent, key) or self._refund(intent, key, amount_minor)
        if refund.amount != amount_minor:
            reason = "idempotency_key_reused"
            raise ProviderDeclined(reason, f"this key gave back {refund.amount}")
        if refund.has_failed:
            reason = "refund_failed"
            raise ProviderDeclined(reason, refund.failure_reason or "Stripe does not say why")
        return self.fetch(ref)

    def _refund_under(self, intent: str, key: str) -> Refund | None:
        """The refund that was made with this key, however long ago."""
        with _asking():
            answer = self._stripe.refunds.list(params={"payment_intent": intent, "limit": 100})
        page = _read(Page, answer)
        refunds = (_read(Refund, each) for each in page.data)
        found = next((each for each in refunds if each.metadata.key == key), None)
        if found is None and page.has_more:
            message = "Stripe has more refunds of this payment than we look through"
            raise ProviderAway(message)
        return found

    def _refund(self, intent: str, key: str, amount_minor: int) -> Refund:
        with _asking():
            answer = self._stripe.refunds.create(
                params={
                    "payment_intent": intent,
                    "amount": amount_minor,
                    "metadata": {"key": key},
                },
                options={"idempotency_key": key},
            )
        return _read(Refund, answer)

    def _session(self, ref: str) -> Session:
        with _asking():
            session = self._stripe.checkout.sessions.retrieve(ref, params={"expand": [_WITH]})
        return _read(Session, session)

    def _intent(self, ref: str) -> str:
        """The id of the intent of a session.

        Raises:
            ProviderDeclined: the payer has not tried to pay.
        """
        intent = self._session(ref).payment_intent
        if intent is None:
            reason = "not_paid"
            raise ProviderDeclined(reason, "the payer has not agreed")
        return intent.id

    # -- payouts

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
        """Move money of ours to a connected account, which Stripe pays out to its bank.

        For us it has arrived there: a transfer is done or refused at once.
        """
        with _asking():
            transfer = self._stripe.transfers.create(
                params={
                    "amount": amount_minor,
                    "currency": currency.lower(),
                    "destination": account,
                    "description": description,
                    "transfer_group": reference,
                },
                options={"idempotency_key": key},
            )
        return _read(Transfer, transfer).told()

    def find_payout(self, reference: str) -> ProviderPayout | None:
        """See the port."""
        with _asking():
            answer = self._stripe.transfers.list(params={"transfer_group": reference})
        found = _read(Page, answer).data
        return _read(Transfer, found[0]).told() if found else None

    # -- notices

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        """See the port."""
        _verify(self._webhook_secret, headers=headers, body=body, now=now)
        try:
            event = Event.model_validate_json(body)
            told = event.subject()
        except ValidationError as error:
            raise BadNotice(NoticeFault.UNREADABLE, _first(error)) from error
        return ProviderNotice(
            id=event.id,
            kind=event.type,
            payment=told if isinstance(told, ProviderPayment) else None,
            payout=told if isinstance(told, ProviderPayout) else None,
            refund=told if isinstance(told, ProviderRefund) else None,
            at=event.created,
        )


_SECONDS: Final = TypeAdapter(Annotated[int, Field(ge=0, le=10**11)])


def _verify(secret: str, *, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Believe these bytes, or say why not.

    By hand: the library reads a clock of its own, and falls over a signature with an accent.

    Raises:
        BadNotice: ``unsigned``, ``forged`` or ``stale``.
    """
    named = {name.lower(): value for name, value in headers.items()}
    parts = [part.partition("=") for part in named.get("stripe-signature", "").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value.encode() for name, _, value in parts if name == "v1"]
    if not times or not signatures:
        raise BadNotice(NoticeFault.UNSIGNED, "there is no Stripe-Signature with t and v1")
    try:
        seconds = _SECONDS.validate_python(times[0])
    except ValidationError as error:
        raise BadNotice(NoticeFault.UNSIGNED, "t is not a number of seconds") from error
    digest = hmac.digest(secret.encode(), times[0].encode() + b"." + body, hashlib.sha256)
    expected = digest.hex().encode()
    if not any(hmac.compare_digest(expected, given) for given in signatures):
        raise BadNotice(NoticeFault.FORGED, "no signature fits the body and our secret")
    sent_at = datetime.fromtimestamp(seconds, UTC)
    if abs(now - sent_at) > TOLERANCE:
        raise BadNotice(NoticeFault.STALE, f"sent at {sent_at.isoformat()}, now {now.isoformat()}")
