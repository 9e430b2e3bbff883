"""A bank that feeds though nobody pays is told to stop: again, but neither at once nor for ever."""

from typing import Any

import pytest

from backend import sweeps
from backend.limits import STOP_AGAIN, STOPS_MAX
from gateway import events
from tests.integration.rentals.conftest import World

WHY = {"reason": "looked into"}


def feeds_for_nobody(world: World, **state: Any) -> None:
    world.market()
    world.bank_is("LW-0001", output="on", **state)
    world.since(events.OutputOn, "LW-0001")
    world.follow()


def fails(world: World) -> None:
    """The stop was sent, and the bank says no."""
    world.command_is("sent")
    world.ended(events.CommandFailed, "faulty")
    world.follow()


def looks(world: World) -> None:
    sweeps.stop_unpaid(world.database, now=world.clock.now())


def stops(world: World) -> int:
    return sum(kind == "charge_stop" for kind, _ in world.commands())


def stuck(world: World) -> list[dict[str, Any]]:
    items = world.people["operator"].sees("/operator/stuck")["items"]
    return [item for item in items if item["kind"] == "feeds_unpaid"]


def test_a_bank_that_says_no_is_not_told_again_at_once(world: World) -> None:
    feeds_for_nobody(world)
    for _ in range(5):
        world.clock.turn(seconds=1)
        fails(world)
        looks(world)
    assert stops(world) == 1


def test_it_is_told_again_after_a_while_though_it_says_nothing_new(world: World) -> None:
    feeds_for_nobody(world)
    fails(world)
    world.clock.time += STOP_AGAIN
    looks(world)
    assert world.commands() == [("charge_stop", "failed"), ("charge_stop", "created")]


def test_a_bank_that_is_away_is_not_told_until_it_is_back(world: World) -> None:
    feeds_for_nobody(world, presence="offline")
    for _ in range(5):
        world.clock.turn(seconds=61)
        looks(world)
    assert stops(world) == 0
    world.bank_is("LW-0001", output="on", presence="online")
    looks(world)
    assert stops(world) == 1


def test_a_stop_that_never_went_out_is_no_reason_to_wait(world: World) -> None:
    feeds_for_nobody(world)
    world.clock.turn(seconds=61)
    world.ended(events.CommandExpired, "not_sent")
    world.follow()
    assert world.commands() == [("charge_stop", "expired"), ("charge_stop", "created")]


def test_a_bank_that_feeds_anew_is_told_at_once(world: World) -> None:
    feeds_for_nobody(world)
    world.command_is("sent")
    world.bank_is("LW-0001", output="off")
    world.clock.turn(seconds=1)
    world.since(events.OutputOff, "LW-0001")
    world.ended(events.CommandDone)
    world.follow()
    world.clock.turn(seconds=5)
    world.bank_is("LW-0001", output="on")
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert world.commands() == [("charge_stop", "done"), ("charge_stop", "created")]


def test_told_often_enough_in_vain_it_is_an_operators(world: World) -> None:
    feeds_for_nobody(world)
    for _ in range(STOPS_MAX + 2):
        if ("charge_stop", "created") in world.commands():
            fails(world)
        assert stops(world) == STOPS_MAX or not stuck(world)
        world.clock.time += STOP_AGAIN
        world.bank_is("LW-0001", output="on")
        looks(world)
    assert stops(world) == STOPS_MAX
    [item] = stuck(world)
    assert (item["id"], item["detail"]) == (
        "LW-0001",
        {"bank_id": "LW-0001", "stops": str(STOPS_MAX)},
    )
    path = f"/operator/stuck/feeds_unpaid/{item['id']}/retry"
    world.people["operator"].did(path, WHY)
    assert stops(world) == STOPS_MAX + 1
    assert world.people["operator"].post(path, WHY).status_code == 404, "one at a time"
    world.bank_is("LW-0001", output="off")
    assert stuck(world) == []


@pytest.mark.parametrize("paid_for", ["renting", "only_claimed"])
def test_a_bank_that_is_paid_for_is_left_alone(world: World, paid_for: str) -> None:
    world.market()
    rental = world.renting()
    if paid_for == "only_claimed":
        place = {"lat": 31.23, "lng": 121.47, "address": "x"}
        world.people["renter"].did(f"/rentals/{rental}/claim-returned", place)
    looks(world)
    assert stops(world) == 0
    assert stuck(world) == []
