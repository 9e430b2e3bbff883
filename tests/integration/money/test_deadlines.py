"""A bill that nobody pays is taken from the deposit, once, as far as it is owed."""

from dataclasses import replace

import pytest
from sqlmodel import Session

from backend.db import deposits as dues
from backend.domain.errors import Code, Refusal
from backend.payments.port import PaymentStatus, ProviderPayment
from backend.sweeps import money
from tests.integration.money.conftest import BILL, DEPOSIT, Till
from tests.integration.rentals.conftest import HOME, TERMS


def test_before_the_deadline_nothing_is_taken(till: Till) -> None:
    rental = till.world.payment_due()
    till.world.clock.turn(hours=23, minutes=59)
    assert till.deadlines() == 0
    assert till.world.state(rental) == "payment_due"
    assert till.world.send() == 0


def test_an_unpaid_bill_is_taken_from_the_deposit_and_the_rest_is_free(till: Till) -> None:
    rental = till.unpaid()
    assert till.deadlines() == 1
    assert till.deadlines() == 0
    till.world.send()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, BILL)
    hold = till.world.provider.payments["fake-1"]
    assert (hold.status, hold.captured_minor) == ("paid", BILL)
    assert till.mine("deposit") == 0
    assert {"rental.past_due", "deposit.captured", "rental.completed"} <= set(till.renter.news())
    till.agrees_with_provider()
    till.balances()


def test_a_deposit_that_does_not_cover_the_bill_leaves_the_rest_owed(till: Till) -> None:
    till.owner.did(f"/merchants/{till.merchant}/tariffs", {**TERMS, "deposit_minor": 600})
    rental = till.unpaid()
    till.deadlines()
    till.world.send()
    assert till.world.state(rental) == "payment_due"
    assert till.deposit(rental) == ("captured", 600, 600)
    assert till.owed(rental) == 300
    till.balances()

    again = till.renter.post("/rentals", {**HOME, "qr_token": till.world.tokens["LW-0001"]})
    assert "unpaid" in again.json()["facts"]["why"]

    ref = till.pay(rental)
    assert till.world.provider.payments[ref].amount_minor == 300
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    till.agrees_with_provider()
    till.balances()


def test_a_payment_that_was_begun_is_withdrawn_first(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.world.clock.turn(hours=24)
    assert till.deadlines() == 0
    till.world.send()
    assert till.world.provider.payments[ref].status == "canceled"
    assert till.deadlines() == 1
    till.world.send()
    assert till.world.state(rental) == "completed"
    till.agrees_with_provider()
    till.balances()


def test_who_paid_in_the_last_moment_unheard_keeps_their_deposit(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.world.clock.turn(hours=24)
    till.agree(ref)  # and no word of it comes
    till.deadlines()
    till.world.send()
    assert till.world.state(rental) == "completed"
    till.all_runs()
    assert till.deposit(rental)[0] == "released"
    till.agrees_with_provider()
    till.balances()


def test_while_a_payment_is_in_doubt_nothing_is_taken(till: Till) -> None:
    rental = till.world.payment_due()
    till.renter.did(f"/rentals/{rental}/payment")
    till.world.provider.loses_answers = True
    till.world.send()
    till.world.clock.turn(hours=24)
    assert till.deadlines() == 0
    till.world.provider.loses_answers = False
    till.world.provider.is_away = True
    till.world.send()
    assert till.deadlines() == 0
    assert not [what for what, _ in till.world.provider.calls if what == "capture"]
    till.world.provider.is_away = False
    till.world.clock.turn(hours=1)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental)[0] == "captured"
    till.agrees_with_provider()
    till.balances()


def test_while_it_is_being_taken_nobody_pays_it_a_second_time(till: Till) -> None:
    rental = till.unpaid()
    till.deadlines()
    till.world.provider.loses_answers = True
    till.world.send()
    answer = till.renter.post(f"/rentals/{rental}/payment")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_doubt")
    till.world.provider.loses_answers = False
    till.world.clock.turn(seconds=3)
    till.world.send()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, BILL)
    till.agrees_with_provider()
    till.balances()


def test_while_a_provider_that_takes_it_later_has_not_nobody_pays_it_a_second_time(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental = till.unpaid()
    till.deadlines()
    taken = till.world.provider.capture

    def later(ref: str, **_how: object) -> ProviderPayment:
        return till.world.provider.payments[ref]

    monkeypatch.setattr(till.world.provider, "capture", later)
    till.world.send()
    answer = till.renter.post(f"/rentals/{rental}/payment")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_doubt")
    till.hears(taken("fake-1", key=_capture_key(till), amount_minor=BILL))
    assert till.world.state(rental) == "completed"
    till.agrees_with_provider()
    till.balances()


def test_who_pays_while_it_is_being_taken_gets_one_of_the_two_back(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.hears(till.world.provider.change(ref, status=PaymentStatus.FAILED))
    till.world.clock.turn(hours=24)
    till.deadlines()
    till.hears(till.agree(ref))  # it had not failed after all
    assert till.world.state(rental) == "completed"
    till.world.provider.loses_answers = True  # the hold is taken, and nobody hears of it
    till.world.send()
    till.world.provider.loses_answers = False
    till.all_runs()
    till.agrees_with_provider()
    till.balances()
    assert till.world.balance("provider_cash") == BILL
    assert till.mine("deposit") == till.mine("refund_due") == 0


@pytest.mark.parametrize("first", ["capture", "payment"])
def test_when_both_came_one_goes_back(till: Till, first: str) -> None:
    rental, ref = till.world.bill_asked()
    till.hears(till.world.provider.change(ref, status=PaymentStatus.FAILED))
    till.world.clock.turn(hours=24)
    till.deadlines()
    hold = till.world.provider.capture("fake-1", key=_capture_key(till), amount_minor=BILL)
    news = [hold, till.agree(ref)]
    for told in news if first == "capture" else reversed(news):
        till.hears(told)
    assert till.world.state(rental) == "completed"
    till.all_runs()
    assert till.world.balance("provider_cash") == BILL
    assert till.mine("deposit") == till.mine("refund_due") == 0
    assert "payment.refunded" in till.renter.news()
    till.agrees_with_provider()
    till.balances()


def _capture_key(till: Till) -> str:
    payment_id = till.world.provider.payments["fake-1"].reference
    return f"capture:{payment_id}"


def test_a_webhook_before_the_answer_twice_and_late_is_one_capture(till: Till) -> None:
    rental = till.unpaid()
    held = till.world.provider.payments["fake-1"]
    till.deadlines()
    till.world.provider.loses_answers = True
    till.world.send()
    taken = till.world.provider.payments["fake-1"]
    for told in (held, taken, held, taken, taken):
        till.hears(told)
    assert till.world.state(rental) == "completed"
    till.world.provider.loses_answers = False
    till.world.clock.turn(hours=1)
    till.all_runs()
    assert till.deposit(rental) == ("captured", BILL, BILL)
    till.agrees_with_provider()
    till.balances()


def test_a_capture_of_which_nothing_is_heard_is_asked_after(till: Till) -> None:
    rental = till.unpaid()
    till.deadlines()
    till.world.provider.capture("fake-1", key=_capture_key(till), amount_minor=BILL)
    till.world.clock.turn(hours=2)
    till.world.ask_in_doubt()
    assert till.world.state(rental) == "completed"
    till.balances()


def test_a_capture_that_is_refused_because_the_hold_is_over_leaves_the_bill_owed(
    till: Till,
) -> None:
    rental = till.unpaid()
    till.deadlines()
    till.world.provider.change("fake-1", status=PaymentStatus.EXPIRED)
    till.world.send()
    assert till.deposit(rental)[0] == "expired"
    assert till.world.state(rental) == "payment_due"
    assert till.owed(rental) == BILL
    till.agrees_with_provider()
    till.balances()
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    till.balances()


def test_a_capture_that_is_refused_for_no_reason_is_for_a_person_and_the_renter_may_pay(
    till: Till,
) -> None:
    rental = till.unpaid()
    till.deadlines()
    till.world.provider.change("fake-1", amount_minor=1)  # so that it declines
    till.world.send()
    till.world.provider.change("fake-1", amount_minor=DEPOSIT)
    assert till.world.state(rental) == "payment_due"
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    till.all_runs()
    assert till.deposit(rental)[0] == "released"
    till.agrees_with_provider()
    till.balances()


def test_a_taken_hold_of_another_amount_than_asked_is_followed_as_it_was_taken(
    till: Till,
) -> None:
    rental = till.unpaid()
    hold = till.world.provider.payments["fake-1"]
    taken = replace(hold, status=PaymentStatus.PAID, captured_minor=1000)
    till.world.provider.payments["fake-1"] = taken
    till.hears(taken)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", 1000, BILL)
    till.agrees_with_provider()
    till.balances()


def test_a_cancellations_bill_has_no_deposit_and_is_paid_as_any(till: Till) -> None:
    fees = {"cancel_accepted_minor": 200, "cancel_delivering_minor": 500}
    till.owner.did(f"/merchants/{till.merchant}/tariffs", {**TERMS, **fees})
    rental = till.world.ask()
    till.world.staff_does("accept")
    cancelled = till.renter.did(f"/rentals/{rental}/cancel", {"fee_minor": 200})
    assert cancelled["state"] == "payment_due"
    till.world.clock.turn(hours=24)
    assert till.deadlines() == 1
    assert till.world.send() == 0
    assert "rental.past_due" in till.renter.news()
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    assert till.world.balance("provider_cash") == 200
    till.agrees_with_provider()
    till.balances()


def test_a_batch_that_comes_to_nothing_keeps_none_after_it_waiting(till: Till) -> None:
    broken = ["A", "B", "C", "D"]

    def find(_session: Session, but: int) -> list[str]:
        return [*broken, "E"][but : but + 2]

    def act(_session: Session, rental_id: str) -> bool:
        if rental_id in broken:
            raise Refusal(Code.WRONG_STATE)
        return True

    assert money._each(till.world.database, find, act, batch=2) == 1


def test_those_that_were_tried_in_vain_are_left_out(till: Till) -> None:
    rental = till.unpaid()
    now = till.world.clock.now()
    with till.world.database.reading() as session:
        found = [dues.past_due(session, now=now, limit=1, but=but) for but in (0, 1)]
    assert found == [[rental], []]
