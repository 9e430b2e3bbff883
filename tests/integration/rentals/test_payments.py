"""Money against a provider that lies, repeats, is late, or is not there."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from backend.db import outbox
from backend.db.tables.money import InboxRow, OutboxRow, PostingRow
from backend.payments.port import PaymentStatus


def _inbox(world: Any) -> list[str | None]:
    with world.database.reading() as session:
        return [row.problem for row in session.exec(select(InboxRow))]


def _outbox(world: Any) -> list[tuple[str, bool, bool]]:
    with world.database.reading() as session:
        rows = session.exec(select(OutboxRow).order_by(OutboxRow.id))
        return [(row.ask, row.done_at is not None, row.problem is not None) for row in rows]


# -- webhooks ---------------------------------------------------------------------------------


def test_a_forged_notice_does_nothing(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    answer = world.notice(world.provider.agree(ref), signature="forged")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert world.state(rental) == "deposit_due"
    assert _inbox(world) == []


def test_a_notice_told_ten_times_has_one_effect(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    held = world.provider.agree(ref)
    for _ in range(5):
        assert world.notice(held, id_="same").status_code == 204
    for _ in range(5):
        assert world.notice(held).status_code == 204
    assert world.state(rental) == "starting"
    assert world.commands() == [("charge_start", "created")]
    assert world.balance("provider_holds") == 9900


def test_a_notice_before_the_answer_is_as_good(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    payment = renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    assert (payment["state"], payment["pay_url"]) == ("created", None)

    world.provider.loses_answers = True
    world.send()
    assert renter.sees(f"/payments/{payment['id']}")["state"] == "unknown"
    world.notice(world.provider.agree("fake-1"))
    assert world.state(rental) == "starting"

    world.provider.loses_answers = False
    world.clock.turn(minutes=1)
    world.send()
    assert renter.sees(f"/payments/{payment['id']}")["state"] == "authorized"
    assert world.commands() == [("charge_start", "created")]


def test_old_news_after_new_news_does_nothing(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    still_open = world.provider.payments[ref]
    world.notice(world.provider.agree(ref))
    world.notice(still_open)
    assert world.state(rental) == "starting"
    assert world.rental(rental)["payments"][0]["state"] == "authorized"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount_minor": 9899}, "amount_mismatch"),
        ({"currency": "USD"}, "amount_mismatch"),
        ({"reference": "somebody-elses"}, "unmatched"),
        ({"ref": "another"}, "unmatched"),
    ],
)
def test_a_notice_that_is_not_what_we_asked_for_moves_nothing_and_is_kept(
    world: Any, change: dict[str, Any], problem: str
) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    assert world.notice(replace(world.provider.agree(ref), **change)).status_code == 204
    assert world.state(rental) == "deposit_due"
    assert _inbox(world) == [problem]


def test_a_genuine_notice_that_cannot_be_read_is_kept_for_a_person(world: Any) -> None:
    world.market()
    assert world.knock({"id": "x", "what": "money"}).status_code == 204
    assert _inbox(world) == ["unreadable"]


def test_a_notice_of_an_unknown_provider_is_not_found(world: Any) -> None:
    world.market()
    assert world.client.post("/api/v1/webhooks/nobody", content=b"{}").status_code == 404


# -- deposits -----------------------------------------------------------------------------------


def test_asking_for_the_deposit_twice_is_one_payment(world: Any) -> None:
    world.market()
    rental, _ref = world.deposit_asked()
    again = world.people["renter"].did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    assert [again["id"]] == [each["id"] for each in world.rental(rental)["payments"]]
    assert again["pay_url"].startswith("http://provider.test/")
    assert world.send() == 0


def test_a_deposit_that_was_declined_may_be_tried_again(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    world.notice(world.provider.change(ref, status=PaymentStatus.FAILED))
    assert world.rental(rental)["deposit"]["state"] == "declined"
    world.people["renter"].did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.send()
    world.notice(world.provider.agree("fake-2"))
    assert world.state(rental) == "starting"
    assert world.balance("provider_holds") == 9900


def test_a_provider_that_refuses_the_payment_ends_it(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.provider.declines = True
    world.send()
    assert world.rental(rental)["payments"][0]["state"] == "failed"
    assert "payment.failed" in renter.news()
    assert world.send() == 0


def test_a_hold_that_comes_after_the_renter_changed_their_mind_is_let_go(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    place = {"lat": 31.2, "lng": 121.4, "address": "door"}
    world.people["renter"].did(f"/rentals/{rental}/return", place)
    world.notice(world.provider.agree(ref))
    assert world.state(rental) == "returning"
    world.send()
    assert world.provider.payments[ref].status == "canceled"
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert world.balance("provider_holds") == 0
    assert world.commands() == []


# -- the outbox and the janitor -----------------------------------------------------------------


def test_killed_between_commit_and_call_the_next_one_calls_with_the_same_key(
    world: Any,
) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    with world.database.writing() as session:  # claimed, and then nothing more was heard of it
        outbox.claim(session, now=world.clock.now(), lease=world.limits.lease)
    assert world.send() == 0
    world.clock.turn(seconds=31)
    assert world.send() == 1
    assert [what for what, _ in world.provider.calls] == ["create"]
    assert world.rental(rental)["payments"][0]["state"] == "open"


def test_killed_after_the_call_the_same_key_finds_the_same_payment(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.provider.loses_answers = True
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "unknown"
    again = renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    assert again["state"] == "unknown"
    world.provider.loses_answers = False
    world.clock.turn(seconds=3)
    world.send()
    assert len(world.provider.payments) == 1
    assert world.rental(rental)["deposit"]["state"] == "pending"


def test_a_webhook_that_never_comes_is_asked_after(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    world.provider.agree(ref)
    assert world.ask_in_doubt() == 0
    world.clock.turn(seconds=61)
    assert world.ask_in_doubt() == 1
    assert world.state(rental) == "starting"
    assert world.ask_in_doubt() == 0


def test_a_provider_that_is_away_is_asked_later_and_later_and_then_a_person_is(
    world: Any,
) -> None:
    world.market()
    world.limits = type(world.limits)(attempts=4)
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.provider.is_away = True
    for wait_s in (2, 4, 8):
        assert world.send() == 1
        world.clock.turn(seconds=wait_s - 1)
        assert world.send() == 0
        world.clock.turn(seconds=1)
    world.send()
    assert _outbox(world) == [("create", False, True)]
    world.clock.turn(hours=1)
    assert world.send() == 0


# -- bills ----------------------------------------------------------------------------------------


def test_paying_twice_gives_the_second_payment_back(world: Any) -> None:
    world.market()
    rental, first = world.bill_asked()
    world.notice(world.provider.change(first, status=PaymentStatus.FAILED))
    world.people["renter"].did(f"/rentals/{rental}/payment")
    world.send()
    world.notice(world.provider.agree("fake-3"))
    assert world.state(rental) == "completed"

    world.notice(world.provider.agree(first))  # the one that had failed was paid after all
    world.send()
    assert world.provider.payments[first].refunded_minor == 900
    assert world.balance("provider_cash") == 900
    assert world.balance(f"refund_due:{world.id_of('renter')}") == 0
    assert world.sum_of_books() == 0
    assert "payment.refunded" in world.people["renter"].news()


def test_there_is_nothing_to_pay_before_the_bill_nor_after_it(world: Any) -> None:
    world.market()
    rental, ref = world.bill_asked()
    world.notice(world.provider.agree(ref))
    answer = world.people["renter"].post(f"/rentals/{rental}/payment")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_pay")


def test_asking_to_pay_twice_is_one_payment(world: Any) -> None:
    world.market()
    rental, _ref = world.bill_asked()
    world.people["renter"].did(f"/rentals/{rental}/payment")
    bills = [each for each in world.rental(rental)["payments"] if each["purpose"] == "bill"]
    assert len(bills) == 1


def test_a_released_hold_stays_released_whatever_comes(world: Any) -> None:
    world.market()
    rental, ref = world.bill_asked()
    world.notice(world.provider.agree(ref))
    world.send()
    hold = world.provider.payments["fake-1"]
    taken = replace(hold, status=PaymentStatus.PAID, captured_minor=hold.amount_minor)
    assert world.notice(taken).status_code == 204
    assert world.rental(rental)["deposit"]["state"] == "released"


def test_a_deposit_that_was_never_made_needs_no_release(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    place = {"lat": 31.2, "lng": 121.4, "address": "door"}
    renter.did(f"/rentals/{rental}/return", place)
    world.provider.declines = True
    world.send()
    world.clock.turn(seconds=3)
    world.send()
    assert [what for what, _ in world.provider.calls] == ["create"]
    assert _outbox(world) == [("create", True, False), ("release", True, False)]


def test_a_release_that_is_declined_because_it_was_done_is_done(world: Any) -> None:
    world.market()
    rental, ref = world.bill_asked()
    world.notice(world.provider.agree(ref))
    world.provider.change("fake-1", status=PaymentStatus.CANCELED)
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert _outbox(world)[-1] == ("release", True, False)


def test_the_books_refuse_to_be_changed(world: Any) -> None:
    world.market()
    world.starting()
    with world.database.reading() as session:
        assert session.exec(select(PostingRow)).all()
    for statement in ("UPDATE posting SET amount_minor = 1", "DELETE FROM posting"):
        with (
            pytest.raises(DBAPIError, match="only added to"),
            world.database.writing() as session,
        ):
            session.execute(text(statement))
