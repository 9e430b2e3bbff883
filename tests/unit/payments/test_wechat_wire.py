"""Where a payment stands, what an error says, and what things are called at WeChat Pay."""

import re

import pytest

from backend.payments.port import PaymentStatus, ProviderAway, ProviderDeclined
from backend.payments.wechat_wire import (
    NoSuch,
    Product,
    meaning,
    order_status,
    read_ref,
    ref_of,
    refund_number,
    trade_status,
)

OPEN, AUTHORIZED, PAID = PaymentStatus.OPEN, PaymentStatus.AUTHORIZED, PaymentStatus.PAID
CANCELED, FAILED, EXPIRED = PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("NOTPAY", OPEN),
        ("USERPAYING", OPEN),
        ("SUCCESS", PAID),
        ("REFUND", PAID),
        ("CLOSED", CANCELED),
        ("REVOKED", CANCELED),
        ("PAYERROR", FAILED),
    ],
)
def test_a_trades_state_says_where_it_stands(state, expected):
    assert trade_status(state) is expected


@pytest.mark.parametrize(
    ("state", "owed_minor", "collected", "expected"),
    [
        ("CREATED", 0, None, OPEN),
        ("DOING", 0, None, AUTHORIZED),
        ("DOING", 1500, "USER_PAYING", AUTHORIZED),  # completed, and not collected yet
        ("DONE", 1500, "USER_PAYING", AUTHORIZED),
        ("DONE", 1500, None, AUTHORIZED),
        ("DONE", 1500, "USER_PAID", PAID),
        ("DONE", 0, None, CANCELED),  # it cost nothing
        ("REVOKED", 0, None, CANCELED),
        ("EXPIRED", 0, None, EXPIRED),
    ],
)
def test_an_orders_state_and_its_collection_say_where_it_stands(
    state, owed_minor, collected, expected
):
    assert order_status(state, owed_minor=owed_minor, collected=collected) is expected


def test_a_state_that_is_new_to_us_is_a_doubt():
    with pytest.raises(ProviderAway, match="HAGGLING"):
        trade_status("HAGGLING")
    with pytest.raises(ProviderAway, match="HAGGLING"):
        order_status("HAGGLING", owed_minor=0, collected=None)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "PARAM_ERROR", ProviderDeclined),
        (400, "ORDER_PAID", ProviderDeclined),
        (400, "INVALID_ORDER_STATE", ProviderDeclined),
        (403, "OUT_TRADE_NO_USED", ProviderDeclined),
        (403, "USER_ACCOUNT_ABNORMAL", ProviderDeclined),
        (404, "ORDER_NOT_EXIST", NoSuch),
        (404, "RESOURCE_NOT_EXISTS", NoSuch),
        (401, "SIGN_ERROR", ProviderAway),
        (403, "NO_AUTH", ProviderAway),
        (400, "APPID_MCHID_NOT_MATCH", ProviderAway),
        (403, "NOT_ENOUGH", ProviderAway),
        (429, "FREQUENCY_LIMITED", ProviderAway),
        (429, "RATELIMIT_EXCEEDED", ProviderAway),
        (408, "ANYTHING", ProviderAway),
        (500, "SYSTEM_ERROR", ProviderAway),
        (500, "BANK_ERROR", ProviderAway),
        (502, "", ProviderAway),
    ],
)
def test_an_error_is_a_no_or_says_nothing(status, code, expected):
    assert type(meaning(status, code, "a sentence")) is expected


def test_a_ref_says_which_product_and_our_reference():
    for product in Product:
        assert read_ref(ref_of(product, "01JDEPOSIT")) == (product, "01JDEPOSIT")


@pytest.mark.parametrize("ref", ["", "01JDEPOSIT", "trade:", "cheque:01J", "pay_of_somebody"])
def test_a_ref_that_is_none_names_no_payment(ref):
    with pytest.raises(NoSuch):
        read_ref(ref)


def test_a_refunds_number_is_one_that_is_allowed_and_another_for_each_key():
    numbers = {refund_number(f"refund:{n}") for n in range(100)}

    assert len(numbers) == 100
    assert all(re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", number) for number in numbers)
    assert refund_number("refund:1") == refund_number("refund:1")
