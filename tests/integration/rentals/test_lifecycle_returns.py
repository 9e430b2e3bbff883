""" "I already returned it", whoever is right; and starts that are taken back."""

from datetime import timedelta
from typing import Any

from gateway import events

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def _claim(world: Any, rental: str, **body: Any) -> Any:
    return world.people["renter"].post(f"/rentals/{rental}/claim-returned", {**HOME, **body})


def _deny(world: Any, rental: str, who: str = "owner") -> Any:
    merchant = world.rental(rental)["merchant"]["id"]
    path = f"/merchants/{merchant}/rentals/{rental}/deny-return"
    return world.people[who].post(path, {"reason": "not on the shelf"})


def _collected(world: Any) -> None:
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])


def test_a_claim_stops_the_meter_and_staff_confirm_it_by_a_scan(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    told = _claim(world, rental, note="given to the lady at the counter").json()
    assert (told["state"], told["amount_minor"]) == ("returning", 900)
    assert told["claimed_returned_at"] is not None
    world.clock.turn(hours=20)
    assert world.rental(rental)["amount_minor"] == 900
    assert "rental.claimed_returned" in world.people["staff"].news()
    _collected(world)
    assert world.rental(rental)["amount_minor"] == 900
    assert world.state(rental) == "payment_due"


def test_a_claim_made_twice_is_one(world: Any) -> None:
    world.market()
    rental = world.renting()
    first = _claim(world, rental).json()["claimed_returned_at"]
    world.clock.turn(minutes=5)
    assert _claim(world, rental).json()["claimed_returned_at"] == first
    assert len(world.people["staff"].sees("/staff/jobs")["items"]) == 1
    assert world.people["owner"].news().count("rental.claimed_returned") == 1


def test_a_claim_that_is_denied_never_stopped_the_meter(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    _claim(world, rental)
    world.clock.turn(hours=1)
    answer = _deny(world, rental)
    assert answer.status_code == 200
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("renting", 500 + 8 * 100)
    assert told["claimed_returned_at"] is told["return_requested_at"] is None
    assert "rental.return_denied" in world.people["renter"].news()
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_a_bank_that_is_only_claimed_to_be_back_goes_on_feeding(world: Any) -> None:
    world.market()
    rental = world.renting()
    _claim(world, rental)
    world.clock.turn(minutes=1)
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert world.commands() == [("charge_start", "done")]
    _deny(world, rental)
    assert world.state(rental) == "renting"


def test_who_had_asked_for_it_to_be_fetched_keeps_that_when_their_claim_is_denied(
    world: Any,
) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.clock.turn(hours=1)
    _claim(world, rental)
    _deny(world, rental)
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("returning", 900)
    assert told["claimed_returned_at"] is None
    _collected(world)
    assert world.rental(rental)["amount_minor"] == 900


def test_after_three_denials_the_platform_decides_and_what_it_says_stands(world: Any) -> None:
    world.market()
    rental = world.renting()
    for _ in range(3):
        _claim(world, rental)
        assert _deny(world, rental).status_code == 200
    assert _claim(world, rental).json()["state"] == "returning"
    assert _deny(world, rental).json()["code"] == "operator_decides"
    world.by_hand("deny_for_good", rental)
    assert world.state(rental) == "renting"
    assert _claim(world, rental).json()["code"] == "claimed_too_often"
    assert world.people["renter"].post(f"/rentals/{rental}/return", HOME).is_success


def test_nobody_but_its_merchant_denies_a_claim_and_only_a_claim(world: Any) -> None:
    world.market()
    rental = world.renting()
    assert _deny(world, rental).json()["code"] == "wrong_state"
    _claim(world, rental)
    for stranger in ("renter", "other", "staff"):
        assert _deny(world, rental, stranger).status_code == 404
    assert world.state(rental) == "returning"


def test_what_was_never_rented_cannot_be_back(world: Any) -> None:
    world.market()
    rental = world.delivered()
    assert _claim(world, rental).json()["code"] == "wrong_state"
    assert world.people["other"].post(f"/rentals/{rental}/claim-returned", HOME).status_code == 404


def test_a_load_plugged_in_during_a_claim_that_is_denied_starts_the_meter(world: Any) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    world.clock.turn(minutes=10)
    _claim(world, rental)
    world.clock.turn(minutes=10)
    world.since(events.LoadPlugged, "LW-0001")
    world.follow()
    world.clock.turn(minutes=10)
    assert world.rental(rental)["duration_s"] == 0
    _deny(world, rental)
    assert world.rental(rental)["duration_s"] == timedelta(minutes=10).total_seconds()


# -- starts that are taken back ---------------------------------------------------------------


def test_a_start_that_was_not_sent_is_taken_back_and_the_deposit_let_go_at_once(
    world: Any,
) -> None:
    world.market()
    rental = world.starting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert world.commands() == [("charge_start", "failed")]
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"
    _collected(world)
    assert world.rental(rental)["amount_minor"] == 0


def test_a_start_that_went_out_stays_and_holds_the_deposit(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.command_is("sent")
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert world.commands() == [("charge_start", "sent")]
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "held"


# -- free minutes, and the lists ----------------------------------------------------------------


def _whole(world: Any, *, minutes: float) -> str:
    """Rented for so long, returned, collected, brought home and paid."""
    rental = str(world.renting())
    world.clock.turn(minutes=minutes)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.bank_is("LW-0001", output="off", lock="locked")
    world.since(events.OutputOff, "LW-0001")
    world.ended(events.CommandDone)
    world.follow()
    _collected(world)
    world.staff_does("check-in", qr_token=world.tokens["LW-0001"])
    payment = world.people["renter"].post(f"/rentals/{rental}/payment")
    if payment.is_success:
        world.send()
        world.notice(world.provider.agree(world.ref(payment.json()["id"])))
    world.send()
    assert world.state(rental) == "completed"
    world.clock.turn(seconds=1)
    return rental


def test_renting_again_at_once_goes_on_with_the_free_minutes_that_were_left(world: Any) -> None:
    world.market(free_s=600, delivery_fee_minor=0)
    assert world.rental(_whole(world, minutes=8))["amount_minor"] == 0
    again = world.renting()
    world.clock.turn(minutes=3)
    assert world.rental(again)["amount_minor"] == 100


def test_renting_again_later_is_free_at_first_again(world: Any) -> None:
    world.market(free_s=600, delivery_fee_minor=0)
    _whole(world, minutes=8)
    world.clock.turn(minutes=10)
    world.bank_is("LW-0001")
    again = world.renting()
    world.clock.turn(minutes=3)
    assert world.rental(again)["amount_minor"] == 0


def test_a_renter_finds_their_rentals_by_stage_page_by_page(world: Any) -> None:
    world.market()
    done = [_whole(world, minutes=1) for _ in range(3)]
    world.bank_is("LW-0001")
    open_ = world.ask()
    me = world.people["renter"]
    first = me.sees("/rentals", stage="completed", limit=2)
    assert [item["id"] for item in first["items"]] == [done[2], done[1]]
    rest = me.sees("/rentals", stage="completed", limit=2, before=first["next"])
    assert [item["id"] for item in rest["items"]] == [done[0]]
    assert [item["id"] for item in me.sees("/rentals", stage="delivering")["items"]] == [open_]
    assert me.sees("/rentals", stage="renting")["items"] == []
    assert world.people["other"].sees("/rentals")["items"] == []
    assert me.get("/rentals", stage="nonsense").status_code == 422
