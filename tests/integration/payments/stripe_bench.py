"""The contract's bench for Stripe: localstripe behind what it lacks (``tests/fakes/stripe.py``)."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from backend.clock import SystemClock
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment
from backend.payments.stripe import StripeProvider
from tests.fakes.stripe import API_KEY, WEBHOOK_SECRET, Sent, Stripe, localstripe, stripe_account
from tests.integration.payments.contract import Bench, Heard

_TOLD_BY = {
    PaymentStatus.AUTHORIZED: "checkout.session.completed",
    PaymentStatus.PAID: "checkout.session.completed",
    PaymentStatus.CANCELED: "checkout.session.expired",
    PaymentStatus.EXPIRED: "checkout.session.expired",
}


class StripeBench(Bench):
    """Time is real; what takes days is played at Stripe's end."""

    currencies = ("CNY", "EUR", "USD")

    def __init__(
        self, provider: StripeProvider, account: Stripe, make_unreachable: Callable[[], None]
    ) -> None:
        self.provider = provider
        self.account_at_stripe = account
        self._make_unreachable = make_unreachable

    def now(self) -> datetime:
        return SystemClock().now()

    def payer_agrees(self, payment: ProviderPayment) -> None:
        self.account_at_stripe.payer_agrees(payment.ref)

    def goes_away(self) -> None:
        self._make_unreachable()

    def time_passes(self, span: timedelta) -> None:
        self.account_at_stripe.time_passes(span)

    def heard(self, reference: str, status: PaymentStatus | PayoutStatus) -> Heard:
        assert isinstance(status, PaymentStatus)

        def is_it(sent: Sent) -> bool:
            event = sent.event
            named = event["data"]["object"]["client_reference_id"]
            return (event["type"], named) == (_TOLD_BY[status], reference)

        sent = next(filter(is_it, self.account_at_stripe.sent))
        return Heard(headers=sent.headers, body=sent.body)

    def signed(self, body: bytes) -> Heard:
        sent = self.account_at_stripe.signed(body)
        return Heard(headers=sent.headers, body=sent.body)

    def loses_next_answer(self) -> None:
        self.account_at_stripe.loses_next_answer = True


@pytest.fixture(scope="session")
def localstripe_url() -> Iterator[str]:
    with localstripe() as url:
        yield url


@pytest.fixture
def stripe_bench(localstripe_url: str) -> Iterator[StripeBench]:
    with stripe_account(localstripe_url) as (account, make_unreachable):
        provider = StripeProvider(
            api_key=API_KEY, webhook_secret=WEBHOOK_SECRET, base_url=account.base_url
        )
        with closing(provider):
            yield StripeBench(provider, account, make_unreachable)
