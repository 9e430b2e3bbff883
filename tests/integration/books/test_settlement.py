"""When a merchant's part becomes theirs, and what they see of it."""

from typing import Any

import pytest
from sqlmodel import select

from backend import sweeps
from backend.db import money
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.credit import CreditKind
from backend.domain.money import Currency, Minor
from backend.services import credits as credit_notes
from tests.integration.books.conftest import Books


def disputed(books: Books, rental: str, amount_minor: int) -> str:
    body = {"disputed_minor": amount_minor, "reason": "it came off after a minute"}
    return str(books.world.people["renter"].did(f"/rentals/{rental}/disputes", body)["id"])


def conceded(books: Books, dispute: str) -> None:
    books.owner.did(f"/merchants/{books.merchant}/disputes/{dispute}/concede")


def credited(books: Books, rental: str, amount_minor: int) -> None:
    with books.world.database.writing() as session:
        row = session.exec(select(RentalRow).where(RentalRow.id == rental)).one()
        credit_notes.credit(
            session,
            row,
            amount_minor=Minor(amount_minor),
            kind=CreditKind.CORRECTION,
            why="counted wrong",
            by_id=None,
            evidence="",
            now=books.world.clock.now(),
        )


def settled_at(books: Books, rental: str) -> Any:
    with books.world.database.reading() as session:
        return session.get_one(RentalRow, rental).settled_at


# -- the window ------------------------------------------------------------------------------


@pytest.mark.row("M4")
def test_a_share_is_pending_until_the_dispute_window_is_over(books: Books) -> None:
    rental = books.paid()
    assert books.stands() == (810, 0, 0)

    books.world.clock.turn(days=6, hours=23)
    assert books.settle() == 0
    assert books.stands() == (810, 0, 0)

    books.world.clock.turn(hours=1)
    assert books.settle() == 1
    assert books.stands() == (0, 810, 0)
    assert settled_at(books, rental) == books.world.clock.now()
    assert books.owner.news()[-1] == "rental.settled"
    assert "rental.settled" not in books.world.people["renter"].news()


def test_what_is_settled_stays_settled_however_often_one_looks(books: Books) -> None:
    books.settled()

    assert books.settle() == 0
    assert books.stands() == (0, 810, 0)
    assert books.owner.news().count("rental.settled") == 1


def test_an_unpaid_bill_is_pending_and_never_due(books: Books) -> None:
    books.world.payment_due()
    books.world.clock.turn(days=20)

    assert books.settle() == 0
    assert books.stands() == (810, 0, 0)


def test_the_sweep_of_the_process_settles(books: Books) -> None:
    books.paid()
    books.world.clock.turn(days=7)
    tools = sweeps.Tools(
        database=books.world.database,
        providers={},
        settings=books.world.client.app.state.parts.settings,
    )
    [sweep] = [each for each in sweeps.ALL if each.name == "settle_due"]

    sweep.run(tools, books.world.clock.now())

    assert books.stands() == (0, 810, 0)


# -- disputes --------------------------------------------------------------------------------


def test_a_dispute_freezes_only_the_merchants_part_of_what_is_disputed(books: Books) -> None:
    rental = books.paid()
    disputed(books, rental, 300)
    assert books.settlement()["frozen_minor"] == 270

    books.world.clock.turn(days=7)
    assert books.settle() == 1

    assert books.stands() == (270, 540, 0)
    assert settled_at(books, rental) is None
    assert books.settle() == 0
    assert books.stands() == (270, 540, 0)
    assert books.breaks() == []


def test_the_rest_follows_when_the_dispute_was_taken_back(books: Books) -> None:
    rental = books.paid()
    dispute = disputed(books, rental, 300)
    books.world.clock.turn(days=7)
    books.settle()

    books.world.people["renter"].did(f"/rentals/{rental}/disputes/{dispute}/withdraw")
    assert books.settle() == 1

    assert books.stands() == (0, 810, 0)
    assert settled_at(books, rental) is not None
    assert books.breaks() == []


def test_what_was_granted_goes_back_and_nothing_more_is_settled(books: Books) -> None:
    rental = books.paid()
    dispute = disputed(books, rental, 300)
    books.world.clock.turn(days=7)
    books.settle()

    conceded(books, dispute)
    books.settle()

    assert books.stands() == (0, 540, 0)
    assert settled_at(books, rental) is not None
    assert books.breaks() == []


def test_a_dispute_that_ended_before_the_window_did_delays_nothing(books: Books) -> None:
    rental = books.paid()
    conceded(books, disputed(books, rental, 900))
    books.world.clock.turn(days=7)

    assert books.settle() == 0  # nothing is left to move
    assert settled_at(books, rental) is not None
    assert books.stands() == (0, 0, 0)
    assert books.breaks() == []


# -- what was given back after they had it -----------------------------------------------------


def test_a_credit_after_the_settlement_is_taken_from_what_is_theirs(books: Books) -> None:
    rental = books.settled()

    credited(books, rental, 300)

    assert books.stands() == (0, 540, 0)
    assert books.breaks() == []


def test_what_was_laid_out_for_a_merchant_is_repaid_from_the_next_settlement(
    books: Books,
) -> None:
    laid_out = ledger.bill_credited(
        credit_id="earlier",
        renter=books.world.id_of("renter"),
        merchant=books.merchant,
        currency=Currency.CNY,
        split=ledger.Split(merchant_minor=Minor(270), platform_minor=Minor(30)),
        debt_minor=Minor(270),
    )
    with books.world.database.writing() as session:
        money.write(session, laid_out, rental_id=None, now=books.world.clock.now())
    assert books.settlement()["debt_minor"] == 270

    books.settled()

    assert books.settlement()["debt_minor"] == 0
    assert books.stands() == (0, 540, 0)
    assert [line["kind"] for line in books.lines("withdrawable")] == [
        "debt_repaid",
        "rental_settled",
    ]


# -- what they see -----------------------------------------------------------------------------


def test_a_merchant_sees_settled_and_unsettled_orders_and_when_the_next_is_due(
    books: Books,
) -> None:
    books.paid()
    shown = books.settlement()

    assert (shown["settled_orders"], shown["unsettled_orders"]) == (0, 1)
    assert shown["next_settlement_at"] is not None
    assert (shown["currency"], shown["minimum_minor"]) == ("CNY", 100)
    assert shown["payout_account"] is None

    books.world.clock.turn(days=7)
    books.settle()
    shown = books.settlement()
    assert (shown["settled_orders"], shown["unsettled_orders"]) == (1, 0)
    assert shown["next_settlement_at"] is None


def test_an_account_reads_line_by_line_with_its_balance(books: Books) -> None:
    rental = books.settled()
    books.with_account()
    withdrawal = books.asked(300)

    lines = [
        (line["number"], line["kind"], line["amount_minor"], line["balance_minor"])
        for line in books.lines("withdrawable")
    ]
    assert lines == [(2, "withdrawal_asked", -300, 510), (1, "rental_settled", 810, 810)]
    newest, oldest = books.lines("withdrawable")
    assert (newest["withdrawal_id"], newest["rental_id"]) == (withdrawal, None)
    assert (oldest["withdrawal_id"], oldest["rental_id"]) == (None, rental)
    assert newest["text"] == "Withdrawal on its way"
    assert [line["kind"] for line in books.lines("pending")] == [
        "rental_settled",
        "rental_billed",
    ]
    assert [line["amount_minor"] for line in books.lines("in_payout")] == [300]
    assert books.lines("debt") == []


def test_a_page_of_lines_leads_to_the_next(books: Books) -> None:
    books.settled()
    books.with_account()
    for _ in range(3):
        books.asked(200)
    path = f"/merchants/{books.merchant}/ledger"

    first = books.owner.sees(path, limit=3)
    rest = books.owner.sees(path, limit=3, before=first["next"])

    numbers = [line["number"] for line in first["items"] + rest["items"]]
    assert numbers == [4, 3, 2, 1]
    assert rest["next"] is None


def test_lines_are_read_in_the_readers_own_words(books: Books) -> None:
    books.settled()
    answer = books.world.client.get(
        f"/api/v1/merchants/{books.merchant}/ledger",
        headers={"authorization": f"Bearer {books.owner.token}", "accept-language": "zh"},
    )

    assert answer.json()["items"][0]["text"] == "訂單已結算，可提現"
