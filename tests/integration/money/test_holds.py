"""A hold runs out by itself: before it does, it is taken, and stays the renter's."""

from typing import Any

import pytest
from sqlmodel import select

from backend.db import deposits as dues
from backend.db.tables.audit import AuditRow
from backend.domain.errors import Code, Refusal
from backend.payments.port import PaymentStatus
from backend.services import deposits
from tests.integration.money.conftest import DEPOSIT, Till
from tests.integration.rentals.conftest import World


@pytest.fixture
def till(world: World) -> Till:
    """Where a week costs less than the deposit."""
    return Till(world=world, merchant=world.market(cap_24h_minor=300))


def _collected(till: Till, rental: str) -> None:
    till.renter.did(f"/rentals/{rental}/return", {"lat": 31.2, "lng": 121.4, "address": "door"})
    till.world.staff_does("accept")
    till.world.staff_does("collect", qr_token=till.world.tokens["LW-0001"])


def _secured(till: Till) -> str:
    rental = till.world.renting()
    till.world.clock.turn(days=6, hours=1)
    assert till.secure() == 1
    till.world.send()
    return str(rental)


def test_a_hold_is_taken_a_day_before_it_runs_out_and_not_earlier(till: Till) -> None:
    rental = till.world.renting()
    till.world.clock.turn(days=5, hours=23)
    assert till.secure() == 0
    till.world.clock.turn(hours=2)
    assert till.secure() == 1
    assert till.secure() == 0
    till.world.send()
    assert till.deposit(rental) == ("secured", DEPOSIT, 0)
    assert till.world.rental(rental)["deposit"]["state"] == "secured"
    assert till.mine("deposit") == till.world.balance("provider_cash") == DEPOSIT
    assert till.world.balance("provider_holds") == 0
    assert "deposit.secured" in till.renter.news()
    assert till.world.state(rental) == "renting"
    till.agrees_with_provider()
    till.balances()


def test_the_bill_is_taken_from_it_and_the_rest_goes_back(till: Till) -> None:
    rental = _secured(till)
    assert till.spend() == 0
    _collected(till, rental)
    bill = till.row(rental).amount_minor or 0
    assert 0 < bill < DEPOSIT
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", DEPOSIT, bill)
    assert till.world.provider.payments["fake-1"].refunded_minor == DEPOSIT - bill
    assert till.mine("deposit") == till.mine("refund_due") == 0
    assert till.world.balance("provider_cash") == bill
    assert {"deposit.captured", "payment.refunded"} <= set(till.renter.news())
    till.agrees_with_provider()
    till.balances()


def test_who_pays_the_bill_by_themselves_gets_all_of_it_back(till: Till) -> None:
    rental = _secured(till)
    _collected(till, rental)
    ref = till.pay(rental)
    assert till.spend() == 0  # the renter is about to pay
    till.hears(till.agree(ref))
    till.all_runs()
    assert till.world.provider.payments["fake-1"].refunded_minor == DEPOSIT
    assert till.deposit(rental) == ("captured", DEPOSIT, 0)
    till.agrees_with_provider()
    till.balances()


def test_of_a_rental_that_cost_nothing_all_of_it_goes_back(till: Till) -> None:
    rental = till.world.starting()
    till.world.clock.turn(days=6, hours=1)
    till.secure()
    till.world.send()
    _collected(till, rental)
    till.all_runs()
    assert till.world.provider.payments["fake-1"].refunded_minor == DEPOSIT
    assert till.mine("deposit") == till.mine("refund_due") == 0
    till.agrees_with_provider()
    till.balances()


def test_what_is_disputed_waits_in_the_deposit_until_it_is_decided(till: Till) -> None:
    rental = _secured(till)
    _collected(till, rental)
    bill = till.row(rental).amount_minor or 0
    dispute = till.dispute(rental, 500)
    till.all_runs()
    assert till.deposit(rental) == ("secured", DEPOSIT, bill - 500)
    assert till.mine("deposit") == 500
    assert till.world.provider.payments["fake-1"].refunded_minor == DEPOSIT - bill
    till.agrees_with_provider()
    till.balances()

    till.decide(dispute, 200)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", DEPOSIT, bill - 200)
    assert till.mine("deposit") == till.mine("refund_due") == 0
    till.agrees_with_provider()
    till.balances()


def test_a_hold_that_ran_out_is_on_the_stuck_list_while_the_rental_goes_on(till: Till) -> None:
    rental = till.world.renting()
    till.hears(till.world.provider.change("fake-1", status=PaymentStatus.EXPIRED))
    assert till.deposit(rental)[0] == "expired"
    assert _stuck(till) == [rental]
    till.agrees_with_provider()
    _collected(till, rental)
    assert _stuck(till) == [rental]
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    assert _stuck(till) == []
    till.balances()


def _stuck(till: Till) -> list[str]:
    with till.world.database.reading() as session:
        found = dues.expired_while_running(session, limit=10)
        return [rental.id for _deposit, rental in found]


def test_a_hold_that_is_let_go_is_not_taken(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.hears(till.agree(ref))
    till.world.clock.turn(days=6, hours=1)
    assert till.secure() == 0
    till.world.send()
    assert till.deposit(rental)[0] == "released"


def test_a_taking_that_nobody_wants_any_more_is_not_asked_for(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.hears(till.world.provider.change(ref, status=PaymentStatus.FAILED))
    till.world.clock.turn(hours=24)
    till.deadlines()
    till.hears(till.agree(ref))
    till.world.send()
    assert "capture" not in [what for what, _ in till.world.provider.calls]
    assert till.deposit(rental)[0] == "released"
    till.agrees_with_provider()
    till.balances()


def test_an_operator_may_secure_a_hold_at_once(till: Till) -> None:
    rental = till.world.renting()
    _secure_now(till, rental)
    till.world.send()
    assert till.deposit(rental)[0] == "secured"
    with till.world.database.reading() as session:
        assert "deposit.secure" in [row.action for row in session.exec(select(AuditRow))]


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        ("asked", Code.PAYMENT_IN_DOUBT),
        ("expired", Code.DEPOSIT_NOT_HELD),
        ("nothing", Code.NOT_FOUND),
    ],
)
def test_an_operator_cannot_secure_what_is_not_held(till: Till, prepare: str, code: Code) -> None:
    rental = till.world.renting()
    if prepare == "asked":
        _secure_now(till, rental)
    elif prepare == "expired":
        till.hears(till.world.provider.change("fake-1", status=PaymentStatus.EXPIRED))
    else:
        rental = "nothing"
    with pytest.raises(Refusal) as refused:
        _secure_now(till, rental)
    assert refused.value.code is code


def _secure_now(till: Till, rental: str) -> Any:
    with till.world.database.writing() as session:
        return deposits.secure_now(
            session,
            who=till.operator,
            rental_id=rental,
            reason="the provider warned us",
            now=till.world.clock.now(),
        )
