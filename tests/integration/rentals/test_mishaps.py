"""What nobody planned for: it is contained, it is told, and it stops nobody else."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import col, update

from backend import worker
from backend.api import stream
from backend.api.hub import Hub
from backend.db import rentals
from backend.db.seam import to_ms
from backend.db.tables.money import PaymentRow
from backend.payments.port import PaymentStatus
from backend.worker import Worker
from gateway import events
from gateway.protocol import BankId

PLACE = {"lat": 31.2, "lng": 121.4, "address": "door"}


def _is_of(world: Any, provider: str, *, only: str) -> None:
    """Let this payment be one of a provider that is not there any more."""
    with world.database.writing() as session:
        session.exec(update(PaymentRow).where(col(PaymentRow.id) == only).values(provider=provider))


def _two_deposits(world: Any) -> tuple[str, str]:
    """Two renters ask for the deposit of a bank each: the payments' ids, in order."""
    made = []
    for bank, who in (("LW-0001", "renter"), ("LW-0002", "other")):
        rental = world.ask(bank, who)
        world.staff_does("accept")
        world.staff_does("set-out", qr_token=world.tokens[bank])
        world.staff_does("hand-over", qr_token=world.tokens[bank])
        world.people[who].did(f"/rentals/{rental}/scan", {"qr_token": world.tokens[bank]})
        deposit = {"accepted_disclosure": True}
        made.append(str(world.people[who].did(f"/rentals/{rental}/deposit", deposit)["id"]))
    first, second = made
    return first, second


# -- the money's workers ----------------------------------------------------------------------


def test_an_asking_that_cannot_be_worked_off_stops_no_other_and_ends_with_a_person(
    world: Any,
) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    world.limits = replace(world.limits, attempts=2)
    broken, sound = _two_deposits(world)
    _is_of(world, "gone", only=broken)
    assert world.send() == 2
    assert world.people["other"].sees(f"/payments/{sound}")["state"] == "open"
    world.clock.turn(minutes=1)
    assert world.send() == 1
    world.clock.turn(hours=1)
    assert world.send() == 0


def test_a_payment_that_cannot_be_asked_after_stops_no_other(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    broken, sound = _two_deposits(world)
    world.send()
    _is_of(world, "gone", only=broken)
    world.provider.agree(world.ref(sound))
    world.clock.turn(minutes=2)
    world.ask_in_doubt()
    assert world.people["other"].sees(f"/payments/{sound}")["state"] == "authorized"
    assert world.ask_in_doubt() == 0  # it waits its turn, as any other


def test_a_hold_that_its_provider_calls_failed_after_all_is_a_hold_let_go(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    world.notice(world.provider.agree(ref))
    assert world.balance("provider_holds") == 9900
    failed = world.provider.change(ref, status=PaymentStatus.FAILED)
    assert world.notice(failed).status_code == 204
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert world.balance("provider_holds") == 0


# -- threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [PoolTimeoutError("no connection"), RuntimeError("ours")])
def test_a_worker_survives_whatever_its_work_raises_and_is_not_well_until_it_succeeds(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = []
    monkeypatch.setattr(worker._log, "exception", lambda event, **_: logged.append(event))
    failed, succeeds = threading.Event(), threading.Event()

    def work() -> int:
        if not succeeds.is_set():
            failed.set()
            raise failure
        recovered.set()
        return 0

    recovered = threading.Event()
    tried = Worker("tried", work, poll_s=0.01)
    tried.start()
    try:
        assert failed.wait(10)
        assert tried.is_alive
        assert _comes_true(lambda: not tried.is_well)
        succeeds.set()
        assert recovered.wait(10)
        assert _comes_true(lambda: tried.is_well)
    finally:
        tried.stop(timeout_s=10)
    assert bool(logged) is isinstance(failure, RuntimeError)


def _comes_true(condition: Any) -> bool:
    waiting = threading.Event()
    return any(condition() or waiting.wait(0.01) for _ in range(1000))


def test_streams_are_woken_again_after_the_database_had_no_connection_to_give(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([PoolTimeoutError("no connection"), {"me": 1}])

    def look(*_: Any) -> dict[str, int]:
        told = next(looks)
        if isinstance(told, Exception):
            raise told
        return told

    monkeypatch.setattr(stream, "_newest", look)

    async def woken() -> None:
        hub = Hub(seats_max=1, seats_per_person_max=1)
        polling = asyncio.create_task(stream.poll(world.database, hub, period_s=0.01))
        with hub.seat(person_id="me", topics=frozenset()) as seat:
            waiting = asyncio.create_task(seat.wait(10))
            await asyncio.wait([polling, waiting], return_when=asyncio.FIRST_COMPLETED)
            assert not polling.done()
            polling.cancel()
            await waiting

    asyncio.run(woken())


# -- the bank ---------------------------------------------------------------------------------


def test_a_bank_that_was_away_when_it_was_to_stop_is_told_again_when_it_is_back(
    world: Any,
) -> None:
    world.market()
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", PLACE)
    world.clock.turn(minutes=2)
    world.ended(events.CommandExpired, "not_sent")
    world.follow()
    world.clock.turn(hours=1)
    world.tell(_online(world))
    world.follow()
    stops = [status for kind, status in world.commands() if kind == "charge_stop"]
    assert stops == ["expired", "created"]


def test_a_bank_that_feeds_after_its_start_had_failed_is_told_to_stop(world: Any) -> None:
    world.market()
    world.starting()
    world.ended(events.CommandExpired, "not_carried_out")
    world.follow()
    world.clock.turn(seconds=5)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert world.commands() == [("charge_start", "expired"), ("charge_stop", "created")]


def test_a_bank_that_is_being_rented_is_not_told_to_stop_when_it_is_back(world: Any) -> None:
    world.market()
    world.renting()
    world.clock.turn(seconds=5)
    world.tell(_online(world))
    world.follow()
    assert world.commands() == [("charge_start", "done")]


# -- a start in doubt -------------------------------------------------------------------------


def _returned_in_doubt(world: Any, *, then: timedelta = timedelta(minutes=10)) -> str:
    """The bank was told to feed and is silent; some time later the renter gives it back."""
    rental = str(world.starting())
    world.clock.turn(minutes=2)
    world.ended(events.CommandUnknown, "no_answer")
    world.follow()
    world.clock.turn(seconds=then.total_seconds())
    world.people["renter"].did(f"/rentals/{rental}/return", PLACE)
    world.follow()
    return rental


def _collected(world: Any) -> None:
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    world.send()


def test_a_bank_that_stays_silent_is_given_back_for_nothing_and_the_deposit_let_go(
    world: Any,
) -> None:
    world.market()
    rental = _returned_in_doubt(world)
    assert world.state(rental) == "returning"
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "held"
    world.clock.turn(hours=5)
    _collected(world)
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"], told["lines"]) == ("completed", 0, [])
    assert told["billing_start_at"] is None
    assert told["deposit"]["state"] == "released"
    assert world.balance("provider_holds") == world.balance("provider_cash") == 0
    world.staff_does("check-in", qr_token=world.tokens["LW-0001"])


def test_a_bank_that_feeds_only_after_it_was_asked_back_is_stopped_and_costs_nothing(
    world: Any,
) -> None:
    world.market()
    rental = _returned_in_doubt(world)
    world.clock.turn(minutes=3)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001")
    world.ended(events.CommandDone)
    world.follow()
    assert world.state(rental) == "returning"
    assert world.commands() == [("charge_start", "done"), ("charge_stop", "created")]
    world.clock.turn(hours=5)
    _collected(world)
    told = world.rental(rental)
    assert (told["state"], told["amount_minor"], told["lines"]) == ("completed", 0, [])
    assert told["deposit"]["state"] == "released"


def test_a_late_word_that_the_bank_fed_all_along_bills_until_it_was_asked_back(
    world: Any,
) -> None:
    world.market()
    fed_at = world.clock.now() + timedelta(seconds=5)
    rental = _returned_in_doubt(world, then=timedelta(minutes=20))
    asked_at = world.clock.now()
    world.clock.turn(hours=2)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.since(events.OutputOn, "LW-0001", at=fed_at)
    world.ended(events.CommandDone)
    world.follow()
    assert world.commands() == [("charge_start", "done"), ("charge_stop", "created")]
    _collected(world)
    told = world.rental(rental)
    assert told["state"] == "payment_due"
    assert told["duration_s"] == (asked_at - fed_at).total_seconds()
    assert told["amount_minor"] == 500 + 2 * 100  # the delivery, and two quarters of an hour


def test_a_late_confirmation_is_written_down_once_with_its_proof(world: Any) -> None:
    world.market()
    rental = _returned_in_doubt(world)
    world.clock.turn(minutes=3)
    world.bank_is("LW-0001", output="on", lock="unlocked")
    world.ended(events.CommandDone)
    world.follow()
    with world.database.reading() as session:
        row = rentals.read(session, rental)
        last = rentals.steps(session, rental)[-1]
        assert row.confirmed_at == world.clock.now()
        assert (last.event, last.state) == ("output_confirmed", "returning")
        assert last.evidence == f"LW-0001.command_done.{row.start_command_id}"
    assert world.follower.work() == 0


def test_a_late_word_that_the_bank_did_not_start_lets_the_deposit_go_before_it_is_fetched(
    world: Any,
) -> None:
    world.market()
    rental = _returned_in_doubt(world)
    world.ended(events.CommandExpired, "not_carried_out")
    world.follow()
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["deposit"]["state"]) == ("returning", "released")
    _collected(world)
    assert world.state(rental) == "completed"


def test_a_start_that_falls_into_doubt_after_the_request_for_return_keeps_the_deposit(
    world: Any,
) -> None:
    world.market()
    rental = world.starting()
    world.command_is("sent")
    world.people["renter"].did(f"/rentals/{rental}/return", PLACE)
    world.clock.turn(minutes=2)
    world.ended(events.CommandUnknown, "no_answer")
    world.follow()
    world.send()
    told = world.rental(rental)
    assert (told["state"], told["deposit"]["state"]) == ("returning", "held")


def _online(world: Any) -> events.BankOnline:
    now_ms = to_ms(world.clock.now())
    return events.BankOnline(
        bank=BankId("LW-0001"), key=f"on-{now_ms}", occurred_at_ms=now_ms, received_at_ms=now_ms
    )


# -- the meter --------------------------------------------------------------------------------


def test_a_load_on_a_bank_that_feeds_nothing_starts_no_meter(world: Any) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    world.clock.turn(minutes=1)
    world.since(events.OutputOff, "LW-0001")
    world.clock.turn(minutes=1)
    world.since(events.LoadPlugged, "LW-0001")
    world.clock.turn(hours=5)
    world.follow()
    assert world.rental(rental)["amount_minor"] == 0


def test_a_load_starts_the_meter_once_the_bank_feeds_it(world: Any) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    world.clock.turn(minutes=1)
    world.since(events.OutputOff, "LW-0001")
    world.clock.turn(minutes=1)
    world.since(events.LoadPlugged, "LW-0001")
    world.follow()
    world.clock.turn(hours=1)
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    world.clock.turn(minutes=10)
    told = world.rental(rental)
    assert told["duration_s"] == timedelta(minutes=10).total_seconds()
