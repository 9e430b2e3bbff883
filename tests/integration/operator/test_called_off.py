"""An operator calls a rental off before the handover: for nothing, and everybody hears of it."""

from typing import Any

import pytest

from tests.integration.rentals.conftest import World

WHY = {"reason": "the street is flooded"}


def call_off(world: World, rental: str) -> Any:
    return world.people["operator"].post(f"/operator/rentals/{rental}/cancel", WHY)


@pytest.mark.parametrize("until", ["requested", "accepted", "delivering"])
def test_a_rental_called_off_costs_nothing_and_lets_go_of_its_bank(
    world: World, until: str
) -> None:
    world.market(cancel_accepted_minor=200, cancel_delivering_minor=300)
    rental = world.ask()
    if until != "requested":
        world.staff_does("accept")
    if until == "delivering":
        job = world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    called_off = call_off(world, rental).json()
    assert (called_off["state"], called_off["amount_minor"]) == ("cancelled", 0)
    assert world.rental(rental)["payments"] == []
    if until == "delivering":
        check_in = f"/staff/jobs/{job['id']}/check-in"
        world.people["staff"].did(check_in, {"qr_token": world.tokens["LW-0001"]})
    world.bank_is("LW-0001")
    assert world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")["rentable"]
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_renter_staff_and_owner_hear_that_it_is_off_and_why(world: World) -> None:
    world.market()
    rental = world.ask()
    world.staff_does("accept")
    call_off(world, rental)
    for who in ("renter", "staff", "owner"):
        assert {"rental.cancelled", "rental.put_right"} <= set(world.people[who].news()), who


def test_it_leaves_its_trace(world: World) -> None:
    world.market()
    rental = world.ask()
    call_off(world, rental)
    [change] = world.people["operator"].sees("/operator/audit", subject_id=rental)["items"]
    assert change["action"] == "rental.cancel"
    assert (change["before"], change["after"]) == ({"state": "requested"}, {"state": "cancelled"})
    assert change["why"] == WHY["reason"]


def test_once_it_was_handed_over_it_is_not_called_off(world: World) -> None:
    world.market()
    rental = world.delivered()
    answer = call_off(world, rental)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    assert call_off(world, "01J9ZV3C8R0000000000000000").status_code == 404
