from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest

from backend.domain import ledger
from backend.domain.errors import Code, Refusal
from backend.domain.ledger import Book, Posting, Split, Transfer, TransferKind
from backend.domain.money import Currency, Minor

CNY = Currency.CNY
SPLIT = Split(merchant_minor=Minor(800), platform_minor=Minor(200))


def held(amount=9900, hold_id="H1"):
    return ledger.deposit_held(
        hold_id=hold_id, renter="R1", currency=CNY, amount_minor=Minor(amount)
    )


def released(amount=9900):
    return ledger.deposit_released(
        hold_id="H1", renter="R1", currency=CNY, amount_minor=Minor(amount)
    )


def captured(amount, of=9900):
    return ledger.deposit_captured(
        hold_id="H1",
        renter="R1",
        currency=CNY,
        held_minor=Minor(of),
        captured_minor=Minor(amount),
    )


def billed(split=SPLIT):
    return ledger.rental_billed(
        rental_id="L1", renter="R1", merchant="M1", currency=CNY, split=split
    )


def paid(amount=1000, payment_id="P1"):
    return ledger.rental_paid(
        payment_id=payment_id, renter="R1", currency=CNY, amount_minor=Minor(amount)
    )


def surplus(amount=1000, payment_id="P2"):
    return ledger.payment_surplus(
        payment_id=payment_id, renter="R1", currency=CNY, amount_minor=Minor(amount)
    )


def refunded(amount=1000):
    return ledger.payment_refunded(
        refund_id="F1", renter="R1", currency=CNY, amount_minor=Minor(amount)
    )


def credited(split=SPLIT):
    return ledger.bill_credited(
        credit_id="C1", renter="R1", merchant="M1", currency=CNY, split=split
    )


def settled(amount=800, *, is_rest=False):
    return ledger.rental_settled(
        rental_id="L1", merchant="M1", currency=CNY, amount_minor=Minor(amount), is_rest=is_rest
    )


def withdrawal(recipe, amount=800):
    return recipe(withdrawal_id="W1", merchant="M1", currency=CNY, amount_minor=Minor(amount))


def digest(**changes):
    facts = {
        "key": "k",
        "kind": "rental_paid",
        "currency": "CNY",
        "rental_id": "L1",
        "at": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "postings": [("provider_cash", 5), ("receivable:R1", -5)],
    }
    return ledger.digest(**{**facts, **changes})


def balances(*transfers):
    book = Book.of(transfers)
    return {account: amount for (account, _), amount in book.balances.items() if amount}


def transfer(*postings):
    return Transfer(
        key="k",
        kind=TransferKind.RENTAL_PAID,
        currency=CNY,
        postings=tuple(
            Posting(account=account, amount_minor=Minor(amount)) for account, amount in postings
        ),
    )


def test_a_transfer_that_does_not_sum_to_zero_cannot_be_made():
    with pytest.raises(ValueError, match="sum to 1, not to zero"):
        transfer((ledger.PROVIDER_CASH, 100), (ledger.receivable("R1"), -99))


@pytest.mark.parametrize(
    "postings",
    [
        (),
        ((ledger.PROVIDER_CASH, 0),),
        ((ledger.PROVIDER_CASH, 1), (ledger.PROVIDER_CASH, -1)),
    ],
)
def test_a_transfer_that_moves_nothing_cannot_be_made(postings):
    with pytest.raises(ValueError, match="posted to once"):
        transfer(*postings)


def test_a_held_deposit_is_a_liability_and_no_revenue():
    assert balances(held()) == {"provider_holds": 9900, "deposit:R1": -9900}


def test_a_released_deposit_leaves_nothing_behind():
    assert balances(held(), released()) == {}


def test_a_bill_is_owed_by_the_renter_and_divided_at_once():
    assert balances(billed()) == {
        "receivable:R1": 1000,
        "merchant_pending:M1": -800,
        "platform_revenue": -200,
    }


def test_a_paid_bill_is_cash_that_belongs_to_merchant_and_platform():
    assert balances(billed(), paid()) == {
        "provider_cash": 1000,
        "merchant_pending:M1": -800,
        "platform_revenue": -200,
    }


def test_a_captured_part_of_the_deposit_pays_the_bill_and_frees_the_rest():
    assert balances(held(), billed(), captured(1000)) == balances(billed(), paid())


@pytest.mark.parametrize("amount", [-1, 0, 9901])
def test_no_more_than_the_hold_is_captured_and_no_less_than_something(amount):
    with pytest.raises(ValueError, match="cannot be captured"):
        captured(amount)


def test_a_hold_ends_once_whether_captured_or_released():
    assert captured(1000).key == released().key
    assert balances(held(), billed(), captured(1000), released()) == balances(billed(), paid())


def test_a_second_payment_is_owed_back_and_goes_back():
    assert balances(billed(), paid(), surplus()) == balances(billed(), paid()) | {
        "provider_cash": 2000,
        "refund_due:R1": -1000,
    }
    assert balances(billed(), paid(), surplus(), refunded()) == balances(billed(), paid())


def test_a_payment_counts_once_for_its_bill_or_as_surplus():
    assert paid().key == surplus(payment_id="P1").key


def test_a_credited_bill_takes_back_both_shares():
    assert balances(billed(), paid(), credited(), refunded()) == {}


def test_a_commission_of_nothing_has_no_posting():
    whole = ledger.share_out(Minor(1000), commission_bp=0)

    assert balances(billed(whole)) == {"receivable:R1": 1000, "merchant_pending:M1": -1000}


def test_a_bill_of_nothing_is_no_transfer():
    with pytest.raises(ValueError, match="above zero"):
        billed(ledger.share_out(Minor(0), commission_bp=2000))


def test_the_commission_is_shared_out_by_the_largest_remainder():
    assert ledger.share_out(Minor(1003), commission_bp=1500) == Split(
        merchant_minor=Minor(853), platform_minor=Minor(150)
    )


@pytest.mark.parametrize(
    ("before", "transfer"),
    [
        ((), released()),
        ((billed(),), paid(1001)),
        ((), refunded()),
        ((billed(), paid()), credited(Split(merchant_minor=Minor(900), platform_minor=Minor(0)))),
        ((billed(), paid()), withdrawal(ledger.withdrawal_asked)),
        ((billed(), paid(), settled()), withdrawal(ledger.withdrawal_asked, 801)),
        ((billed(), paid()), settled(801)),
    ],
)
def test_money_that_is_not_there_is_not_given(before, transfer):
    book = Book.of(before)
    with pytest.raises(Refusal) as refused:
        book.post(transfer)
    assert refused.value.code is Code.OVERDRAWN


def test_only_the_platforms_revenue_may_cross_over():
    accounts = (
        ledger.PROVIDER_HOLDS,
        ledger.PROVIDER_CASH,
        ledger.PROVIDER_TOPUPS,
        ledger.receivable("R1"),
        ledger.deposit_liability("R1"),
        ledger.refund_due("R1"),
        ledger.merchant_pending("M1"),
        ledger.merchant_available("M1"),
        ledger.payout_in_flight("M1"),
        ledger.merchant_debt("M1"),
        ledger.UNCLAIMED,
    )
    assert not any(ledger.may_go_negative(account) for account in accounts)
    assert {ledger.kind_of(account) for account in (*accounts, ledger.PLATFORM_REVENUE)} == set(
        ledger.AccountKind
    )
    assert ledger.may_go_negative(ledger.PLATFORM_REVENUE)


def test_what_is_there_reads_positive_on_either_side():
    assert ledger.natural(ledger.PROVIDER_CASH, 5) == 5
    assert ledger.natural(ledger.merchant_pending("M1"), -5) == 5


def test_currencies_do_not_mix():
    yen = ledger.deposit_held(
        hold_id="H2", renter="R1", currency=Currency.JPY, amount_minor=Minor(500)
    )
    book = Book.of([held(), yen])

    assert book.balance(ledger.PROVIDER_HOLDS, CNY) == 9900
    assert book.balance(ledger.PROVIDER_HOLDS, Currency.JPY) == 500
    assert book.balance(ledger.PROVIDER_HOLDS, Currency.USD) == 0


def test_a_settled_share_is_the_merchants_and_a_frozen_rest_follows():
    assert balances(billed(), paid(), settled(700)) == {
        "provider_cash": 1000,
        "merchant_pending:M1": -100,
        "merchant_available:M1": -700,
        "platform_revenue": -200,
    }
    assert balances(billed(), paid(), settled(700), settled(100, is_rest=True)) == balances(
        billed(), paid(), settled()
    )


def test_a_withdrawal_is_out_of_reach_first_and_then_gone():
    before = (billed(), paid(), settled(), withdrawal(ledger.withdrawal_asked))

    assert balances(*before) == {
        "provider_cash": 1000,
        "payout_in_flight:M1": -800,
        "platform_revenue": -200,
    }
    assert balances(*before, withdrawal(ledger.withdrawal_paid)) == {
        "provider_cash": 200,
        "platform_revenue": -200,
    }


def test_a_withdrawal_that_failed_is_the_merchants_again():
    before = (billed(), paid(), settled())
    there_and_back = map(withdrawal, (ledger.withdrawal_asked, ledger.withdrawal_failed))

    assert balances(*before, *there_and_back) == balances(*before)


def test_a_withdrawal_that_came_back_is_the_merchants_again_once():
    before = (billed(), paid(), settled())
    recipes = (ledger.withdrawal_asked, ledger.withdrawal_paid, ledger.withdrawal_returned)
    there_and_back = [withdrawal(recipe) for recipe in recipes]

    assert balances(*before, *there_and_back) == balances(*before)
    assert balances(*before, *there_and_back, there_and_back[-1]) == balances(*before)


@pytest.mark.parametrize("renter", ["R1", None])
def test_a_refund_that_came_back_is_owed_again_and_goes_anew(renter):
    one = {"refund_id": "F1", "currency": CNY, "amount_minor": Minor(1000)}
    if renter is None:
        before, gone = (ledger.unclaimed_received(**one),), ledger.unclaimed_refunded
    else:
        before, gone = (surplus(),), partial(ledger.payment_refunded, renter=renter)
    back = partial(ledger.refund_returned, renter=renter)
    written = []

    for returns in range(3):
        written += [gone(returns=returns, **one), back(returns=returns, **one)]
        assert balances(*before, *written) == balances(*before)
    assert balances(*before, *written, gone(returns=3, **one)) == {}

    keys = tuple(transfer.key for transfer in written)
    assert ledger.refund_keys("F1", returns=3, is_gone=False) == keys
    assert ledger.refund_keys("F1", returns=3, is_gone=True) == (*keys, "refund:F1:paid:4")
    assert ledger.refund_keys("F1", returns=0, is_gone=True) == ("refund:F1:paid",)


def test_a_withdrawal_ends_once():
    assert withdrawal(ledger.withdrawal_paid).key == withdrawal(ledger.withdrawal_failed).key


def test_a_digest_is_the_same_in_any_order_and_any_zone():
    at = datetime(2026, 11, 22, 20, tzinfo=timezone(timedelta(hours=8)))
    postings = [("receivable:R1", -5), ("provider_cash", 5)]

    assert digest(at=at, postings=postings) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"key": "l"},
        {"kind": "rental_billed"},
        {"currency": "JPY"},
        {"rental_id": None},
        {"at": datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC)},
        {"postings": [("provider_cash", 6), ("receivable:R1", -6)]},
        {"postings": [("provider_cash", 5), ("receivable:R2", -5)]},
        {"postings": [("provider_cash", 5)]},
    ],
)
def test_a_digest_shows_whatever_was_changed(change):
    assert digest(**change) != digest()


@pytest.mark.parametrize("owner", ["", "a:b"])
def test_an_owner_that_would_blur_the_account_is_refused(owner):
    with pytest.raises(ValueError, match="without a colon"):
        ledger.receivable(owner)
