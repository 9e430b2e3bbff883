"""A merchant's banks: by page, one by one, offered and held back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backend.db.seam import to_ms
from backend.db.tables.market import BankRow
from backend.domain.custody import Holder
from gateway.tables import BankSample
from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import World


def set_bank(world: World, bank: str, **values: Any) -> None:
    """Write what an operator or a renter's mishap would have written."""
    with world.database.writing() as session:
        row = session.get(BankRow, bank)
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


def test_a_bank_is_reported_with_its_batch(shop: Shop) -> None:
    made = shop.does("/banks", {"bank_id": "LW-0002", "model": "LW-10K-A", "batch": "2026-W40"})
    assert made["secret"]
    assert shop.bank("LW-0002")["batch"] == "2026-W40"
    assert shop.bank("LW-0001")["batch"] == ""


def test_the_stock_is_paged_and_its_totals_are_of_all(world: World) -> None:
    ids = tuple(f"LW-{number:04}" for number in range(1, 8))
    shop = Shop(world=world, id=world.market(banks=ids))
    world.bank_is("LW-0003", battery=20)
    world.bank_is("LW-0004", presence="offline")
    world.ask("LW-0005")

    seen: list[str] = []
    after = ""
    while True:
        page = shop.sees("/banks", limit=3, after=after)
        assert page["totals"] == {"all": 7, "rentable": 4, "rented": 0}
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert tuple(seen) == ids


def test_a_bank_is_shown_with_its_health_its_levels_and_its_hands(world: World, shop: Shop) -> None:
    now = world.clock.now()
    with world.database.writing() as session:
        for hours, battery in ((30, 99), (2, 80), (1, 70)):
            at_ms = to_ms(now - timedelta(hours=hours))
            session.add(BankSample(bank_id="LW-0001", at_ms=at_ms, battery=battery, energy_mwh=1))
    world.bank_is("LW-0001", battery=65, faults="overheated")

    bank = shop.bank()
    assert bank["state"]["presence"] == "online"
    assert bank["state"]["faults"] == ["overheated"]
    assert [reason["code"] for reason in bank["why_not"]] == ["faulty"]
    assert [level["battery_pct"] for level in bank["levels"]] == [80, 70]
    week = shop.sees("/banks/LW-0001", hours=48)
    assert [level["battery_pct"] for level in week["levels"]] == [99, 80, 70]
    assert (bank["custody"], bank["rental_id"]) == ([], None)


def test_a_bank_that_was_out_tells_by_whose_hands(world: World, shop: Shop) -> None:
    rental = world.delivered()

    bank = shop.bank()
    hands = [(move["giver"], move["taker"], move["proof"]) for move in bank["custody"]]
    assert hands == [("staff", "renter", "scan"), ("merchant", "staff", "scan")]
    assert (bank["holder"], bank["rental_id"]) == ("renter", rental)
    assert shop.sees("/banks")["totals"] == {"all": 1, "rentable": 0, "rented": 1}


def test_a_bank_is_held_back_and_offered_again(shop: Shop) -> None:
    shop.does("/banks/LW-0001/withdraw")
    bank = shop.bank()
    assert not bank["is_offered"]
    assert [reason["code"] for reason in bank["why_not"]] == ["not_offered"]

    shop.does("/banks/LW-0001/offer")
    assert shop.bank()["rentable"]


def test_a_bank_that_is_out_is_neither_offered_nor_held_back(world: World, shop: Shop) -> None:
    world.delivered()
    for verb in ("offer", "withdraw", "inspected"):
        refusal = shop.refused(f"/banks/LW-0001/{verb}")
        assert refusal["code"] == "bank_not_at_home"
        assert refusal["facts"] == {"bank": "LW-0001", "holder": "renter"}
    assert "the renter" in refusal["detail"]


def test_a_bank_to_inspect_goes_out_only_once_it_was_looked_over(world: World, shop: Shop) -> None:
    set_bank(world, "LW-0001", is_to_inspect=True, is_offered=False)
    assert shop.bank()["is_to_inspect"]
    assert shop.refused("/banks/LW-0001/offer")["code"] == "bank_to_inspect"

    shop.does("/banks/LW-0001/inspected")
    bank = shop.bank()
    assert (bank["is_to_inspect"], bank["is_offered"], bank["rentable"]) == (False, True, True)


def test_a_recalled_bank_says_so_and_stays_at_home(world: World, shop: Shop) -> None:
    set_bank(world, "LW-0001", is_recalled=True, is_offered=False)
    assert shop.bank()["is_recalled"]
    for verb in ("offer", "inspected"):
        assert shop.refused(f"/banks/LW-0001/{verb}")["code"] == "bank_recalled"


def _to_inspect(world: World) -> None:
    set_bank(world, "LW-0001", is_to_inspect=True)


def _faulty(world: World) -> None:
    world.bank_is("LW-0001", faults="overheated")


def _jammed(world: World) -> None:
    world.bank_is("LW-0001", lock="jammed")


@pytest.mark.parametrize("becomes", [_to_inspect, _faulty, _jammed])
def test_a_bank_taken_back_by_word_is_for_rent_only_if_it_is_sound(
    world: World, shop: Shop, becomes: Callable[[World], None]
) -> None:
    rental = world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    busy = shop.refused("/banks/LW-0001/receive", {"reason": "they are back"})
    assert busy["code"] == "bank_with_rental"
    world.people["renter"].did(f"/rentals/{rental}/cancel")
    becomes(world)

    shop.does("/banks/LW-0001/receive", {"reason": "they are back"})
    bank = shop.bank()
    assert (bank["holder"], bank["is_offered"]) == ("merchant", False)


def test_a_bank_that_was_sold_is_listed_and_no_more_counted(world: World, shop: Shop) -> None:
    set_bank(world, "LW-0001", holder=Holder.SOLD, is_offered=False)
    stock = shop.sees("/banks")
    assert [item["holder"] for item in stock["items"]] == ["sold"]
    assert stock["totals"] == {"all": 0, "rentable": 0, "rented": 0}


def test_a_bank_that_is_held_back_leaves_the_rental_that_waits_for_it_to_another(
    world: World,
) -> None:
    shop = Shop(world=world, id=world.market(banks=("LW-0001", "LW-0002")))
    rental = world.ask("LW-0001")
    shop.does("/banks/LW-0001/withdraw")

    told = world.rental(rental)
    assert (told["state"], told["bank"]["id"]) == ("requested", "LW-0002")
    assert not shop.bank("LW-0001")["is_offered"]


@pytest.mark.parametrize("verb", ["offer", "withdraw", "inspected"])
def test_nobody_elses_bank_can_be_moved_in_or_out(shop: Shop, verb: str) -> None:
    other = shop.world.people["other"]
    assert code_of(other.post(shop.path(f"/banks/LW-0001/{verb}"))) == (404, "not_found")
    assert code_of(other.get(shop.path("/banks/LW-0001"))) == (404, "not_found")
    assert shop.refused(f"/banks/LW-9999/{verb}")["code"] == "not_found"
