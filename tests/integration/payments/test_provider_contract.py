"""What every provider behind the port must do: its sentences. See ``contract.py`` for the shape.

A sentence runs for each bench that can what it needs.
"""

from dataclasses import replace
from datetime import timedelta

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
from tests.integration.payments.contract import Bench, Can, able, but_for_the_page, needs


def pytest_generate_tests(metafunc):
    metafunc.parametrize(
        "bench", able(getattr(metafunc.function, "needs", frozenset())), indirect=True
    )


@pytest.fixture
def bench(request) -> Bench:
    return request.getfixturevalue(f"{request.param}_bench")


# -- asking a payer for money ---------------------------------------------------------------


def test_a_new_payment_is_open_and_has_a_page_for_its_payer(bench):
    reference = new_id()

    payment = bench.ask(amount_minor=1234, reference=reference)

    assert payment.status is PaymentStatus.OPEN
    assert (payment.amount_minor, payment.currency) == (1234, bench.currencies[0])
    assert payment.reference == reference
    assert (payment.captured_minor, payment.refunded_minor) == (0, 0)
    assert payment.pay_url


def test_a_payment_is_taken_whole_when_the_payer_agrees(bench):
    payment = bench.ask()

    bench.payer_agrees(payment)

    paid = bench.provider.fetch(payment.ref)
    assert paid.status is PaymentStatus.PAID
    assert (paid.captured_minor, paid.refunded_minor) == (payment.amount_minor, 0)
    assert paid.capture_before is None


def test_the_smallest_amount_is_asked_for_as_it_is(bench):
    payment = bench.ask(amount_minor=1)

    bench.payer_agrees(payment)

    assert bench.provider.fetch(payment.ref).captured_minor == 1


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_nothing_and_less_than_nothing_cannot_be_asked_for(bench, amount_minor):
    reference = new_id()

    with pytest.raises(ProviderDeclined):
        bench.ask(reference=reference, amount_minor=amount_minor)

    assert bench.provider.find(reference) is None


@needs(Can.CURRENCIES)
def test_each_currency_is_asked_for_in_its_own_minor_unit(bench):
    for currency in bench.currencies:
        payment = bench.ask(currency=currency, amount_minor=1234)
        bench.payer_agrees(payment)

        paid = bench.provider.fetch(payment.ref)
        assert (paid.currency, paid.amount_minor, paid.captured_minor) == (currency, 1234, 1234)


def test_a_currency_that_there_is_not_cannot_be_asked_for(bench):
    with pytest.raises(ProviderDeclined):
        bench.ask(currency="XXX")


@needs(Can.DECLINE)
def test_a_payer_who_declines_ends_it(bench):
    payment = bench.ask()

    bench.payer_declines(payment)

    declined = bench.provider.fetch(payment.ref)
    assert declined.status is PaymentStatus.FAILED
    assert declined.captured_minor == 0


def test_a_payment_that_nobody_paid_can_be_withdrawn(bench):
    payment = bench.ask()

    withdrawn = bench.provider.release(payment.ref, key=new_id())

    assert withdrawn.status is PaymentStatus.CANCELED
    assert bench.provider.fetch(payment.ref) == withdrawn


@needs(Can.PAY_EXPIRY)
def test_a_payment_that_nobody_answers_ends_by_itself(bench):
    payment = bench.ask()

    bench.time_passes(timedelta(days=1))

    assert bench.provider.fetch(payment.ref).status is PaymentStatus.EXPIRED


# -- holds ----------------------------------------------------------------------------------


@needs(Can.HOLD)
def test_a_hold_takes_nothing_until_it_is_captured(bench):
    held = bench.held()

    assert held.status is PaymentStatus.AUTHORIZED
    assert held.captured_minor == 0


@needs(Can.HOLD)
def test_a_hold_can_be_captured_whole(bench):
    held = bench.held()

    taken = bench.provider.capture(held.ref, key=new_id(), amount_minor=held.amount_minor)

    assert taken.status is PaymentStatus.PAID
    assert taken.captured_minor == held.amount_minor
    assert bench.provider.fetch(held.ref) == taken


@needs(Can.HOLD, Can.PART_CAPTURE)
def test_part_of_a_hold_can_be_captured_and_the_rest_is_gone(bench):
    held = bench.held()

    taken = bench.provider.capture(held.ref, key=new_id(), amount_minor=1500)

    assert taken.status is PaymentStatus.PAID
    assert taken.captured_minor == 1500
    with pytest.raises(ProviderDeclined):
        bench.provider.capture(held.ref, key=new_id(), amount_minor=1)
    assert bench.provider.fetch(held.ref).captured_minor == 1500


@needs(Can.HOLD)
def test_a_hold_that_was_captured_cannot_be_released(bench):
    held = bench.held()
    bench.provider.capture(held.ref, key=new_id(), amount_minor=held.amount_minor)

    with pytest.raises(ProviderDeclined):
        bench.provider.release(held.ref, key=new_id())

    assert bench.provider.fetch(held.ref).status is PaymentStatus.PAID


@needs(Can.HOLD)
def test_more_than_the_hold_cannot_be_captured(bench):
    held = bench.held()

    with pytest.raises(ProviderDeclined):
        bench.provider.capture(held.ref, key=new_id(), amount_minor=held.amount_minor + 1)

    assert bench.provider.fetch(held.ref).status is PaymentStatus.AUTHORIZED


@needs(Can.HOLD)
def test_nothing_can_be_captured_before_the_payer_agreed(bench):
    payment = bench.ask(Capture.MANUAL)

    with pytest.raises(ProviderDeclined):
        bench.provider.capture(payment.ref, key=new_id(), amount_minor=100)

    assert bench.provider.fetch(payment.ref).status is PaymentStatus.OPEN


@needs(Can.HOLD)
def test_a_released_hold_took_nothing_and_cannot_be_captured(bench):
    held = bench.held()

    released = bench.provider.release(held.ref, key=new_id())

    assert released.status is PaymentStatus.CANCELED
    assert released.captured_minor == 0
    assert bench.provider.fetch(held.ref) == released
    with pytest.raises(ProviderDeclined):
        bench.provider.capture(held.ref, key=new_id(), amount_minor=100)


@needs(Can.HOLD)
def test_a_hold_of_which_nothing_was_taken_has_nothing_to_refund(bench):
    held = bench.held()

    with pytest.raises(ProviderDeclined):
        bench.provider.refund(held.ref, key=new_id(), amount_minor=1)

    assert bench.provider.fetch(held.ref) == held


@needs(Can.HOLD, Can.HOLD_EXPIRY)
def test_a_hold_says_when_it_runs_out_and_then_it_does(bench):
    held = bench.held()
    assert held.capture_before is not None
    assert held.capture_before > bench.now() + timedelta(days=5)

    bench.time_passes(held.capture_before - bench.now())

    with pytest.raises(ProviderDeclined):
        bench.provider.capture(held.ref, key=new_id(), amount_minor=1)
    expired = bench.provider.fetch(held.ref)
    assert expired.status is PaymentStatus.EXPIRED
    assert expired.captured_minor == 0


# -- refunds --------------------------------------------------------------------------------


def test_refunds_add_up_to_what_was_taken_and_not_more(bench):
    paid = bench.paid()

    first = bench.provider.refund(paid.ref, key=new_id(), amount_minor=4000)
    second = bench.provider.refund(paid.ref, key=new_id(), amount_minor=paid.amount_minor - 4000)

    assert (first.status, first.refunded_minor) == (PaymentStatus.PAID, 4000)
    assert (second.status, second.refunded_minor) == (PaymentStatus.PAID, paid.amount_minor)
    with pytest.raises(ProviderDeclined):
        bench.provider.refund(paid.ref, key=new_id(), amount_minor=1)
    assert bench.provider.fetch(paid.ref) == second


def test_more_than_was_taken_cannot_be_refunded(bench):
    paid = bench.paid()

    with pytest.raises(ProviderDeclined):
        bench.provider.refund(paid.ref, key=new_id(), amount_minor=paid.amount_minor + 1)

    assert bench.provider.fetch(paid.ref) == paid


@needs(Can.HOLD, Can.PART_CAPTURE)
def test_of_a_hold_what_was_captured_can_be_refunded_and_not_what_was_held(bench):
    held = bench.held()
    bench.provider.capture(held.ref, key=new_id(), amount_minor=1500)

    with pytest.raises(ProviderDeclined):
        bench.provider.refund(held.ref, key=new_id(), amount_minor=1501)

    refunded = bench.provider.refund(held.ref, key=new_id(), amount_minor=1500)
    assert (refunded.captured_minor, refunded.refunded_minor) == (1500, 1500)


def test_nothing_is_refunded_before_the_payer_paid(bench):
    payment = bench.ask()

    with pytest.raises(ProviderDeclined):
        bench.provider.refund(payment.ref, key=new_id(), amount_minor=1)


def test_a_payment_that_was_paid_cannot_be_withdrawn(bench):
    paid = bench.paid()

    with pytest.raises(ProviderDeclined):
        bench.provider.release(paid.ref, key=new_id())

    assert bench.provider.fetch(paid.ref) == paid


# -- keys: once for each wish ---------------------------------------------------------------


def test_the_same_key_and_wish_opens_one_payment(bench):
    wish = {"key": new_id(), "reference": new_id()}

    first = bench.ask(**wish)

    assert bench.ask(**wish) == first
    found = bench.provider.find(wish["reference"])
    assert found is not None
    assert but_for_the_page(found) == but_for_the_page(first)


def test_the_same_key_with_another_wish_is_declined(bench):
    wish = {"key": new_id(), "reference": new_id()}
    bench.ask(**wish)

    with pytest.raises(ProviderDeclined):
        bench.ask(**wish, amount_minor=1)

    found = bench.provider.find(wish["reference"])
    assert found is not None
    assert found.amount_minor == bench.amount_minor


def test_a_refund_that_is_repeated_pays_once(bench):
    paid = bench.paid()
    key = new_id()

    for _ in range(3):
        refunded = bench.provider.refund(paid.ref, key=key, amount_minor=1000)

        assert refunded.refunded_minor == 1000
    assert bench.provider.fetch(paid.ref).refunded_minor == 1000


def test_a_refund_repeated_with_another_amount_is_declined(bench):
    paid = bench.paid()
    key = new_id()
    bench.provider.refund(paid.ref, key=key, amount_minor=1000)

    with pytest.raises(ProviderDeclined):
        bench.provider.refund(paid.ref, key=key, amount_minor=2000)

    assert bench.provider.fetch(paid.ref).refunded_minor == 1000


@needs(Can.HOLD)
def test_a_capture_that_is_repeated_takes_once(bench):
    held = bench.held()
    key = new_id()

    first = bench.provider.capture(held.ref, key=key, amount_minor=held.amount_minor)

    assert bench.provider.capture(held.ref, key=key, amount_minor=held.amount_minor) == first


@needs(Can.HOLD)
def test_a_release_that_is_repeated_is_one(bench):
    held = bench.held()
    key = new_id()

    first = bench.provider.release(held.ref, key=key)

    assert bench.provider.release(held.ref, key=key) == first


@needs(Can.LOST_ANSWERS)
def test_a_payment_whose_answer_was_lost_is_in_doubt_and_then_found(bench):
    wish = {"key": new_id(), "reference": new_id()}
    bench.loses_next_answer()

    with pytest.raises(ProviderAway):
        bench.ask(**wish)

    found = bench.provider.find(wish["reference"])
    assert found is not None
    assert but_for_the_page(bench.ask(**wish)) == but_for_the_page(found)


@needs(Can.HOLD, Can.LOST_ANSWERS)
def test_a_capture_whose_answer_was_lost_is_repeated_and_takes_once(bench):
    held = bench.held()
    key = new_id()
    bench.loses_next_answer()

    with pytest.raises(ProviderAway):
        bench.provider.capture(held.ref, key=key, amount_minor=held.amount_minor)

    taken = bench.provider.capture(held.ref, key=key, amount_minor=held.amount_minor)
    assert taken == bench.provider.fetch(held.ref)
    assert taken.captured_minor == held.amount_minor


@needs(Can.LOST_ANSWERS)
def test_a_refund_whose_answer_was_lost_is_repeated_and_pays_once(bench):
    paid = bench.paid()
    key = new_id()
    bench.loses_next_answer()

    with pytest.raises(ProviderAway):
        bench.provider.refund(paid.ref, key=key, amount_minor=1000)

    assert bench.provider.refund(paid.ref, key=key, amount_minor=1000).refunded_minor == 1000
    assert bench.provider.fetch(paid.ref).refunded_minor == 1000


# -- finding, and not finding ---------------------------------------------------------------


def test_a_payment_is_found_by_our_reference(bench):
    paid = bench.paid()

    assert bench.provider.find(paid.reference) == bench.provider.fetch(paid.ref) == paid
    assert bench.provider.find(new_id()) is None


@needs(Can.LISTS)
def test_what_was_taken_is_listed_and_nothing_else(bench):
    since = bench.now()
    bench.ask()
    paid = bench.paid()

    listed = list(bench.provider.paid_since(since))

    assert [each for each in listed if each.reference == paid.reference] == [paid]
    assert {each.status for each in listed} == {PaymentStatus.PAID}
    assert list(bench.provider.paid_since(since + timedelta(days=1))) == []


@pytest.mark.parametrize("wish", ["fetch", "capture", "release", "refund"])
def test_an_unknown_payment_is_a_no_and_not_a_doubt(bench, wish):
    arguments = {
        "fetch": {},
        "capture": {"key": new_id(), "amount_minor": 1},
        "release": {"key": new_id()},
        "refund": {"key": new_id(), "amount_minor": 1},
    }

    with pytest.raises(ProviderDeclined):
        getattr(bench.provider, wish)("pay_of_somebody_else", **arguments[wish])


def test_a_provider_that_does_not_answer_leaves_a_doubt_and_not_a_no(bench):
    payment = bench.ask()
    bench.goes_away()

    with pytest.raises(ProviderAway):
        bench.provider.release(payment.ref, key=new_id())
    with pytest.raises(ProviderAway):
        bench.provider.refund(payment.ref, key=new_id(), amount_minor=1)
    with pytest.raises(ProviderAway):
        bench.provider.fetch(payment.ref)
    with pytest.raises(ProviderAway):
        bench.provider.find(payment.reference)
    with pytest.raises(ProviderAway):
        bench.ask()


# -- notices --------------------------------------------------------------------------------


@needs(Can.NOTICES)
def test_a_notice_tells_the_payment_as_it_is(bench):
    paid = bench.paid()

    notice = bench.read(bench.heard(paid.reference, PaymentStatus.PAID))

    assert notice.payment == paid
    assert notice.payout is None
    assert notice.id
    assert abs(notice.at - bench.now()) < timedelta(minutes=1)


@needs(Can.NOTICES, Can.HOLD)
def test_a_notice_tells_of_a_hold(bench):
    held = bench.held()

    told = bench.read(bench.heard(held.reference, PaymentStatus.AUTHORIZED)).payment

    assert told is not None
    assert told == replace(held, capture_before=told.capture_before)
    if held.capture_before is not None:  # what a notice does not know, it puts too early
        assert told.capture_before is not None
        assert bench.now() < told.capture_before <= held.capture_before


@needs(Can.NOTICES)
def test_a_notice_that_comes_again_bears_the_same_id(bench):
    paid = bench.paid()
    heard = bench.heard(paid.reference, PaymentStatus.PAID)

    assert bench.read(heard) == bench.read(heard, later=timedelta(minutes=4))


@needs(Can.NOTICES)
def test_a_notice_with_any_byte_changed_is_forged(bench):
    paid = bench.paid()
    heard = bench.heard(paid.reference, PaymentStatus.PAID)

    for place in range(0, len(heard.body), max(1, len(heard.body) // 16)):
        changed = bytearray(heard.body)
        changed[place] ^= 1
        with pytest.raises(BadNotice) as bad:
            bench.provider.read_notice(headers=heard.headers, body=bytes(changed), now=bench.now())

        assert bad.value.fault is NoticeFault.FORGED
        assert not bad.value.is_genuine


@needs(Can.NOTICES)
def test_a_notices_signature_vouches_for_no_other_body(bench):
    one, other = bench.paid(), bench.paid()
    heard = bench.heard(one.reference, PaymentStatus.PAID)
    others = bench.heard(other.reference, PaymentStatus.PAID)

    with pytest.raises(BadNotice) as bad:
        bench.provider.read_notice(headers=heard.headers, body=others.body, now=bench.now())

    assert bad.value.fault is NoticeFault.FORGED


@needs(Can.NOTICES)
@pytest.mark.parametrize("minutes", [6, -6])
def test_a_notice_that_is_played_at_another_time_is_stale(bench, minutes):
    paid = bench.paid()
    heard = bench.heard(paid.reference, PaymentStatus.PAID)

    with pytest.raises(BadNotice) as bad:
        bench.read(heard, later=timedelta(minutes=minutes))

    assert bad.value.fault is NoticeFault.STALE


@needs(Can.NOTICES)
def test_a_notice_without_a_signature_is_nothing(bench):
    paid = bench.paid()
    heard = bench.heard(paid.reference, PaymentStatus.PAID)

    with pytest.raises(BadNotice) as bad:
        bench.provider.read_notice(headers={}, body=heard.body, now=bench.now())

    assert bad.value.fault is NoticeFault.UNSIGNED


NOT_UNDERSTOOD = {
    "empty": b"",
    "nothing": b"{}",
    "a list": b"[]",
    "null": b"null",
    "no data": b'{"type": "payment.paid"}',
    "no time": b'{"type": "payment.paid", "timestamp": NaN, "data": {}}',
    "not text": b"\xff\xfe nonsense",
    "deep": b"[" * 100_000,
}


@needs(Can.NOTICES)
@pytest.mark.parametrize("body", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_a_genuine_notice_that_is_not_understood_is_a_persons_to_look_at(bench, body):
    with pytest.raises(BadNotice) as bad:
        bench.read(bench.signed(body))

    assert bad.value.fault is NoticeFault.UNREADABLE
    assert bad.value.is_genuine


# -- payouts --------------------------------------------------------------------------------


@needs(Can.PAYOUTS)
def test_a_payout_is_on_its_way_and_then_arrives(bench):
    sent = bench.pay_out(amount_minor=1234)
    assert sent.status is PayoutStatus.PENDING
    assert (sent.amount_minor, sent.currency) == (1234, bench.currencies[0])
    assert sent.account == bench.account(is_good=True)

    bench.payout_ends(sent)

    arrived = bench.payouts.find_payout(sent.reference)
    assert arrived is not None
    assert (arrived.ref, arrived.status) == (sent.ref, PayoutStatus.PAID)
    assert arrived.failure is None


@needs(Can.PAYOUTS)
def test_a_payout_that_came_back_says_why(bench):
    sent = bench.pay_out(account=bench.account(is_good=False))

    bench.payout_ends(sent)

    failed = bench.payouts.find_payout(sent.reference)
    assert failed is not None
    assert failed.status is PayoutStatus.FAILED
    assert failed.failure


@needs(Can.PAYOUTS)
def test_the_same_key_and_wish_pays_out_once(bench):
    wish = {"key": new_id(), "reference": new_id()}

    first = bench.pay_out(**wish)

    assert bench.pay_out(**wish) == first


@needs(Can.PAYOUTS)
def test_a_payout_repeated_with_another_amount_is_declined(bench):
    wish = {"key": new_id(), "reference": new_id()}
    first = bench.pay_out(**wish)

    with pytest.raises(ProviderDeclined):
        bench.pay_out(**wish, amount_minor=1)

    assert bench.payouts.find_payout(wish["reference"]) == first


@needs(Can.PAYOUTS)
def test_a_reference_is_paid_out_once_whatever_the_key(bench):
    first = bench.pay_out()

    with pytest.raises(ProviderDeclined):
        bench.pay_out(reference=first.reference)

    assert bench.payouts.find_payout(first.reference) == first


@needs(Can.PAYOUTS)
def test_a_payout_to_an_account_that_there_is_not_is_declined(bench):
    reference = new_id()

    with pytest.raises(ProviderDeclined):
        bench.pay_out(reference=reference, account="nowhere")

    assert bench.payouts.find_payout(reference) is None


@needs(Can.PAYOUTS, Can.LOST_ANSWERS)
def test_a_payout_whose_answer_was_lost_is_in_doubt_and_then_found(bench):
    wish = {"key": new_id(), "reference": new_id()}
    bench.loses_next_answer()

    with pytest.raises(ProviderAway):
        bench.pay_out(**wish)

    found = bench.payouts.find_payout(wish["reference"])
    assert found is not None
    assert bench.pay_out(**wish) == found


@needs(Can.PAYOUTS)
def test_a_provider_that_does_not_answer_leaves_a_payout_in_doubt(bench):
    bench.goes_away()

    with pytest.raises(ProviderAway):
        bench.pay_out()
    with pytest.raises(ProviderAway):
        bench.payouts.find_payout(new_id())


@needs(Can.PAYOUTS, Can.NOTICES)
@pytest.mark.parametrize(
    ("is_good", "status"), [(True, PayoutStatus.PAID), (False, PayoutStatus.FAILED)]
)
def test_a_notice_tells_how_a_payout_ended(bench, is_good, status):
    sent = bench.pay_out(account=bench.account(is_good=is_good))
    bench.payout_ends(sent)

    notice = bench.read(bench.heard(sent.reference, status))

    assert notice.payment is None
    assert notice.payout == bench.payouts.find_payout(sent.reference)
