"""A broken bank is swapped for another one, for nothing."""

from dataclasses import replace
from typing import Any

import pytest

from backend.domain.dispatch import Ranked
from backend.services import choice
from gateway import events
from tests.integration.rentals.conftest import HOME

BANKS = ("LW-0001", "LW-0002", "LW-0003", "LW-0004")


def _swap(world: Any, rental: str) -> Any:
    return world.people["renter"].post(f"/rentals/{rental}/swap", {"reason": "cable broken"})


def _others_are_well(world: Any) -> None:
    for bank in BANKS[1:]:
        world.bank_is(bank)


def _job_of(world: Any, rental: str) -> dict[str, Any]:
    jobs = world.people["staff"].sees("/staff/jobs")["items"]
    return dict(next(job for job in jobs if job["rental_id"] == rental))


def _does(world: Any, rental: str, verb: str, **body: Any) -> None:
    path = f"/staff/jobs/{_job_of(world, rental)['id']}/{verb}"
    world.people["staff"].did(path, body or None)


def _brought(world: Any, rental: str, *, is_started: bool = True) -> None:
    """The substitute is brought, and feeds, or never does."""
    bank = world.rental(rental)["bank"]["id"]
    label = world.tokens[bank]
    _does(world, rental, "accept")
    _does(world, rental, "set-out", qr_token=label)
    world.bank_is(bank)
    _does(world, rental, "hand-over", qr_token=label)
    me = world.people["renter"]
    me.did(f"/rentals/{rental}/scan", {"qr_token": label})
    payment = me.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.send()
    world.notice(world.provider.agree(world.ref(payment["id"])))
    world.clock.turn(seconds=2)
    if is_started:
        world.feeds(bank)
    else:
        world.ended(events.CommandExpired, "not_carried_out")
    world.follow()


def test_a_swapped_bank_is_fetched_and_another_brought_under_the_same_terms(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.renting()
    world.clock.turn(hours=1)
    _others_are_well(world)
    answer = _swap(world, old)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert new["id"] != old
    assert (new["state"], new["replaces_id"]) == ("requested", old)
    assert new["is_delivery_free"]
    assert new["bank"]["id"] in BANKS[1:]
    assert new["tariff"] == world.rental(old)["tariff"]
    assert (new["cancel_fee_minor"], new["cancel_stage"]) == (0, "excused")
    assert world.state(old) == "returning"
    assert world.rental(old)["amount_minor"] == 900
    assert _job_of(world, old)["kind"] == "collection"


def test_a_substitute_costs_no_delivery_and_renews_no_free_minutes(world: Any) -> None:
    world.market(banks=BANKS, free_s=600)
    old = world.renting()
    world.clock.turn(minutes=8)
    _others_are_well(world)
    new = _swap(world, old).json()["id"]
    world.clock.turn(minutes=30)
    _brought(world, new)
    world.clock.turn(minutes=3)
    told = world.rental(new)
    assert told["state"] == "renting"
    assert [(line["kind"], line["amount_minor"]) for line in told["lines"]] == [
        ("blocks", 100),
        ("delivery", 500),
        ("delivery_late", -500),
    ]


def test_a_swap_does_not_begin_the_daily_cap_anew(world: Any) -> None:
    world.market(banks=BANKS, cap_24h_minor=1000)
    old = world.renting()
    world.clock.turn(hours=6)
    _others_are_well(world)
    new = _swap(world, old).json()["id"]
    assert world.rental(old)["amount_minor"] == 1500
    world.clock.turn(minutes=30)
    _brought(world, new)
    world.clock.turn(hours=6)
    told = world.rental(new)
    assert (told["state"], told["amount_minor"]) == ("renting", 0)
    assert told["lines"][:2] == [
        {"kind": "blocks", "quantity": 24, "amount_minor": 2400},
        {"kind": "cap_24h", "quantity": 1, "amount_minor": -2400},
    ]
    assert told["duration_s"] == 6 * 3600
    world.clock.turn(hours=13)
    assert world.rental(new)["amount_minor"] == 400  # an hour of the second day
    assert _billed(world, new) == 400
    assert _billed(world, old) == 1500


def _billed(world: Any, rental: str) -> int:
    """Fetched, if it was not sent for already, and billed."""
    bank = world.rental(rental)["bank"]["id"]
    if world.state(rental) == "renting":
        world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    _does(world, rental, "accept")
    _does(world, rental, "collect", qr_token=world.tokens[bank])
    _does(world, rental, "check-in", qr_token=world.tokens[bank])
    told = world.rental(rental)
    assert told["is_final"]
    return int(told["amount_minor"])


def test_what_was_used_before_a_swap_counts_against_the_price_of_the_bank(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.renting()
    world.clock.turn(hours=1)
    _others_are_well(world)
    new = _swap(world, old).json()["id"]
    world.clock.turn(minutes=5)
    _brought(world, new)
    world.clock.turn(hours=1)
    me = world.people["renter"]
    assert world.rental(new)["buy_out_minor"] == 9900 - 900
    dear = me.post(f"/rentals/{new}/buy-out", {"amount_minor": 9900})
    assert (dear.json()["code"], dear.json()["facts"]["expected_minor"]) == (
        "amount_mismatch",
        9000,
    )
    bought = me.did(f"/rentals/{new}/buy-out", {"amount_minor": 9000})
    assert bought["amount_minor"] == 9000
    assert [(line["kind"], line["amount_minor"]) for line in bought["lines"]][-1] == (
        "buy_out",
        8600,
    )


def test_a_substitute_counts_as_bought_when_all_banks_together_cost_the_cap(world: Any) -> None:
    world.market(banks=BANKS, cap_24h_minor=1000, cap_total_minor=2500, deposit_minor=2500)
    old = world.renting()
    world.clock.turn(hours=6)
    _others_are_well(world)
    new = _swap(world, old).json()["id"]
    world.clock.turn(minutes=5)
    _brought(world, new)
    world.clock.turn(hours=30)
    world.look_after_banks()
    told = world.rental(new)
    assert (told["state"], told["amount_minor"]) == ("payment_due", 1000)
    assert told["bought_out_at"] is not None


def test_a_bank_that_never_started_is_passed_over_for_what_was_used_before(world: Any) -> None:
    world.market(banks=BANKS, free_s=600)
    first = world.renting()
    world.clock.turn(minutes=8)
    _others_are_well(world)
    second = _swap(world, first).json()["id"]
    world.clock.turn(minutes=5)
    _brought(world, second, is_started=False)
    _others_are_well(world)
    third = _swap(world, second).json()["id"]
    world.clock.turn(minutes=5)
    _brought(world, third)
    world.clock.turn(minutes=3)
    assert world.rental(third)["amount_minor"] == 100


def test_swapping_twice_is_one_substitute(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.renting()
    _others_are_well(world)
    assert _swap(world, old).json()["id"] == _swap(world, old).json()["id"]


def test_with_no_other_bank_nothing_changes(world: Any) -> None:
    world.market()
    rental = world.renting()
    answer = _swap(world, rental)
    assert (answer.status_code, answer.json()["code"]) == (409, "nobody_near")
    assert world.state(rental) == "renting"
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_a_bank_that_did_not_start_is_swapped_and_its_deposit_let_go(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.starting()
    world.ended(events.CommandExpired, "not_carried_out")
    world.follow()
    _others_are_well(world)
    new = _swap(world, old).json()
    assert (new["state"], world.state(old)) == ("requested", "start_failed")
    world.send()
    assert world.rental(old)["deposit"]["state"] == "released"
    assert world.rental(old)["steps"][-1]["event"] == "swap"


def test_where_nothing_is_owed_yet_the_deposit_is_let_go_at_once(world: Any) -> None:
    world.market(banks=BANKS, billing_start="plugged")
    old = world.renting()
    _others_are_well(world)
    _swap(world, old)
    world.send()
    assert world.rental(old)["deposit"]["state"] == "released"


def test_what_is_owed_keeps_the_deposit(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.renting()
    world.clock.turn(hours=1)
    _others_are_well(world)
    _swap(world, old)
    world.send()
    assert world.rental(old)["deposit"]["state"] == "held"


def test_a_substitute_that_is_called_off_may_be_asked_for_again(world: Any) -> None:
    world.market(banks=BANKS)
    old = world.starting()
    world.ended(events.CommandExpired, "not_carried_out")
    world.follow()
    _others_are_well(world)
    first = _swap(world, old).json()["id"]
    world.people["renter"].did(f"/rentals/{first}/cancel")
    second = _swap(world, old).json()["id"]
    assert second != first


def test_a_substitute_is_swapped_twice_and_not_more(world: Any) -> None:
    world.market(banks=BANKS)
    rental = world.starting()
    for _ in range(2):
        world.ended(events.CommandExpired, "not_carried_out")
        world.follow()
        _others_are_well(world)
        rental = _swap(world, rental).json()["id"]
        bank = world.rental(rental)["bank"]["id"]
        label = world.tokens[bank]
        _does(world, rental, "accept")
        _does(world, rental, "set-out", qr_token=label)
        world.bank_is(bank)
        _does(world, rental, "hand-over", qr_token=label)
        me = world.people["renter"]
        me.did(f"/rentals/{rental}/scan", {"qr_token": label})
        payment = me.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
        world.send()
        world.notice(world.provider.agree(world.ref(payment["id"])))
        world.clock.turn(seconds=2)
    _others_are_well(world)
    answer = _swap(world, rental)
    assert answer.json()["code"] == "swapped_too_often"
    assert world.state(rental) == "starting"


def test_what_is_on_its_way_is_not_swapped_nor_anybody_elses(world: Any) -> None:
    world.market(banks=BANKS)
    rental = world.ask()
    assert _swap(world, rental).json()["code"] == "wrong_state"
    answer = world.people["other"].post(f"/rentals/{rental}/swap", {"reason": "mine"})
    assert answer.status_code == 404


def test_a_broken_bank_that_came_home_stays_there_until_it_was_looked_over(world: Any) -> None:
    merchant = world.market(banks=BANKS)
    old = world.renting()
    _others_are_well(world)
    _swap(world, old)
    _does(world, old, "accept")
    _does(world, old, "collect", qr_token=world.tokens["LW-0001"])
    _does(world, old, "check-in", qr_token=world.tokens["LW-0001"])
    stock = world.people["owner"].sees(f"/merchants/{merchant}/banks")["items"]
    broken = next(item for item in stock if item["id"] == "LW-0001")
    assert "not_offered" in [why["code"] for why in broken["why_not"]]


def test_where_somebody_was_quicker_for_the_best_bank_the_next_best_is_brought(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.market(banks=BANKS)
    old = world.renting()
    _others_are_well(world)
    world.ask("LW-0002", "other")
    really = choice.candidates

    def a_moment_ago(*args: Any, **how: Any) -> list[Ranked]:
        [best] = really(*args, **how)
        taken = replace(best, candidate=replace(best.candidate, bank_id="LW-0002"))
        return [taken, best]

    monkeypatch.setattr(choice, "candidates", a_moment_ago)
    answer = _swap(world, old)
    assert answer.status_code == 201, answer.text
    assert answer.json()["bank"]["id"] in BANKS[2:]
