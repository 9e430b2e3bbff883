"""One rental, whole: from a merchant's registration to the receipt, and the books after it."""

import threading
from typing import Any

from backend import sweeps
from backend.worker import Worker
from gateway import events
from gateway.tables import CommandRow, DomainEvent

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def test_a_rental_goes_from_scan_to_receipt_and_the_books_balance(world: Any) -> None:
    world.market()
    rental, ref = world.bill_asked()
    owed = world.rental(rental)
    assert owed["state"] == "payment_due"
    assert owed["duration_s"] == 3600
    assert owed["amount_minor"] == 4 * 100 + 500
    assert [line["kind"] for line in owed["lines"]] == ["blocks", "delivery"]

    assert world.notice(world.provider.agree(ref)).status_code == 204
    done = world.rental(rental)
    assert done["state"] == "completed"
    assert done["stage"] == "completed"
    assert done["deposit"]["state"] == "held"
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"

    renter = world.id_of("renter")
    merchant = done["merchant"]["id"]
    assert world.sum_of_books() == 0
    assert world.balance("provider_cash") == 900
    assert world.balance(f"merchant_pending:{merchant}") == 810
    assert world.balance("platform_revenue") == 90
    for empty in ("provider_holds", f"deposit:{renter}", f"receivable:{renter}"):
        assert world.balance(empty) == 0


def test_each_step_is_told_to_those_whom_it_concerns(world: Any) -> None:
    world.market()
    rental, ref = world.bill_asked()
    world.notice(world.provider.agree(ref))

    aside = ("payment.", "rental.eta")
    told = [kind for kind in world.people["renter"].news() if not kind.startswith(aside)]
    assert told == [
        "rental.requested",
        "rental.accepted",
        "rental.delivering",
        "rental.delivered",
        "deposit.notice",
        "deposit.held",
        "rental.renting",
        "rental.return_requested",
        "collection.accepted",
        "rental.payment_due",
        "rental.completed",
    ]
    assert "rental.requested" in world.people["owner"].news()
    assert "rental.return_requested" in world.people["staff"].news()
    assert world.people["other"].news() == []
    steps = [step["event"] for step in world.rental(rental)["steps"]]
    assert steps[0] == "accept"
    assert steps[-1] == "paid"


def test_the_merchant_finds_a_rental_in_the_list_of_its_state(world: Any) -> None:
    merchant = world.market()
    rental = world.ask()
    owner = world.people["owner"]
    assert _list(owner, merchant, "to_fulfil") == [rental]
    assert owner.sees(f"/merchants/{merchant}/rentals/{rental}")["code"] is None
    totals = owner.sees(f"/merchants/{merchant}/banks")["totals"]
    assert totals == {"all": 1, "rentable": 0, "rented": 0}


def _list(owner: Any, merchant: str, state: str) -> list[str]:
    page = owner.sees(f"/merchants/{merchant}/rentals", state=state)
    return [item["id"] for item in page["items"]]


def test_the_bank_is_told_to_feed_only_once_the_deposit_is_held(world: Any) -> None:
    world.market()
    _rental, ref = world.deposit_asked()
    assert world.commands() == []
    world.notice(world.provider.agree(ref))
    assert world.commands() == [("charge_start", "created")]


def test_a_renter_is_told_what_the_bank_has_given_to_them(world: Any) -> None:
    world.market()
    rental = world.starting()
    assert world.rental(rental)["given_mwh"] is None
    world.clock.turn(seconds=2)
    world.feeds("LW-0001")  # its counter stands at 1 when it begins
    world.follow()
    world.bank_is("LW-0001", energy_mwh=4_201)
    assert world.rental(rental)["given_mwh"] == 4_200
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert world.rental(rental)["given_mwh"] == 4_200
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    world.bank_is("LW-0001", energy_mwh=9_000)  # to the next
    assert world.rental(rental)["given_mwh"] is None


def test_billing_starts_when_a_load_is_plugged_in_if_the_tariff_says_so(world: Any) -> None:
    world.market(billing_start="plugged")
    rental = world.renting()
    assert world.rental(rental)["billing_start_at"] is None
    world.clock.turn(minutes=7)
    plugged_at = world.clock.now()
    world.since(events.LoadPlugged, "LW-0001")
    world.clock.turn(minutes=3)
    world.follow()
    assert world.rental(rental)["billing_start_at"] == _iso(plugged_at)


def test_a_bank_that_was_never_plugged_in_costs_nothing_and_completes_by_itself(
    world: Any,
) -> None:
    world.market(billing_start="plugged")
    rental = world.payment_due()
    assert world.state(rental) == "completed"
    assert world.rental(rental)["amount_minor"] == 0
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert world.balance("provider_cash") == 0


def test_the_meter_stops_at_the_request_for_return_however_late_the_collection(
    world: Any,
) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(minutes=8)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert ("charge_stop", "created") in world.commands()
    frozen = world.rental(rental)["amount_minor"]
    world.staff_does("accept")
    world.clock.turn(minutes=9)
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert world.rental(rental)["amount_minor"] == frozen


def test_a_bank_that_went_off_for_good_ends_billing_however_late_that_is_heard(
    world: Any,
) -> None:
    world.market()
    rental = world.renting()
    world.clock.turn(minutes=3)
    off_at = world.clock.now()
    world.clock.turn(minutes=6)
    world.since(events.OutputOff, "LW-0001", at=off_at)
    world.follow()
    assert world.rental(rental)["duration_s"] == 180
    world.since(events.OutputOn, "LW-0001")
    world.follow()
    assert world.rental(rental)["duration_s"] == 540


def test_a_bank_that_did_not_start_costs_nothing_and_is_fetched(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.ended(events.CommandFailed, "low_battery")
    world.follow()
    assert world.state(rental) == "start_failed"
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert world.job()["kind"] == "collection"
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert world.state(rental) == "cancelled"
    assert world.balance("provider_holds") == world.balance("provider_cash") == 0


def test_a_start_that_expired_lets_the_deposit_go(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.ended(events.CommandExpired, "not_sent")
    world.follow()
    assert world.state(rental) == "start_failed"


def test_a_start_in_doubt_keeps_the_deposit_until_the_bank_tells(world: Any) -> None:
    world.market()
    rental = world.starting()
    world.ended(events.CommandUnknown, "no_answer")
    world.follow()
    assert world.state(rental) == "starting"
    assert world.rental(rental)["deposit"]["state"] == "held"
    world.feeds("LW-0001")
    world.follow()
    assert world.state(rental) == "renting"


def test_a_fact_told_twice_moves_a_rental_once(world: Any) -> None:
    world.market()
    rental = world.renting()
    steps = len(world.rental(rental)["steps"])
    world.ended(events.CommandDone)
    world.follow()
    assert len(world.rental(rental)["steps"]) == steps


def test_a_fact_of_no_rental_does_nothing_and_is_done(world: Any) -> None:
    world.market()
    world.since(events.OutputOn, "LW-0001")
    assert world.follower.work() == 1
    assert world.follower.work() == 0


def test_a_fact_that_cannot_be_applied_is_put_aside_and_stops_nobody(world: Any) -> None:
    world.market()
    rental = world.starting()
    with world.database.writing() as session:
        session.add(
            DomainEvent(
                id="poison",
                bank_id="LW-0001",
                kind="from_the_future",
                key="1",
                occurred_at_ms=0,
                received_at_ms=0,
                late=False,
                data="{}",
            )
        )
    world.feeds("LW-0001")
    for _ in range(5):
        world.follower.work()
    assert world.state(rental) == "renting"
    with world.database.reading() as session:
        assert "from_the_future" in str(session.get(DomainEvent, "poison").problem)
    assert world.follower.work() == 0


def test_a_start_that_has_to_wait_for_another_command_is_given_after_it(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    with world.database.writing() as session:
        session.add(
            CommandRow(
                id="earlier",
                bank_id="LW-0001",
                kind="charge_stop",
                created_at_ms=0,
                expires_at_ms=1,
            )
        )
    world.notice(world.provider.agree(ref))
    assert world.state(rental) == "starting"
    assert sweeps.start_waiting(world.database, now=world.clock.now()) == 0
    with world.database.writing() as session:
        session.get(CommandRow, "earlier").status = "expired"
    assert sweeps.start_waiting(world.database, now=world.clock.now()) == 1
    assert sweeps.start_waiting(world.database, now=world.clock.now()) == 0
    assert world.commands() == [("charge_stop", "expired"), ("charge_start", "created")]


def test_a_worker_follows_when_it_is_woken(world: Any) -> None:
    world.market()
    rental = world.starting()
    followed = threading.Event()

    def work() -> int:
        did: int = world.follower.work()
        if did:
            followed.set()
        return did

    worker = Worker("follower", work, poll_s=600)
    worker.start()
    world.feeds("LW-0001")
    worker.wake()
    assert followed.wait(10)
    worker.stop(timeout_s=10)
    assert not worker.is_alive
    assert world.state(rental) == "renting"


def test_a_bank_brought_home_is_for_rent_again(world: Any) -> None:
    merchant = world.market()
    world.payment_due()
    assert world.job()["has_bank"] is True
    world.bank_is("LW-0001", output="off", lock="locked")
    world.staff_does("check-in", qr_token=world.tokens["LW-0001"])
    stock = world.people["owner"].sees(f"/merchants/{merchant}/banks")
    assert stock["totals"] == {"all": 1, "rentable": 1, "rented": 0}
    world.ask(who="other")


def test_a_merchant_may_take_a_bank_back_in_their_own_word(world: Any) -> None:
    merchant = world.market()
    world.payment_due()
    world.people["owner"].did(
        f"/merchants/{merchant}/banks/LW-0001/receive", {"reason": "on the shelf"}
    )
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_a_cancelled_delivery_is_brought_home(world: Any) -> None:
    world.market()
    rental = world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    world.people["renter"].did(f"/rentals/{rental}/cancel")
    assert world.state(rental) == "cancelled"
    world.staff_does("check-in", qr_token=world.tokens["LW-0001"])


def test_a_renter_who_thinks_better_of_it_at_the_door_pays_nothing(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.send()
    assert world.provider.payments[ref].status == "canceled"
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    assert world.state(rental) == "completed"
    assert world.sum_of_books() == world.balance("provider_holds") == 0


def _iso(at: Any) -> str:
    return str(at.isoformat()).replace("+00:00", "Z")
