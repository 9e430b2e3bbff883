import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.credit import Bill, CreditKind, take_back, too_much
from backend.domain.errors import Code, Refusal
from backend.domain.ledger import Split, share_out
from backend.domain.money import Minor

PAID = Bill(amount_minor=Minor(900), commission_bp=1000, paid_minor=Minor(900))
OWED = Bill(amount_minor=Minor(900), commission_bp=1000)


def parts(merchant, platform):
    return Split(merchant_minor=Minor(merchant), platform_minor=Minor(platform))


def test_what_is_owed_becomes_less_before_anything_goes_back():
    half = Bill(amount_minor=Minor(900), commission_bp=1000, paid_minor=Minor(400))
    taken = take_back(half, amount_minor=Minor(600), kind=CreditKind.CORRECTION)
    assert (taken.reduced_minor, taken.refunded_minor) == (500, 100)
    assert taken.reduced.total_minor == 500
    assert taken.refunded.total_minor == 100


def test_both_sides_give_up_their_part():
    taken = take_back(PAID, amount_minor=Minor(300), kind=CreditKind.DISPUTE)
    assert taken.refunded == parts(270, 30)
    assert taken.reduced == parts(0, 0)


def test_goodwill_is_the_platforms_own():
    taken = take_back(OWED, amount_minor=Minor(300), kind=CreditKind.GOODWILL)
    assert taken.reduced == parts(0, 300)


@pytest.mark.parametrize("amount", [0, -1, 901])
def test_only_what_is_left_of_the_bill_can_be_taken_back(amount):
    with pytest.raises(Refusal) as refused:
        take_back(PAID, amount_minor=Minor(amount), kind=CreditKind.CORRECTION)
    assert refused.value.code is Code.MORE_THAN_BILLED


notes = st.lists(
    st.tuples(st.integers(1, 1000), st.sampled_from(CreditKind), st.integers(0, 1000)), max_size=8
)


@given(amount=st.integers(1, 5000), commission_bp=st.integers(0, 10_000), series=notes)
def test_after_any_notes_each_has_the_share_of_a_bill_that_had_been_right(
    amount, commission_bp, series
):
    bill = Bill(amount_minor=Minor(amount), commission_bp=commission_bp)
    merchant, platform = bill.shares.merchant_minor, bill.shares.platform_minor
    for wanted, kind, paying in series:
        paid = bill.paid_minor + min(paying, bill.owed_minor)
        credit = min(wanted, bill.left_minor)
        if credit == 0:
            break
        before = Bill(
            amount_minor=bill.amount_minor,
            commission_bp=commission_bp,
            credited_minor=bill.credited_minor,
            given_minor=bill.given_minor,
            paid_minor=Minor(paid),
        )
        taken = take_back(before, amount_minor=Minor(credit), kind=kind)
        given_up = (taken.reduced, taken.refunded)
        assert min(min(part.merchant_minor, part.platform_minor) for part in given_up) >= 0
        assert sum(part.total_minor for part in given_up) == credit
        merchant -= sum(part.merchant_minor for part in given_up)
        platform -= sum(part.platform_minor for part in given_up)
        is_gift = kind is CreditKind.GOODWILL
        bill = Bill(
            amount_minor=bill.amount_minor,
            commission_bp=commission_bp,
            credited_minor=Minor(bill.credited_minor + credit),
            given_minor=Minor(bill.given_minor + credit * is_gift),
            paid_minor=Minor(paid - taken.refunded_minor),
        )
        assert bill.shares == parts(merchant, platform)
        assert bill.owed_minor >= 0
    rightful = Minor(bill.left_minor + bill.given_minor)
    assert merchant == share_out(rightful, commission_bp=commission_bp).merchant_minor


@pytest.mark.parametrize(
    ("credited", "given", "rightful", "above"),
    [
        (0, 0, 600, 300),
        (100, 0, 600, 200),  # taken back before, for whatever reason
        (300, 0, 600, 0),
        (500, 0, 600, 0),
        (100, 100, 600, 300),  # a gift made the bill no smaller
        (800, 700, 600, 100),  # and nobody gets back more than is left
        (0, 0, 900, 0),
    ],
)
def test_what_a_bill_is_too_much_is_taken_back_once(*, credited, given, rightful, above):
    bill = Bill(
        amount_minor=Minor(900),
        commission_bp=1000,
        credited_minor=Minor(credited),
        given_minor=Minor(given),
    )
    assert too_much(bill, rightful_minor=Minor(rightful)) == above
