"""WeChat Pay beyond the contract: signatures both ways, and Pay Score as it is."""

import json
from contextlib import closing
from datetime import UTC, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs
from wechatpayv3 import utils as library

from backend.ids import new_id
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    PayoutProvider,
    ProviderAway,
    ProviderDeclined,
)
from backend.payments.wechat import WechatProvider
from backend.payments.wechat_wire import refund_number
from tests.fakes.wechat import (
    API_V3_KEY,
    CONFIRM_URL,
    PLATFORM_KEY_ID,
    Refused,
    new_key,
    private_pem,
)
from tests.integration.payments.contract import Heard
from tests.integration.payments.wechat_bench import Remembering


@pytest.fixture
def wechat(wechat_bench):
    return wechat_bench.wechat


@pytest.fixture
def provider(wechat_bench) -> WechatProvider:
    return wechat_bench.provider


def notice(bench, kind, resource) -> Heard:
    body = bench.wechat.sealed(kind, json.dumps(resource))
    return bench.signed(body)


# -- what the payer is shown ----------------------------------------------------------------


def test_a_bill_is_a_code_to_scan_and_a_deposit_a_page_to_confirm_on(wechat_bench):
    bill = wechat_bench.ask()
    deposit = wechat_bench.ask(Capture.MANUAL)

    assert bill.pay_url.startswith("weixin://wxpay/bizpayurl?pr=")
    assert deposit.pay_url.startswith(f"{CONFIRM_URL}?package=")


def test_where_to_pay_is_told_once(wechat_bench, provider):
    assert provider.fetch(wechat_bench.ask().ref).pay_url == ""
    assert provider.fetch(wechat_bench.ask(Capture.MANUAL).ref).pay_url == ""


def test_it_takes_yuan_only(wechat_bench):
    for capture in Capture:
        with pytest.raises(ProviderDeclined):
            wechat_bench.ask(capture, currency="EUR")


def test_it_does_not_pay_out(provider):
    assert not isinstance(provider, PayoutProvider)


def test_a_long_description_is_cut_to_what_a_deposit_may_have(wechat_bench, wechat):
    payment = wechat_bench.ask(Capture.MANUAL, description="充電寶租借押金 " * 5)

    said = wechat.orders[payment.reference]["service_introduction"]
    assert len(said) == 20


# -- Pay Score ------------------------------------------------------------------------------


def test_a_promise_does_not_run_out_and_is_collected_when_completed(wechat_bench, provider):
    promised = wechat_bench.held()

    collected = provider.capture(promised.ref, key=new_id(), amount_minor=1500)

    assert (promised.status, promised.capture_before) == (PaymentStatus.AUTHORIZED, None)
    assert (collected.status, collected.captured_minor) == (PaymentStatus.PAID, 1500)


def test_what_the_payer_has_not_is_owed_until_they_have_it(wechat_bench, wechat, provider):
    wechat.payer_has_no_money = True
    promised = wechat_bench.held()

    owed = provider.capture(promised.ref, key=new_id(), amount_minor=1500)
    wechat.payer_pays_what_they_owe(promised.reference)
    paid = provider.fetch(promised.ref)

    assert (owed.status, owed.captured_minor) == (PaymentStatus.AUTHORIZED, 0)
    assert (paid.status, paid.captured_minor) == (PaymentStatus.PAID, 1500)
    heard = wechat_bench.heard(promised.reference, PaymentStatus.PAID)
    assert wechat_bench.read(heard).payment == paid


def test_what_is_owed_already_cannot_be_asked_for_again_or_let_go(wechat_bench, wechat, provider):
    wechat.payer_has_no_money = True
    promised = wechat_bench.held()
    key = new_id()
    owed = provider.capture(promised.ref, key=key, amount_minor=1500)

    assert provider.capture(promised.ref, key=key, amount_minor=1500) == owed
    with pytest.raises(ProviderDeclined):
        provider.capture(promised.ref, key=new_id(), amount_minor=2000)
    with pytest.raises(ProviderDeclined):
        provider.release(promised.ref, key=new_id())


def test_a_promise_that_nobody_confirmed_runs_out(wechat_bench, wechat, provider):
    asked = wechat_bench.ask(Capture.MANUAL)

    wechat.order_runs_out(asked.reference)

    assert provider.fetch(asked.ref).status is PaymentStatus.EXPIRED


def test_a_deposit_that_was_asked_for_and_confirmed_is_not_asked_for_twice(wechat_bench):
    wish = {"key": new_id(), "reference": new_id()}
    asked = wechat_bench.ask(Capture.MANUAL, **wish)
    wechat_bench.payer_agrees(asked)

    again = wechat_bench.ask(Capture.MANUAL, **wish)

    assert (again.ref, again.status) == (asked.ref, PaymentStatus.AUTHORIZED)


def test_a_bill_that_is_paid_is_not_asked_for_twice(wechat_bench):
    wish = {"key": new_id(), "reference": new_id()}
    asked = wechat_bench.ask(**wish)
    wechat_bench.payer_agrees(asked)

    assert wechat_bench.ask(**wish).status is PaymentStatus.PAID


def test_a_bill_is_no_hold(wechat_bench, provider):
    with pytest.raises(ProviderDeclined):
        provider.capture(wechat_bench.paid().ref, key=new_id(), amount_minor=1)


# -- signatures -----------------------------------------------------------------------------


def test_an_answer_that_wechat_did_not_sign_is_no_answer(wechat_bench, wechat, provider):
    payment = wechat_bench.paid()
    wechat.forges_answers = True

    with pytest.raises(ProviderAway, match="not WeChat Pay's"):
        provider.fetch(payment.ref)


def test_a_no_that_wechat_did_not_sign_is_no_no(wechat, provider):
    wechat.forges_answers = True

    with pytest.raises(ProviderAway):
        provider.fetch("trade:01JNEVER")


def test_a_request_that_we_did_not_sign_is_told_to_whoever_runs_this(wechat_bench, wechat):
    account = wechat.account(private_key=private_pem(new_key()))
    url = str(wechat_bench.provider._http.base_url)

    with (
        closing(Remembering(account, base_url=url)) as stranger,
        capture_logs() as logs,
        pytest.raises(ProviderAway, match="SIGN_ERROR"),
    ):
        stranger.fetch("trade:01JNEVER")

    assert [entry["event"] for entry in logs] == ["wechat_refuses_us"]


@pytest.mark.parametrize(
    "refused",
    [Refused(500, "SYSTEM_ERROR"), Refused(429, "FREQUENCY_LIMITED"), Refused(403, "NOT_ENOUGH")],
    ids=lambda refused: refused.body["code"],
)
def test_a_wish_that_may_go_well_later_is_a_doubt(wechat_bench, wechat, provider, refused):
    paid = wechat_bench.paid()
    wechat.fails_with = refused

    with pytest.raises(ProviderAway):
        provider.refund(paid.ref, key=new_id(), amount_minor=1)


def test_certificates_serve_as_well_as_a_public_key(wechat_bench, wechat):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    now = wechat_bench.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(wechat.platform_key.public_key())
        .serial_number(0x0157F09EFDC096DE15EBE81A47057A7232F1B8E1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(wechat.platform_key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    account = wechat.account(platform_key=pem, platform_key_id="")
    paid = wechat_bench.paid()
    heard = wechat_bench.heard(paid.reference, PaymentStatus.PAID)
    serial = "157f09efdc096de15ebe81a47057a7232f1b8e1"

    with closing(Remembering(account)) as provider:
        headers = {**heard.headers, "Wechatpay-Serial": serial}
        told = provider.read_notice(headers=headers, body=heard.body, now=now)

    assert told.payment == paid


def test_the_fake_makes_what_the_published_library_believes_and_opens(wechat_bench):
    paid = wechat_bench.paid()
    heard = wechat_bench.heard(paid.reference, PaymentStatus.PAID)
    named = {name.lower(): value for name, value in heard.headers.items()}
    sealed = json.loads(heard.body)["resource"]

    fits = library.rsa_verify(
        named["wechatpay-timestamp"],
        named["wechatpay-nonce"],
        heard.body.decode(),
        named["wechatpay-signature"],
        wechat_bench.wechat.platform_key.public_key(),
    )
    text = library.aes_decrypt(
        sealed["nonce"], sealed["ciphertext"], sealed["associated_data"], API_V3_KEY
    )

    assert fits
    assert json.loads(text)["out_trade_no"] == paid.reference


# -- notices --------------------------------------------------------------------------------


def test_a_notice_of_yesterday_is_a_replay(wechat_bench):
    paid = wechat_bench.paid()
    heard = wechat_bench.heard(paid.reference, PaymentStatus.PAID)

    with pytest.raises(BadNotice) as bad:
        wechat_bench.read(heard, later=timedelta(days=1))

    assert bad.value.fault is NoticeFault.STALE


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"Wechatpay-Serial": "PUB_KEY_ID_OF_ANOTHER"}, NoticeFault.FORGED),
        ({"Wechatpay-Nonce": "another"}, NoticeFault.FORGED),
        ({"Wechatpay-Signature": "é"}, NoticeFault.FORGED),
        ({"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"}, NoticeFault.FORGED),
        ({"Wechatpay-Timestamp": "1"}, NoticeFault.FORGED),
        ({"Wechatpay-Timestamp": "soon"}, NoticeFault.UNSIGNED),
        ({"Wechatpay-Timestamp": "9" * 30}, NoticeFault.UNSIGNED),
    ],
)
def test_a_header_that_was_changed_says_so(wechat_bench, changes, fault):
    paid = wechat_bench.paid()
    heard = wechat_bench.heard(paid.reference, PaymentStatus.PAID)

    with pytest.raises(BadNotice) as bad:
        wechat_bench.read(Heard(headers={**heard.headers, **changes}, body=heard.body))

    assert bad.value.fault is fault


def test_a_serial_in_small_letters_is_the_same(wechat_bench):
    paid = wechat_bench.paid()
    heard = wechat_bench.heard(paid.reference, PaymentStatus.PAID)
    headers = {**heard.headers, "Wechatpay-Serial": PLATFORM_KEY_ID.lower()}

    assert wechat_bench.read(Heard(headers=headers, body=heard.body)).payment == paid


def test_a_notice_sealed_with_another_key_is_a_persons_to_look_at(wechat_bench):
    body = wechat_bench.wechat.sealed("TRANSACTION.SUCCESS", "{}")
    other = json.loads(body)
    other["resource"]["associated_data"] = "another"

    with pytest.raises(BadNotice) as bad:
        wechat_bench.read(wechat_bench.signed(json.dumps(other).encode()))

    assert bad.value.fault is NoticeFault.UNREADABLE


@pytest.mark.parametrize("change", [{"nonce": ""}, {"ciphertext": "%"}, {"algorithm": "ROT13"}])
def test_a_seal_that_is_none_is_a_persons_to_look_at(wechat_bench, change):
    notice = json.loads(wechat_bench.wechat.sealed("TRANSACTION.SUCCESS", "{}"))
    notice["resource"] |= change

    with pytest.raises(BadNotice) as bad:
        wechat_bench.read(wechat_bench.signed(json.dumps(notice).encode()))

    assert bad.value.fault is NoticeFault.UNREADABLE


def told_of_refund(bench):
    sent = bench.wechat.sent[-1]
    return bench.read(Heard(headers=sent.headers, body=sent.body)).refund


def test_a_refund_that_bounced_did_not_go_until_somebody_saw_to_it(wechat_bench, wechat, provider):
    paid, key = wechat_bench.paid(), new_id()
    provider.refund(paid.ref, key=key, amount_minor=300)

    wechat.refund_bounces(refund_number(key))

    back = told_of_refund(wechat_bench)
    assert (back.key, back.is_gone, back.failure) == (key, False, "ABNORMAL")
    assert (back.amount_minor, back.currency) == (300, "CNY")
    assert provider.fetch(paid.ref).refunded_minor == 0
    with pytest.raises(ProviderDeclined, match="REFUND_ABNORMAL"):
        provider.refund(paid.ref, key=key, amount_minor=300)

    wechat.refund_arrives(refund_number(key))
    gone = told_of_refund(wechat_bench)
    assert (gone.key, gone.is_gone) == (key, True)
    assert provider.fetch(paid.ref).refunded_minor == 300


REFUND_OF_ANOTHER = {"out_trade_no": "", "out_refund_no": "made-by-hand", "amount": {"refund": 1}}


def test_a_refund_of_somebody_elses_that_arrived_moves_nothing(wechat_bench):
    heard = notice(wechat_bench, "REFUND.SUCCESS", REFUND_OF_ANOTHER | {"refund_status": "SUCCESS"})

    told = wechat_bench.read(heard)

    assert told.kind == "REFUND.SUCCESS"
    assert (told.payment, told.payout, told.refund) == (None, None, None)


def test_a_refund_that_bounced_and_that_nobody_knows_is_a_persons_to_look_at(wechat_bench):
    resource = REFUND_OF_ANOTHER | {"refund_status": "ABNORMAL"}
    with pytest.raises(BadNotice) as bad:
        wechat_bench.read(notice(wechat_bench, "REFUND.ABNORMAL", resource))

    assert bad.value.is_genuine


def test_a_notice_says_when_it_was_made_in_utc(wechat_bench):
    paid = wechat_bench.paid()

    told = wechat_bench.read(wechat_bench.heard(paid.reference, PaymentStatus.PAID))

    assert told.at.tzinfo is UTC
    assert abs(told.at - wechat_bench.now()) < timedelta(minutes=1)
