"""The recipes for what is taken back, secured, laid out and sent back."""

import pytest

from backend.domain import ledger
from backend.domain.ledger import Book, Split
from backend.domain.money import Currency, Minor

CNY = Currency.CNY
HOLD = {"hold_id": "H", "renter": "R", "currency": CNY}
NOTE = {"credit_id": "C", "renter": "R", "merchant": "M", "currency": CNY}


def split(merchant, platform):
    return Split(merchant_minor=Minor(merchant), platform_minor=Minor(platform))


def balances(*transfers):
    book = Book.of(transfers)
    return {
        account: ledger.natural(account, balance)
        for (account, _), balance in book.balances.items()
        if balance != 0
    }


HELD = ledger.deposit_held(amount_minor=Minor(9900), **HOLD)
SECURED = ledger.deposit_secured(held_minor=Minor(9900), captured_minor=Minor(9000), **HOLD)
BILLED = ledger.rental_billed(
    rental_id="B", renter="R", merchant="M", currency=CNY, split=split(810, 90)
)
PAID = ledger.rental_paid(payment_id="P", renter="R", currency=CNY, amount_minor=Minor(900))


def test_a_secured_deposit_is_cash_and_still_the_renters():
    assert balances(HELD, SECURED) == {"provider_cash": 9000, "deposit:R": 9000}


def test_bills_take_from_it_more_than_once_and_the_rest_is_owed_back():
    first = ledger.deposit_applied(amount_minor=Minor(400), before_minor=Minor(0), **HOLD)
    second = ledger.deposit_applied(amount_minor=Minor(500), before_minor=Minor(400), **HOLD)
    rest = ledger.deposit_returned(refund_id="F", amount_minor=Minor(8100), **HOLD)
    after = balances(HELD, SECURED, BILLED, first, second, rest)
    assert after == {
        "provider_cash": 9000,
        "refund_due:R": 8100,
        "merchant_pending:M": 810,
        "platform_revenue": 90,
    }


@pytest.mark.parametrize("captured", [0, -1, 9901])
def test_no_more_can_be_secured_than_was_held(captured):
    with pytest.raises(ValueError, match="cannot be captured"):
        ledger.deposit_secured(held_minor=Minor(9900), captured_minor=Minor(captured), **HOLD)


def test_of_a_payment_that_is_too_much_the_rest_is_owed_back():
    paid = ledger.rental_paid(
        payment_id="P",
        renter="R",
        currency=CNY,
        amount_minor=Minor(900),
        surplus_minor=Minor(100),
    )
    after = balances(BILLED, paid)
    assert (after["provider_cash"], after["refund_due:R"]) == (1000, 100)
    assert "receivable:R" not in after


def test_an_unpaid_bill_that_is_put_right_is_owed_less():
    reduced = ledger.bill_reduced(split=split(270, 30), **NOTE)
    assert balances(BILLED, reduced) == {
        "receivable:R": 600,
        "merchant_pending:M": 540,
        "platform_revenue": 60,
    }


def test_a_merchant_gives_back_what_is_pending_then_what_is_theirs_then_it_is_laid_out():
    settled = ledger.rental_settled(
        rental_id="B", merchant="M", currency=CNY, amount_minor=Minor(710)
    )
    asked = ledger.withdrawal_asked(
        withdrawal_id="W", merchant="M", currency=CNY, amount_minor=Minor(610)
    )
    credited = ledger.bill_credited(
        split=split(270, 30), available_minor=Minor(100), debt_minor=Minor(70), **NOTE
    )
    after = balances(BILLED, PAID, settled, asked, credited)
    assert after == {
        "provider_cash": 900,
        "refund_due:R": 300,
        "payout_in_flight:M": 610,
        "merchant_debt:M": 70,
        "platform_revenue": 60,
    }


def test_no_more_is_taken_from_a_merchant_than_their_part():
    with pytest.raises(ValueError, match="cannot be"):
        ledger.bill_credited(split=split(270, 30), available_minor=Minor(271), **NOTE)


def test_what_was_laid_out_is_repaid():
    credited = ledger.bill_credited(split=split(270, 30), debt_minor=Minor(270), **NOTE)
    settled = ledger.rental_settled(
        rental_id="B", merchant="M", currency=CNY, amount_minor=Minor(810)
    )
    repaid = ledger.debt_repaid(
        repayment_id="X", merchant="M", currency=CNY, amount_minor=Minor(270)
    )
    after = balances(BILLED, PAID, credited, settled, repaid)
    assert after["merchant_available:M"] == 540
    assert "merchant_debt:M" not in after


def test_money_that_nobody_claims_comes_and_goes():
    refund = {"refund_id": "F", "currency": CNY, "amount_minor": Minor(777)}
    received = ledger.unclaimed_received(**refund)
    assert balances(received) == {"provider_cash": 777, "unclaimed": 777}
    assert balances(received, ledger.unclaimed_refunded(**refund)) == {}
