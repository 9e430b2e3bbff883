"""What a provider has sent is in the books, also where the merchants took out the cash before."""

import json

import pytest

from backend import sweeps
from backend.checks import Report
from backend.limits import PayoutLimits, ReconcileLimits
from backend.payments.port import PayoutStatus
from backend.services.verify import verify
from tests.integration.money.conftest import BILL, Till

SHARE = 810
"""The merchant's part of the bill."""


def withdrawn(till: Till) -> str:
    """A rental whose takings its merchant has taken out, all of them."""
    world = till.world
    rental = till.paid()
    world.clock.turn(days=7)
    till.settle()
    payouts = f"/merchants/{till.merchant}"
    till.owner.did(f"{payouts}/payout-account", {"account": "acct_12345678"})
    withdrawal = till.owner.did(f"{payouts}/withdrawals", {"amount_minor": SHARE})["id"]
    limits = PayoutLimits()
    for end in (None, PayoutStatus.PAID):
        if end is not None:
            world.provider.change_payout(withdrawal, status=end)
            world.clock.turn(hours=1)
        sweeps.send_withdrawals(
            world.database, {"fake": world.provider}, limits=limits, now=world.clock.now()
        )
    assert till.owner.sees(f"{payouts}/withdrawals/{withdrawal}")["state"] == "paid"
    assert world.balance("provider_cash") == BILL - SHARE
    return rental


def test_a_refund_that_is_more_than_our_cash_is_paid_in_by_the_platform(till: Till) -> None:
    world = till.world
    till.credit(withdrawn(till), BILL)
    world.send()
    assert world.provider.payments["fake-2"].refunded_minor == BILL
    assert till.mine("refund_due") == 0
    assert world.balance("provider_cash") == 0
    assert world.balance("provider_topups") == SHARE
    assert till.mine("merchant_debt") == SHARE
    assert "payment.refunded" in till.renter.news()
    till.balances()


def test_what_is_to_be_paid_in_is_told_to_who_checks_the_books(till: Till) -> None:
    till.credit(withdrawn(till), BILL)
    till.world.send()
    with till.world.database.reading() as session:
        report = Report(verified=verify(session), looked=None)
    assert json.loads(report.as_json())["topups"] == {"CNY": SHARE}
    assert list(report.lines())[1:] == [
        "The platform has to have paid in at its providers: 810 CNY."
    ]


def test_a_refund_is_topped_up_once_however_often_it_is_told(till: Till) -> None:
    world = till.world
    till.credit(withdrawn(till), BILL)
    world.provider.loses_answers = True
    world.send()
    world.provider.loses_answers = False
    for _ in range(2):
        till.hears(world.provider.payments["fake-2"])
        world.clock.turn(minutes=1)
        world.send()
    assert world.balance("provider_topups") == SHARE
    till.balances()


def test_what_was_paid_in_is_no_break_for_who_compares_with_the_provider(till: Till) -> None:
    world = till.world
    till.credit(withdrawn(till), BILL)
    world.send()
    sweeps.reconcile(
        world.database,
        {"fake": world.provider},
        limits=ReconcileLimits(),
        now=world.clock.now(),
    )
    world.people.clear()
    assert world.people["operator"].sees("/operator/stuck")["items"] == []


@pytest.mark.parametrize("withdrawn", [100, SHARE])
def test_a_payout_that_is_more_than_our_cash_is_paid_in_too(till: Till, withdrawn: int) -> None:
    world = till.world
    rental = till.paid()
    world.clock.turn(days=7)
    till.settle()
    path = f"/merchants/{till.merchant}"
    till.owner.did(f"{path}/payout-account", {"account": "acct_12345678"})
    withdrawal = till.owner.did(f"{path}/withdrawals", {"amount_minor": withdrawn})["id"]
    till.credit(rental, BILL)  # while the payout is on its way
    world.send()
    assert world.balance("provider_cash") == 0
    for status in (None, PayoutStatus.PAID):
        if status is not None:
            world.provider.change_payout(withdrawal, status=status)
            world.clock.turn(hours=1)
        sweeps.send_withdrawals(
            world.database, {"fake": world.provider}, limits=PayoutLimits(), now=world.clock.now()
        )
    assert till.owner.sees(f"{path}/withdrawals/{withdrawal}")["state"] == "paid"
    assert world.balance("provider_cash") == 0
    assert world.balance("provider_topups") == withdrawn
    till.balances()
