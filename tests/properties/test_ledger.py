"""No path of money makes or loses a cent."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from backend.db import books, money
from backend.db.engine import Database, make_engine
from backend.domain import ledger
from backend.domain.errors import Refusal
from backend.domain.ledger import Book, Posting, Transfer, TransferKind
from backend.domain.money import Currency, Minor, split
from backend.services import verify

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

amounts = st.sampled_from([1, 99, 1000, 1001]).map(Minor)  # few, so that they often meet
currencies = st.sampled_from([Currency.CNY, Currency.JPY])
ids = st.sampled_from(["A", "B"])
commissions = st.integers(0, ledger.BASIS_POINTS)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any)


def merchants(draw, number, amount, currency):
    """What settles, and what is withdrawn."""
    one = {"merchant": draw(ids), "currency": currency, "amount_minor": amount}
    is_rest = draw(st.booleans())
    yield ledger.rental_settled(rental_id=f"L{number}", is_rest=is_rest, **one)
    for recipe in (
        ledger.withdrawal_asked,
        ledger.withdrawal_paid,
        ledger.withdrawal_failed,
        ledger.withdrawal_returned,
    ):
        yield recipe(withdrawal_id=f"W{number}", **one)


@st.composite
def transfers(draw):
    """Any recipe, in any currency, for one of two people: most are nonsense in that place."""
    amount, currency, renter = draw(amounts), draw(currencies), draw(ids)
    shares = ledger.share_out(amount, commission_bp=draw(commissions))
    one = {"renter": renter, "currency": currency}
    number = draw(st.integers(0, 5))
    return draw(
        st.sampled_from(
            [
                ledger.deposit_held(hold_id=f"H{number}", amount_minor=amount, **one),
                ledger.deposit_released(hold_id=f"H{number}", amount_minor=amount, **one),
                ledger.deposit_captured(
                    hold_id=f"H{number}",
                    held_minor=amount,
                    captured_minor=Minor(max(1, amount // 3)),
                    **one,
                ),
                ledger.rental_billed(
                    rental_id=f"L{number}", merchant=draw(ids), split=shares, **one
                ),
                ledger.rental_paid(payment_id=f"P{number}", amount_minor=amount, **one),
                ledger.payment_surplus(payment_id=f"P{number}", amount_minor=amount, **one),
                ledger.bill_credited(
                    credit_id=f"C{number}", merchant=draw(ids), split=shares, **one
                ),
                *(
                    recipe(
                        refund_id=f"F{number}",
                        amount_minor=amount,
                        returns=draw(st.integers(0, 1)),
                        **one,
                    )
                    for recipe in (ledger.payment_refunded, ledger.refund_returned)
                ),
                *merchants(draw, number, amount, currency),
            ]
        )
    )


def written(history):
    """The book after all that it lets in, and those transfers."""
    book, accepted = Book(), []
    for transfer in history:
        try:
            after = book.post(transfer)
        except Refusal:
            continue
        if after is not book:
            accepted.append(transfer)
        book = after
    return book, accepted


@given(st.integers(-(10**15), 10**15).map(Minor), weights)
def test_a_split_adds_up_and_no_part_is_off_by_a_whole_unit(amount, parts):
    shares = split(amount, parts)

    assert sum(shares) == amount
    for share, weight in zip(shares, parts, strict=True):
        assert abs(share * sum(parts) - amount * weight) < sum(parts)


@given(st.integers(1, 10**12).map(Minor), commissions)
def test_a_bill_is_shared_out_whole_and_nobody_gets_less_than_nothing(amount, commission_bp):
    shares = ledger.share_out(amount, commission_bp=commission_bp)

    assert shares.total_minor == amount
    assert min(shares.merchant_minor, shares.platform_minor) >= 0


@given(st.lists(transfers(), max_size=40))
def test_whatever_is_written_the_books_sum_to_zero(history):
    book, _ = written(history)

    for currency in Currency:
        assert sum(amount for (_, of), amount in book.balances.items() if of is currency) == 0


@given(st.lists(transfers(), max_size=40))
def test_whatever_is_written_nobody_is_promised_money_that_is_not_there(history):
    book, _ = written(history)

    for (account, _), amount in book.balances.items():
        assert ledger.may_go_negative(account) or ledger.natural(account, amount) >= 0


@given(st.lists(transfers(), max_size=20))
def test_writing_everything_twice_is_writing_it_once(history):
    book, accepted = written(history)

    assert Book.of([*accepted, *accepted]) == book
    assert len({transfer.key for transfer in accepted}) == len(accepted)


@given(st.lists(transfers(), max_size=20))
def test_a_refused_transfer_leaves_the_book_as_it_was(history):
    book, accepted = written(history)
    assert Book.of(accepted) == book


@given(st.lists(transfers(), max_size=20), amounts, currencies, ids)
def test_what_a_provider_has_sent_is_in_the_books_whatever_our_cash_is(
    history, amount, currency, renter
):
    one = {"renter": renter, "currency": currency}
    given_up = ledger.Split(merchant_minor=Minor(0), platform_minor=amount)
    owed = ledger.bill_credited(credit_id="Z", merchant="A", split=given_up, **one)
    before = written(history)[0].post(owed)
    cash = before.balance(ledger.PROVIDER_CASH, currency)
    gone = ledger.payment_refunded(refund_id="Z", amount_minor=amount, **one)

    after = before
    for each in ledger.covered(gone, cash_minor=cash):
        after = after.post(each)

    assert gone.key in after.keys
    assert after.balance(ledger.PROVIDER_CASH, currency) == max(0, cash - amount)
    assert after.balance(ledger.PROVIDER_TOPUPS, currency) == min(0, cash - amount)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(transfers(), max_size=40))
def test_the_stored_balances_are_the_fold_whatever_is_written(database, history):
    book, accepted = written(history)

    with Session(database.engine) as session:  # never committed: each example begins with nothing
        taken = [transfer for transfer in history if store(session, transfer)]
        accounts = {
            (account.code, account.currency): (account.balance_minor, account.postings)
            for account in books.accounts(session)
        }
        by_themselves = list(verify.of_the_books(session))

    assert taken == accepted
    assert {place: balance for place, (balance, _) in accounts.items() if balance} == {
        place: balance for place, balance in book.balances.items() if balance
    }
    assert sum(count for _, count in accounts.values()) == sum(
        len(transfer.postings) for transfer in accepted
    )
    assert by_themselves == []


def store(session, transfer):
    """Write it; whether it went in."""
    try:
        return money.write(session, transfer, rental_id=None, now=NOON)
    except Refusal:
        return False


@pytest.fixture
def database(database_url):
    """Something to write the books to."""
    engine = make_engine(database_url)
    yield Database(engine)
    engine.dispose()


@given(transfers(), st.integers(-100, 100).filter(bool), st.data())
def test_a_transfer_off_by_anything_cannot_be_made(transfer, off, data):
    victim = data.draw(st.integers(0, len(transfer.postings) - 1))
    wrong = [
        replace(posting, amount_minor=Minor(posting.amount_minor + off * (line == victim)))
        for line, posting in enumerate(transfer.postings)
    ]
    with pytest.raises(ValueError, match="not to zero"):
        replace(transfer, postings=tuple(wrong))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(-5, 5), max_size=6),
    currencies,
)
def test_exactly_what_sums_to_zero_and_moves_something_can_be_made(moved, currency):
    postings = tuple(
        Posting(account=ledger.receivable(owner), amount_minor=Minor(amount))
        for owner, amount in moved.items()
    )
    is_sound = bool(moved) and sum(moved.values()) == 0 and 0 not in moved.values()
    try:
        Transfer(key="k", kind=TransferKind.RENTAL_PAID, currency=currency, postings=postings)
    except ValueError:
        assert not is_sound
    else:
        assert is_sound
