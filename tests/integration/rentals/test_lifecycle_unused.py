"""Banks that were handed over and are not used, not fetched, or silent: each comes to an end."""

from datetime import timedelta

import pytest

from backend.db.seam import to_ms
from backend.domain.overdue import FETCH_AFTER
from backend.services.stuck import UNCOLLECTED_AFTER
from gateway import events
from tests.integration.rentals.conftest import HOME, World

BANK = "LW-0001"
WHY = {"reason": "they have it again"}


def looks_daily(world: World, *, days: int) -> None:
    """So many days pass; the bank goes on reporting, and is looked after."""
    for _ in range(days):
        world.clock.turn(days=1)
        world.bank_is(BANK, output="on")
        world.look_after_banks()
        world.follow()


# -- never plugged -------------------------------------------------------------------------


def test_a_bank_that_nothing_was_plugged_into_is_fetched_after_a_day(world: World) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    world.clock.turn(seconds=FETCH_AFTER.total_seconds() - 10)
    world.look_after_banks()
    assert world.state(rental) == "renting"
    world.clock.turn(seconds=10)
    world.look_after_banks()
    assert world.state(rental) == "returning"
    assert ("charge_stop", "created") in world.commands()
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens[BANK])
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("completed", 0)
    assert world.sum_of_books() == 0


def test_a_bank_that_was_plugged_in_is_not_fetched_but_paid_for(world: World) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    world.clock.turn(minutes=1)
    world.since(events.LoadPlugged, BANK)
    world.follow()
    looks_daily(world, days=1)
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("renting", 3500)


def test_a_plug_that_is_heard_of_late_is_billed_until_the_bank_was_asked_back(
    world: World,
) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    plugged_at = world.clock.now() + timedelta(hours=23, minutes=50)
    looks_daily(world, days=1)
    assert world.state(rental) == "returning"
    world.since(events.LoadPlugged, BANK, at=plugged_at)
    world.follow()
    assert world.rental(rental)["amount_minor"] == 600


# -- not fetched ---------------------------------------------------------------------------


def uncollected(world: World) -> list[dict[str, object]]:
    items = world.people["operator"].sees("/operator/stuck")["items"]
    return [item for item in items if item["kind"] == "uncollected"]


@pytest.mark.parametrize("fed", [True, False])
def test_what_nobody_fetches_comes_to_an_operator_who_closes_it(world: World, *, fed: bool) -> None:
    world.market()
    rental = world.renting() if fed else world.starting()
    if fed:
        world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    else:
        world.ended(events.CommandFailed, "faulty")
        world.follow()
        assert world.state(rental) == "start_failed"
    world.clock.turn(seconds=UNCOLLECTED_AFTER.total_seconds() - 10)
    assert uncollected(world) == []
    world.clock.turn(seconds=10)
    [item] = uncollected(world)
    assert (item["id"], item["acts"]) == (rental, ["close", "sell" if fed else "lose"])
    path = f"/operator/stuck/uncollected/{rental}"
    refused = world.people["operator"].post(f"{path}/{'lose' if fed else 'sell'}", WHY)
    assert refused.status_code == 409
    world.people["operator"].did(f"{path}/close", WHY)
    world.send()
    assert world.state(rental) == ("payment_due" if fed else "cancelled")
    assert world.holder(BANK) == "merchant"
    assert uncollected(world) == []


def test_a_claim_is_on_the_list_of_claims_alone(world: World) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/claim-returned", HOME)
    world.clock.turn(days=2)
    assert uncollected(world) == []


# -- missing -------------------------------------------------------------------------------


def test_a_missing_bank_is_looked_for_once_when_it_is_heard_again(world: World) -> None:
    world.market(cap_total_minor=99_000)
    rental = world.renting()
    for _ in range(3):
        world.clock.turn(hours=12)
        world.look_after_banks()
    assert world.rental(rental)["is_missing"]
    assert not sought(world)
    is_heard(world)
    assert sought(world) == ["created"]
    assert "rental.located" in world.people["owner"].news()
    world.clock.turn(minutes=1)
    is_heard(world)
    assert sought(world) == ["created"]
    for _ in range(3):
        world.clock.turn(hours=12)
        world.look_after_banks()
    is_heard(world)
    assert sought(world) == ["created", "created"]


def test_what_was_only_away_for_an_hour_is_not_looked_for(world: World) -> None:
    world.market()
    world.renting()
    world.clock.turn(hours=1)
    is_heard(world)
    assert not sought(world)


def test_what_was_found_is_looked_over_before_it_goes_out_again(world: World) -> None:
    world.market(cap_total_minor=99_000)
    rental = world.renting()
    for _ in range(3):
        world.clock.turn(hours=12)
        world.look_after_banks()
    is_heard(world)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens[BANK])
    world.staff_does("check-in", qr_token=world.tokens[BANK])
    offer = world.people["other"].sees(f"/qr/{world.tokens[BANK]}")
    assert "not_offered" in [why["code"] for why in offer["why_not"]]


def sought(world: World) -> list[str]:
    return [status for kind, status in world.commands() if kind == "locate"]


def is_heard(world: World) -> None:
    """The bank speaks again, after it was away."""
    world.bank_is(BANK, output="on")
    now_ms = to_ms(world.clock.now())
    world.tell(
        events.BankOnline(
            bank=BANK, key=f"online.{now_ms}", occurred_at_ms=now_ms, received_at_ms=now_ms
        )
    )
    world.follow()
