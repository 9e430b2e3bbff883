"""What every provider behind the port must do. A new provider is one more fixture here."""

from datetime import timedelta

import pytest

from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    Provider,
    ProviderAway,
    ProviderDeclined,
)


@pytest.fixture(params=["sandbox"])
def world(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def provider(world) -> Provider:
    return world.provider


def test_a_new_payment_is_open_and_has_a_page_for_its_payer(world):
    payment = world.ask(amount_minor=1234, currency="CNY", reference="deposit-7")

    assert payment.status is PaymentStatus.OPEN
    assert (payment.amount_minor, payment.currency) == (1234, "CNY")
    assert payment.reference == "deposit-7"
    assert (payment.captured_minor, payment.refunded_minor) == (0, 0)
    assert payment.pay_url.startswith("http")


def test_a_hold_takes_nothing_until_it_is_captured(world, provider):
    payment = world.held()

    held = provider.fetch(payment.ref)
    assert held.status is PaymentStatus.AUTHORIZED
    assert held.captured_minor == 0
    assert held.capture_before is not None
    assert held.capture_before > world.now() + timedelta(days=5)


def test_a_released_hold_took_nothing(world, provider):
    payment = world.held()

    released = provider.release(payment.ref, key="release-1")

    assert released.status is PaymentStatus.CANCELED
    assert released.captured_minor == 0
    assert provider.fetch(payment.ref) == released


def test_part_of_a_hold_can_be_captured_and_the_rest_is_gone(world, provider):
    payment = world.held()

    taken = provider.capture(payment.ref, key="capture-1", amount_minor=1500)

    assert taken.status is PaymentStatus.PAID
    assert taken.captured_minor == 1500
    with pytest.raises(ProviderDeclined):
        provider.capture(payment.ref, key="capture-2", amount_minor=1)


def test_more_than_the_hold_cannot_be_captured(world, provider):
    payment = world.held()

    with pytest.raises(ProviderDeclined):
        provider.capture(payment.ref, key="capture-1", amount_minor=9901)

    assert provider.fetch(payment.ref).status is PaymentStatus.AUTHORIZED


def test_nothing_can_be_captured_before_the_payer_agreed(world, provider):
    payment = world.ask(Capture.MANUAL)

    with pytest.raises(ProviderDeclined):
        provider.capture(payment.ref, key="capture-1", amount_minor=100)


def test_an_automatic_payment_is_taken_whole_when_the_payer_agrees(world, provider):
    payment = world.paid()

    paid = provider.fetch(payment.ref)
    assert paid.status is PaymentStatus.PAID
    assert paid.captured_minor == paid.amount_minor
    assert paid.capture_before is None


def test_refunds_add_up_to_what_was_taken_and_not_more(world, provider):
    payment = world.paid()

    provider.refund(payment.ref, key="refund-1", amount_minor=4000)
    refunded = provider.refund(payment.ref, key="refund-2", amount_minor=5900)

    assert refunded.status is PaymentStatus.PAID
    assert refunded.refunded_minor == 9900
    with pytest.raises(ProviderDeclined):
        provider.refund(payment.ref, key="refund-3", amount_minor=1)


def test_a_payer_who_declines_ends_it(world, provider):
    payment = world.ask()

    world.decline(payment)

    declined = provider.fetch(payment.ref)
    assert declined.status is PaymentStatus.FAILED
    assert declined.captured_minor == 0


def test_a_payment_that_nobody_paid_can_be_withdrawn(world, provider):
    payment = world.ask()

    assert provider.release(payment.ref, key="release-1").status is PaymentStatus.CANCELED


def test_the_same_key_and_wish_opens_one_payment(world, provider):
    first = world.ask(key="same", reference="one")
    again = world.ask(key="same", reference="one")

    assert again == first
    assert provider.find("one") == first


def test_the_same_key_with_another_wish_is_declined(world, provider):
    world.ask(key="same", reference="one")

    with pytest.raises(ProviderDeclined):
        world.ask(key="same", reference="one", amount_minor=1)

    found = provider.find("one")
    assert found is not None
    assert found.amount_minor == 9900


def test_a_refund_that_is_repeated_pays_once(world, provider):
    payment = world.paid()

    for _ in range(3):
        refunded = provider.refund(payment.ref, key="refund-1", amount_minor=1000)

        assert refunded.refunded_minor == 1000
    assert provider.fetch(payment.ref).refunded_minor == 1000


def test_a_capture_that_is_repeated_takes_once(world, provider):
    payment = world.held()

    first = provider.capture(payment.ref, key="capture-1", amount_minor=1500)

    assert provider.capture(payment.ref, key="capture-1", amount_minor=1500) == first


def test_a_payment_is_found_by_our_reference(world, provider):
    payment = world.held()

    assert provider.find(payment.reference) == provider.fetch(payment.ref)
    assert provider.find("never-heard-of") is None


def test_an_unknown_payment_is_a_no_and_not_a_doubt(provider):
    with pytest.raises(ProviderDeclined):
        provider.fetch("pay_of_somebody_else")


def test_a_provider_that_does_not_answer_leaves_a_doubt_and_not_a_no(world, provider):
    payment = world.held()
    world.stop()

    with pytest.raises(ProviderAway):
        provider.release(payment.ref, key="release-1")
    with pytest.raises(ProviderAway):
        provider.find("anything")


def test_a_notice_tells_the_payment_as_it_is(world, provider):
    payment = world.paid()

    heard = world.receiver.wait_for_kind("payment.paid")
    notice = provider.read_notice(headers=heard.headers, body=heard.body, now=world.now())

    assert notice.payment == provider.fetch(payment.ref)
    assert notice.at == world.now()
    assert notice.id


def test_a_notice_with_one_byte_changed_is_forged(world, provider):
    world.paid()
    heard = world.receiver.wait_for_kind("payment.paid")
    changed = heard.body.replace(b"9900", b"9901")

    with pytest.raises(BadNotice) as bad:
        provider.read_notice(headers=heard.headers, body=changed, now=world.now())

    assert bad.value.fault is NoticeFault.FORGED
    assert not bad.value.is_genuine


def test_a_notice_that_is_played_again_later_is_stale(world, provider):
    world.paid()
    heard = world.receiver.wait_for_kind("payment.paid")
    later = world.now() + timedelta(minutes=6)

    with pytest.raises(BadNotice) as bad:
        provider.read_notice(headers=heard.headers, body=heard.body, now=later)

    assert bad.value.fault is NoticeFault.STALE


def test_a_notice_without_a_signature_is_nothing(world, provider):
    world.paid()
    heard = world.receiver.wait_for_kind("payment.paid")

    with pytest.raises(BadNotice) as bad:
        provider.read_notice(headers={}, body=heard.body, now=world.now())

    assert bad.value.fault is NoticeFault.UNSIGNED
