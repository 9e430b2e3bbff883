"""Renting: from the scanned label to a bank that charges, and the renter's list of it all."""

import time
from typing import Any

import pytest

from tests.acceptance.city import HERE, TERMS, City, Person, Rental
from tests.acceptance.hand_held import hand_held
from tests.acceptance.processes import until

AT_ONCE_S = 3.0
"""How long "at once" may take on a busy machine."""


@pytest.mark.row("R1")
def test_a_scanned_label_becomes_a_request_with_location_merchant_and_bank(city: City) -> None:
    shop, renter = city.shop(), city.person()
    bank = city.bank(shop, battery=90)
    scanned = renter.sees(f"/qr/{bank.token}", lat=HERE["lat"], lng=HERE["lng"])
    assert (scanned["rentable"], scanned["why_not"]) == (True, [])

    asked = renter.does("/rentals", {"qr_token": bank.label, **HERE})
    assert asked["state"] == "requested"
    for told in (asked, shop.rentals("to_fulfil")[0]):
        assert told["id"] == asked["id"]
        assert told["place"] == HERE
        assert told["merchant"]["id"] == shop.id
        assert told["merchant"] == scanned["merchant"]
        assert (told["bank"]["id"], told["bank"]["model"]) == (bank.id, "LW-10K-A")
        assert told["bank"]["state"]["battery_pct"] == 90
        assert told["bank"]["state"]["lock"] == "locked"


@pytest.mark.row("R1")
def test_a_scan_says_in_the_readers_words_why_a_bank_cannot_be_rented(city: City) -> None:
    shop, renter = city.shop(), city.person()
    bank = city.bank(shop)
    city.simulator.do(bank.id, "drain", to_pct=30)
    until(lambda: not city.offer(bank)["rentable"], what="the platform knows that it is low")
    told = {
        lang: renter.get(f"/qr/{bank.token}", lang=lang).json()["why_not"] for lang in ("zh", "en")
    }
    assert [why["code"] for why in told["zh"]] == ["low"]
    assert [why["code"] for why in told["en"]] == ["low"]
    assert told["zh"][0]["text"] != told["en"][0]["text"]
    refusal = renter.refused("/rentals", {"qr_token": bank.label, **HERE})
    assert (refusal["status"], refusal["code"]) == (409, "bank_unavailable")


@pytest.mark.row("R2")
def test_what_is_rented_is_any_individuals_own_bank_beside_the_platforms(city: City) -> None:
    somebody = city.person()
    assert somebody.sees("/me")["merchant_ids"] == []
    private, platforms = city.shop(somebody), city.shop(city.operator)
    assert somebody.sees("/me")["merchant_ids"] == [private.id]
    for shop in (private, platforms):
        rental = city.rental(shop).start()
        assert rental.now()["merchant"]["id"] == shop.id
        assert shop.rentals("in_progress")[0]["bank"]["id"] == rental.bank.id


@pytest.mark.row("R3")
def test_the_merchants_people_hear_place_and_bank_at_once(city: City) -> None:
    shop, renter, other = city.shop(), city.person(), city.shop()
    bank = city.bank(shop)
    with (
        shop.owner.listening() as owner,
        shop.staff.listening() as staff,
        other.owner.listening() as stranger,
    ):
        asked_s = time.monotonic()
        rental = city.rental(shop, bank, renter)
        for news in (owner, staff):
            heard = news.hears("rental.requested", rental_id=rental.id)
            assert heard.at_s - asked_s < AT_ONCE_S
            assert heard.data["place"] == HERE
            assert heard.data["bank"] == {"id": bank.id, "model": "LW-10K-A"}
        rental.staff_does("delivery", "accept")  # so that staff can set out
        owner.hears("rental.accepted", rental_id=rental.id)
        assert stranger.kinds() == ["hello"]


@pytest.mark.row("R7")
def test_the_scan_to_charge_is_answered_with_a_deposit_notice(city: City) -> None:
    rental = city.rental(city.shop())
    too_early = rental.renter.refused(f"/rentals/{rental.id}/scan", {"qr_token": rental.bank.token})
    assert too_early["code"] == "wrong_state"
    rental.bring()
    with rental.renter.listening() as news:
        notice = rental.scan()
        heard = news.hears("deposit.notice", rental_id=rental.id)
    assert heard.data["state"] == "deposit_due"
    assert (notice["amount_minor"], notice["currency"]) == (TERMS["deposit_minor"], "CNY")
    assert notice["disclosure"] == rental.now()["tariff"]["disclosure"]
    assert rental.now()["deposit"] is None
    unread = rental.renter.refused(f"/rentals/{rental.id}/deposit", {"accepted_disclosure": False})
    assert unread["code"] == "disclosure_not_accepted"


@pytest.mark.row("R7")
def test_only_the_label_of_the_delivered_bank_is_answered(city: City) -> None:
    shop = city.shop()
    rental, other = city.rental(shop).bring(), city.bank(shop)
    path = f"/rentals/{rental.id}/scan"
    assert rental.renter.refused(path, {"qr_token": other.label})["code"] == "wrong_bank"
    assert city.person().refused(path, {"qr_token": rental.bank.label})["code"] == "not_found"


@pytest.mark.row("R8")
def test_on_the_deposits_payment_and_only_then_the_bank_charges(each_city: City) -> None:
    city = each_city
    rental = city.rental(city.shop()).bring()
    page = rental.accept_notice()
    assert rental.now()["state"] == "deposit_due"
    assert city.simulator.acts(rental.bank.id) == []
    with rental.renter.listening() as renter, rental.shop.owner.listening() as owner:
        city.answer(page)
        for news in (renter, owner):
            news.hears("rental.renting", rental_id=rental.id)
    told = rental.reaches("renting")
    assert city.simulator.acts(rental.bank.id) == ["charge_start"]
    bank = city.simulator.look(rental.bank.id)["state"]
    assert (bank["lock"], bank["output"]) == ("unlocked", "on")
    assert {"lock": "unlocked", "is_feeding": True}.items() <= told["bank"]["state"].items()
    assert told["deposit"]["state"] == "held"
    assert told["confirmed_at"] is not None


@pytest.mark.row("R8")
def test_a_bank_held_in_the_hand_hears_nothing_before_the_deposit_is_paid(each_city: City) -> None:
    city = each_city
    shop = city.shop()
    with hand_held(city, shop) as held:
        rental = city.rental(shop, held.bank).bring()
        page = rental.accept_notice()
        paid_s = time.monotonic()
        city.answer(page)
        order = held.hears("charge_start")
        assert held.orders[0] == order
        assert order.at_s > paid_s
        assert rental.now()["state"] == "starting"
        held.obey(order)
        rental.reaches("renting")


@pytest.mark.row("R8")
def test_a_declined_deposit_starts_nothing(city: City) -> None:
    rental = city.rental(city.shop()).bring()
    with rental.renter.listening() as news:
        city.answer(rental.accept_notice(), action="decline")
        news.hears("payment.failed", rental_id=rental.id)
    assert rental.now()["state"] == "deposit_due"
    assert city.simulator.acts(rental.bank.id) == []
    city.answer(rental.accept_notice())  # and may be tried again
    rental.reaches("renting")


def _low(city: City, rental: Rental) -> None:
    city.simulator.do(rental.bank.id, "drain", to_pct=5)


def _jam(city: City, rental: Rental) -> None:
    city.simulator.do(rental.bank.id, "jam")


@pytest.mark.row("R8")
@pytest.mark.parametrize("happens", [_low, _jam])
def test_a_bank_that_will_not_start_frees_the_deposit_and_bills_nobody(
    city: City, happens: Any
) -> None:
    rental = city.rental(city.shop()).bring()
    page = rental.accept_notice()
    happens(city, rental)
    with rental.shop.owner.listening() as owner:
        city.answer(page)
        owner.hears("rental.start_failed", rental_id=rental.id)
    until(lambda: rental.now()["deposit"]["state"] == "released", what="the deposit is free")
    rental.staff_does("collection", "accept")
    rental.staff_does("collection", "collect", qr_token=rental.bank.label)
    told = rental.reaches("cancelled")
    assert (told["billing_start_at"], told["amount_minor"]) == (None, 0)
    assert [payment["purpose"] for payment in told["payments"]] == ["deposit"]
    assert [payment["state"] for payment in told["payments"]] == ["canceled"]


@pytest.mark.row("R9")
def test_the_renter_sees_all_their_orders_with_state_and_device_information(city: City) -> None:
    shop, renter = city.shop(), city.person()
    ended = city.rental(shop, renter=renter).start().complete()
    running = city.rental(shop, renter=renter).start()
    coming = city.rental(shop, renter=renter)
    coming.staff_does("delivery", "accept")
    city.rental(shop)  # somebody else's

    items = _all_pages(renter, limit=2)
    assert [item["id"] for item in items] == [coming.id, running.id, ended.id]
    assert [item["stage"] for item in items] == ["delivering", "renting", "completed"]
    assert {item["staff"] for item in items} == {"小王"}
    for item, rental in zip(items, (coming, running, ended), strict=True):
        assert item["bank"]["id"] == rental.bank.id
        assert item["bank"]["state"]["battery_pct"] > 0
    for item, starts, returns in zip(items, (False, True, True), (False, False, True), strict=True):
        assert (item["billing_start_at"] is not None) is starts
        assert (item["returned_at"] is not None) is returns
    assert [item["is_final"] for item in items] == [False, False, True]
    assert items[2]["amount_minor"] >= TERMS["delivery_fee_minor"]


def _all_pages(renter: Person, *, limit: int) -> list[dict[str, Any]]:
    page = renter.sees("/rentals", limit=limit)
    items = list(page["items"])
    while page["next"] is not None:
        page = renter.sees("/rentals", limit=limit, before=page["next"])
        items += page["items"]
    return items
