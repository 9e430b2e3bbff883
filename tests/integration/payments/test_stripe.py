"""Stripe beyond the contract: what is asked of it to the letter, and what its words mean."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    PayoutProvider,
    PayoutStatus,
    ProviderAway,
    ProviderDeclined,
)
from backend.payments.stripe import StripeProvider
from tests.fakes.replay import replayed
from tests.fakes.stripe import API_KEY, GOOD_CARD, WEBHOOK_SECRET
from tests.integration.payments.contract import Heard

PAYLOADS = Path(__file__).parents[2] / "payloads" / "stripe"
ASKED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
REF = "cs_test_a1B2c3D4"
DEPOSIT = {
    "key": "create:01JDEPOSIT",
    "reference": "01JDEPOSIT",
    "amount_minor": 9900,
    "currency": "CNY",
    "capture": Capture.MANUAL,
    "description": "Lendwatt deposit",
    "return_url": "https://lendwatt.example/rentals/01RENTAL",
}
WITHDRAWAL = {
    "key": "withdrawal:01JWITHDRAWAL",
    "reference": "01JWITHDRAWAL",
    "amount_minor": 4200,
    "currency": "CNY",
    "account": "acct_1Merchant",
    "description": "Lendwatt withdrawal",
}
_ANYTHING = {"method": "GET", "path": f"/v1/checkout/sessions/{REF}"}
_EXPANDED = {"expand[0]": "payment_intent.latest_charge"}


def payload(name: str):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def provider_at(url: str) -> StripeProvider:
    return StripeProvider(api_key=API_KEY, webhook_secret=WEBHOOK_SECRET, base_url=url)


@pytest.fixture
def playing() -> Iterator[Callable[[str], StripeProvider]]:
    """The client of a Stripe that plays this payload back."""
    with ExitStack() as stack:

        def play(name: str) -> StripeProvider:
            url = stack.enter_context(replayed(payload(name)["exchanges"]))
            return stack.enter_context(closing(provider_at(url)))

        yield play


@pytest.fixture
def nowhere() -> Iterator[StripeProvider]:
    with closing(provider_at("http://127.0.0.1:1")) as provider:
        yield provider


# -- written exchanges ----------------------------------------------------------------------


def test_a_deposit_is_held_captured_in_part_and_refunded_in_part(playing):
    stripe = playing("deposit")

    asked = stripe.create(**DEPOSIT)
    held = stripe.fetch(asked.ref)
    taken = stripe.capture(asked.ref, key="capture:01JDEPOSIT", amount_minor=1500)
    given_back = stripe.refund(asked.ref, key="refund:01JDEPOSIT", amount_minor=500)

    assert (asked.ref, asked.status, asked.reference) == (REF, PaymentStatus.OPEN, "01JDEPOSIT")
    assert (asked.amount_minor, asked.currency) == (9900, "CNY")
    assert asked.pay_url.startswith("https://checkout.stripe.com/")
    assert asked.capture_before is None
    assert held.status is PaymentStatus.AUTHORIZED
    assert held.capture_before == ASKED_AT + timedelta(days=7, seconds=60)
    assert (taken.status, taken.captured_minor, taken.refunded_minor) == (
        PaymentStatus.PAID,
        1500,
        0,
    )
    assert (given_back.captured_minor, given_back.refunded_minor) == (1500, 500)


def test_a_payment_that_nobody_paid_is_withdrawn_and_says_that_it_was_us(playing):
    withdrawn = playing("withdrawn").release(REF, key="release:01JDEPOSIT")

    assert withdrawn.status is PaymentStatus.CANCELED


def test_a_hold_that_ran_out_is_expired_and_nothing_was_taken(playing):
    ran_out = playing("hold_ran_out").fetch(REF)

    assert (ran_out.status, ran_out.captured_minor) == (PaymentStatus.EXPIRED, 0)


def test_a_payment_older_than_the_newest_is_found_by_searching_for_its_intent(playing):
    found = playing("found_by_search").find("01JDEPOSIT")

    assert found is not None
    assert (found.ref, found.status) == (REF, PaymentStatus.AUTHORIZED)


def test_who_may_not_search_does_not_know(playing):
    with pytest.raises(ProviderAway, match="search"):
        playing("search_refused").find("01JDEPOSIT")


def test_a_withdrawal_goes_to_the_merchants_account_and_is_found_by_our_reference(playing):
    stripe = playing("payout")

    sent = stripe.pay_out(**WITHDRAWAL)

    assert isinstance(stripe, PayoutProvider)
    assert (sent.status, sent.amount_minor, sent.currency) == (PayoutStatus.PAID, 4200, "CNY")
    assert (sent.account, sent.reference) == ("acct_1Merchant", "01JWITHDRAWAL")
    assert stripe.find_payout("01JWITHDRAWAL") == sent
    assert stripe.find_payout("01JNEVER") is None


def test_a_withdrawal_that_we_have_not_the_money_for_is_declined(playing):
    with pytest.raises(ProviderDeclined) as no:
        playing("payout_refused").pay_out(**WITHDRAWAL)

    assert no.value.reason == "balance_insufficient"


@pytest.mark.parametrize("error", payload("errors")["errors"], ids=lambda error: error["name"])
def test_an_error_is_a_no_or_says_nothing(error):
    answer = {"status": error["status"], "body": error["body"]}
    script = [{"request": _ANYTHING | {"form": _EXPANDED}, "response": answer}]
    expected = ProviderDeclined if error["means"] == "declined" else ProviderAway

    with (
        replayed(script) as url,
        closing(provider_at(url)) as stripe,
        pytest.raises(expected) as raised,
    ):
        stripe.fetch(REF)

    if isinstance(raised.value, ProviderDeclined):
        assert raised.value.reason == error["reason"]


def test_a_key_that_stripe_refuses_is_told_to_whoever_runs_this():
    answer = {"status": 401, "body": {"error": {"message": "Invalid API Key provided"}}}
    script = [{"request": _ANYTHING | {"form": _EXPANDED}, "response": answer}]

    with (
        capture_logs() as logs,
        replayed(script) as url,
        closing(provider_at(url)) as stripe,
        pytest.raises(ProviderAway, match="LENDWATT_STRIPE_API_KEY"),
    ):
        stripe.fetch(REF)

    assert [entry["event"] for entry in logs] == ["stripe_refuses_our_key"]
    assert API_KEY not in repr(logs)


@pytest.mark.parametrize("body", [{}, [], {"id": 7}, {"object": "checkout.session"}, "text"])
def test_an_answer_that_does_not_read_is_a_doubt(body):
    script = [
        {
            "request": _ANYTHING | {"form": _EXPANDED},
            "response": {"status": 200, "body": body},
        }
    ]
    with (
        replayed(script) as url,
        closing(provider_at(url)) as stripe,
        pytest.raises(ProviderAway),
    ):
        stripe.fetch(REF)


# -- notices --------------------------------------------------------------------------------


def signed(body: bytes, *, at: datetime = ASKED_AT, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    text = b"%d." % int(at.timestamp()) + body
    digest = hmac.digest(secret.encode(), text, hashlib.sha256).hex()
    return {"Stripe-Signature": f"t={int(at.timestamp())},v1={digest}"}


@pytest.mark.parametrize(
    "told",
    payload("session_events")["events"],
    ids=lambda told: f"{told['event']['type']}-{told['status']}",
)
def test_a_notice_of_a_session_tells_its_payment(nowhere, told):
    body = json.dumps(told["event"]).encode()

    notice = nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert notice.payout is None
    assert notice.payment is not None
    assert (notice.id, notice.kind) == (told["event"]["id"], told["event"]["type"])
    assert notice.at == ASKED_AT + timedelta(minutes=2)
    assert notice.payment.status == told["status"]
    assert notice.payment.captured_minor == told["captured_minor"]
    assert (notice.payment.ref, notice.payment.reference) == (REF, "01JDEPOSIT")
    assert (notice.payment.amount_minor, notice.payment.currency) == (9900, "CNY")


def test_a_notice_of_a_hold_says_the_shortest_it_can_stand(nowhere):
    body = json.dumps(payload("session_events")["events"][0]["event"]).encode()

    notice = nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert notice.payment is not None
    assert notice.payment.capture_before == notice.at + timedelta(days=4, hours=18)


@pytest.mark.parametrize(
    "told", payload("transfer_events")["events"], ids=lambda told: told["event"]["type"]
)
def test_a_notice_of_a_transfer_tells_its_payout(nowhere, told):
    body = json.dumps(told["event"]).encode()

    notice = nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert notice.payment is None
    assert notice.payout is not None
    assert (notice.payout.status, notice.payout.reference) == (told["status"], "01JWITHDRAWAL")


def test_a_notice_of_another_kind_moves_nothing(nowhere):
    event = payload("session_events")["events"][0]["event"] | {"type": "payment_intent.created"}
    body = json.dumps(event).encode()

    notice = nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert (notice.payment, notice.payout) == (None, None)


BODY = json.dumps(payload("session_events")["events"][0]["event"]).encode()


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        ({}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "v1=abc"}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "t=1795348800"}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "t=now,v1=abc"}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "t=-1,v1=abc"}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "t=" + "9" * 30 + ",v1=abc"}, BODY, NoticeFault.UNSIGNED),
        ({"stripe-signature": "t=1795348800,v1=é"}, BODY, NoticeFault.FORGED),
        (signed(BODY, secret="whsec_other"), BODY, NoticeFault.FORGED),
        (signed(BODY), BODY.replace(b"9900", b"9901"), NoticeFault.FORGED),
        (signed(BODY), b"\xff" + BODY, NoticeFault.FORGED),
        (signed(BODY, at=ASKED_AT - timedelta(minutes=6)), BODY, NoticeFault.STALE),
        (signed(BODY, at=ASKED_AT + timedelta(minutes=6)), BODY, NoticeFault.STALE),
        (signed(b"not json"), b"not json", NoticeFault.UNREADABLE),
        (signed(b"{}"), b"{}", NoticeFault.UNREADABLE),
    ],
)
def test_a_notice_that_cannot_be_believed_says_why(nowhere, headers, body, fault):
    with pytest.raises(BadNotice) as bad:
        nowhere.read_notice(headers=headers, body=body, now=ASKED_AT)

    assert bad.value.fault is fault


def test_a_notice_of_ours_that_lacks_something_is_for_a_person(nowhere):
    event = json.loads(BODY)
    del event["data"]["object"]["amount_total"]
    body = json.dumps(event).encode()

    with pytest.raises(BadNotice) as bad:
        nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert bad.value.is_genuine


# -- localstripe ----------------------------------------------------------------------------


def test_a_signature_that_another_program_made_is_believed(localstripe_url, receiver, nowhere):
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=localstripe_url, headers=headers, trust_env=False) as to:
        hook = {"url": receiver.url, "secret": WEBHOOK_SECRET}
        assert to.post("/_config/webhooks/ours", json=hook).is_success
        card = to.post("/v1/payment_methods", json={"type": "card", "card": GOOD_CARD}).json()
        wish = {"amount": 500, "currency": "eur", "payment_method": card["id"], "confirm": True}
        to.post("/v1/payment_intents", json=wish)

        heard = receiver.wait(bool)[0]

    event = json.loads(heard.body)
    at = datetime.fromtimestamp(event["created"], UTC)
    notice = nowhere.read_notice(headers=heard.headers, body=heard.body, now=at)
    assert (notice.kind, notice.payment) == ("payment_intent.succeeded", None)


def test_a_card_that_is_declined_ends_nothing_and_the_payer_may_try_another(stripe_bench):
    payment = stripe_bench.ask(Capture.MANUAL)
    stripe_bench.account_at_stripe.payer_is_declined(payment.ref)
    declined = stripe_bench.provider.fetch(payment.ref)

    stripe_bench.payer_agrees(payment)

    assert (declined.status, declined.capture_before) == (PaymentStatus.OPEN, None)
    assert stripe_bench.provider.fetch(payment.ref).status is PaymentStatus.AUTHORIZED


def test_a_refund_whose_answer_was_lost_is_found_though_its_key_is_forgotten(stripe_bench):
    paid = stripe_bench.paid()
    stripe_bench.loses_next_answer()
    with pytest.raises(ProviderAway):
        stripe_bench.provider.refund(paid.ref, key="refund:1", amount_minor=300)
    stripe_bench.account_at_stripe.keys_are_forgotten()

    again = stripe_bench.provider.refund(paid.ref, key="refund:1", amount_minor=300)
    another = stripe_bench.provider.refund(paid.ref, key="refund:2", amount_minor=300)

    assert (again.refunded_minor, another.refunded_minor) == (300, 600)


def test_a_capture_and_a_release_happen_once_though_their_keys_are_forgotten(stripe_bench):
    held, other = stripe_bench.held(), stripe_bench.held()
    for _ in range(2):
        with suppress(ProviderDeclined):
            stripe_bench.provider.capture(held.ref, key="capture:1", amount_minor=1500)
        with suppress(ProviderDeclined):
            stripe_bench.provider.release(other.ref, key="release:1")
        stripe_bench.account_at_stripe.keys_are_forgotten()

    assert stripe_bench.provider.fetch(held.ref).captured_minor == 1500
    assert stripe_bench.provider.fetch(other.ref).status is PaymentStatus.CANCELED


def test_a_refund_that_the_payers_bank_sends_back_is_told_by_its_key(stripe_bench):
    paid = stripe_bench.paid()
    stripe_bench.provider.refund(paid.ref, key="refund:1", amount_minor=300)

    stripe_bench.account_at_stripe.refund_fails("refund:1")

    sent = stripe_bench.account_at_stripe.sent[-1]
    told = stripe_bench.read(Heard(headers=sent.headers, body=sent.body))
    assert (told.kind, told.payment, told.payout) == ("refund.failed", None, None)
    assert (told.refund.key, told.refund.is_gone) == ("refund:1", False)
    assert (told.refund.amount_minor, told.refund.currency) == (300, "CNY")
    assert told.refund.failure == "expired_or_canceled_card"
    assert stripe_bench.provider.fetch(paid.ref).refunded_minor == 0
    with pytest.raises(ProviderDeclined, match="expired_or_canceled_card"):
        stripe_bench.provider.refund(paid.ref, key="refund:1", amount_minor=300)
    anew = stripe_bench.provider.refund(paid.ref, key="refund:1:2", amount_minor=300)
    assert anew.refunded_minor == 300


def test_a_refund_that_somebody_made_by_hand_moves_nothing_when_it_fails(nowhere):
    refund = {"id": "re_1", "status": "failed", "amount": 1, "currency": "cny", "metadata": {}}
    event = {"id": "evt_1", "type": "refund.failed", "created": int(ASKED_AT.timestamp())}
    body = json.dumps(event | {"data": {"object": refund}}).encode()

    notice = nowhere.read_notice(headers=signed(body), body=body, now=ASKED_AT)

    assert (notice.payment, notice.payout, notice.refund) == (None, None, None)


def test_a_withdrawn_payment_is_withdrawn_again_by_the_same_key_only(stripe_bench):
    payment = stripe_bench.ask()
    first = stripe_bench.provider.release(payment.ref, key="release-1")

    assert stripe_bench.provider.release(payment.ref, key="release-1") == first
    with pytest.raises(ProviderDeclined):
        stripe_bench.provider.release(payment.ref, key="release-2")
