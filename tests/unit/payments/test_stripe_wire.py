"""Where a payment stands, by every status that Stripe has."""

import pytest

from backend.payments.port import PaymentStatus, ProviderAway
from backend.payments.stripe_wire import noticed_status, status_of

OPEN, AUTHORIZED, PAID = PaymentStatus.OPEN, PaymentStatus.AUTHORIZED, PaymentStatus.PAID
CANCELED, FAILED, EXPIRED = PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED


@pytest.mark.parametrize(
    ("session", "intent", "reason", "is_released", "expected"),
    [
        ("open", None, None, False, OPEN),
        ("open", "requires_payment_method", None, False, OPEN),
        ("open", "requires_confirmation", None, False, OPEN),
        ("open", "requires_action", None, False, OPEN),
        ("complete", "processing", None, False, OPEN),
        ("complete", "requires_capture", None, False, AUTHORIZED),
        ("complete", "succeeded", None, False, PAID),
        ("complete", "requires_payment_method", None, False, FAILED),
        ("complete", "canceled", None, False, CANCELED),
        ("complete", "canceled", "requested_by_customer", False, CANCELED),
        ("complete", "canceled", "expired", False, EXPIRED),
        ("complete", "canceled", "automatic", False, EXPIRED),
        ("expired", None, None, False, EXPIRED),
        ("expired", None, None, True, CANCELED),
        ("expired", "requires_payment_method", None, False, EXPIRED),
        ("expired", "canceled", "abandoned", False, EXPIRED),
        ("expired", "canceled", "automatic", True, CANCELED),
        ("complete", "succeeded", None, True, PAID),  # paid while we were withdrawing it
    ],
)
def test_both_statuses_together_say_where_a_payment_stands(
    session, intent, reason, is_released, expected
):
    assert status_of(session, intent, reason=reason, is_released=is_released) is expected


def test_a_status_that_is_new_to_us_is_a_doubt():
    with pytest.raises(ProviderAway, match="requires_prayer"):
        status_of("open", "requires_prayer")


@pytest.mark.parametrize(
    ("kind", "payment_status", "is_hold", "is_released", "expected"),
    [
        ("checkout.session.completed", "paid", False, False, PAID),
        ("checkout.session.completed", "unpaid", False, False, OPEN),
        ("checkout.session.completed", "unpaid", True, False, AUTHORIZED),
        ("checkout.session.async_payment_succeeded", "paid", False, False, PAID),
        ("checkout.session.async_payment_failed", "unpaid", False, False, FAILED),
        ("checkout.session.expired", "unpaid", True, False, EXPIRED),
        ("checkout.session.expired", "unpaid", True, True, CANCELED),
    ],
)
def test_a_notice_says_where_a_payment_stood(kind, payment_status, is_hold, is_released, expected):
    status = noticed_status(kind, payment_status, is_hold=is_hold, is_released=is_released)

    assert status is expected
