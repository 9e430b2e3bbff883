"""What an operator puts right by hand, each time with a trace; and what refuses to drift apart."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from backend.db.tables.audit import AuditRow
from backend.db.tables.market import BankRow
from gateway import events

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def _acts(world: Any) -> list[str]:
    with world.database.reading() as session:
        found = select(AuditRow.action).where(AuditRow.subject == "rental")
        return list(session.exec(found.order_by(col(AuditRow.id))))


def _in_doubt(world: Any) -> str:
    rental = str(world.starting())
    world.clock.turn(minutes=2)
    world.ended(events.CommandUnknown, "no_answer")
    world.follow()
    return rental


# -- zombies ----------------------------------------------------------------------------------


def test_a_rental_whose_bank_is_back_unscanned_is_closed_at_when_it_was_back(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    back_at = world.clock.now()
    world.clock.turn(hours=30)
    world.by_hand("close", rental, back_at=back_at)
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("payment_due", 900)
    assert world.holder("LW-0001") == "merchant"
    assert _acts(world) == ["rental.close"]


def test_it_is_never_back_before_it_was_handed_over_nor_after_now(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(hours=1)
    world.by_hand("close", rental, back_at=world.clock.now() + timedelta(days=9))
    assert world.rental(rental)["amount_minor"] == 900


def test_closing_what_was_never_started_costs_nothing(world: Any) -> None:
    world.market()
    rental = world.delivered()
    world.by_hand("close", rental)
    assert world.state(rental) == "cancelled"


def test_what_is_with_its_merchant_cannot_be_closed_like_that(world: Any) -> None:
    world.market()
    rental = world.ask()
    assert world.by_hand("close", rental) == "wrong_state"
    assert _acts(world) == []


# -- gone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["delivered", "starting"])
def test_a_bank_that_is_gone_before_it_fed_is_billed_to_nobody(world: Any, begin: str) -> None:
    world.market()
    rental = getattr(world, begin)()
    world.by_hand("mark_lost", rental)
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("cancelled", 0)
    assert (told["deposit"] or {"state": "released"})["state"] == "released"
    assert world.holder("LW-0001") == "lost"
    assert _acts(world) == ["rental.mark_lost"]


def test_a_bank_that_fed_is_bought_not_lost(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert world.by_hand("mark_lost", rental) == "wrong_state"
    world.by_hand("sell", rental)
    assert world.rental(rental)["amount_minor"] == 9900
    assert _acts(world) == ["rental.sell"]


# -- a start in doubt ---------------------------------------------------------------------------


def test_a_start_in_doubt_that_an_operator_confirms_is_metered_from_then(world: Any) -> None:
    world.market()
    rental = _in_doubt(world)
    world.clock.turn(hours=3)
    world.by_hand("resolve_start", rental, is_fed=True)
    told = world.rental(rental)
    assert (told["state"], told["duration_s"]) == ("renting", 0)
    world.clock.turn(minutes=10)
    assert world.rental(rental)["duration_s"] == 600
    assert _acts(world) == ["rental.start_confirmed"]


def test_a_start_in_doubt_that_an_operator_denies_lets_the_deposit_go(world: Any) -> None:
    world.market()
    rental = _in_doubt(world)
    world.by_hand("resolve_start", rental, is_fed=False)
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["deposit"]["state"]) == ("start_failed", "released")
    world.ended(events.CommandDone)
    world.follow()
    assert world.state(rental) == "start_failed"


@pytest.mark.parametrize("is_fed", [True, False])
def test_a_doubt_about_what_was_asked_back_already_costs_nothing(
    world: Any, *, is_fed: bool
) -> None:
    world.market()
    rental = _in_doubt(world)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.clock.turn(hours=1)
    world.by_hand("resolve_start", rental, is_fed=is_fed)
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("completed", 0)
    assert told["deposit"]["state"] == "released"


def test_what_may_still_be_told_is_not_resolved_by_hand(world: Any) -> None:
    world.market()
    rental = world.starting()
    assert world.by_hand("resolve_start", rental, is_fed=True) == "not_in_doubt"
    assert world.state(rental) == "starting"
    assert _acts(world) == []


# -- custody ------------------------------------------------------------------------------------


def test_no_rental_comes_to_a_state_that_its_banks_custody_denies(world: Any) -> None:
    world.market()
    rental = world.ask()
    with world.database.writing() as session:
        lost = update(BankRow).where(col(BankRow.id) == "LW-0001")
        session.exec(lost.values(holder="lost", is_offered=False))
    job = world.job()["id"]
    answer = world.people["staff"].post(f"/staff/jobs/{job}/accept")
    assert (answer.status_code, answer.json()["code"]) == (409, "custody_disagrees")
    assert world.state(rental) == "requested"
