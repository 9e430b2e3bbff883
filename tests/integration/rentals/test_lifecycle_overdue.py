"""Banks that are out for long: reminded of, bought, missing, lost, found again."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, update

from backend import sweeps
from backend.db import rentals
from backend.db.tables.market import BankRow
from backend.domain.custody import Holder
from backend.domain.tariff import from_json, reaches_cap_at
from backend.services import overdue
from gateway import events

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def _looks(world: Any) -> int:
    return int(world.look_after_banks())


def _capped_at(world: Any, rental: str) -> Any:
    with world.database.reading() as session:
        row = rentals.read(session, rental)
        assert row.billing_start_at is not None
        return reaches_cap_at(from_json(row.terms), start=row.billing_start_at)


def _paid(world: Any, rental: str) -> None:
    payment = world.people["renter"].did(f"/rentals/{rental}/payment")
    world.send()
    world.notice(world.provider.agree(world.ref(payment["id"])))
    world.send()
    assert world.state(rental) == "completed"


def _buy(world: Any, rental: str, amount: int = 9900) -> Any:
    return world.people["renter"].post(f"/rentals/{rental}/buy-out", {"amount_minor": amount})


def _found(world: Any, merchant: str, who: str = "owner", **body: Any) -> Any:
    path = f"/merchants/{merchant}/banks/LW-0001/found"
    return world.people[who].post(path, body or {"reason": "a passenger brought it"})


def _lost(world: Any, merchant: str, who: str = "owner") -> Any:
    path = f"/merchants/{merchant}/banks/LW-0001/lost"
    return world.people[who].post(path, {"reason": "not there when we counted"})


# -- reminders --------------------------------------------------------------------------------


def test_who_has_a_bank_for_long_is_reminded_once_a_day(world: Any) -> None:
    world.market(cap_total_minor=99_000)
    world.renting()
    told = []
    for _ in range(50):
        world.clock.turn(hours=1)
        _looks(world)
        _looks(world)
        told.append(world.people["renter"].news().count("rental.overdue"))
    assert (told[22], told[23], told[46], told[47]) == (0, 1, 1, 2)


def test_a_bank_that_is_to_be_fetched_is_its_merchants_to_be_reminded_of(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.clock.turn(hours=25)
    _looks(world)
    assert "rental.overdue" not in world.people["renter"].news()
    assert "rental.uncollected" in world.people["owner"].news()
    assert world.rental(rental)["amount_minor"] == 500


def test_what_was_handed_over_and_never_started_is_fetched_by_itself(world: Any) -> None:
    world.market()
    rental = world.delivered()
    world.clock.turn(hours=23)
    assert _looks(world) == 0
    world.clock.turn(hours=1)
    assert _looks(world) == 1
    assert world.state(rental) == "returning"
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert (world.state(rental), world.rental(rental)["amount_minor"]) == ("completed", 0)


# -- bought -----------------------------------------------------------------------------------


def test_at_its_cap_a_bank_counts_as_bought_since_then_however_late_we_look(world: Any) -> None:
    merchant = world.market()
    rental = world.renting()
    capped_at = _capped_at(world, rental)
    world.clock.time = capped_at - timedelta(seconds=1)
    _looks(world)
    assert world.state(rental) == "renting"
    world.clock.time = capped_at + timedelta(days=2)
    assert _looks(world) == 1
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"], told["is_final"]) == ("payment_due", 9900, True)
    assert told["returned_at"] == told["bought_out_at"]
    assert told["bought_out_at"].startswith(capped_at.isoformat()[:19])
    assert world.holder("LW-0001") == "sold"
    assert "rental.bought_out" in world.people["renter"].news()
    assert _looks(world) == 0
    _paid(world, rental)
    assert world.balance(f"merchant_pending:{merchant}") == 8910
    assert world.sum_of_books() == 0


def test_a_flat_bank_that_does_not_come_back_is_bought_too(world: Any) -> None:
    world.market()
    rental = world.renting()
    capped_at = _capped_at(world, rental)
    world.clock.turn(hours=1)
    world.bank_is("LW-0001", output="off")
    world.since(events.OutputOff, "LW-0001")
    world.follow()
    world.clock.time = capped_at
    _looks(world)
    told = world.rental(rental)
    assert told["amount_minor"] == 9900
    assert [(line["kind"], line["amount_minor"]) for line in told["lines"]] == [
        ("blocks", 400),
        ("delivery", 500),
        ("buy_out", 9000),
    ]


def test_who_lost_it_pays_the_cap_that_they_saw_and_no_command_follows(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    assert _buy(world, rental, 9899).json()["code"] == "amount_mismatch"
    told = _buy(world, rental).json()
    assert (told["state"], told["amount_minor"]) == ("payment_due", 9900)
    assert told["lines"][-1] == {"kind": "buy_out", "quantity": 1, "amount_minor": 9000}
    assert world.holder("LW-0001") == "sold"
    world.clock.turn(minutes=5)
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert world.commands() == [("charge_start", "done")]
    assert _buy(world, rental).json()["code"] == "wrong_state"


def test_who_asked_for_it_to_be_fetched_may_still_keep_it(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert _buy(world, rental).json()["state"] == "payment_due"
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_a_bank_that_never_fed_cannot_be_bought(world: Any) -> None:
    world.market()
    rental = world.delivered()
    assert _buy(world, rental).json()["code"] == "wrong_state"
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert _buy(world, rental).json()["code"] == "wrong_state"
    stranger = world.people["other"].post(f"/rentals/{rental}/buy-out", {"amount_minor": 9900})
    assert stranger.status_code == 404


# -- found again ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_paid", [True, False])
def test_a_bought_bank_that_is_found_gives_back_what_was_taken_for_it(
    world: Any, *, is_paid: bool
) -> None:
    merchant = world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    _buy(world, rental)
    if is_paid:
        _paid(world, rental)
    world.clock.turn(days=29)
    found = _found(world, merchant, qr_token=world.tokens["LW-0001"])
    assert found.json() == {
        "id": "LW-0001",
        "holder": "merchant",
        "is_offered": False,
        "is_to_inspect": True,
    }
    world.send()
    assert world.rental(rental)["credited_minor"] == 9000
    assert world.balance(f"merchant_pending:{merchant}") == 810
    assert world.sum_of_books() == 0
    assert "rental.found_again" in world.people["renter"].news()
    if not is_paid:
        assert world.state(rental) == "payment_due"
        _paid(world, rental)
    assert world.balance("provider_cash") == 900


def test_after_thirty_days_it_stays_sold(world: Any) -> None:
    merchant = world.market()
    rental = world.renting()
    _buy(world, rental)
    world.clock.turn(days=30)
    world.people.clear()  # nobody is signed in for so long
    assert _found(world, merchant).json()["code"] == "sold_for_good"
    assert world.holder("LW-0001") == "sold"
    assert world.rental(rental)["credited_minor"] == 0


def test_found_twice_is_given_back_once(world: Any) -> None:
    merchant = world.market()
    rental = world.renting()
    _buy(world, rental)
    assert _found(world, merchant).is_success
    assert _found(world, merchant).json()["code"] == "wrong_hands"
    assert world.rental(rental)["credited_minor"] == 9900 - 500


def test_what_was_lost_and_found_stays_home_until_it_was_looked_over(world: Any) -> None:
    merchant = world.market()
    assert _lost(world, merchant).json()["holder"] == "lost"
    assert _lost(world, merchant).json()["holder"] == "lost"
    offer = world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")
    assert "not_with_merchant" in [why["code"] for why in offer["why_not"]]
    told = _found(world, merchant).json()
    assert (told["holder"], told["is_to_inspect"], told["is_offered"]) == ("merchant", True, False)


def test_a_label_of_another_bank_proves_nothing(world: Any) -> None:
    merchant = world.market(banks=("LW-0001", "LW-0002"))
    _lost(world, merchant)
    assert _found(world, merchant, qr_token=world.tokens["LW-0002"]).json()["code"] == "wrong_bank"
    assert world.holder("LW-0001") == "lost"


@pytest.mark.parametrize("verb", [_lost, _found])
def test_nobody_says_so_of_anybody_elses_bank(world: Any, verb: Any) -> None:
    merchant = world.market()
    for stranger in ("other", "staff", "renter"):
        assert verb(world, merchant, stranger).status_code == 404


def test_what_a_renter_has_is_not_its_merchants_to_lose(world: Any) -> None:
    merchant = world.market()
    rental = world.renting()
    assert _lost(world, merchant).json()["code"] == "wrong_hands"
    assert world.state(rental) == "renting"


def test_who_waits_for_a_bank_that_is_lost_gets_another(world: Any) -> None:
    merchant = world.market(banks=("LW-0001", "LW-0002"))
    rental = world.ask()
    world.staff_does("accept")
    _lost(world, merchant)
    told = world.rental(rental)
    assert (told["state"], told["bank"]["id"]) == ("requested", "LW-0002")
    assert told["is_abnormal"]
    assert (told["cancel_fee_minor"], told["cancel_stage"]) == (0, "excused")


@pytest.mark.parametrize("done", [0, 1, 2])
def test_without_another_who_waits_hears_it_at_once(world: Any, done: int) -> None:
    merchant = world.market()
    rental = world.ask()
    for verb, body in (("accept", {}), ("set-out", {"qr_token": world.tokens["LW-0001"]}))[:done]:
        world.staff_does(verb, **body)
    assert _lost(world, merchant).json()["holder"] == "lost"
    assert world.state(rental) == "undeliverable"
    assert "rental.undeliverable" in world.people["renter"].news()
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_a_bank_lost_after_it_was_collected_changes_nothing_for_its_renter(world: Any) -> None:
    merchant = world.market()
    rental = world.payment_due()
    assert _lost(world, merchant).json()["holder"] == "lost"
    assert world.people["staff"].sees("/staff/jobs")["items"] == []
    _paid(world, rental)


# -- missing ----------------------------------------------------------------------------------


def test_a_rented_bank_that_is_silent_for_a_day_is_missing_until_it_is_heard(world: Any) -> None:
    world.market(cap_total_minor=99_000)
    rental = world.renting()
    assert not world.rental(rental)["is_missing"]
    for _ in range(3):
        world.clock.turn(hours=12)
        _looks(world)
    assert world.rental(rental)["is_missing"]
    assert world.people["owner"].news().count("rental.missing") == 1
    world.bank_is("LW-0001", output="on")
    assert not world.rental(rental)["is_missing"]


def _fetched(world: Any, rental: str) -> None:
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    label = {"qr_token": world.tokens["LW-0001"]}
    job = world.staff_does("collect", **label)
    world.people["staff"].did(f"/staff/jobs/{job['id']}/check-in", label)


@pytest.mark.parametrize("is_heard_first", [True, False])
def test_a_bank_that_was_missing_is_inspected_before_it_goes_out_again(
    world: Any, is_heard_first: bool
) -> None:
    merchant = world.market(cap_total_minor=99_000)
    rental = world.renting()
    for _ in range(3):
        world.clock.turn(hours=12)
        _looks(world)
    assert "rental.missing" in world.people["owner"].news()
    if is_heard_first:
        world.bank_is("LW-0001", output="on")
        world.since(events.OutputOn, "LW-0001")
        world.follow()
    _fetched(world, rental)
    world.bank_is("LW-0001", output="off")
    owner, bank = world.people["owner"], f"/merchants/{merchant}/banks/LW-0001"
    at_home = owner.sees(bank)
    assert (at_home["holder"], at_home["is_offered"]) == ("merchant", False)
    assert at_home["is_to_inspect"]
    assert owner.post(f"{bank}/offer").json()["code"] == "bank_to_inspect"
    owner.did(f"{bank}/inspected")
    assert owner.sees(bank)["is_offered"]


def test_a_bank_that_was_never_missing_is_for_rent_as_soon_as_it_is_home(world: Any) -> None:
    merchant = world.market()
    rental = world.renting()
    _fetched(world, rental)
    assert world.people["owner"].sees(f"/merchants/{merchant}/banks/LW-0001")["is_offered"]


# -- one that cannot be looked after ----------------------------------------------------------


def test_one_that_cannot_be_looked_after_comes_after_the_others(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    broken = world.renting()
    world.bank_is("LW-0002")
    sound = world.delivered("LW-0002")
    with world.database.writing() as session:  # as a defect, or a hand in the database, would
        at_home = update(BankRow).where(col(BankRow.id) == "LW-0001")
        session.exec(at_home.values(holder=Holder.MERCHANT, holder_id=None))
    world.clock.turn(days=30)
    now = world.clock.now()

    looked = [sweeps.look_after_banks(world.database, now=now, limit=1) for _ in range(3)]

    assert looked == [0, 1, 0]
    world.people.clear()
    assert (world.state(broken), world.state(sound)) == ("renting", "returning")
    world.clock.turn(hours=1)
    with world.database.reading() as session:
        assert broken in overdue.due(session, now=world.clock.now(), limit=10)
