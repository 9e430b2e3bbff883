"""Following a delivery, hurrying it on, and what happens when it goes wrong."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.acceptance.city import (
    HERE,
    TERMS,
    Bank,
    City,
    Person,
    Rental,
    Shop,
    away,
    moment,
    new_town,
)
from tests.acceptance.processes import until
from tests.acceptance.stream import Stream

SLACK = timedelta(seconds=2)
"""Between two looks at the clock."""
PATIENCE = timedelta(minutes=10)
"""How long somebody is looked for."""

DELIVERY = {"delivery", "delivery_late"}
"""The lines of a bill that are about it: the fee, and what is taken off again."""

# -- R4: where it stands, and when it comes ---------------------------------------------


@pytest.mark.row("R4")
def test_the_renter_sees_state_and_arrival_on_request_and_live(city: City) -> None:
    rental = city.rental(city.shop())
    told = rental.delivery()
    assert (told["state"], told["staff"]) == ("requested", None)
    assert city.now() < moment(told, "eta_at") <= moment(told, "promised_at")
    assert told["minutes"] > 0
    with rental.renter.listening() as news:
        rental.staff_does("delivery", "accept")
        news.hears("rental.accepted", rental_id=rental.id)
        told = rental.delivery()
        assert (told["state"], told["staff"]) == ("accepted", "小王")
        rental.staff_does("delivery", "set-out", qr_token=rental.bank.label)
        news.hears("rental.delivering", rental_id=rental.id)
        for metres in (3_000, 200):
            before = rental.delivery()["minutes"]
            heard = len(etas(news))
            rental.shop.staff.does("/staff/position", where(away(metres, HERE)))
            until(lambda n=heard: len(etas(news)) > n, what=f"it is {metres} m away")
            told, live = rental.delivery(), etas(news)[-1]
            assert abs(moment(told, "eta_at") - moment(live, "eta_at")) < SLACK
            assert (told["minutes"] > before) is (metres == 3_000)
            assert abs(told["minutes"] - live["minutes"]) <= 1
        rental.staff_does("delivery", "hand-over", code=rental.now()["code"])
        news.hears("rental.delivered", rental_id=rental.id)
    told = rental.delivery()
    assert (told["state"], told["eta_at"], told["minutes"]) == ("delivered", None, None)
    assert not told["is_late"]
    assert not told["is_abnormal"]


def where(place: dict[str, Any]) -> dict[str, float]:
    """A place as a phone tells it."""
    return {"lat": place["lat"], "lng": place["lng"]}


def etas(news: Stream) -> list[dict[str, Any]]:
    """All that was said of the arrival."""
    return [event.data for event in news.heard if event.kind == "rental.eta"]


@pytest.mark.row("R4")
def test_where_staff_are_is_shown_only_while_they_are_on_the_way_to_you(city: City) -> None:
    shop = city.shop()
    rental, waiting = city.rental(shop), city.rental(shop)
    at = where(away(900, HERE))

    def is_at() -> None:
        shop.staff.does("/staff/position", at)

    rental.staff_does("delivery", "accept")
    waiting.staff_does("delivery", "accept")
    is_at()
    assert rental.delivery()["position"] is None
    rental.staff_does("delivery", "set-out", qr_token=rental.bank.label)
    assert rental.delivery()["position"] is None  # what was told before is not the renter's
    is_at()
    shown = rental.delivery()["position"]
    assert (shown["lat"], shown["lng"]) == (at["lat"], at["lng"])
    assert shown["age_s"] <= SLACK.total_seconds()
    assert waiting.delivery()["position"] is None
    stranger = city.person()
    assert stranger.get(f"/rentals/{rental.id}/delivery").status_code == 404
    rental.staff_does("delivery", "hand-over", code=rental.now()["code"])
    is_at()
    assert rental.delivery()["position"] is None


# -- R5: urging -------------------------------------------------------------------------


@pytest.mark.row("R5")
def test_an_urge_reaches_merchant_and_staff_and_the_merchant_reminds_the_staff(city: City) -> None:
    rental = city.rental(city.shop())
    shop, urge = rental.shop, f"/rentals/{rental.id}/urge"
    rental.staff_does("delivery", "accept")
    with shop.owner.listening() as owner, shop.staff.listening() as staff:
        assert rental.renter.does(urge)["urges"] == 1
        for news in (owner, staff):
            heard = news.hears("rental.urged", rental_id=rental.id).data
            assert (heard["kind"], heard["urges"]) == ("delivery", 1)
            assert heard["address"] == HERE["address"]
        assert shop.rentals("to_fulfil")[0]["urges"] == 1
        shop.owner.does(f"/merchants/{shop.id}/rentals/{rental.id}/remind")
        reminded = staff.hears("delivery.reminded", rental_id=rental.id).data
        assert (reminded["kind"], reminded["urges"]) == ("delivery", 1)
        assert "delivery.reminded" not in owner.kinds()
    (job,) = shop.staff.jobs(rental.id)
    assert (job["id"], job["urges"]) == (reminded["job_id"], 1)


@pytest.mark.row("R5")
def test_one_can_urge_before_anybody_accepted_and_for_a_collection_but_not_all_the_time(
    city: City,
) -> None:
    rental = city.rental(city.shop())
    urge = f"/rentals/{rental.id}/urge"
    with rental.shop.staff.listening() as staff:
        rental.renter.does(urge)
        staff.hears("rental.urged", rental_id=rental.id)
    again = rental.renter.post(urge)
    assert (again.status_code, again.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(again.headers["retry-after"]) <= 60
    assert city.person().refused(urge)["code"] == "not_found"
    other = city.rental(city.shop()).start()
    assert other.renter.refused(f"/rentals/{other.id}/urge")["code"] == "wrong_state"
    other.ask_return()
    with other.shop.staff.listening() as staff:
        other.renter.does(f"/rentals/{other.id}/urge")
        assert staff.hears("rental.urged", rental_id=other.id).data["kind"] == "collection"


# -- R6: it goes wrong ------------------------------------------------------------------


def two_shops(city: City) -> tuple[dict[str, Any], tuple[Shop, Bank], tuple[Shop, Bank]]:
    """A door, and two shops near it; the second one is dearer."""
    door = new_town()
    near = city.shop(at=away(300, door))
    far = city.shop(at=away(900, door), block_price_minor=900, delivery_fee_minor=900)
    return door, (near, city.bank(near)), (far, city.bank(far))


def fee(told: dict[str, Any]) -> int:
    """What the delivery costs on a bill."""
    return sum(line["amount_minor"] for line in told["lines"] if line["kind"] in DELIVERY)


def decline(who: Person, rental: Rental) -> None:
    (job,) = who.jobs(rental.id)
    who.does(f"/staff/jobs/{job['id']}/decline")


@pytest.mark.row("R6")
def test_declined_by_one_merchant_another_delivers_at_the_terms_that_were_shown(
    city: City,
) -> None:
    door, (near, bank), (far, other) = two_shops(city)
    rental = city.rental(near, bank, door=door)
    with rental.renter.listening() as renter, far.staff.listening() as asked:
        decline(near.staff, rental)
        decline(near.owner, rental)
        offered = asked.hears("job.offered", rental_id=rental.id).data
        moved = renter.hears("rental.reassigned", rental_id=rental.id).data
    assert offered["bank_id"] == other.id
    assert (moved["from_merchant_id"], moved["merchant_id"]) == (near.id, far.id)
    (job,) = far.staff.jobs(rental.id)
    assert job["is_from_another"]
    assert job["terms"]["block_price_minor"] == TERMS["block_price_minor"]
    assert near.staff.jobs(rental.id) == near.owner.jobs(rental.id) == []
    until(lambda: city.offer(bank)["rentable"], what="the first bank is for rent again")
    told = rental.brought_by(far, other).start().complete().now()
    assert (told["merchant"]["id"], told["bank"]["id"]) == (far.id, other.id)
    assert told["tariff"]["block_price_minor"] == TERMS["block_price_minor"]
    assert fee(told) == TERMS["delivery_fee_minor"]


@pytest.mark.row("R6")
def test_a_job_that_is_given_back_goes_to_a_colleague_at_once(city: City) -> None:
    door = new_town()
    shop = city.shop(at=away(300, door))
    rental = city.rental(shop, door=door)
    rental.staff_does("delivery", "accept")
    with rental.renter.listening() as renter, shop.owner.listening() as owner:
        rental.staff_does("delivery", "give-back", reason="a flat tyre")
        assert owner.hears("job.given_back", rental_id=rental.id).data["reason"] == "a flat tyre"
        owner.hears("job.offered", rental_id=rental.id)
        renter.hears("rental.abnormal", rental_id=rental.id, why="given_back")
    assert shop.staff.jobs(rental.id) == []
    colleague = replace(shop, staff=shop.owner)
    assert rental.brought_by(colleague, rental.bank).bring().now()["state"] == "delivered"


@pytest.mark.row("R6")
def test_late_after_the_pickup_a_substitute_goes_out_and_the_first_bank_is_tracked_home(
    city: City,
) -> None:
    door, (near, bank), (far, other) = two_shops(city)
    late = city.rental(near, bank, door=door).take_along()
    promised_at = moment(late.delivery(), "promised_at")
    with late.renter.listening() as renter, near.staff.listening() as staff:
        city.turn_past(promised_at, heard=(bank, other))
        for news in (renter, staff):
            assert news.hears("rental.abnormal", rental_id=late.id).data["why"] == "late"
        moved = renter.hears("rental.reassigned", rental_id=late.id).data
    assert (moved["from_merchant_id"], moved["merchant_id"]) == (near.id, far.id)
    told = late.delivery()
    assert told["is_late"]
    assert told["is_abnormal"]
    abnormal = city.operator.sees("/operator/rentals", abnormal=True, bank_id=other.id)["items"]
    assert [each["id"] for each in abnormal] == [late.id]

    (job,) = near.staff.jobs(late.id)  # at the door after all, and too late
    assert (job["state"], job["has_bank"]) == ("cancelled", True)
    proof = {"qr_token": bank.label}
    refusal = near.staff.refused(f"/staff/jobs/{job['id']}/hand-over", proof)
    assert refusal["code"] == "job_ended"

    substitute = late.brought_by(far, other).start()
    until(lambda: substitute.now()["amount_minor"], what="time is billed")
    told = substitute.complete().now()
    assert told["bank"]["id"] == other.id
    assert told["is_delivery_free"]
    assert fee(told) == 0

    assert not near.stock(bank)["rentable"]
    near.staff.does(f"/staff/jobs/{job['id']}/check-in", proof)
    until(lambda: near.stock(bank)["rentable"], what="the first bank is home, and for rent")


@pytest.mark.row("R6")
def test_who_does_not_set_out_is_relieved_by_another_bank_and_merchant(city: City) -> None:
    door, (near, bank), (far, other) = two_shops(city)
    rental = city.rental(near, bank, door=door)
    decline(near.owner, rental)
    rental.staff_does("delivery", "accept")
    promised_at = moment(rental.delivery(), "promised_at")
    with rental.renter.listening() as renter:
        city.turn_past(promised_at, heard=(bank, other))
        abnormal = renter.hears("rental.abnormal", rental_id=rental.id).data
        renter.hears("rental.reassigned", rental_id=rental.id)
    assert abnormal["why"] in {"late", "not_set_out"}
    assert near.staff.jobs(rental.id) == []
    told = rental.brought_by(far, other).bring().now()
    assert (told["state"], told["merchant"]["id"]) == ("delivered", far.id)


@pytest.mark.row("R6")
def test_with_nobody_left_it_is_honestly_given_up_and_everything_is_released(
    city: City,
) -> None:
    door = new_town()
    shop = city.shop(at=away(300, door))
    bank = city.bank(shop)
    rental = city.rental(shop, bank, door=door)
    decline(shop.staff, rental)
    decline(shop.owner, rental)
    assert rental.now()["state"] == "requested"  # somebody may come on shift yet
    with rental.renter.listening() as renter, shop.owner.listening() as owner:
        city.turn_past(moment(rental.now(), "requested_at") + PATIENCE, heard=(bank,))
        for news in (renter, owner):
            news.hears("rental.undeliverable", rental_id=rental.id)
    told = rental.now()
    assert (told["state"], told["stage"]) == ("undeliverable", "closed")
    assert told["closed_at"] is not None
    assert (told["amount_minor"], told["deposit"], told["payments"]) == (0, None, [])
    assert rental.delivery()["eta_at"] is None
    assert shop.orders("closed")["items"][0]["state"] == "undeliverable"
    assert city.offer(bank)["rentable"]
    assert city.rental(shop, bank, rental.renter, door=door).bring().now()["state"] == "delivered"


@pytest.mark.row("R6")
def test_the_only_bank_given_back_on_the_way_is_given_up_at_once_and_brought_home(
    city: City,
) -> None:
    door = new_town()
    shop = city.shop(at=away(300, door))
    rental = city.rental(shop, door=door).take_along()
    with rental.renter.listening() as renter:
        rental.staff_does("delivery", "give-back", reason="the road is closed")
        renter.hears("rental.undeliverable", rental_id=rental.id)
    assert not shop.stock(rental.bank)["rentable"]
    rental.staff_does("delivery", "check-in", qr_token=rental.bank.label)
    assert shop.stock(rental.bank)["rentable"]
