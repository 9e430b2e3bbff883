from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.credit import Bill, CreditKind, take_back
from backend.domain.ledger import share_out
from backend.domain.money import Minor
from backend.domain.settlement import due, frozen_share, is_due

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def paid_bill(amount=1000, commission_bp=1000):
    return Bill(amount_minor=Minor(amount), commission_bp=commission_bp, paid_minor=Minor(amount))


@pytest.mark.parametrize(
    ("is_paid", "settle_at", "expected"),
    [
        (True, NOON, True),
        (True, NOON - timedelta(days=1), True),
        (True, NOON + timedelta(seconds=1), False),
        (False, NOON, False),
        (True, None, False),
    ],
)
def test_a_paid_rental_is_due_when_its_dispute_window_is_over(is_paid, settle_at, expected):
    assert is_due(is_paid=is_paid, settle_at=settle_at, now=NOON) is expected


def test_all_that_is_pending_is_due_if_nobody_disputes_it():
    share = due(paid_bill(), pending_minor=Minor(900), frozen_minor=Minor(0))

    assert (share.amount_minor, share.is_all) == (900, True)


def test_only_the_merchants_part_of_what_is_disputed_stays_behind():
    share = due(paid_bill(), pending_minor=Minor(900), frozen_minor=Minor(300))

    assert (share.amount_minor, share.is_all) == (630, False)


def test_what_was_settled_already_is_not_due_again():
    share = due(paid_bill(), pending_minor=Minor(270), frozen_minor=Minor(300))

    assert (share.amount_minor, share.is_all) == (0, False)


bills = st.tuples(st.integers(1, 10**6), st.integers(0, 10_000))


@given(bills, st.data())
def test_a_dispute_that_is_granted_finds_its_part_still_there(bill, data):
    amount, commission_bp = bill
    frozen = data.draw(st.integers(1, amount))
    granted = data.draw(st.integers(1, frozen))
    before = paid_bill(amount, commission_bp)
    pending = share_out(Minor(amount), commission_bp=commission_bp).merchant_minor

    first = due(before, pending_minor=pending, frozen_minor=Minor(frozen))
    taken = take_back(before, amount_minor=Minor(granted), kind=CreditKind.DISPUTE)

    assert first.amount_minor + taken.refunded.merchant_minor <= pending
    assert frozen_share(before, frozen_minor=Minor(frozen)) == pending - first.amount_minor


@given(bills, st.data())
def test_what_is_settled_in_two_steps_is_the_whole(bill, data):
    amount, commission_bp = bill
    frozen = data.draw(st.integers(0, amount))
    whole = paid_bill(amount, commission_bp)
    pending = whole.shares.merchant_minor

    first = due(whole, pending_minor=pending, frozen_minor=Minor(frozen)).amount_minor
    rest = due(whole, pending_minor=Minor(pending - first), frozen_minor=Minor(0))

    assert first + rest.amount_minor == pending
    assert min(first, rest.amount_minor) >= 0
    assert rest.is_all
