"""A merchant's score: from deliveries and charges, with its parts and why."""

from datetime import timedelta

import pytest

from backend import sweeps
from backend.db import scores as rows
from backend.domain import scoring
from backend.domain.errors import Code, Refusal
from backend.domain.scoring import UNKNOWN, Record
from backend.services import scores
from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import World


def kept(shop: Shop) -> scoring.Score:
    """What dispatch would rank by now."""
    with shop.world.database.reading() as session:
        return scores.of(session, [shop.id])[shop.id]


def sweep(world: World) -> int:
    return sweeps.work_out_scores(world.database, now=world.clock.now())


def cancelled(world: World, rental: str) -> None:
    world.people["renter"].did(f"/rentals/{rental}/cancel")


def test_a_newcomer_begins_in_the_middle_and_their_charge_counts(world: World) -> None:
    shop = Shop(world=world, id=world.market(banks=("LW-0001", "LW-0002", "LW-0003")))
    world.bank_is("LW-0002", battery=60)
    world.bank_is("LW-0003", battery=1, presence="offline")
    told = shop.sees("/score")

    assert (told["on_time_bp"], told["deliveries"]) == (None, 0)
    assert told["average_charge_pct"] == 75
    on_time, charge = told["parts"]
    assert (on_time["kind"], on_time["weight_pct"], on_time["points"]) == ("on_time", 70, 56)
    assert on_time["why"].startswith("No delivery of the last 30 days counts yet.")
    assert (charge["kind"], charge["weight_pct"]) == ("charge", 30)
    assert "75 % on average" in charge["why"]
    assert abs(told["score"] - on_time["points"] - charge["points"]) <= 1


def test_the_reasons_are_in_the_readers_language(shop: Shop) -> None:
    told = shop.in_chinese("GET", "/score").json()
    assert told["parts"][0]["why"].startswith("近30天尚無計入的配送。")


def test_a_delivery_by_the_promised_time_counts_and_a_late_one_does_not(
    world: World, shop: Shop
) -> None:
    world.delivered()
    told = shop.sees("/score")
    assert (told["deliveries"], told["on_time"], told["on_time_bp"]) == (1, 1, 10_000)
    assert told["average_charge_pct"] is None


def test_a_late_delivery_counts_against(world: World, shop: Shop) -> None:
    world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    world.clock.turn(hours=2)
    world.bank_is("LW-0001")
    world.staff_does("hand-over", qr_token=world.tokens["LW-0001"])

    told = shop.sees("/score")
    assert (told["deliveries"], told["on_time"], told["on_time_bp"]) == (1, 0, 0)
    assert "0 of 1 deliveries" in told["parts"][0]["why"]


def test_what_the_renter_calls_off_in_time_does_not_count(world: World, shop: Shop) -> None:
    cancelled(world, world.ask())
    assert shop.sees("/score")["deliveries"] == 0


def test_deliveries_leave_the_window(world: World, shop: Shop) -> None:
    world.delivered()
    world.clock.turn(days=31)
    del world.people["owner"]  # so long a sign-in does not last
    assert shop.sees("/score")["deliveries"] == 0


def test_the_kept_score_follows_soon_after_a_delivery(world: World, shop: Shop) -> None:
    sweep(world)
    assert kept(shop).record == Record(deliveries=0, on_time=0, average_charge_pct=90)
    assert sweep(world) == 0

    world.delivered()
    assert sweep(world) == 1
    assert kept(shop).record.deliveries == 1
    assert kept(shop).score == shop.sees("/score")["score"]


def test_a_kept_score_is_worked_out_again_now_and_then(world: World, shop: Shop) -> None:
    sweep(world)
    world.bank_is("LW-0001", battery=50)
    assert sweep(world) == 0
    world.clock.turn(seconds=scores.EVERY / timedelta(seconds=1))
    assert sweep(world) == 1
    assert kept(shop).average_charge_pct == 50


def test_a_sweep_does_a_bounded_piece_and_the_longest_waiting_first(world: World) -> None:
    shop = Shop(world=world, id=world.market())
    with world.database.writing() as session:
        rows.look_again(session, shop.id, now=world.clock.now())
    assert sweeps.work_out_scores(world.database, now=world.clock.now(), limit=0) == 0
    assert sweep(world) == 1


def test_of_two_workers_one_works_a_score_out(world: World, shop: Shop) -> None:
    now = world.clock.now()
    with world.database.writing() as session:
        assert scores.work_out(session, shop.id, now=now)
    with world.database.writing() as session:
        assert not scores.work_out(session, shop.id, now=now)


def test_a_merchant_that_was_never_scored_counts_as_a_newcomer(world: World) -> None:
    with world.database.reading() as session:
        told = scores.of(session, ["01J00000000000000000000000"])
    assert told == {"01J00000000000000000000000": scoring.score(UNKNOWN)}


@pytest.mark.parametrize("who", ["other", "staff"])
def test_a_score_is_shown_to_its_owner(world: World, shop: Shop, who: str) -> None:
    assert code_of(world.people[who].get(shop.path("/score"))) == (404, "not_found")


def test_a_score_that_cannot_be_worked_out_keeps_no_other_from_it(
    world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work_out(*_: object, **__: object) -> bool:
        raise Refusal(Code.NOT_FOUND)

    with world.database.writing() as session:
        rows.look_again(session, shop.id, now=world.clock.now())
    monkeypatch.setattr(scores, "work_out", work_out)
    assert sweep(world) == 0
    monkeypatch.undo()
    assert sweep(world) == 0, "the others come first"
    world.clock.turn(minutes=15)
    assert sweep(world) == 1
