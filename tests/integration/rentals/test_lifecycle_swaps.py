"""A broken bank is swapped for another one, for nothing."""

from typing import Any

from gateway import events

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


def _brought(world: Any, rental: str) -> None:
    """The substitute is brought, and feeds."""
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
    world.feeds(bank)
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
