"""Banks that feed for nobody, and news that comes after the bill."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.db.seam import to_ms
from gateway import events
from gateway.protocol import BankId

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def _online(world: Any) -> None:
    now_ms = to_ms(world.clock.now())
    world.tell(
        events.BankOnline(
            bank=BankId("LW-0001"), key=f"on-{now_ms}", occurred_at_ms=now_ms, received_at_ms=now_ms
        )
    )


def _stops(world: Any) -> list[str]:
    return [status for kind, status in world.commands() if kind == "charge_stop"]


# -- feeding for nobody -----------------------------------------------------------------------


@pytest.mark.parametrize("heard", ["output_on", "online"])
def test_a_bank_that_feeds_with_nobody_renting_is_told_to_stop(world: Any, heard: str) -> None:
    world.market()
    world.bank_is("LW-0001", output="on", lock="unlocked")
    if heard == "online":
        _online(world)
    else:
        world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert _stops(world) == ["created"]


def test_a_bank_that_feeds_before_its_renter_paid_the_deposit_is_told_to_stop(world: Any) -> None:
    world.market()
    world.delivered()
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert _stops(world) == ["created"]


def test_a_bank_that_starts_after_its_rental_was_closed_is_told_to_stop(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.command_is("sent")
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.clock.turn(minutes=2)
    world.ended(events.CommandExpired, "not_carried_out")
    world.follow()
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert world.state(rental) == "completed"
    world.clock.turn(minutes=2)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert _stops(world) == ["created"]


def test_a_start_whose_yes_comes_last_is_stopped_as_well(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.command_is("sent")
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    world.clock.turn(seconds=5)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert _stops(world) == []  # one command at a time: the start is still open
    world.ended(events.CommandDone)
    world.follow()
    assert _stops(world) == ["created"]


def test_a_bank_that_is_quiet_is_told_nothing(world: Any) -> None:
    world.market()
    _online(world)
    world.since(events.OutputOff, "LW-0001")
    world.follow()
    assert world.commands() == []


def test_what_becomes_of_a_sold_bank_is_not_its_old_merchants_to_know(world: Any) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/buy-out", {"amount_minor": 9900})
    world.clock.turn(minutes=5)
    before = world.people["owner"].news()
    _online(world)
    world.follow()
    assert world.people["owner"].news() == before
    assert world.commands() == [("charge_start", "done")]


# -- news after the bill ------------------------------------------------------------------------


def _billed(world: Any, *, is_paid: bool) -> tuple[str, datetime]:
    """Rented for three hours, collected, and billed: the rental, and when it started."""
    rental = str(world.renting())
    started_at = world.clock.now()
    world.clock.turn(hours=3)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert world.rental(rental)["amount_minor"] == 500 + 12 * 100
    if is_paid:
        payment = world.people["renter"].did(f"/rentals/{rental}/payment")
        world.send()
        world.notice(world.provider.agree(world.ref(payment["id"])))
        world.send()
        assert world.state(rental) == "completed"
    return rental, started_at


@pytest.mark.parametrize("is_paid", [True, False])
def test_a_bank_that_tells_late_that_it_had_stopped_makes_the_bill_less(
    world: Any, *, is_paid: bool
) -> None:
    merchant = world.market()
    rental, started_at = _billed(world, is_paid=is_paid)
    world.clock.turn(hours=5)
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=1))
    world.follow()
    world.send()
    told = world.rental(rental)
    assert (told["amount_minor"], told["credited_minor"]) == (1700, 800)
    assert "rental.credited" in world.people["renter"].news()
    assert world.balance(f"merchant_pending:{merchant}") == 810
    assert world.sum_of_books() == 0
    assert world.balance(f"receivable:{world.id_of('renter')}") == (0 if is_paid else 900)


def test_the_same_news_twice_is_given_back_once_and_earlier_news_only_the_difference(
    world: Any,
) -> None:
    world.market()
    rental, started_at = _billed(world, is_paid=False)
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=2))
    world.follow()
    assert world.rental(rental)["credited_minor"] == 400
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=2))
    world.follow()
    assert world.rental(rental)["credited_minor"] == 400


@pytest.mark.parametrize("hours", [-1, 3.5])
def test_a_stop_outside_of_what_was_billed_changes_nothing(world: Any, hours: float) -> None:
    world.market()
    rental, started_at = _billed(world, is_paid=False)
    world.clock.turn(hours=5)
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=hours))
    world.follow()
    assert world.rental(rental)["credited_minor"] == 0


def test_a_bank_that_had_stopped_and_fed_again_was_rented_all_along(world: Any) -> None:
    world.market()
    rental, started_at = _billed(world, is_paid=False)
    world.since(events.OutputOn, "LW-0001", at=started_at + timedelta(hours=2))
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=1))
    world.follow()
    assert world.rental(rental)["credited_minor"] == 0


def test_a_purchase_is_not_made_less_by_late_news(world: Any) -> None:
    world.market()
    rental = world.renting()
    started_at = world.clock.now()
    world.clock.turn(hours=3)
    world.people["renter"].did(f"/rentals/{rental}/buy-out", {"amount_minor": 9900})
    world.since(events.OutputOff, "LW-0001", at=started_at + timedelta(hours=1))
    world.follow()
    assert world.rental(rental)["credited_minor"] == 0
