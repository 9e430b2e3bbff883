"""The merchant: their own banks, their lists, their totals."""

from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.acceptance.city import HERE, TERMS, THERE, Bank, City, Rental
from tests.acceptance.processes import until


def is_let_in(bank: Bank, secret: str) -> bool:
    """Whether the broker lets a bank in with this secret."""
    answers: list[bool] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id=bank.id, reconnect_on_failure=False)
    client.username_pw_set(bank.id, secret)
    client.on_connect = lambda _c, _d, _flags, reason, _p: answers.append(not reason.is_failure)
    client.on_disconnect = lambda *_: answers.append(False)
    client.connect(bank.host, bank.port)
    client.loop_start()
    try:
        until(lambda: answers, what="the broker answers")
    finally:
        client.disconnect()
        client.loop_stop()
    return answers[0]


@pytest.mark.row("M1")
def test_a_merchant_reports_their_own_banks_each_with_credentials(each_city: City) -> None:
    city = each_city
    shop = city.shop()
    one, other = shop.report(city.new_bank_id()), shop.report(city.new_bank_id())
    assert (one.host, one.port) == ("127.0.0.1", city.platform.bank_port)
    assert one.label != other.label
    until(lambda: is_let_in(one, one.secret), what="its credential is in force")
    until(lambda: is_let_in(other, other.secret), what="its credential is in force")
    assert not is_let_in(one, other.secret)
    city.switch_on(one)
    until(lambda: shop.stock(one)["rentable"], what=f"{one.id} is for rent")
    assert shop.stock(other)["state"] is None


@pytest.mark.row("M1")
def test_a_banks_secret_is_shown_once_and_can_be_replaced(city: City) -> None:
    shop = city.shop()
    bank = shop.report(city.new_bank_id())
    assert bank.secret not in shop.owner.get(f"/merchants/{shop.id}/banks").text
    again = {"bank_id": bank.id, "model": "LW-10K-A"}
    refusal = shop.owner.refused(f"/merchants/{shop.id}/banks", again)
    assert refusal["code"] == "bank_already_registered"
    assert bank.secret not in str(refusal)
    new = shop.owner.does(f"/merchants/{shop.id}/banks/{bank.id}/secret")["secret"]
    until(lambda: is_let_in(bank, new), what="the new secret is in force")
    assert not is_let_in(bank, bank.secret)


@pytest.mark.row("M1")
def test_only_an_approved_merchant_reports_and_only_onto_their_own_shop(city: City) -> None:
    owner, shop = city.person(), city.shop()
    body = {"bank_id": city.new_bank_id(), "model": "LW-10K-A"}
    pending = city.merchant(owner)
    refusal = owner.refused(f"/merchants/{pending}/banks", body)
    assert refusal["code"] == "merchant_not_approved"
    assert owner.refused(f"/merchants/{shop.id}/banks", body)["code"] == "not_found"


@pytest.mark.row("M2")
def test_the_merchants_orders_are_listed_by_state_each_with_what_it_takes(city: City) -> None:
    shop = city.shop(block_s=1, block_price_minor=7)
    fulfil = city.rental(shop)
    running = city.rental(shop).start()
    collect = city.rental(shop).start()
    done = city.rental(shop).start().complete()
    until(lambda: running.now()["duration_s"] >= 1, what="a second is billed")
    collect.ask_return()

    item = _the_one(fulfil, "to_fulfil")
    assert item["place"] == HERE

    item = _the_one(running, "in_progress")
    assert item["billing_start_at"] == running.now()["billing_start_at"]
    assert item["amount_minor"] >= TERMS["delivery_fee_minor"] + 7
    assert not item["is_final"]
    assert (item["tariff"]["block_s"], item["tariff"]["block_price_minor"]) == (1, 7)

    item = _the_one(collect, "to_collect")
    assert item["duration_s"] == collect.now()["duration_s"]
    assert item["return_place"] == THERE

    item, told = _the_one(done, "completed"), done.now()
    assert item["place"] == HERE
    for name in ("billing_start_at", "returned_at", "amount_minor"):
        assert item[name] == told[name] is not None
    assert item["is_final"]
    assert item["tariff"]["disclosure"]


def _the_one(rental: Rental, state: str) -> dict[str, Any]:
    """The only order in a list, with its number and order time."""
    (item,) = rental.shop.rentals(state)
    assert item["id"] == rental.id
    assert item["requested_at"] == rental.now()["requested_at"]
    return item


@pytest.mark.row("M3")
def test_device_totals_count_all_rentable_and_rented_out(city: City) -> None:
    shop = city.shop()
    assert shop.totals() == {"all": 0, "rentable": 0, "rented": 0}
    low, _free = city.bank(shop), city.bank(shop)
    city.simulator.do(low.id, "drain", to_pct=20)
    rental = city.rental(shop).start()
    until(lambda: not shop.stock(low)["rentable"], what="the low bank is not for rent")
    assert shop.totals() == {"all": 3, "rentable": 1, "rented": 1}
    rental.complete()
    rental.staff_does("collection", "check-in", qr_token=rental.bank.label)
    until(lambda: shop.stock(rental.bank)["rentable"], what="it is for rent again")
    assert shop.totals() == {"all": 3, "rentable": 2, "rented": 0}
