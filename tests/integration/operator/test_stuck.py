"""What does not go on by itself is on one list, with safe ways out."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway import events

WHY = {"reason": "looked into"}


def stuck(world):
    items = world.people["operator"].sees("/operator/stuck")["items"]
    return {item["kind"]: item for item in items}


def does(world, item, act):
    return world.people["operator"].post(f"/operator/stuck/{item['kind']}/{item['id']}/{act}", WHY)


def test_nothing_is_stuck_in_a_rental_that_goes_well(world):
    world.market()
    world.bill_asked()
    assert stuck(world) == {}


@pytest.mark.parametrize(
    ("act", "state"), [("started", "renting"), ("not_started", "start_failed")]
)
def test_a_start_in_doubt_is_resolved_by_hand(world, act, state):
    world.market()
    rental = world.starting()
    world.ended(events.CommandUnknown)
    world.follow()
    item = stuck(world)["start_in_doubt"]
    assert item["rental_id"] == rental
    assert set(item["acts"]) == {"started", "not_started"}
    assert does(world, item, act).status_code == 200
    assert world.state(rental) == state
    assert "start_in_doubt" not in stuck(world)
    assert does(world, item, act).status_code == 409, "once"


def test_a_bank_that_is_long_silent_is_missing_and_may_be_sold(world):
    world.market()
    rental = world.renting()
    world.clock.turn(hours=25)
    world.people.clear()
    item = stuck(world)["missing"]
    assert item["detail"]["bank_id"] == "LW-0001"
    assert does(world, item, "sell").status_code == 200
    assert world.state(rental) == "payment_due"
    assert world.holder("LW-0001") == "sold"


def test_a_claim_that_nobody_confirms_is_listed_and_closed(world):
    world.market()
    rental = world.renting()
    world.clock.turn(minutes=30)
    place = {"lat": 31.23, "lng": 121.47, "address": "x"}
    world.people["renter"].did(f"/rentals/{rental}/claim-returned", place)
    item = stuck(world)["return_claimed"]
    assert does(world, item, "close").status_code == 200
    assert world.state(rental) == "payment_due"
    assert world.holder("LW-0001") == "merchant"


def test_a_bank_that_is_home_while_its_rental_runs_is_a_zombie(world):
    world.market()
    rental = world.renting()
    with world.database.writing() as session:  # as a defect, or a hand in the database, would
        session.execute(
            text("UPDATE bank SET holder = 'merchant', holder_id = NULL WHERE id = 'LW-0001'")
        )
    item = stuck(world)["zombie"]
    assert item["id"] == rental
    assert does(world, item, "close").status_code == 200
    assert world.state(rental) == "payment_due"


def test_what_a_provider_was_asked_in_vain_is_asked_again_with_the_same_key(world):
    world.market()
    rental, _ = world.deposit_asked()
    world.people["renter"].did(
        f"/rentals/{rental}/return", {"lat": 31.23, "lng": 121.47, "address": "x"}
    )
    world.provider.is_away = True
    for _ in range(world.limits.attempts):
        world.send()
        world.clock.time += world.limits.longest_wait
    world.people.clear()
    item = stuck(world)["ask_given_up"]
    world.provider.is_away = False
    assert does(world, item, "retry").status_code == 200
    world.send()
    assert "ask_given_up" not in stuck(world)
    keys = {key for ask, key in world.provider.calls if ask == "release"}
    assert len(keys) == 1


def test_a_payment_in_doubt_is_asked_after_at_once(world):
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.provider.loses_answers = True
    world.send()
    world.clock.turn(minutes=11)
    item = stuck(world)["payment_in_doubt"]
    world.provider.loses_answers = False
    assert does(world, item, "retry").status_code == 200
    world.ask_in_doubt()
    assert "payment_in_doubt" not in stuck(world)


def test_a_fact_that_could_not_be_applied_is_tried_again_or_put_aside(world):
    world.market()
    world.renting()
    world.since(events.OutputOff, "LW-0001")
    with world.database.writing() as session:
        session.execute(text("UPDATE domain_event SET problem = 'x' WHERE done_at_ms IS NULL"))
    item = stuck(world)["fact"]
    assert does(world, item, "retry").status_code == 200
    world.follow()
    assert "fact" not in stuck(world)


def test_a_hold_that_runs_out_while_the_bank_is_out_is_secured(world):
    world.market(cap_24h_minor=300)
    rental = world.renting()
    world.clock.time += timedelta(days=6)
    world.people.clear()
    item = stuck(world)["hold_ending"]
    assert does(world, item, "secure").status_code == 200
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "secured"
    assert does(world, item, "secure").status_code == 409


def test_money_that_fits_no_payment_of_ours_goes_back(world):
    world.market()
    _, ref = world.bill_asked()
    stray = world.provider.change(
        ref,
        reference="nobody",
        status="paid",
        captured_minor=world.provider.payments[ref].amount_minor,
    )
    world.notice(stray)
    item = stuck(world)["notice"]
    assert item["detail"]["problem"] == "unmatched"
    assert does(world, item, "refund").status_code == 200
    world.send()
    assert "refund" in [ask for ask, _ in world.provider.calls]
    assert "notice" not in stuck(world)


@pytest.mark.parametrize(
    "path", ["zombie/x/close", "fact/x/retry", "notice/fake:x/refund", "zombie/x/paid"]
)
def test_what_is_not_there_is_not_found(world, path):
    world.market()
    answer = world.people["operator"].post(f"/operator/stuck/{path}", WHY)
    assert answer.status_code == 404


def test_a_dead_letter_is_wanted_again_or_put_aside(world):
    world.market()
    with world.database.writing() as session:
        for letter in ("a" * 64, "b" * 64):
            session.execute(
                text(
                    "INSERT INTO dead_letter (id, topic, payload, reason, detail, received_at_ms)"
                    " VALUES (:id, 'lw/v1/LW-0001/state', :payload, 'bad_field', 'battery', 5)"
                ),
                {"id": letter, "payload": b"\xff{}"},
            )
    operator = world.people["operator"]
    page = operator.sees("/operator/dead-letters", limit=1)
    rest = operator.sees("/operator/dead-letters", limit=1, before=page["next"])
    assert [item["id"][0] for item in page["items"] + rest["items"]] == ["b", "a"]
    wanted = operator.did(f"/operator/dead-letters/{'a' * 64}/replay", WHY)
    assert (wanted["is_wanted"], wanted["payload"]) == (True, "\N{REPLACEMENT CHARACTER}{}")
    operator.did(f"/operator/dead-letters/{'b' * 64}/put-aside", WHY)
    trace = operator.sees("/operator/audit", subject="dead_letter", subject_id="b" * 64)["items"]
    assert [change["action"] for change in trace] == ["dead_letter.put_aside"]
    assert operator.post(f"/operator/dead-letters/{'b' * 64}/replay", WHY).status_code == 409
    closed = operator.sees("/operator/dead-letters", closed=True)["items"]
    assert [(item["id"][0], item["outcome"]) for item in closed] == [("b", "put aside")]
