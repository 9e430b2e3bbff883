"""A bill that nobody pays is on the stuck list, and is given up by an operator, not forgotten."""

from typing import Any

import pytest
from sqlmodel import select

from backend.db.tables.audit import AuditRow
from backend.payments.port import PaymentStatus
from tests.integration.money.conftest import BILL, Till
from tests.integration.rentals.conftest import TERMS

FEES = {"cancel_accepted_minor": 200, "cancel_delivering_minor": 500}


def _part_paid(till: Till) -> str:
    """A deposit of 600 was taken for a bill of 900."""
    till.owner.did(f"/merchants/{till.merchant}/tariffs", {**TERMS, "deposit_minor": 600})
    rental = till.unpaid()
    till.all_runs()
    assert till.deposit(rental) == ("captured", 600, 600)
    return rental


def _cancelled(till: Till) -> str:
    """A cancellation that costs something, with no deposit at all."""
    till.owner.did(f"/merchants/{till.merchant}/tariffs", {**TERMS, **FEES})
    rental = till.world.ask()
    till.world.staff_does("accept")
    till.renter.did(f"/rentals/{rental}/cancel", {"fee_minor": 200})
    till.world.clock.turn(hours=24)
    till.all_runs()
    return rental


def _later(till: Till, **span: float) -> None:
    """So much later everybody signs in anew."""
    till.world.clock.turn(**span)
    till.world.people.clear()
    till.all_runs()


def _stuck(till: Till) -> list[dict[str, Any]]:
    return list(till.world.people["operator"].sees("/operator/stuck")["items"])


def _write_off(till: Till, item: dict[str, Any]) -> Any:
    path = f"/operator/stuck/{item['kind']}/{item['id']}/write_off"
    return till.world.people["operator"].post(path, {"reason": "the renter is gone"})


def test_what_the_deposit_did_not_cover_is_listed_after_a_week(till: Till) -> None:
    rental = _part_paid(till)
    _later(till, days=6)
    assert _stuck(till) == []
    _later(till, days=2)
    [item] = _stuck(till)
    assert (item["kind"], item["id"], item["acts"]) == ("unpaid", rental, ["write_off"])
    assert item["detail"] == {"owed_minor": "300", "paid_minor": "600", "currency": "CNY"}


def test_written_off_the_platform_gives_it_and_the_merchant_has_all_of_their_part(
    till: Till,
) -> None:
    rental = _part_paid(till)
    _later(till, days=8)
    [item] = _stuck(till)
    assert _write_off(till, item).status_code == 200
    assert till.world.state(rental) == "completed"
    assert _stuck(till) == []
    assert _write_off(till, item).json()["code"] == "wrong_state"
    [note] = till.renter.sees(f"/rentals/{rental}/credits")["credits"]
    assert (note["kind"], note["amount_minor"]) == ("goodwill", 300)

    _later(till, days=7)
    till.settle()
    assert till.mine("merchant_available") == 810
    assert till.mine("receivable") == 0
    assert till.world.balance("provider_cash") == 600
    with till.world.database.reading() as session:
        [row] = session.exec(select(AuditRow).where(AuditRow.action == "bill.write_off")).all()
        assert (row.subject_id, row.why) == (rental, "the renter is gone")
    till.balances()


def test_a_cancellation_that_is_not_paid_is_listed_too(till: Till) -> None:
    rental = _cancelled(till)
    _later(till, days=8)
    [item] = _stuck(till)
    assert (item["kind"], item["id"]) == ("unpaid", rental)
    assert _write_off(till, item).status_code == 200
    assert till.world.state(rental) == "completed"
    till.balances()


def test_what_is_paid_in_the_end_is_not_listed_any_more(till: Till) -> None:
    rental = _part_paid(till)
    _later(till, days=8)
    ref = till.pay(rental)
    assert _stuck(till) == []  # while the renter pays
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    assert _stuck(till) == []


def test_what_is_disputed_is_not_written_off(till: Till) -> None:
    rental = _part_paid(till)
    _later(till, days=8)
    [item] = _stuck(till)
    till.dispute(rental, 300)
    assert _stuck(till) == []
    assert _write_off(till, item).json()["code"] == "wrong_state"
    assert till.owed(rental) == 300


def test_while_there_is_a_deposit_to_take_it_is_taken_not_given(till: Till) -> None:
    rental = till.unpaid()
    answer = _write_off(till, {"kind": "unpaid", "id": rental})
    assert answer.json()["code"] == "wrong_state"
    assert till.owed(rental) == BILL


@pytest.mark.parametrize("is_billed", [False, True])
def test_where_the_hold_ended_too_early_there_is_a_way_on(till: Till, *, is_billed: bool) -> None:
    rental = till.world.payment_due() if is_billed else till.world.renting()
    till.hears(till.world.provider.change("fake-1", status=PaymentStatus.EXPIRED))
    [item] = [each for each in _stuck(till) if each["kind"] == "hold_expired"]
    assert item["acts"] == (["write_off"] if is_billed else ["close", "sell"])
    if is_billed:
        _later(till, days=9)
        [item] = _stuck(till)
        assert item["kind"] == "hold_expired"
        assert _write_off(till, item).status_code == 200
    else:
        path = f"/operator/stuck/hold_expired/{rental}/close"
        till.world.people["operator"].did(path, {"reason": "it lies on the counter"})
    assert till.world.state(rental) == ("completed" if is_billed else "payment_due")
    till.balances()
