"""What had gone may come back, days later: the books take it in, and it is owed again."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend import sweeps
from backend.limits import PayoutLimits, ReconcileLimits
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment, ProviderRefund
from backend.services.reconcile import look
from tests.integration.money.conftest import Till
from tests.integration.money.test_refused import does, keys, listed

ACCOUNT = "acct_0123456789abcdef"


def breaks(till: Till) -> tuple[object, ...]:
    world = till.world
    limits = ReconcileLimits(page=1)
    return look(world.database, world.providers, ended_after=None, limits=limits).breaks


# -- withdrawals -------------------------------------------------------------------------------


def tells_of_payout(till: Till, withdrawal: str, status: PayoutStatus) -> None:
    failure = "no such account" if status is PayoutStatus.FAILED else None
    payout = till.world.provider.change_payout(withdrawal, status=status, failure=failure)
    knocked = till.world.knock({"id": f"{withdrawal}-{status}", "payout": asdict(payout)})
    assert knocked.status_code == 204


@pytest.mark.row("M6")
def test_a_withdrawal_that_was_paid_and_came_back_is_the_merchants_again(till: Till) -> None:
    till.paid()
    till.world.clock.turn(days=7)
    till.settle()
    path = f"/merchants/{till.merchant}"
    till.owner.did(f"{path}/payout-account", {"account": ACCOUNT})
    asked = till.owner.did(f"{path}/withdrawals", {"amount_minor": 810})["id"]
    sweeps.send_withdrawals(
        till.world.database,
        till.world.providers,  # type: ignore[arg-type]
        limits=PayoutLimits(),
        now=till.world.clock.now(),
    )
    tells_of_payout(till, asked, PayoutStatus.PAID)
    assert (till.mine("merchant_available"), till.world.balance("provider_cash")) == (0, 90)

    till.world.clock.turn(days=2)
    tells_of_payout(till, asked, PayoutStatus.FAILED)
    tells_of_payout(till, asked, PayoutStatus.FAILED)

    shown = till.owner.sees(f"{path}/withdrawals/{asked}")
    assert (shown["state"], shown["failure"]) == ("failed", "no such account")
    assert (till.mine("merchant_available"), till.world.balance("provider_cash")) == (810, 900)
    assert till.owner.news()[-2:] == ["withdrawal.paid", "withdrawal.returned"]
    lines = till.owner.sees(f"{path}/ledger", of="withdrawable")["items"]
    assert (lines[0]["amount_minor"], lines[0]["text"]) == (
        810,
        "Withdrawal came back: yours again",
    )
    assert listed(till, "notice") == []
    assert breaks(till) == ()
    till.balances()
    assert till.owner.did(f"{path}/withdrawals", {"amount_minor": 810})["state"] == "requested"


# -- refunds -----------------------------------------------------------------------------------


def refunded(till: Till) -> tuple[str, str]:
    """A paid bill of which 300 went back: the rental, and the provider's ref of the bill."""
    rental = till.paid()
    till.world.people["operator"].did(
        f"/operator/rentals/{rental}/credit",
        {"amount_minor": 300, "is_bill_wrong": True, "reason": "with our apologies"},
    )
    till.all_runs()
    assert till.mine("refund_due") == 0
    return rental, "fake-2"


def tells_of_refund(
    till: Till, key: str, *, is_gone: bool = False, at: datetime | None = None, **changes: Any
) -> None:
    told: dict[str, Any] = {
        "ref": "re-1",
        "key": key,
        "is_gone": is_gone,
        "amount_minor": 300,
        "currency": "CNY",
        "failure": "" if is_gone else "the card is closed",
    }
    assert ProviderRefund(**told | changes)
    till.world.notices_sent += 1
    at = at or till.world.clock.now()
    id_ = f"r{till.world.notices_sent}"
    notice = {"id": id_, "refund": told | changes, "at": at.isoformat()}
    assert till.world.knock(notice).status_code == 204


def bounces(till: Till, ref: str, minor: int = 300) -> str:
    """The payer's bank sends the last refund back: its key."""
    key = keys(till, "refund")[-1]
    had = till.world.provider.payments[ref].refunded_minor
    till.world.provider.change(ref, refunded_minor=had - minor)
    tells_of_refund(till, key, amount_minor=minor)
    return key


@pytest.mark.row("M6")
def test_a_refund_that_came_back_is_owed_again_and_goes_anew(till: Till) -> None:
    rental, ref = refunded(till)
    cash = till.world.balance("provider_cash")

    for number in (2, 3):
        key = bounces(till, ref)
        tells_of_refund(till, key)
        assert till.mine("refund_due") == 300
        assert till.world.balance("provider_cash") == cash + 300
        assert till.renter.sees(f"/rentals/{rental}/credits")["refunds"][0]["refunded_at"] is None
        till.balances()
        till.agrees_with_provider()
        assert breaks(till) == ()

        [item] = listed(till)
        assert (item["detail"]["answer"], item["detail"]["problem"]) == (
            "refused",
            "the card is closed",
        )
        assert does(till, item, "retry").status_code == 200
        till.all_runs()
        assert keys(till, "refund")[-1].endswith(f":{number}")
        assert till.mine("refund_due") == 0
        assert listed(till) == []

    told = [kind for kind in till.renter.news() if kind.startswith("payment.refund")]
    assert told == ["payment.refunded", "payment.refund_returned"] * 2 + ["payment.refunded"]
    till.balances()
    till.agrees_with_provider()
    assert breaks(till) == ()


def test_a_refund_that_came_back_and_was_seen_to_by_hand_has_gone(till: Till) -> None:
    _, ref = refunded(till)
    key = bounces(till, ref)

    till.world.clock.turn(hours=1)
    till.world.provider.change(ref, refunded_minor=300)
    tells_of_refund(till, key, is_gone=True)

    assert till.mine("refund_due") == 0
    assert listed(till) == []
    till.balances()
    till.agrees_with_provider()


def test_of_two_words_on_a_refund_the_later_counts_in_whatever_order_they_come(till: Till) -> None:
    refunded(till)
    [key] = keys(till, "refund")
    now = till.world.clock.now()

    tells_of_refund(till, key, is_gone=True, at=now)
    tells_of_refund(till, key, at=now - timedelta(hours=1))

    assert till.mine("refund_due") == 0
    assert listed(till) == []
    till.balances()


def test_a_refund_that_fails_before_its_answer_came_never_went(till: Till) -> None:
    rental = till.paid()
    till.world.provider.loses_answers = True
    till.credit(rental, 300)
    till.world.send()
    till.world.provider.loses_answers = False
    bounces(till, "fake-2")

    till.world.clock.turn(minutes=1)
    till.all_runs()

    assert till.mine("refund_due") == 300
    assert "payment.refund_returned" not in till.renter.news()
    assert len(listed(till)) == 1
    till.balances()
    till.agrees_with_provider()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"amount_minor": 299}, "amount_mismatch"), ({"currency": "USD"}, "amount_mismatch")],
)
def test_a_refund_that_is_not_what_was_asked_for_is_a_persons(
    till: Till, changes: dict[str, Any], problem: str
) -> None:
    refunded(till)
    tells_of_refund(till, keys(till, "refund")[0], **changes)
    assert [item["detail"]["problem"] for item in listed(till, "notice")] == [problem]
    assert till.mine("refund_due") == 0


def test_a_refund_that_nobody_asked_for_is_a_persons(till: Till) -> None:
    tells_of_refund(till, "refund:nobody-s")
    assert [item["detail"]["problem"] for item in listed(till, "notice")] == ["unmatched"]


def test_what_fits_nothing_of_ours_and_came_back_is_unclaimed_again(till: Till) -> None:
    stray = ProviderPayment(
        ref="fake-stranger",
        status=PaymentStatus.PAID,
        amount_minor=500,
        captured_minor=500,
        refunded_minor=0,
        currency="CNY",
        reference="nobody-s",
        pay_url="",
        capture_before=None,
    )
    till.world.provider.payments[stray.ref] = stray
    till.world.notice(stray, id_="s1")
    till.refund_unmatched("s1")
    till.world.send()

    bounces(till, stray.ref, 500)

    assert till.world.balance("unclaimed") == till.world.balance("provider_cash") == 500
    till.balances()
    [item] = listed(till)
    assert does(till, item, "retry").status_code == 200
    till.world.send()
    assert till.world.balance("unclaimed") == till.world.balance("provider_cash") == 0
    till.balances()
    till.agrees_with_provider()
