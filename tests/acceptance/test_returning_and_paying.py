"""Returning and paying: from the request to be fetched to the receipt."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.city import THERE, City, Rental, moment
from tests.acceptance.hand_held import hand_held
from tests.acceptance.processes import until

PER_SECOND: dict[str, Any] = {"block_s": 1, "block_price_minor": 7, "delivery_fee_minor": 500}
"""A price that shows every second."""


def oracle(told: dict[str, Any]) -> int:
    """The bill, from what the renter is shown: worked out apart from the platform."""
    tariff = told["tariff"]
    seconds = (moment(told, "returned_at") - moment(told, "billing_start_at")) // timedelta(
        seconds=1
    )
    blocks = -(-max(0, seconds - tariff["free_s"]) // tariff["block_s"])
    time_minor = min(blocks * tariff["block_price_minor"], tariff["cap_24h_minor"])
    return int(min(time_minor + tariff["delivery_fee_minor"], tariff["cap_total_minor"]))


@pytest.mark.row("P1")
def test_a_return_request_with_its_location_reaches_the_merchants_people(city: City) -> None:
    rental = city.rental(city.shop()).start()
    with rental.shop.owner.listening() as owner, rental.shop.staff.listening() as staff:
        rental.ask_return()
        for news in (owner, staff):
            heard = news.hears("rental.return_requested", rental_id=rental.id)
            assert heard.data["return_place"] == THERE
            assert heard.data["bank"]["id"] == rental.bank.id
    job = rental.staff_does("collection", "accept")  # so they can send staff
    assert job["place"] == THERE
    assert rental.now()["collector"] == "小王"


@pytest.mark.row("P2")
def test_the_return_time_is_the_request_however_late_the_collection(city: City) -> None:
    rental = city.rental(city.shop(**PER_SECOND)).start()
    until(lambda: rental.now()["duration_s"] >= 1, what="a second is billed")
    asked = rental.ask_return()
    frozen = asked["amount_minor"], asked["duration_s"]
    until(lambda: _locked_for_s(rental) >= 1, what="a second goes by")
    rental.collect()
    told = rental.reaches("payment_due")
    assert told["returned_at"] == told["return_requested_at"]
    assert moment(told, "returned_at") < moment(told, "collected_at")
    assert (told["amount_minor"], told["duration_s"]) == frozen


def _locked_for_s(rental: Rental) -> int:
    """For how long the bank has said that it is locked, 0 while it does not."""
    state = rental.now()["bank"]["state"]
    return int(state["age_s"]) if state["lock"] == "locked" else 0


@pytest.mark.row("P2")
def test_a_bank_that_went_off_for_good_before_the_request_ends_billing_then(city: City) -> None:
    shop = city.shop(**PER_SECOND)
    with hand_held(city, shop) as held:
        rental = city.rental(shop, held.bank).bring()
        city.answer(rental.accept_notice())
        held.obey(held.hears("charge_start"))
        rental.reaches("renting")
        until(lambda: rental.now()["duration_s"] >= 2, what="two seconds are billed")
        held.tell(output="off", output_ms=held.up_ms - 1_000)
        until(lambda: not rental.now()["bank"]["state"]["is_feeding"], what="the bank is off")
        rental.ask_return()
        rental.collect()
        told = rental.reaches("payment_due")
    early = moment(told, "return_requested_at") - moment(told, "returned_at")
    assert timedelta(seconds=1) <= early < timedelta(seconds=10)
    assert told["amount_minor"] == oracle(told)


@pytest.mark.row("P3")
@pytest.mark.parametrize("starts", ["arrival", "unlocked"])
def test_billing_starts_at_arrival_or_unlocking_once_the_bank_feeds(
    city: City, starts: str
) -> None:
    rental = city.rental(city.shop(**PER_SECOND, billing_start=starts)).start()
    told = rental.now()
    named = {"arrival": "hand_over", "unlocked": "scan"}[starts]
    at = next(step["at"] for step in told["steps"] if step["event"] == named)
    assert told["billing_start_at"] == max(at, told["confirmed_at"], key=datetime.fromisoformat)
    _is_billed_to_the_second(rental)


@pytest.mark.row("P3")
def test_billing_starts_when_a_load_is_plugged_in_and_charging(city: City) -> None:
    rental = city.rental(city.shop(**PER_SECOND, billing_start="plugged")).start()
    assert (rental.now()["billing_start_at"], rental.now()["amount_minor"]) == (None, 0)
    city.simulator.do(rental.bank.id, "plug")
    until(lambda: rental.now()["billing_start_at"], what="the load is heard of")
    told = rental.now()
    assert moment(told, "billing_start_at") > moment(told, "confirmed_at")
    _is_billed_to_the_second(rental)


def _is_billed_to_the_second(rental: Rental) -> None:
    until(lambda: rental.now()["duration_s"] >= 1, what="a second is billed")
    running = rental.now()
    assert not running["is_final"]
    rental.ask_return()
    rental.collect()
    told = rental.reaches("payment_due")
    assert told["is_final"]
    assert (
        told["amount_minor"] == oracle(told) == sum(line["amount_minor"] for line in told["lines"])
    )
    assert running["amount_minor"] <= told["amount_minor"]
    assert told["amount_minor"] > PER_SECOND["delivery_fee_minor"]


@pytest.mark.row("P4")
def test_a_pending_payment_order_is_raised_and_pushed_to_the_renter(city: City) -> None:
    rental = city.rental(city.shop(**PER_SECOND)).start()
    rental.ask_return()
    with rental.renter.listening() as news:
        rental.collect()
        heard = news.hears("rental.payment_due", rental_id=rental.id).data
    told = rental.now()
    assert told["state"] == "payment_due"
    assert told["is_final"]
    assert heard["amount_minor"] == told["amount_minor"] >= PER_SECOND["delivery_fee_minor"]
    for name in ("billing_start_at", "returned_at"):
        assert moment(heard, name) == moment(told, name)


@pytest.mark.row("P5")
def test_on_payment_and_only_then_the_order_completes_and_the_deposit_is_free(
    each_city: City,
) -> None:
    city = each_city
    rental = city.rental(city.shop()).bring()
    deposit_page = rental.accept_notice()
    city.answer(deposit_page)
    rental.reaches("renting")
    rental.ask_return()
    rental.collect()
    with rental.renter.listening() as news:
        city.answer(rental.ask_bill(), action="decline")
        news.hears("payment.failed", rental_id=rental.id)
        told = rental.now()
        assert (told["state"], told["deposit"]["state"]) == ("payment_due", "held")
        receipt = city.answer(rental.ask_bill(), lang="en")
        news.hears("rental.completed", rental_id=rental.id)
    told = rental.reaches("completed")
    assert f"{told['amount_minor'] / 100:.2f}" in receipt
    assert told["stage"] == "completed"
    assert told["closed_at"] is not None
    until(lambda: rental.now()["deposit"]["state"] == "released", what="the deposit is free")
    states = {(each["purpose"], each["state"]) for each in rental.now()["payments"]}
    assert states == {("deposit", "canceled"), ("bill", "failed"), ("bill", "paid")}
