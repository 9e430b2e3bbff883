"""What the sandbox provider does beyond the contract: its notices, its memory, its manners."""

import base64
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    ProviderAway,
    ProviderDeclined,
)
from backend.payments.provider_app import MemoryUnusableError, create_provider_app, run_provider
from backend.payments.provider_app.clock import utc_now
from backend.payments.provider_app.signer import signed_headers
from backend.payments.sandbox import SandboxProvider


def kinds(heard):
    return [json.loads(message.body)["type"] for message in heard]


# -- notices --------------------------------------------------------------------------


def test_a_notice_is_sent_until_it_is_heard_always_with_the_same_id(sandbox):
    sandbox.receiver.answers.extend([500, 503, 404])
    sandbox.receiver.on_hearing = lambda: sandbox.clock.turn(minutes=1)
    sandbox.paid()

    heard = sandbox.receiver.wait(lambda heard: len(heard) == 4)

    assert len({message.headers["webhook-id"] for message in heard}) == 1
    assert len({message.body for message in heard}) == 1
    assert len({message.headers["webhook-timestamp"] for message in heard}) == 4


def test_a_notice_that_nobody_hears_is_given_up(settings, start, receiver):
    receiver.answers.extend([500] * 3)
    with start(replace(settings, webhook_attempts=3)) as sandbox:
        sandbox.paid()
        sandbox.wait_until_nothing_is_due()
        sandbox.held()
        heard = receiver.wait(lambda heard: len(heard) == 4)

    assert kinds(heard) == ["payment.paid"] * 3 + ["payment.authorized"]


def test_notices_outlive_the_process(settings, start, receiver):
    deaf = replace(settings, webhook_url="http://127.0.0.1:9/closed", webhook_retry_base_s=3600)
    with start(deaf) as sandbox:
        payment = sandbox.held()
        before = sandbox.provider.fetch(payment.ref)

    with start(settings) as sandbox:
        sandbox.clock.turn(hours=1)
        heard = receiver.wait_for_kind("payment.authorized")
        notice = sandbox.provider.read_notice(
            headers=heard.headers, body=heard.body, now=sandbox.now()
        )
        after = sandbox.provider.fetch(payment.ref)

    assert notice.payment.ref == payment.ref
    assert replace(after, pay_url=before.pay_url) == before


def test_a_repeat_after_a_restart_still_has_one_effect(settings, start):
    with start(settings) as sandbox:
        payment = sandbox.paid()
        sandbox.provider.refund(payment.ref, key="refund-1", amount_minor=1000)
    with start(settings) as sandbox:
        sandbox.provider.refund(payment.ref, key="refund-1", amount_minor=1000)

        assert sandbox.provider.fetch(payment.ref).refunded_minor == 1000


def test_notices_outlive_a_kill(settings, receiver, wait_until):
    deaf = replace(settings, webhook_url="http://127.0.0.1:9/closed", webhook_retry_base_s=0.2)
    with standalone(deaf, wait_until) as (process, client):
        payment = client.create(
            key="key",
            reference="order-1",
            amount_minor=100,
            currency="CNY",
            capture=Capture.AUTOMATIC,
            description="x",
            return_url="http://127.0.0.1:1/",
        )
        client.simulate(payment.ref, "pay")
        process.kill()
        process.wait(10)
    with standalone(settings, wait_until) as (process, client):
        heard = receiver.wait_for_kind("payment.paid")
        notice = client.read_notice(headers=heard.headers, body=heard.body, now=utc_now())
        assert notice.payment.ref == payment.ref
        process.terminate()
        assert process.wait(10) in {0, -signal.SIGTERM}


@contextmanager
def standalone(settings, wait_until):
    """The provider in a process of its own, by :func:`run_provider`, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = (
        "from pathlib import Path\n"
        "from backend.payments.provider_app import ProviderSettings, run_provider\n"
        f"run_provider(ProviderSettings(database=Path({str(settings.database)!r}),"
        f" public_url='http://127.0.0.1:{port}', api_key={settings.api_key!r},"
        f" webhook_url={settings.webhook_url!r}, webhook_secret={settings.webhook_secret!r},"
        f" webhook_retry_base_s={settings.webhook_retry_base_s}), port={port})"
    )
    client = SandboxProvider(
        base_url=f"http://127.0.0.1:{port}",
        api_key=settings.api_key,
        webhook_secret=settings.webhook_secret,
    )
    with client, subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            wait_until(lambda: answers(client))
            yield process, client
        finally:
            process.kill()


def answers(client):
    try:
        return client.find("anything") is None
    except ProviderAway:
        return False


def test_a_taken_port_is_an_error_and_not_an_exit(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run_provider(settings, port=taken.getsockname()[1])


def test_told_to_double_its_notices_it_does(sandbox):
    sandbox.arm("notice_doubled")
    sandbox.paid()

    first, second = sandbox.receiver.wait(lambda heard: len(heard) == 2)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_told_to_drop_its_notices_it_does(sandbox):
    sandbox.arm("notice_lost")
    sandbox.paid()
    sandbox.wait_until_nothing_is_due()
    sandbox.held()

    heard = sandbox.receiver.wait(lambda heard: len(heard) >= 1)
    assert kinds(heard) == ["payment.authorized"]


def test_each_change_of_a_payment_is_told(sandbox):
    payment = sandbox.held()
    sandbox.provider.capture(payment.ref, key="capture", amount_minor=5000)
    sandbox.provider.refund(payment.ref, key="refund", amount_minor=1000)

    heard = sandbox.receiver.wait(lambda heard: len(heard) == 3)

    assert sorted(kinds(heard)) == ["payment.authorized", "payment.paid", "payment.refunded"]


def test_a_genuine_notice_that_is_not_understood_is_a_persons_to_look_at(sandbox):
    body = b'{"type": "payment.teleported"}'
    headers = signed_headers(
        sandbox.settings.webhook_secret, notice_id="msg_1", now=sandbox.now(), body=body
    )

    with pytest.raises(BadNotice) as bad:
        sandbox.provider.read_notice(headers=headers, body=body, now=sandbox.now())

    assert bad.value.fault is NoticeFault.UNREADABLE
    assert bad.value.is_genuine


def test_a_notice_signed_with_another_key_is_forged(sandbox):
    body = b"{}"
    other = "whsec_" + base64.b64encode(b"another secret, as long as it").decode()
    headers = signed_headers(other, notice_id="msg_1", now=sandbox.now(), body=body)

    with pytest.raises(BadNotice) as bad:
        sandbox.provider.read_notice(headers=headers, body=body, now=sandbox.now())

    assert bad.value.fault is NoticeFault.FORGED


# -- time -----------------------------------------------------------------------------


def test_a_hold_runs_out_and_says_so(sandbox):
    payment = sandbox.held()

    sandbox.clock.turn(days=7)

    sandbox.receiver.wait_for_kind("payment.expired")
    with pytest.raises(ProviderDeclined, match="wrong_state"):
        sandbox.provider.capture(payment.ref, key="capture", amount_minor=1)
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.EXPIRED


def test_a_hold_that_ran_out_cannot_be_captured_even_before_the_sweep(settings, start, clock):
    with start(replace(settings, tick_s=3600)) as sandbox:
        payment = sandbox.held()
        clock.turn(days=7)

        with pytest.raises(ProviderDeclined, match="wrong_state"):
            sandbox.provider.capture(payment.ref, key="capture", amount_minor=1)


def test_a_hold_stands_until_the_last_moment(sandbox):
    payment = sandbox.held()
    sandbox.clock.turn(days=7, microseconds=-1)

    taken = sandbox.provider.capture(payment.ref, key="capture", amount_minor=9900)

    assert taken.captured_minor == 9900


def test_a_payment_that_nobody_answers_expires(sandbox):
    payment = sandbox.ask()

    sandbox.clock.turn(hours=2)

    sandbox.receiver.wait_for_kind("payment.expired")
    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.EXPIRED


# -- manners --------------------------------------------------------------------------


def test_a_no_that_was_said_stays_a_no(sandbox):
    payment = sandbox.ask(Capture.MANUAL)
    with pytest.raises(ProviderDeclined):
        sandbox.provider.capture(payment.ref, key="early", amount_minor=100)
    sandbox.payer_agrees(payment)

    with pytest.raises(ProviderDeclined, match="open"):
        sandbox.provider.capture(payment.ref, key="early", amount_minor=100)


def test_a_reference_names_one_payment(sandbox):
    sandbox.ask(reference="rental-1")

    with pytest.raises(ProviderDeclined, match="reference_taken"):
        sandbox.ask(reference="rental-1", key="another")


def test_fifty_at_once_with_one_key_open_one_payment(sandbox):
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(sandbox.ask, key="same", reference="one") for _ in range(50)]

    assert len({payment.result().ref for payment in asked}) == 1


def test_fifty_refunds_at_once_never_give_back_more_than_was_taken(sandbox):
    payment = sandbox.paid()

    def refund(number):
        try:
            sandbox.provider.refund(payment.ref, key=f"refund-{number}", amount_minor=1000)
        except ProviderDeclined:
            return 0
        return 1

    with ThreadPoolExecutor(50) as pool:
        granted = sum(pool.map(refund, range(50)))

    assert granted == 9
    assert sandbox.provider.fetch(payment.ref).refunded_minor == 9000


def test_a_wrong_api_key_is_no_answer_about_the_payment(sandbox):
    client = SandboxProvider(
        base_url=sandbox.url, api_key="wrong", webhook_secret=sandbox.settings.webhook_secret
    )
    with client, pytest.raises(ProviderAway, match="401"):
        client.fetch("pay_1")


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 2**70},
        {"amount_minor": True},
        {"amount_minor": "100"},
        {"currency": "XXX"},
        {"currency": "cny"},
        {"capture": "sometimes"},
        {"reference": ""},
        {"reference": "two words"},
        {"description": ""},
        {"description": "\ud800"},
        {"description": "nul\0"},
        {"return_url": "javascript:alert(1)"},
        {"return_url": "http://"},
        {"return_url": "http://[nonsense"},
        {"surprise": 1},
    ],
)
def test_a_wish_that_makes_no_sense_is_a_problem_and_no_payment(sandbox, change):
    wish = {
        "reference": "order-1",
        "amount_minor": 100,
        "currency": "CNY",
        "capture": "automatic",
        "description": "x",
        "return_url": "http://127.0.0.1:1/",
    }
    answer = sandbox.raw(
        "POST",
        "/v1/payments",
        content=json.dumps(wish | change),
        headers={"idempotency-key": "key", "content-type": "application/json"},
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert sandbox.provider.find("order-1") is None


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "code"),
    [
        ("GET /v1/payments/pay_1", {}, 404, "not_found"),
        ("GET /v1/payments/pay_1", {"authorization": "Bearer x"}, 401, "unauthorized"),
        ("GET /v1/payments/pay_1", {"authorization": "Bearer é"}, 401, "unauthorized"),
        ("POST /v1/payments/pay_1/cancel", {}, 422, "invalid_request"),
        ("GET /nowhere", {}, 404, "not_found"),
        ("DELETE /v1/payments", {}, 405, "method_not_allowed"),
    ],
)
def test_errors_are_problem_details(sandbox, request_line, headers, status, code):
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = sandbox.raw(*request_line.split(), headers=encoded)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status


def test_a_body_that_is_too_large_is_refused(sandbox):
    answer = sandbox.raw(
        "POST",
        "/v1/payments",
        content=b"[" * 100_000,
        headers={"idempotency-key": "key", "content-type": "application/json"},
    )

    assert answer.status_code == 413


def test_deep_nesting_is_refused(sandbox):
    answer = sandbox.raw(
        "POST",
        "/v1/payments",
        content=b"[" * 50_000,
        headers={"idempotency-key": "key", "content-type": "application/json"},
    )

    assert 400 <= answer.status_code < 500


def test_a_file_that_cannot_be_used_is_said_in_one_sentence(settings, tmp_path):
    with pytest.raises(MemoryUnusableError, match="give it another file"):
        create_provider_app(replace(settings, database=tmp_path / "missing" / "x.sqlite"))

    nonsense = tmp_path / "nonsense.sqlite"
    nonsense.write_bytes(b"not a database" * 1000)
    with pytest.raises(MemoryUnusableError, match="not a database"):
        create_provider_app(replace(settings, database=nonsense))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%"])
def test_a_weak_webhook_secret_is_refused_at_the_start(settings, secret):
    with pytest.raises(ValueError, match=r"base64|bytes|Incorrect padding|digit"):
        replace(settings, webhook_secret=secret)
    with pytest.raises(ValueError, match="webhook secret"):
        SandboxProvider(base_url="http://x", api_key="k", webhook_secret=secret)
