from dataclasses import replace

import pytest

from backend.domain.money import Minor
from backend.domain.reconcile import (
    BreakKind,
    Payment,
    Payout,
    Standing,
    of_payment,
    of_payout,
)

PAID = Payment(
    standing=Standing.TAKEN,
    amount_minor=Minor(900),
    currency="CNY",
    captured_minor=Minor(900),
    refunded_minor=Minor(100),
    asked_back_minor=Minor(100),
    booked_minor=Minor(800),
)
SENT = Payout(standing=Standing.SENT, amount_minor=Minor(500), currency="CNY", account="acct_1")


def kinds(ours, theirs):
    return [each.kind for each in of_payment(ours, theirs)]


def payout_kinds(ours, theirs):
    return [each.kind for each in of_payout(ours, theirs)]


def test_two_that_agree_show_nothing():
    assert kinds(PAID, PAID) == []
    assert payout_kinds(SENT, SENT) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount_minor": 901}, [BreakKind.AMOUNT_DIFFERS]),
        ({"currency": "HKD"}, [BreakKind.AMOUNT_DIFFERS]),
        ({"standing": Standing.OVER}, [BreakKind.STATE_DIFFERS]),
        ({"captured_minor": 899}, [BreakKind.CAPTURED_DIFFERS, BreakKind.BOOKS_DIFFER]),
        ({"refunded_minor": 0}, [BreakKind.REFUND_DIFFERS, BreakKind.BOOKS_DIFFER]),
        ({"refunded_minor": 101}, [BreakKind.REFUND_DIFFERS, BreakKind.BOOKS_DIFFER]),
    ],
)
def test_what_they_say_differently_is_named(change, expected):
    assert kinds(PAID, replace(PAID, **change)) == expected


def test_books_that_hold_another_sum_are_named():
    assert kinds(replace(PAID, booked_minor=Minor(900)), PAID) == [BreakKind.BOOKS_DIFFER]


@pytest.mark.parametrize("refunded", [0, 60, 100])
def test_a_refund_that_was_asked_for_may_have_gone_or_not(refunded):
    ours = replace(PAID, refunded_minor=Minor(0))

    assert kinds(ours, replace(PAID, refunded_minor=Minor(refunded))) == []


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing.DOUBTED, []),
        (Standing.OVER, []),
        (Standing.WAITING, [BreakKind.UNKNOWN_TO_PROVIDER]),
        (Standing.HELD, [BreakKind.UNKNOWN_TO_PROVIDER]),
        (Standing.TAKEN, [BreakKind.UNKNOWN_TO_PROVIDER]),
    ],
)
def test_a_payment_they_never_heard_of_is_named_if_we_believe_in_it(standing, expected):
    assert kinds(replace(PAID, standing=standing), None) == expected


@pytest.mark.parametrize("theirs", Standing)
def test_what_we_doubt_they_do_not_contradict(theirs):
    doubted = replace(PAID, standing=Standing.DOUBTED)

    assert kinds(doubted, replace(PAID, standing=theirs)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount_minor": 501}, [BreakKind.AMOUNT_DIFFERS]),
        ({"account": "acct_2"}, [BreakKind.ACCOUNT_DIFFERS]),
        ({"standing": Standing.OVER}, [BreakKind.STATE_DIFFERS]),
        ({"standing": Standing.WAITING}, [BreakKind.STATE_DIFFERS]),
    ],
)
def test_a_payout_they_say_differently_is_named(change, expected):
    assert payout_kinds(SENT, replace(SENT, **change)) == expected


def test_a_payout_they_never_heard_of_is_named_if_we_say_that_it_arrived():
    assert payout_kinds(SENT, None) == [BreakKind.UNKNOWN_TO_PROVIDER]
    assert payout_kinds(replace(SENT, standing=Standing.OVER), None) == []
    assert payout_kinds(replace(SENT, standing=Standing.DOUBTED), None) == []
