"""Provider, books and rentals, compared: what does not agree is named and kept."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from backend import sweeps
from backend.checks import Report
from backend.db import reconcile as queries
from backend.db.tables.reconciliation import BreakRow
from backend.limits import ReconcileLimits
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment, ProviderPayout
from backend.services.reconcile import Looked, look
from backend.services.verify import verify
from tests.integration.books.conftest import Books
from tests.integration.rentals.conftest import FakeProvider, declined

LIMITS = ReconcileLimits(page=1)


def looked(books: Books, provider: Any = None) -> Looked:
    return look(
        books.world.database,
        {"fake": provider or books.world.provider},
        ended_after=None,
        limits=LIMITS,
    )


def named(books: Books, provider: Any = None) -> list[tuple[str, str]]:
    """The kinds of the breaks, each with its subject."""
    return [
        (found.difference.kind.value, found.subject) for found in looked(books, provider).breaks
    ]


def swept(books: Books) -> Looked | None:
    return sweeps.reconcile(
        books.world.database,
        {"fake": books.world.provider},
        limits=LIMITS,
        now=books.world.clock.now(),
    )


def kept(books: Books) -> list[BreakRow]:
    with books.world.database.reading() as session:
        return list(session.exec(select(BreakRow).order_by(BreakRow.id)).all())


def bill(books: Books) -> str:
    """The provider's ref of the one bill that was paid."""
    [ref] = [
        each.ref
        for each in books.world.provider.payments.values()
        if each.status is PaymentStatus.PAID
    ]
    return ref


@pytest.fixture
def paid(books: Books) -> Books:
    """A rental that is paid, and whose deposit was let go."""
    books.paid()
    books.world.send()
    return books


# -- comparing ---------------------------------------------------------------------------------


def test_where_all_agree_nothing_is_named(paid: Books) -> None:
    found = looked(paid)

    assert (found.compared, found.unasked, found.breaks) == (2, (), ())


def test_a_payment_that_the_provider_never_heard_of_is_named(paid: Books) -> None:
    assert named(paid, Forgetful()) == [("unknown_to_provider", "payment")]


class Forgetful(FakeProvider):
    """A provider that says it has no such payment."""

    def fetch(self, ref: str) -> ProviderPayment:
        self.calls.append(("fetch", ref))
        raise declined()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount_minor": 901, "captured_minor": 900}, ["amount_differs"]),
        ({"captured_minor": 899}, ["captured_differs", "books_differ"]),
        ({"status": PaymentStatus.CANCELED}, ["state_differs"]),
        ({"refunded_minor": 10}, ["refund_differs", "books_differ"]),
    ],
)
def test_what_the_provider_says_differently_is_named(
    paid: Books, change: dict[str, Any], expected: list[str]
) -> None:
    paid.world.provider.change(bill(paid), **change)

    assert [kind for kind, _ in named(paid)] == expected


def test_books_that_say_another_sum_than_the_provider_are_named(paid: Books) -> None:
    paid.world.provider.change(bill(paid), amount_minor=950, captured_minor=950)
    with paid.world.database.writing() as session:
        session.execute(text("UPDATE payment SET amount_minor = 950 WHERE purpose = 'bill'"))

    assert named(paid) == [("books_differ", "payment")]


def test_a_payout_that_the_provider_says_failed_is_named(books: Books) -> None:
    books.settled()
    books.world.send()
    books.with_account()
    withdrawal = books.asked(810)
    books.send()
    books.told(withdrawal, "paid")
    assert named(books) == []

    books.world.provider.change_payout(withdrawal, status=PayoutStatus.FAILED)

    assert named(books) == [("state_differs", "withdrawal")]


def test_money_that_fits_nothing_of_ours_is_named(paid: Books) -> None:
    stray = replace(
        paid.world.provider.payments[bill(paid)], ref="stray", reference="of-somebody-else"
    )
    paid.world.notice(stray)

    [found] = looked(paid).breaks

    assert (found.difference.kind, found.subject_id) == ("unknown_to_us", "stray")
    assert found.difference.theirs == "900 CNY"


def test_a_provider_that_lists_what_was_paid_is_asked_for_strays(paid: Books) -> None:
    stray = replace(
        paid.world.provider.payments[bill(paid)], ref="stray", reference="of-somebody-else"
    )

    class Lists(FakeProvider):
        def paid_since(self, since: datetime | None) -> Iterable[ProviderPayment]:
            assert since is None
            return [*self.payments.values(), stray]

    assert named(paid, Lists(payments=paid.world.provider.payments)) == [
        ("unknown_to_us", "payment")
    ]


def test_news_on_its_way_is_no_break(books: Books) -> None:
    _, ref = books.world.bill_asked()
    books.world.send()
    world, told = books.world, books.world.provider.agree(ref)

    class Slow(FakeProvider):
        """Its webhook comes while it is asked."""

        def fetch(self, ref: str) -> ProviderPayment:
            if ref == told.ref and not self.calls:
                self.calls.append(("webhook", ref))
                world.notice(told)
            return self.payments[ref]

    assert named(books, Slow(payments=world.provider.payments)) == []


def test_who_does_not_answer_is_neither_right_nor_wrong(paid: Books) -> None:
    paid.world.provider.is_away = True

    found = looked(paid)

    assert (found.compared, len(found.unasked), found.breaks) == (0, 2, ())


def test_one_odd_answer_stops_nobody_elses(books: Books) -> None:
    """Asked after by our reference, or for a payout, a provider has no business to say no."""
    books.settled()
    books.world.send()
    books.with_account()
    withdrawal = books.asked(810)
    books.send()
    books.told(withdrawal, "paid")
    with books.world.database.writing() as session:
        session.execute(text("UPDATE payment SET provider_ref = NULL WHERE purpose = 'bill'"))

    class Odd(FakeProvider):
        def find(self, reference: str) -> ProviderPayment | None:  # noqa: ARG002
            raise declined()

        def find_payout(self, reference: str) -> ProviderPayout | None:  # noqa: ARG002
            raise declined()

        def paid_since(self, since: datetime | None) -> Iterable[ProviderPayment]:  # noqa: ARG002
            raise declined()

    found = looked(books, Odd(payments=books.world.provider.payments))

    assert (found.compared, len(found.unasked), found.breaks) == (1, 2, ())
    assert withdrawal in found.unasked


def test_a_report_with_a_break_at_the_provider_fails(paid: Books) -> None:
    paid.world.provider.change(bill(paid), refunded_minor=10)
    with paid.world.database.reading() as session:
        report = Report(verified=verify(session), looked=looked(paid))

    assert report.exit_code == 1
    assert any(line.startswith("refund_differs: payment ") for line in report.lines())
    assert list(report.lines())[-1] == "The provider disagrees: 2 compared, 2 breaks."


def test_a_provider_that_nobody_reached_is_not_said_to_agree(paid: Books) -> None:
    paid.world.provider.is_away = True
    with paid.world.database.reading() as session:
        report = Report(verified=verify(session), looked=looked(paid))

    assert report.exit_code == 1
    assert list(report.lines())[-1].startswith("No provider answered for 2, ")


# -- every day -----------------------------------------------------------------------------------


def test_breaks_are_kept_once_and_seen_again_each_day(paid: Books) -> None:
    paid.world.provider.change(bill(paid), refunded_minor=10)
    first = paid.world.clock.now()

    assert swept(paid) is not None
    paid.world.clock.turn(days=1)
    assert swept(paid) is not None

    rows = kept(paid)
    assert [row.kind for row in rows] == ["refund_differs", "books_differ"]
    assert {(row.first_seen_at, row.last_seen_at) for row in rows} == {
        (first, first + timedelta(days=1))
    }
    assert {row.resolved_at for row in rows} == {None}
    assert rows[0].rental_id is not None


def test_a_day_is_looked_at_once(paid: Books) -> None:
    assert swept(paid) is not None
    assert swept(paid) is None

    paid.world.clock.turn(days=1)
    assert swept(paid) is not None


def test_who_dies_while_looking_loses_the_day_to_the_next_one(paid: Books) -> None:
    now = paid.world.clock.now()
    with paid.world.database.writing() as session:
        assert queries.begin(session, day="2026-11-22", now=now, lease=LIMITS.lease)

    assert swept(paid) is None
    paid.world.clock.time += LIMITS.lease
    assert swept(paid) is not None


def test_a_break_that_is_gone_is_closed_and_one_that_nobody_could_see_is_not(paid: Books) -> None:
    ref = bill(paid)
    paid.world.provider.change(ref, refunded_minor=10)
    swept(paid)

    paid.world.provider.is_away = True
    paid.world.clock.turn(days=1)
    swept(paid)
    assert {row.resolved_at for row in kept(paid)} == {None}

    paid.world.provider.is_away = False
    paid.world.provider.change(ref, refunded_minor=0)
    paid.world.clock.turn(days=1)
    swept(paid)
    assert {row.resolved_at for row in kept(paid)} == {paid.world.clock.now()}


def test_an_open_break_is_looked_at_however_old_the_payment_is(paid: Books) -> None:
    ref = bill(paid)
    paid.world.provider.change(ref, captured_minor=899)
    swept(paid)
    paid.world.provider.change(ref, captured_minor=900)

    paid.world.clock.turn(days=60)
    found = swept(paid)

    assert found is not None
    assert found.compared == 1
    assert {row.resolved_at for row in kept(paid)} == {paid.world.clock.now()}
