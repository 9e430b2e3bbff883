"""Whatever a provider does wrong, a rental ends as that provider's truth, and the books balance.

Both apps are real, and so is the HTTP between them: see ``evening.py``.
"""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from backend.payments.port import PaymentStatus
from backend.payments.provider_app.faults import FITS, Fault
from tests.integration.payments.evening import Evening, evening_over_sandbox

QUICK = {Fault.NO_ANSWER: 0, Fault.SLOW: 0.05, Fault.SHORT_HOLD: 900}
"""Spans of which a test need not wait the usual."""
WHILE_IT_IS_TAKEN = (Fault.ERROR_AFTER, Fault.NO_ANSWER, Fault.NOTICE_FIRST, Fault.NOTICE_LOST)
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def evening(tmp_path, database_url):
    with evening_over_sandbox(tmp_path, database_url) as evening:
        yield evening


def everywhere(evening: Evening, faults: Iterable[Fault], *, times: int) -> None:
    """Have these faults strike so often in each place where they fit."""
    for fault in faults:
        for at in FITS[fault]:
            evening.sandbox.arm(fault, at=[at], times=times, for_s=QUICK.get(fault))


def paid_and_taken_out(evening: Evening) -> str:
    """A rental that is paid and partly refunded; what it earned goes to the merchant."""
    rental = evening.payment_due()
    evening.pays_bill(rental)
    evening.gets_back(rental, 300)
    evening.goes_on(timedelta(days=8), step=timedelta(days=2))
    withdrawal = evening.withdraws("sandbox:shop")
    evening.goes_on(step=timedelta(minutes=10))
    return withdrawal


def never_paid(evening: Evening) -> str:
    """A rental whose renter does not pay: when the deadline is over, the deposit does."""
    rental = evening.payment_due()
    evening.goes_on(timedelta(hours=26), step=timedelta(hours=5))
    return rental


# -- nothing goes wrong -------------------------------------------------------------------------


def test_with_a_provider_that_behaves_all_is_paid_and_taken_out(evening):
    withdrawal = paid_and_taken_out(evening)

    assert evening.withdrawal(withdrawal)["state"] == "paid"
    evening.must_be_true()
    assert evening.struck() == {}


@on_sqlite
def test_a_withdrawal_to_an_account_that_is_closed_is_the_merchants_again(evening):
    rental = evening.payment_due()
    evening.pays_bill(rental)
    evening.goes_on(timedelta(days=8), step=timedelta(days=2))

    withdrawal = evening.withdraws("sandbox:closed")
    evening.goes_on(step=timedelta(minutes=10))

    assert evening.withdrawal(withdrawal)["state"] == "failed"
    evening.must_be_true()
    again = evening.withdraws("sandbox:shop")
    evening.goes_on(step=timedelta(minutes=10))
    assert evening.withdrawal(again)["state"] == "paid"
    evening.must_be_true()


# -- one thing goes wrong, wherever it can ------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("fault", Fault)
def test_one_fault_wherever_it_can_strike_leaves_the_truth_and_the_books(evening, fault):
    everywhere(evening, [fault], times=2)

    paid_and_taken_out(evening)

    evening.calms_down()
    evening.must_be_true()
    assert evening.struck()[fault] >= 1


@on_sqlite
@pytest.mark.parametrize("fault", WHILE_IT_IS_TAKEN)
def test_a_deposit_is_taken_once_for_what_was_not_paid_whatever_goes_wrong(evening, fault):
    everywhere(evening, [fault], times=2)

    rental = never_paid(evening)

    evening.calms_down()
    evening.must_be_true()
    assert evening.state(rental) == "completed"
    (deposit,) = evening.rental(rental)["payments"]
    told = evening.sandbox.provider.find(deposit["id"])
    assert (told.status, told.captured_minor) == (PaymentStatus.PAID, 900)
    assert evening.struck()[fault] >= 1


@on_sqlite
def test_a_deposit_that_ran_out_before_its_time_pays_nothing(evening):
    everywhere(evening, [Fault.HOLD_EXPIRED], times=1)

    rental = never_paid(evening)

    evening.calms_down()
    evening.must_be_true()
    assert evening.state(rental) == "payment_due"
    assert evening.balance("provider_cash") == 0


@on_sqlite
def test_a_payer_who_agrees_before_we_know_of_the_payment_has_agreed(evening):
    rental = evening.delivered()
    renter = evening.people["renter"]
    renter.did(f"/rentals/{rental}/scan", {"qr_token": evening.tokens["LW-0001"]})
    for at in ("create", "find"):
        evening.sandbox.arm(Fault.NO_ANSWER, at=[at], times=100, for_s=0)
    payment = renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    evening.goes_on(timedelta(0))
    assert renter.sees(f"/payments/{payment['id']}")["state"] == "unknown"
    (ref,) = evening.refs()

    evening.sandbox.provider.simulate(ref, "pay")
    evening.sandbox.wait_until_nothing_is_due()

    assert evening.state(rental) == "starting"
    evening.calms_down()
    assert renter.sees(f"/payments/{payment['id']}")["state"] == "authorized"


# -- everything goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_by_chance_leaves_the_truth_and_the_books(evening, seed):
    evening.sandbox.leave_to_chance(seed, dict.fromkeys(Fault, 150), **QUICK)

    paid_and_taken_out(evening)

    evening.calms_down()
    evening.must_be_true()
    assert len(evening.struck()) > 3


@on_sqlite
def test_everything_everywhere_leaves_the_truth_and_the_books(evening):
    everywhere(evening, Fault, times=1)

    paid_and_taken_out(evening)

    evening.calms_down()
    evening.must_be_true()
    assert len(evening.struck()) > len(Fault) / 2
