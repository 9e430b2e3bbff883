"""A dispute freezes what is disputed, and nothing else."""

from typing import Any

import pytest
from sqlmodel import select

from backend.db.tables.audit import AuditRow
from backend.domain.errors import Code, Refusal
from tests.integration.money.conftest import BILL, Till


def _dispute(till: Till, rental: str, who: str = "renter", **body: Any) -> tuple[int, str]:
    said = {"disputed_minor": 500, "reason": "it was empty", **body}
    answer = till.world.people[who].post(f"/rentals/{rental}/disputes", said)
    return answer.status_code, answer.json().get("code", "")


def test_an_unpaid_bill_is_taken_from_the_deposit_less_what_is_disputed(till: Till) -> None:
    rental = till.unpaid()
    till.dispute(rental, 500)
    assert till.frozen(rental) == 500
    till.all_runs()
    assert till.deposit(rental) == ("secured", BILL, 400)
    assert till.mine("deposit") == 500
    assert till.world.state(rental) == "payment_due"
    assert till.owed(rental) == 500
    assert "dispute.opened" in till.renter.news()
    assert "dispute.opened" in till.owner.news()
    till.agrees_with_provider()
    till.balances()


@pytest.mark.parametrize(("granted", "billed"), [(0, BILL), (399, 501), (899, 1)])
def test_what_is_disputed_is_kept_of_the_deposit_until_it_is_decided(
    till: Till, granted: int, billed: int
) -> None:
    rental = till.unpaid()
    dispute = till.dispute(rental, BILL - 1)
    till.all_runs()
    assert till.deposit(rental) == ("secured", BILL, 1)
    till.world.clock.turn(days=10)  # nothing of it runs out
    till.world.people.clear()
    till.all_runs()
    assert till.deposit(rental) == ("secured", BILL, 1)

    till.decide(dispute, granted)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, billed)
    assert till.world.provider.payments["fake-1"].refunded_minor == BILL - billed
    assert till.mine("deposit") == till.mine("refund_due") == 0
    till.agrees_with_provider()
    till.balances()


def test_a_bill_that_is_disputed_whole_is_not_touched_and_then_taken_after_all(
    till: Till,
) -> None:
    rental = till.unpaid()
    dispute = till.dispute(rental, BILL)
    till.all_runs()
    assert till.deposit(rental)[0] == "held"
    answer = till.renter.post(f"/rentals/{rental}/payment")
    assert answer.json()["code"] == "nothing_to_pay"

    till.decide(dispute, 0)
    assert till.deadlines() == 0  # the renter may pay first, as any bill
    till.world.clock.turn(hours=24)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, BILL)
    till.agrees_with_provider()
    till.balances()


def test_the_renter_pays_what_is_not_disputed_and_then_the_rest_of_it(till: Till) -> None:
    rental = till.world.payment_due()
    dispute = till.dispute(rental, 500)
    ref = till.pay(rental)
    assert till.world.provider.payments[ref].amount_minor == 400
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "payment_due"
    till.decide(dispute, 200)
    ref = till.pay(rental)
    assert till.world.provider.payments[ref].amount_minor == 300
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    assert till.row(rental).credited_minor == 200
    till.balances()


def test_a_dispute_that_is_upheld_whole_before_it_is_paid_ends_the_rental(till: Till) -> None:
    rental = till.world.payment_due()
    till.decide(till.dispute(rental, BILL), BILL)
    assert till.world.state(rental) == "completed"
    assert "dispute.upheld" in till.renter.news()
    till.world.send()
    assert till.deposit(rental)[0] == "released"
    till.balances()


def test_after_it_was_paid_only_the_disputed_part_stays_unsettled(till: Till) -> None:
    rental = till.paid()
    till.world.clock.turn(days=6, hours=23)
    dispute = till.dispute(rental, 500)
    till.world.clock.turn(hours=2)
    till.settle()
    assert till.mine("merchant_available") == 360
    assert till.mine("merchant_pending") == 450

    till.decide(dispute, 200)
    till.settle()
    assert till.mine("merchant_pending") == 0
    assert till.mine("merchant_available") == 810 - 180
    till.world.send()
    assert till.world.provider.payments["fake-2"].refunded_minor == 200
    till.agrees_with_provider()
    till.balances()


def test_a_merchant_sees_a_dispute_and_concedes_it(till: Till) -> None:
    rental = till.paid()
    dispute = till.dispute(rental, 500)
    [seen] = till.owner.sees(f"/merchants/{till.merchant}/disputes", state="open")["items"]
    assert (seen["id"], seen["reason"]) == (dispute, "it was empty")
    ended = till.owner.did(f"/merchants/{till.merchant}/disputes/{dispute}/concede")
    assert (ended["state"], ended["granted_minor"]) == ("upheld", 500)
    till.world.send()
    assert till.world.provider.payments["fake-2"].refunded_minor == 500
    assert till.owner.sees(f"/merchants/{till.merchant}/disputes", state="open")["items"] == []
    till.balances()


def test_a_renter_withdraws_a_dispute_and_the_bill_stands(till: Till) -> None:
    rental = till.world.payment_due()
    dispute = till.dispute(rental, 500)
    path = f"/rentals/{rental}/disputes"
    assert till.renter.did(f"{path}/{dispute}/withdraw")["state"] == "withdrawn"
    assert till.frozen(rental) == 0
    assert till.owed(rental) == BILL
    assert [each["state"] for each in till.renter.sees(path)["items"]] == ["withdrawn"]
    till.balances()


def test_one_dispute_at_a_time_and_three_in_all(till: Till) -> None:
    rental = till.paid()
    for _ in range(3):
        dispute = till.dispute(rental, 100)
        assert _dispute(till, rental) == (409, "already_disputed")
        till.decide(dispute, 0)
    assert _dispute(till, rental) == (409, "already_disputed")


def test_no_more_than_is_left_of_the_bill_can_be_disputed(till: Till) -> None:
    rental = till.paid()
    till.credit(rental, 300)
    assert _dispute(till, rental, disputed_minor=601) == (422, "more_than_billed")
    assert _dispute(till, rental, disputed_minor=0) == (422, "invalid_request")
    assert _dispute(till, rental, disputed_minor=600)[0] == 201


def test_a_bill_is_disputed_when_there_is_one_and_for_a_week(till: Till) -> None:
    rental = till.world.renting()
    assert _dispute(till, rental) == (409, "wrong_state")
    till.world.clock.turn(hours=1)
    till.renter.did(f"/rentals/{rental}/return", {"lat": 31.2, "lng": 121.4, "address": "door"})
    till.world.staff_does("accept")
    till.world.staff_does("collect", qr_token=till.world.tokens["LW-0001"])
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    till.world.clock.turn(days=7)
    assert _dispute(till, rental) == (409, "dispute_too_late")


@pytest.mark.parametrize("who", ["other", "owner", "staff"])
def test_somebody_elses_dispute_is_not_found(till: Till, who: str) -> None:
    rental = till.paid()
    assert _dispute(till, rental, who=who) == (404, "not_found")
    dispute = till.dispute(rental, 500)
    person = till.world.people[who]
    for answer in (
        person.get(f"/rentals/{rental}/disputes"),
        person.post(f"/rentals/{rental}/disputes/{dispute}/withdraw"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    if who != "owner":
        answer = person.post(f"/merchants/{till.merchant}/disputes/{dispute}/concede")
        assert answer.status_code in {403, 404}


def test_a_dispute_ends_once(till: Till) -> None:
    rental = till.paid()
    dispute = till.dispute(rental, 500)
    till.decide(dispute, 500)
    answer = till.owner.post(f"/merchants/{till.merchant}/disputes/{dispute}/concede")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    with pytest.raises(Refusal):
        till.decide(dispute, 100)
    assert till.row(rental).credited_minor == 500
    till.balances()


def test_no_more_is_granted_than_is_disputed(till: Till) -> None:
    dispute = till.dispute(till.paid(), 500)
    with pytest.raises(Refusal) as refused:
        till.decide(dispute, 501)
    assert refused.value.code is Code.MORE_THAN_DISPUTED


def test_a_decision_leaves_a_trace(till: Till) -> None:
    dispute = till.dispute(till.paid(), 500)
    till.decide(dispute, 200)
    with till.world.database.reading() as session:
        [row] = session.exec(select(AuditRow).where(AuditRow.subject_id == dispute)).all()
        assert (row.action, row.why) == ("dispute.decide", "the log says so")


def test_disputing_twice_with_one_key_is_one_dispute(till: Till) -> None:
    rental = till.paid()
    body = {"disputed_minor": 500, "reason": "it was empty"}
    first = till.renter.post(f"/rentals/{rental}/disputes", body, key="k1")
    again = till.renter.post(f"/rentals/{rental}/disputes", body, key="k1")
    assert first.json() == again.json()
