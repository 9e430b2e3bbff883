"""A merchant says anew where and when it is open, and who works for it."""

from datetime import UTC, datetime

import pytest

from backend.db import market
from backend.db.places import cell_of
from backend.db.tables.market import MerchantRow
from backend.domain.geo import Point
from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import STAFF, World

THERE = {"lat": 39.9042, "lng": 116.4074, "address": "長安街 1 號"}
EVENINGS = {"sun": [["18:00", "02:00"]]}


def cell(shop: Shop) -> str:
    with shop.world.database.reading() as session:
        row = session.get(MerchantRow, shop.id)
        assert row is not None
        return row.cell


# -- itself ------------------------------------------------------------------------------


def test_a_merchant_is_found_by_the_cell_of_its_place_from_the_first_day(shop: Shop) -> None:
    mine = shop.sees("")
    assert cell(shop) == cell_of(Point(lat=mine["lat"], lng=mine["lng"]))


def test_what_is_left_out_of_a_change_stays(shop: Shop) -> None:
    before = shop.sees("")
    after = shop.does("", {"name": "阿明二號店"})
    assert after == {**before, "name": "阿明二號店"}
    assert shop.sees("") == after


def test_a_merchant_that_moves_is_found_at_its_new_place(shop: Shop) -> None:
    before = cell(shop)
    after = shop.does("", {**THERE, "service_radius_m": 800})
    assert {name: after[name] for name in THERE} == THERE
    assert after["service_radius_m"] == 800
    assert cell(shop) == cell_of(Point(lat=THERE["lat"], lng=THERE["lng"])) != before


def test_half_a_place_is_refused(shop: Shop) -> None:
    assert shop.refused("", {"lat": 1.0, "lng": 2.0})["code"] == "place_incomplete"
    assert shop.refused("", {"address": "somewhere"})["code"] == "place_incomplete"


def test_a_second_merchant_cannot_take_the_firsts_name(shop: Shop) -> None:
    mine = shop.sees("")
    names = ("timezone", "currency", "lat", "lng", "address", "service_radius_m")
    body = {name: mine[name] for name in names} | {"name": "小紅"}
    other = Shop(world=shop.world, id=shop.owner.did("/merchants", body)["id"])
    assert other.refused("", {"name": mine["name"]})["code"] == "merchant_name_taken"
    assert other.does("", {"name": "小紅"})["name"] == "小紅"


def test_banks_are_for_rent_in_the_hours_of_the_merchants_own_clock(
    world: World, shop: Shop
) -> None:
    assert shop.does("", {"hours": EVENINGS})["hours"] == EVENINGS
    # A Sunday in Shanghai, UTC+8.
    for at, is_open in (("09:59", False), ("10:00", True), ("17:59", True), ("18:00", False)):
        hour, minute = map(int, at.split(":"))
        world.clock.time = datetime(2026, 11, 22, hour, minute, tzinfo=UTC)
        world.bank_is("LW-0001")
        assert shop.bank()["rentable"] is is_open, at
    assert [reason["code"] for reason in shop.bank()["why_not"]] == ["closed"]

    shop.does("", {"hours": "always"})
    assert shop.sees("")["hours"] is None
    assert shop.bank()["rentable"]


def test_the_switch_closes_whatever_the_hours_say(shop: Shop) -> None:
    assert shop.does("", {"is_open": False})["is_open"] is False
    assert not shop.bank()["rentable"]
    shop.does("", {"is_open": True})
    assert shop.bank()["rentable"]


@pytest.mark.parametrize(
    ("hours", "where", "said"),
    [
        ({"monday": []}, "monday", "is none of mon to sun"),
        ({"tue": [["9", "10"]]}, "tue", "Tuesday needs times"),
        ({"wed": [["20:00", "02:00"]], "thu": [["01:00", "03:00"]]}, "thu", "spans that overlap"),
    ],
)
def test_hours_that_cannot_be_are_refused_with_the_day(
    shop: Shop, hours: dict[str, list[list[str]]], where: str, said: str
) -> None:
    refusal = shop.refused("", {"hours": hours})
    assert (refusal["code"], refusal["facts"]["where"]) == ("bad_hours", where)
    assert said in refusal["detail"]
    told = shop.in_chinese("POST", "", json={"hours": hours}, headers={"idempotency-key": "h"})
    assert "格式示例" in told.json()["detail"]
    assert shop.sees("")["hours"] is None


def test_nobody_else_sees_or_changes_a_merchant(shop: Shop) -> None:
    for who in ("other", "staff", "operator"):
        person = shop.world.people[who]
        assert code_of(person.get(shop.path())) == (404, "not_found")
        assert code_of(person.post(shop.path(), {"is_open": False})) == (404, "not_found")


# -- staff -------------------------------------------------------------------------------


def test_who_is_hired_is_on_shift(world: World, shop: Shop) -> None:
    (worker,) = shop.sees("/staff")["items"]
    assert worker["name"] == "小王"
    assert datetime.fromisoformat(worker["on_shift_since"]) == world.clock.now()
    assert worker["left_at"] is None


def test_who_is_let_go_has_no_more_rights_and_may_be_hired_again(world: World, shop: Shop) -> None:
    (worker,) = shop.sees("/staff")["items"]
    world.ask()
    job = world.job()["id"]
    gone = shop.does(f"/staff/{worker['id']}/leave")

    assert gone["left_at"] is not None
    assert shop.sees("/staff")["items"] == []
    assert world.people["staff"].sees("/staff/jobs")["items"] == []
    assert code_of(world.people["staff"].post(f"/staff/jobs/{job}/accept")) == (404, "not_found")
    assert world.people["staff"].news()[-1] == "staff.left"
    assert shop.does(f"/staff/{worker['id']}/leave") == gone

    again = shop.does("/staff", {"phone": STAFF, "name": "小王"})
    assert again["id"] != worker["id"]
    assert world.job()["id"] == job


def test_the_jobs_of_who_is_let_go_go_to_others(world: World, shop: Shop) -> None:
    rental = world.ask()
    world.staff_does("accept")
    (worker,) = shop.sees("/staff")["items"]
    shop.does(f"/staff/{worker['id']}/leave")

    assert world.rental(rental)["state"] == "requested"
    (offered,) = shop.owner.sees("/staff/jobs")["items"]
    assert offered["rental_id"] == rental
    shop.owner.did(f"/staff/jobs/{offered['id']}/accept")
    assert world.rental(rental)["state"] == "accepted"


def test_nobody_is_let_go_with_a_bank_in_hand(world: World, shop: Shop) -> None:
    rental = world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    (worker,) = shop.sees("/staff")["items"]

    refusal = shop.refused(f"/staff/{worker['id']}/leave")
    assert (refusal["code"], refusal["facts"]) == ("staff_has_bank", {"bank": "LW-0001"})
    assert shop.sees("/staff")["items"] == [worker]
    assert world.rental(rental)["state"] == "delivering"

    world.people["renter"].did(f"/rentals/{rental}/cancel")
    shop.does("/banks/LW-0001/receive", {"reason": "they brought it"})
    shop.does(f"/staff/{worker['id']}/leave")


def test_nobody_elses_staff_can_be_let_go(world: World, shop: Shop) -> None:
    (worker,) = shop.sees("/staff")["items"]
    other = world.people["other"]
    path = shop.path(f"/staff/{worker['id']}/leave")
    assert code_of(other.post(path)) == (404, "not_found")
    assert shop.refused("/staff/01J00000000000000000000000/leave")["code"] == "not_found"
    with world.database.reading() as session:
        assert len(market.staff(session, shop.id)) == 1
