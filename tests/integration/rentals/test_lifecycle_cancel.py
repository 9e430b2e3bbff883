"""Calling a delivery off: what it costs is shown before, and never more is charged."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, update

from backend.db.tables.rentals import RentalRow

FEES = {"cancel_accepted_minor": 200, "cancel_delivering_minor": 500}


def _cancel(world: Any, rental: str, fee: int | None = None) -> Any:
    body = None if fee is None else {"fee_minor": fee}
    return world.people["renter"].post(f"/rentals/{rental}/cancel", body)


def _shown(world: Any, rental: str) -> tuple[int | None, str | None]:
    told = world.rental(rental)
    return told["cancel_fee_minor"], told["cancel_stage"]


def _under_way(world: Any) -> str:
    rental = str(world.ask())
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    return rental


def _is(world: Any, rental: str, **changes: Any) -> None:
    with world.database.writing() as session:
        session.exec(update(RentalRow).where(col(RentalRow.id) == rental).values(**changes))


def test_the_fee_is_shown_at_each_stage_and_no_more_once_it_is_handed_over(world: Any) -> None:
    world.market(**FEES)
    rental = world.ask()
    assert _shown(world, rental) == (0, "waiting")
    world.staff_does("accept")
    assert _shown(world, rental) == (200, "accepted")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    assert _shown(world, rental) == (500, "delivering")
    world.bank_is("LW-0001")
    world.staff_does("hand-over", qr_token=world.tokens["LW-0001"])
    assert _shown(world, rental) == (None, None)
    assert _cancel(world, rental, 500).json()["code"] == "wrong_state"


def test_before_anybody_accepted_calling_off_is_free_and_the_bank_can_be_rented_again(
    world: Any,
) -> None:
    world.market(**FEES)
    rental = world.ask()
    assert _cancel(world, rental).json()["state"] == "cancelled"
    assert world.people["staff"].sees("/staff/jobs")["items"] == []
    assert world.ask() != rental


def test_a_fee_that_was_not_seen_is_named_and_nothing_happens(world: Any) -> None:
    world.market(**FEES)
    rental = world.ask()
    world.staff_does("accept")
    refused = _cancel(world, rental)
    assert refused.status_code == 409
    assert refused.json()["code"] == "cancel_costs"
    assert refused.json()["facts"] == {"fee_minor": 200, "seen_minor": 0, "currency": "CNY"}
    assert "¥2.00" in refused.json()["detail"]
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    assert _cancel(world, rental, 200).json()["facts"]["fee_minor"] == 500
    assert world.state(rental) == "delivering"


def test_who_saw_the_fee_pays_it_like_any_bill_and_then_it_is_over(world: Any) -> None:
    world.market(**FEES)
    rental = _under_way(world)
    assert _cancel(world, rental, 700).json()["state"] == "payment_due"
    told = world.rental(rental)
    assert [(line["kind"], line["amount_minor"]) for line in told["lines"]] == [
        ("cancellation", 500)
    ]
    assert (told["amount_minor"], told["duration_s"], told["billing_start_at"]) == (500, 0, None)
    assert told["payment_due_by"] is not None
    assert told["code"] is None
    assert world.people["renter"].post(f"/rentals/{rental}/code").json()["code"] == "wrong_state"
    assert "rental.cancelled" in world.people["staff"].news()
    payment = world.people["renter"].did(f"/rentals/{rental}/payment")
    world.send()
    world.notice(world.provider.agree(world.ref(payment["id"])))
    assert world.state(rental) == "completed"
    assert world.balance(f"merchant_pending:{told['merchant']['id']}") == 450
    assert world.sum_of_books() == 0


def test_staff_who_are_on_the_way_still_have_the_bank_and_bring_it_home(world: Any) -> None:
    world.market(**FEES)
    rental = _under_way(world)
    _cancel(world, rental, 500)
    assert (world.job()["state"], world.job()["has_bank"]) == ("cancelled", True)
    world.staff_does("check-in", qr_token=world.tokens["LW-0001"])
    assert world.people["staff"].sees("/staff/jobs")["items"] == []


def test_calling_off_twice_costs_once(world: Any) -> None:
    world.market(**FEES)
    rental = _under_way(world)
    _cancel(world, rental, 500)
    assert _cancel(world, rental, 500).json()["code"] == "wrong_state"
    assert world.rental(rental)["amount_minor"] == 500


@pytest.mark.parametrize("why", ["late", "abnormal", "begun_again"])
def test_who_was_kept_waiting_calls_off_for_nothing(world: Any, why: str) -> None:
    world.market(**FEES)
    rental = _under_way(world)
    now = world.clock.now()
    _is(
        world,
        rental,
        **{
            "late": {"promised_at": now - timedelta(seconds=1)},
            "abnormal": {"abnormal_at": now},
            "begun_again": {"attempt": 2},
        }[why],
    )
    assert _shown(world, rental) == (0, "excused")
    assert _cancel(world, rental).json()["state"] == "cancelled"


def test_a_stranger_calls_nothing_off(world: Any) -> None:
    world.market()
    rental = world.ask()
    answer = world.people["other"].post(f"/rentals/{rental}/cancel")
    assert (answer.status_code, world.state(rental)) == (404, "requested")
