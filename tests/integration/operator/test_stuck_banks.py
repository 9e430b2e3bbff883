"""What banks said and was not believed, and stops of which nobody knows, are on the one list."""

from typing import Any

import pytest

from gateway.tables import DeadLetter
from tests.integration.rentals.conftest import HOME, World

WHY = {"reason": "looked into"}
LETTER = "a" * 64


def stuck(world: World) -> list[dict[str, Any]]:
    return list(world.people["operator"].sees("/operator/stuck")["items"])


def act(world: World, item: dict[str, Any], act: str) -> Any:
    path = f"/operator/stuck/{item['kind']}/{item['id']}/{act}"
    return world.people["operator"].post(path, WHY)


@pytest.fixture
def letter(world: World) -> dict[str, Any]:
    """A message that was not believed, as the list shows it."""
    with world.database.writing() as session:
        session.add(
            DeadLetter(
                id=LETTER,
                topic="lw/v1/LW-0001/state",
                payload=b"{}",
                reason="bad_field",
                detail="battery",
                received_at_ms=5,
            )
        )
    [item] = stuck(world)
    return item


def test_a_dead_letter_is_listed_with_what_may_be_done(letter: dict[str, Any]) -> None:
    assert (letter["kind"], letter["id"]) == ("dead_letter", LETTER)
    assert letter["acts"] == ["replay", "put_aside"]
    assert letter["detail"]["reason"] == "bad_field"


def test_a_dead_letter_that_is_replayed_stays_until_the_gateway_has_taken_it_in(
    world: World, letter: dict[str, Any]
) -> None:
    assert act(world, letter, "replay").is_success
    [item] = stuck(world)
    assert item["acts"] == ["put_aside"], "it is wanted already"
    [seen] = world.people["operator"].sees("/operator/dead-letters")["items"]
    assert seen["is_wanted"]


def test_a_dead_letter_that_is_put_aside_is_off_the_list_with_one_trace(
    world: World, letter: dict[str, Any]
) -> None:
    assert act(world, letter, "put_aside").is_success
    assert stuck(world) == []
    assert act(world, letter, "put_aside").json()["code"] == "wrong_state"
    trace = world.people["operator"].sees("/operator/audit", subject_id=LETTER)["items"]
    assert [change["action"] for change in trace] == ["dead_letter.put_aside"]


def stopped_in_doubt(world: World) -> str:
    """A rental whose bank was told to stop, and is silent since."""
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert world.commands()[-1] == ("charge_stop", "created")
    world.command_is("unknown")
    world.bank_is("LW-0001", output="on", presence="offline")
    return rental


def test_a_stop_of_which_nobody_knows_is_listed_after_an_hour(world: World) -> None:
    rental = stopped_in_doubt(world)
    assert stuck(world) == []
    world.clock.turn(minutes=70)
    [item] = stuck(world)
    assert item["kind"] == "stop_in_doubt"
    assert item["detail"] == {"bank_id": "LW-0001", "cause": rental}


def test_a_stop_in_doubt_is_put_aside_once(world: World) -> None:
    stopped_in_doubt(world)
    world.clock.turn(minutes=70)
    [item] = stuck(world)
    assert act(world, item, "put_aside").is_success
    assert stuck(world) == []
    assert world.commands()[-1] == ("charge_stop", "failed")
    assert act(world, item, "put_aside").status_code == 404


def test_the_banks_next_word_takes_it_off_the_list(world: World) -> None:
    stopped_in_doubt(world)
    world.clock.turn(minutes=70)
    world.command_is("done")
    assert stuck(world) == []
