"""The sandbox provider's pure parts: the table, amounts, languages, pauses."""

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.payments import provider_app
from backend.payments.port import Capture, PaymentStatus
from backend.payments.provider_app import ProviderSettings
from backend.payments.provider_app import payment as rules
from backend.payments.provider_app.money import CURRENCIES, written
from backend.payments.provider_app.payment import Mode, Order, Payment, Status
from backend.payments.provider_app.problems import HTTP_STATUS, Code, Refused
from backend.payments.provider_app.sender import pause
from backend.payments.provider_app.words import WORDS, Lang, chosen_lang, span

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOLD = timedelta(days=7)
FINAL = {Status.CANCELED, Status.FAILED, Status.EXPIRED}

amounts = st.integers(min_value=1, max_value=150)
acts = st.one_of(
    st.just(lambda payment: rules.agreed(payment, now=NOW, hold=HOLD)),
    st.just(rules.declined),
    st.just(rules.canceled),
    st.just(rules.expired),
    amounts.map(lambda sum_: lambda payment: rules.captured(payment, amount_minor=sum_, now=NOW)),
    amounts.map(lambda sum_: lambda payment: rules.refunded(payment, amount_minor=sum_)),
)


def asked(mode: Mode) -> Payment:
    order = Order(
        reference="r",
        amount_minor=100,
        currency="CNY",
        mode=mode,
        description="d",
        return_url="http://x/",
    )
    return rules.asked(order, payment_id="pay_1", now=NOW, pay_within=timedelta(hours=2))


@given(mode=st.sampled_from(Mode), path=st.lists(acts, max_size=12))
def test_no_path_makes_or_loses_money(mode, path):
    payment = asked(mode)
    for act in path:
        before = payment
        try:
            payment = act(payment)
        except Refused:
            continue
        assert 0 <= payment.refunded_minor <= payment.captured_minor <= 100
        assert payment.captured_minor == 0 or payment.status is Status.PAID
        assert (payment.paid_at is None) == (payment.captured_minor == 0)
        assert payment.refunded_minor >= before.refunded_minor
        assert before.status not in FINAL
        assert mode is Mode.MANUAL or payment.capture_before is None
        assert payment.status is not Status.AUTHORIZED or payment.capture_before == NOW + HOLD


def test_a_refusal_names_the_state_and_the_act():
    with pytest.raises(Refused, match="cannot refund a payment that is open"):
        rules.refunded(asked(Mode.AUTOMATIC), amount_minor=1)


def test_time_ends_what_is_due_and_nothing_else():
    payment = asked(Mode.MANUAL)
    held = rules.agreed(payment, now=NOW, hold=HOLD)

    assert rules.as_of(held, NOW + HOLD - timedelta.resolution) is held
    assert rules.as_of(held, NOW + HOLD).status is Status.EXPIRED
    taken = rules.captured(held, amount_minor=1, now=NOW)
    assert rules.as_of(taken, NOW + 2 * HOLD) is taken


def test_the_provider_knows_nothing_of_the_backend():
    own = "backend.payments.provider_app"
    for source in Path(provider_app.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] != "backend" or name.startswith(own), source.name


def test_both_sides_spell_their_words_alike():
    assert {status.value for status in Status} == {status.value for status in PaymentStatus}
    assert {mode.value for mode in Mode} == {capture.value for capture in Capture}


def test_every_reason_has_its_http_status():
    assert set(HTTP_STATUS) == set(Code)


@pytest.mark.parametrize(
    ("amount", "currency", "zh", "en"),
    [
        (0, "CNY", "¥0.00", "CN¥0.00"),
        (5, "CNY", "¥0.05", "CN¥0.05"),
        (123456789, "CNY", "¥1,234,567.89", "CN¥1,234,567.89"),
        (1234, "JPY", "JP¥1,234", "¥1,234"),
        (1234, "KWD", "KWD\N{NO-BREAK SPACE}1.234", "KWD\N{NO-BREAK SPACE}1.234"),
        (990, "USD", "US$9.90", "$9.90"),
        (990, "HKD", "HK$9.90", "HK$9.90"),
    ],
)
def test_an_amount_is_written_as_its_currency_is(amount, currency, zh, en):
    assert written(amount, currency, Lang.ZH) == zh
    assert written(amount, currency, Lang.EN) == en


@given(amount=st.integers(0, 10**12), currency=st.sampled_from(sorted(CURRENCIES)))
def test_no_digit_of_an_amount_is_lost(amount, currency):
    digits = "".join(filter(str.isdigit, written(amount, currency, Lang.EN)))

    assert int(digits) == amount


@pytest.mark.parametrize(
    ("asked_for", "accepted", "lang"),
    [
        ("", "", Lang.EN),
        ("en", "zh-CN", Lang.EN),
        ("zh", "en", Lang.ZH),
        ("zh-Hant", "en", Lang.ZH),
        ("fr", "en-US,en;q=0.9", Lang.EN),
        ("", "fr;q=1,en;q=0.2,zh;q=0.8", Lang.ZH),
        ("", "de", Lang.EN),
        ("", ";;q=,,=", Lang.EN),
    ],
)
def test_the_page_speaks_the_readers_language(asked_for, accepted, lang):
    assert chosen_lang(asked_for, accepted) is lang


def test_a_span_is_told_in_its_largest_unit():
    words = WORDS[Lang.EN]

    assert span(7 * 86_400, words) == "7 days"
    assert span(86_400, words) == "24 hours"
    assert span(5_400, words) == "90 minutes"


def test_pauses_grow_to_the_cap_and_never_fall_together():
    settings = ProviderSettings(
        database=Path("x"),
        public_url="http://x",
        api_key="k",
        webhook_url="http://x",
        webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    )
    for attempts in range(1, 30):
        most = min(0.5 * 2 ** (attempts - 1), 300)

        assert most / 2 <= pause(attempts, settings).total_seconds() <= most
    assert len({pause(20, settings) for _ in range(20)}) > 1
    assert "k'" not in repr(replace(settings, api_key="hush")), "secrets are not shown"
