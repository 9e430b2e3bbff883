"""Whatever the sandbox does wrong, our client tells the truth or that it does not know."""

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from backend.ids import new_id
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    PayoutStatus,
    ProviderAway,
    ProviderDeclined,
)
from backend.payments.provider_app.faults import IN_ANSWER, IN_NOTICE, At, Fault
from backend.payments.provider_app.schema import VERSIONS
from backend.payments.sandbox import SandboxProvider
from tests.integration.payments.sandbox_bench import sandbox_running

SPOILS_ANSWER = sorted(IN_ANSWER - {Fault.NOTICE_FIRST, Fault.SLOW})
WISHES = {
    At.CREATE: lambda bench, key: (
        lambda: bench.ask(key=key, reference=f"order-{key}"),
        lambda: bench.provider.find(f"order-{key}"),
    ),
    At.CAPTURE: lambda bench, key: _on(bench, "capture", bench.held(), key=key, amount_minor=1500),
    At.CANCEL: lambda bench, key: _on(bench, "release", bench.held(), key=key),
    At.REFUND: lambda bench, key: _on(bench, "refund", bench.paid(), key=key, amount_minor=1500),
    At.PAY_OUT: lambda bench, key: (
        lambda: bench.pay_out(key=key, reference=f"out-{key}"),
        lambda: bench.payouts.find_payout(f"out-{key}"),
    ),
}
"""For each wish, a way to wish it (again and again with one key), and a way to look."""
QUESTIONS = {
    At.FETCH: lambda bench, payment: bench.provider.fetch(payment.ref),
    At.FIND: lambda bench, payment: bench.provider.find(payment.reference),
    At.FIND_PAYOUT: lambda bench, payment: bench.payouts.find_payout(payment.reference),
}


def _on(bench, verb, payment, **arguments):
    return (
        lambda: getattr(bench.provider, verb)(payment.ref, **arguments),
        lambda: bench.provider.fetch(payment.ref),
    )


@pytest.fixture
def hasty(settings, clock, receiver):
    """A client that waits for a second and a half."""
    with sandbox_running(settings, clock, receiver, timeout_s=1.5) as bench:
        yield bench


# -- the answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", WISHES)
@pytest.mark.parametrize("fault", SPOILS_ANSWER)
def test_a_wish_whose_answer_is_spoiled_is_in_doubt_and_its_repeat_tells_the_truth(
    sandbox, fault, at
):
    wish, look = WISHES[at](sandbox, new_id())
    sandbox.arm(fault, at=[at], for_s=0)

    with pytest.raises(ProviderAway):
        wish()

    assert wish() == look() == wish()


@pytest.mark.parametrize("at", QUESTIONS)
@pytest.mark.parametrize("fault", SPOILS_ANSWER)
def test_a_question_whose_answer_is_spoiled_is_in_doubt(sandbox, fault, at):
    payment = sandbox.ask()
    sandbox.arm(fault, at=[at], for_s=0)

    with pytest.raises(ProviderAway):
        QUESTIONS[at](sandbox, payment)

    assert QUESTIONS[at](sandbox, payment) in {payment, None}


def test_what_failed_before_it_was_done_was_not_done_and_what_failed_after_was(sandbox):
    for fault, is_done in ((Fault.ERROR_BEFORE, False), (Fault.ERROR_AFTER, True)):
        reference = new_id()
        sandbox.arm(fault, at=["create"])
        with pytest.raises(ProviderAway):
            sandbox.ask(reference=reference)

        assert (sandbox.provider.find(reference) is not None) is is_done


def test_a_provider_that_says_nothing_is_not_waited_for_longer_than_the_time_out(hasty):
    held = hasty.held()
    hasty.arm(Fault.NO_ANSWER, at=["capture"], for_s=30)

    with pytest.raises(ProviderAway):
        hasty.provider.capture(held.ref, key="k", amount_minor=1500)

    assert hasty.provider.fetch(held.ref).captured_minor == 1500


def test_an_answer_that_trickles_in_is_not_waited_for_for_ever(hasty):
    held = hasty.held()
    hasty.arm(Fault.SLOW, at=["capture"], for_s=15)  # each piece comes within the time-out

    with pytest.raises(ProviderAway, match="did not end"):
        hasty.provider.capture(held.ref, key="k", amount_minor=1500)

    assert hasty.provider.fetch(held.ref).captured_minor == 1500


def test_an_answer_that_is_slow_and_whole_is_the_truth(sandbox):
    held = sandbox.held()
    sandbox.arm(Fault.SLOW, at=["capture"], for_s=0.1)

    taken = sandbox.provider.capture(held.ref, key="k", amount_minor=1500)

    assert taken == sandbox.provider.fetch(held.ref)


@pytest.mark.parametrize("verb", ["capture", "cancel", "refund"])
def test_a_notice_may_come_before_the_answer(sandbox, verb):
    wish, _ = WISHES[At(verb)](sandbox, new_id())
    sandbox.wait_until_nothing_is_due()
    before = len(sandbox.receiver.wait(lambda _: True))
    sandbox.arm(Fault.NOTICE_FIRST, at=[verb])

    answer = wish()

    told = sandbox.receiver.wait(lambda _: True)[before:]
    assert [sandbox.read(each).payment for each in told] == [answer]


def test_a_payout_may_have_arrived_before_its_answer(settings, start):
    with start(replace(settings, payout_s=0)) as sandbox:
        sandbox.arm(Fault.NOTICE_FIRST, at=["pay_out"])

        answer = sandbox.pay_out()

        (told,) = sandbox.receiver.wait(lambda _: True)
        assert answer.status is PayoutStatus.PENDING
        assert sandbox.read(told).payout == replace(answer, status=PayoutStatus.PAID)


# -- answers that no provider should give -------------------------------------------------------


OPEN = {
    "id": "pay_1",
    "status": "open",
    "amount_minor": 9900,
    "captured_minor": 0,
    "refunded_minor": 0,
    "currency": "CNY",
    "reference": "order-1",
    "pay_url": "http://127.0.0.1:1/pay/pay_1",
    "capture_before": None,
}
UNBELIEVABLE = {
    "another payment": OPEN | {"id": "pay_2"},
    "more captured than held": OPEN | {"status": "paid", "captured_minor": 9901},
    "more refunded than captured": OPEN
    | {"status": "paid", "captured_minor": 100, "refunded_minor": 101},
    "paid, and nothing captured": OPEN | {"status": "paid"},
    "captured, and not paid": OPEN | {"status": "canceled", "captured_minor": 100},
    "a hold without an end": OPEN | {"status": "authorized"},
    "an amount that is a text": OPEN | {"amount_minor": "9900"},
    "an amount that is a yes": OPEN | {"amount_minor": True},
    "an amount below nothing": OPEN | {"amount_minor": -1},
    "a status that there is not": OPEN | {"status": "settled"},
    "a problem": {"code": "not_found", "detail": "no"},
    "nothing": {},
}


@contextmanager
def answering(status, body, headers=()):
    """A client of somebody who always gives this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in body:
                    self.wfile.write(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has heard enough

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with SandboxProvider(base_url=url, api_key="k", webhook_secret=secret) as client:
            yield client
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_the_answer_that_the_others_are_spoiled_from_is_believed():
    with answering(200, [json.dumps(OPEN).encode()]) as client:
        assert client.fetch("pay_1").reference == "order-1"


@pytest.mark.parametrize("answer", UNBELIEVABLE.values(), ids=UNBELIEVABLE)
def test_an_answer_that_cannot_be_is_a_doubt(answer):
    with answering(200, [json.dumps(answer).encode()]) as client, pytest.raises(ProviderAway):
        client.fetch("pay_1")


@pytest.mark.parametrize(
    "found", [[OPEN, OPEN], [OPEN | {"reference": "order-2"}]], ids=["two", "another"]
)
def test_what_was_not_looked_for_is_not_found(found):
    body = json.dumps({"data": found}).encode()
    with answering(200, [body]) as client, pytest.raises(ProviderAway):
        client.find("order-1")


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 418, 429, 500, 502])
def test_a_page_of_somebody_between_us_is_a_doubt_and_not_a_no(status):
    body = [b"<html>a proxy's own page</html>"]
    with answering(status, body) as client, pytest.raises(ProviderAway):
        client.fetch("pay_1")


def test_an_answer_without_an_end_is_not_read_to_it():
    with answering(200, iter(lambda: b"[" * 65_536, b"")) as client, pytest.raises(ProviderAway):
        client.fetch("pay_1")


def test_an_answer_that_is_packed_wrong_is_a_doubt():
    packed = [("content-encoding", "gzip")]
    with answering(200, [b"not packed"], packed) as client, pytest.raises(ProviderAway):
        client.fetch("pay_1")


# -- the effect ---------------------------------------------------------------------------------


def test_declined_at_creation_there_is_no_payment_and_the_no_stays(sandbox):
    sandbox.arm(Fault.DECLINED, at=["create"])
    wish = {"key": new_id(), "reference": new_id()}

    for _ in range(2):
        with pytest.raises(ProviderDeclined, match="declined"):
            sandbox.ask(**wish)

    assert sandbox.provider.find(wish["reference"]) is None


def test_declined_on_the_page_nothing_was_taken(sandbox):
    payment = sandbox.ask()
    sandbox.arm(Fault.DECLINED_ON_PAGE)

    sandbox.payer_agrees(payment)

    assert sandbox.provider.fetch(payment.ref).status is PaymentStatus.FAILED


def test_a_refund_that_is_declined_gave_nothing_back(sandbox):
    paid = sandbox.paid()
    sandbox.arm(Fault.DECLINED, at=["refund"])

    with pytest.raises(ProviderDeclined):
        sandbox.provider.refund(paid.ref, key=new_id(), amount_minor=1)

    assert sandbox.provider.fetch(paid.ref) == paid


def test_a_payout_that_is_declined_never_left(sandbox):
    sandbox.arm(Fault.DECLINED, at=["pay_out"])
    reference = new_id()

    with pytest.raises(ProviderDeclined):
        sandbox.pay_out(reference=reference)

    assert sandbox.payouts.find_payout(reference) is None


def test_a_short_hold_says_how_short_and_runs_out_then(sandbox):
    sandbox.arm(Fault.SHORT_HOLD, for_s=60)

    held = sandbox.held()

    assert held.capture_before == sandbox.now() + timedelta(minutes=1)
    sandbox.time_passes(timedelta(minutes=1))
    assert sandbox.provider.fetch(held.ref).status is PaymentStatus.EXPIRED


@pytest.mark.parametrize("verb", ["capture", "release"])
def test_a_hold_that_is_gone_before_its_time_is_gone_for_good(sandbox, verb):
    held = sandbox.held()
    sandbox.arm(Fault.HOLD_EXPIRED, at=["cancel" if verb == "release" else "capture"])
    key = new_id()
    amount = {"amount_minor": 1500} if verb == "capture" else {}

    for _ in range(2):
        with pytest.raises(ProviderDeclined, match="expired"):
            getattr(sandbox.provider, verb)(held.ref, key=key, **amount)

    assert sandbox.provider.fetch(held.ref).status is PaymentStatus.EXPIRED
    assert sandbox.read(sandbox.heard(held.reference, PaymentStatus.EXPIRED)).payment is not None


@pytest.mark.parametrize("at", [At.FETCH, At.FIND])
def test_who_looks_may_be_the_first_to_learn_that_a_hold_is_gone(sandbox, at):
    held = sandbox.held()
    sandbox.arm(Fault.HOLD_EXPIRED, at=[at])

    told = QUESTIONS[at](sandbox, held)

    assert told == replace(held, status=PaymentStatus.EXPIRED)


# -- the notice ---------------------------------------------------------------------------------


def ids(heard):
    return [message.headers["webhook-id"] for message in heard]


def test_a_doubled_notice_comes_twice_with_one_id(sandbox):
    sandbox.arm(Fault.NOTICE_DOUBLED)
    sandbox.paid()

    first, second = sandbox.receiver.wait(lambda heard: len(heard) == 2)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert sandbox.read(first) == sandbox.read(second)


def test_a_lost_notice_never_comes(sandbox):
    sandbox.arm(Fault.NOTICE_LOST)
    lost = sandbox.paid()
    sandbox.wait_until_struck(Fault.NOTICE_LOST)
    other = sandbox.paid()

    (only,) = sandbox.receiver.wait(bool)
    sandbox.wait_until_nothing_is_due()

    assert sandbox.read(only).payment == other
    assert sandbox.provider.fetch(lost.ref).status is PaymentStatus.PAID


def test_a_delayed_notice_comes_later_as_it_was(sandbox):
    sandbox.arm(Fault.NOTICE_DELAYED, for_s=3600)
    paid = sandbox.paid()
    sandbox.wait_until_struck(Fault.NOTICE_DELAYED)
    sandbox.wait_until_nothing_is_due()
    assert sandbox.receiver.wait(lambda _: True) == []

    sandbox.time_passes(timedelta(hours=1))

    (late,) = sandbox.receiver.wait(bool)
    assert sandbox.read(late).payment == paid
    assert sandbox.read(late).at == sandbox.now() - timedelta(hours=1)


def test_a_reordered_notice_comes_after_the_next_about_the_same(sandbox):
    sandbox.arm(Fault.NOTICE_REORDERED, for_s=3600)
    held = sandbox.held()
    sandbox.wait_until_struck(Fault.NOTICE_REORDERED)
    sandbox.wait_until_nothing_is_due()
    other = sandbox.held()
    sandbox.wait_until_nothing_is_due()

    taken = sandbox.provider.capture(held.ref, key="k", amount_minor=1500)

    heard = sandbox.receiver.wait(lambda heard: len(heard) == 3)
    assert [sandbox.read(each).payment for each in heard] == [other, taken, held]


def test_a_reordered_notice_that_nothing_follows_comes_in_its_time(sandbox):
    sandbox.arm(Fault.NOTICE_REORDERED, for_s=60)
    held = sandbox.held()
    sandbox.wait_until_struck(Fault.NOTICE_REORDERED)
    sandbox.wait_until_nothing_is_due()

    sandbox.time_passes(timedelta(minutes=1))

    assert sandbox.read(sandbox.receiver.wait(bool)[0]).payment == held


def test_a_notice_signed_wrong_is_forged_and_the_true_one_follows(sandbox):
    sandbox.arm(Fault.NOTICE_FORGED)
    paid = sandbox.paid()

    false, true = sandbox.receiver.wait(lambda heard: len(heard) == 2)

    with pytest.raises(BadNotice) as bad:
        sandbox.read(false)
    assert bad.value.fault is NoticeFault.FORGED
    assert sandbox.read(true).payment == paid
    assert len(set(ids([false, true]))) == 1


def test_a_notice_that_was_cut_off_is_genuine_and_unreadable(sandbox):
    sandbox.arm(Fault.NOTICE_UNREADABLE)
    sandbox.paid()

    (cut,) = sandbox.receiver.wait(bool)

    with pytest.raises(BadNotice) as bad:
        sandbox.read(cut)
    assert bad.value.fault is NoticeFault.UNREADABLE


@pytest.mark.parametrize("fault", sorted(IN_NOTICE))
def test_a_fault_of_a_payouts_notice_changes_nothing_of_the_payout(sandbox, fault):
    sandbox.arm(fault)
    sent = sandbox.pay_out()
    sandbox.payout_ends(sent)
    sandbox.wait_until_struck(fault)

    arrived = sandbox.payouts.find_payout(sent.reference)
    assert arrived == replace(sent, status=PayoutStatus.PAID)


# -- the control route ----------------------------------------------------------------------------


def test_it_cannot_be_told_to_misbehave_unless_its_settings_allow_it(settings, start):
    with start(replace(settings, may_misbehave=False)) as sandbox:
        for method, path in (
            ("POST", "/sandbox/faults"),
            ("GET", "/sandbox/faults"),
            ("DELETE", "/sandbox/faults"),
            ("PUT", "/sandbox/faults/chance"),
        ):
            assert sandbox.raw(method, path, json={"fault": "slow"}).status_code == 404


def test_only_the_account_may_tell_it_to(sandbox):
    answer = sandbox.raw("POST", "/sandbox/faults", headers={"authorization": "Bearer x"})

    assert answer.status_code == 401


def test_what_is_armed_and_what_struck_is_listed(sandbox):
    sandbox.arm("no_answer", at=["capture"], reference="order-7", times=3, for_s=2)
    sandbox.leave_to_chance(7, {"slow": 0}, slow=0.5)
    sandbox.arm("declined", at=["create"])
    with pytest.raises(ProviderDeclined):
        sandbox.ask(reference="order-8")

    listing = sandbox.raw("GET", "/sandbox/faults").json()

    assert listing["armed"] == [
        {
            "id": 1,
            "fault": "no_answer",
            "at": ["capture"],
            "reference": "order-7",
            "times": 3,
            "for_s": 2,
        }
    ]
    assert listing["chance"] == {
        "seed": 7,
        "per_mille": {"slow": 0},
        "for_s": {"slow": 0.5},
    }
    (struck,) = listing["struck"]
    assert (struck["number"], struck["fault"], struck["at"]) == (1, "declined", "create")
    assert struck["reference"] == "order-8"


def test_told_to_behave_it_does(sandbox):
    sandbox.arm("declined", times=1000)
    sandbox.leave_to_chance(7, {"error_before": 1000})

    sandbox.calm()

    assert sandbox.paid().status is PaymentStatus.PAID


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fault": "explodes"},
        {"fault": "slow", "at": ["page"]},
        {"fault": "slow", "times": 0},
        {"fault": "slow", "for_s": -1},
        {"fault": "slow", "for_s": 1e300},
        {"fault": "slow", "surprise": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox, body):
    answer = sandbox.raw("POST", "/sandbox/faults", json=body)

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"


# -- the provider's memory -------------------------------------------------------------------------


def test_a_memory_of_the_version_before_is_brought_up_with_what_it_holds(settings, start, clock):
    now_us = int(clock.now.timestamp()) * 1_000_000
    with closing(sqlite3.connect(settings.database)) as rows:
        rows.executescript(f"{VERSIONS[0]} PRAGMA user_version = 1;")
        rows.execute(
            "INSERT INTO payment VALUES ('pay_1', 'order-1', 9900, 'CNY', 'automatic', 'x',"
            " 'http://x/', 'paid', 9900, 0, ?, ?, NULL, NULL)",
            (now_us, now_us),
        )
        rows.execute(
            "INSERT INTO notice (id, kind, payment_id, body, due_us)"
            " VALUES ('msg_1', 'payment.paid', 'pay_1', '{}', ?)",
            (now_us,),
        )
        rows.commit()

    with start(settings) as sandbox:
        (told,) = sandbox.receiver.wait(bool)

        assert ids([told]) == ["msg_1"]
        assert sandbox.provider.fetch("pay_1").captured_minor == 9900
        assert sandbox.pay_out().status is PayoutStatus.PENDING


def test_what_was_taken_is_listed_page_by_page(sandbox, monkeypatch):
    monkeypatch.setattr("backend.payments.provider_app.desk.LISTED", 2)
    taken = {sandbox.paid().ref for _ in range(4)}
    since = sandbox.now()
    sandbox.time_passes(timedelta(minutes=1))
    held = sandbox.held()
    sandbox.provider.capture(held.ref, key="k", amount_minor=1)

    assert {each.ref for each in sandbox.provider.paid_since(since)} == taken | {held.ref}
    assert {each.ref for each in sandbox.provider.paid_since(None)} == taken | {held.ref}
    later = list(sandbox.provider.paid_since(since + timedelta(seconds=1)))
    assert [each.ref for each in later] == [held.ref]


@pytest.mark.parametrize(
    "page",
    [
        {"data": [], "has_more": True},
        {"data": [OPEN], "has_more": True},
        {"data": [OPEN | {"captured_minor": 1}], "has_more": False},
        {"data": [OPEN]},
    ],
    ids=["empty", "again", "nonsense", "cut"],
)
def test_a_list_that_does_not_go_on_is_a_doubt(page):
    with answering(200, [json.dumps(page).encode()]) as client, pytest.raises(ProviderAway):
        list(client.paid_since(None))


def test_the_newest_payouts_are_listed_first(sandbox):
    sent = [sandbox.pay_out().ref for _ in range(3)]

    listed = sandbox.raw("GET", "/v1/payouts").json()["data"]

    assert [each["id"] for each in listed] == sent[::-1]
    one = sandbox.raw("GET", f"/v1/payouts/{sent[0]}").json()
    assert one == listed[2]
    assert sandbox.raw("GET", "/v1/payouts/po_1").status_code == 404


def test_a_hold_is_not_what_a_payment_taken_at_once_can_be(sandbox):
    sandbox.arm(Fault.SHORT_HOLD)

    assert sandbox.paid().status is PaymentStatus.PAID
    assert sandbox.ask(Capture.MANUAL).status is PaymentStatus.OPEN
