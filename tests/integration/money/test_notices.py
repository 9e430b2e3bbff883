"""What a provider tells and nobody understands stays for a person, with a way to send it back."""

from dataclasses import replace

import pytest
from sqlmodel import select

from backend.db import outbox
from backend.db.tables.audit import AuditRow
from backend.db.tables.money import InboxRow
from backend.domain.errors import Code, Refusal
from backend.limits import ReconcileLimits
from backend.payments.port import (
    PaymentStatus,
    PayoutStatus,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
)
from backend.services import payments, refunds
from backend.services.reconcile import look
from tests.integration.money.conftest import BILL, Till


def _stranger(till: Till, amount: int = 777) -> ProviderPayment:
    """A payment at the provider that we never asked for, and that was paid."""
    made = ProviderPayment(
        ref="fake-stranger",
        status=PaymentStatus.PAID,
        amount_minor=amount,
        captured_minor=amount,
        refunded_minor=0,
        currency="CNY",
        reference="nobody-s",
        pay_url="http://provider.test/x",
        capture_before=None,
    )
    till.world.provider.payments[made.ref] = made
    return made


def _listed(till: Till) -> list[tuple[str, str | None]]:
    with till.world.database.reading() as session:
        return [(row.id, row.problem) for row in outbox.unresolved(session, limit=10)]


def test_a_payment_that_fits_none_of_ours_is_sent_back_by_an_operator(till: Till) -> None:
    till.world.notice(_stranger(till), id_="s1")
    assert _listed(till) == [("s1", "unmatched")]
    till.refund_unmatched("s1")
    assert _listed(till) == []
    assert till.world.balance("unclaimed") == till.world.balance("provider_cash") == 777
    till.world.send()
    assert till.world.provider.payments["fake-stranger"].refunded_minor == 777
    assert till.world.balance("unclaimed") == till.world.balance("provider_cash") == 0
    with till.world.database.reading() as session:
        assert "notice.resolve" in [row.action for row in session.exec(select(AuditRow))]
    till.agrees_with_provider()
    till.balances()


def test_told_of_twice_it_is_sent_back_once(till: Till) -> None:
    told = _stranger(till)
    till.world.notice(told, id_="s1")
    till.world.notice(told, id_="s2")
    till.refund_unmatched("s1")
    for again in ("s1", "s2"):
        with pytest.raises(Refusal) as refused:
            till.refund_unmatched(again)
        assert refused.value.code is Code.NOTHING_TO_REFUND
    till.world.send()
    assert till.world.provider.payments["fake-stranger"].refunded_minor == 777
    till.balances()


def test_a_payment_of_ours_over_another_amount_may_be_sent_back(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    paid = till.world.provider.change(
        ref, status=PaymentStatus.PAID, amount_minor=BILL - 1, captured_minor=BILL - 1
    )
    till.world.notice(paid, id_="s1")
    assert till.world.state(rental) == "payment_due"
    till.refund_unmatched("s1")
    till.world.send()
    assert till.world.provider.payments[ref].refunded_minor == BILL - 1
    till.balances()


def test_what_was_sent_back_and_is_told_of_again_is_nobodys_to_look_at(till: Till) -> None:
    told = _stranger(till)
    till.world.notice(told, id_="s1")
    till.refund_unmatched("s1")
    till.world.send()

    till.world.notice(till.world.provider.payments[told.ref], id_="s2")

    assert _listed(till) == []
    assert _breaks(till) == ()
    more = replace(told, amount_minor=778, captured_minor=778)
    till.world.notice(more, id_="s3")
    assert _listed(till) == [("s3", "unmatched")], "another sum is another matter"


def _breaks(till: Till) -> tuple[object, ...]:
    world = till.world
    limits = ReconcileLimits(page=1)
    return look(world.database, world.providers, ended_after=None, limits=limits).breaks


@pytest.mark.parametrize("status", [PaymentStatus.OPEN, PaymentStatus.FAILED])
def test_what_was_not_paid_cannot_be_sent_back(till: Till, status: PaymentStatus) -> None:
    till.world.notice(replace(_stranger(till), status=status), id_="s1")
    with pytest.raises(Refusal) as refused:
        till.refund_unmatched("s1")
    assert refused.value.code is Code.NOTHING_TO_REFUND


def test_what_cannot_be_read_is_set_aside_by_hand(till: Till) -> None:
    assert till.world.knock({"id": "x", "what": "money"}).status_code == 204
    [(inbox_id, problem)] = _listed(till)
    assert problem == "unreadable"
    with pytest.raises(Refusal) as refused:
        till.refund_unmatched(inbox_id)
    assert refused.value.code is Code.NOTHING_TO_REFUND
    with till.world.database.writing() as session:
        row = refunds.set_aside(
            session,
            who=till.operator,
            provider="fake",
            inbox_id=inbox_id,
            reason="refunded at the provider's desk",
            now=till.world.clock.now(),
        )
        assert row.resolved_at is not None
    assert _listed(till) == []


def test_a_notice_that_nobody_kept_is_not_found(till: Till) -> None:
    with pytest.raises(Refusal) as refused:
        till.refund_unmatched("never")
    assert refused.value.code is Code.NOT_FOUND


def test_a_notice_of_a_payout_that_another_provider_sends_ends_nothing(till: Till) -> None:
    till.paid()
    till.world.clock.turn(days=7)
    till.settle()
    path = f"/merchants/{till.merchant}"
    till.owner.did(f"{path}/payout-account", {"account": "acct_0123456789"})
    asked = till.owner.did(f"{path}/withdrawals", {"amount_minor": 810})
    told = ProviderPayout(
        ref="out-1",
        status=PayoutStatus.FAILED,
        amount_minor=810,
        currency="CNY",
        reference=asked["id"],
        account="acct_0123456789",
    )
    notice = ProviderNotice(
        id="p1", kind="payout", payment=None, payout=told, at=till.world.clock.now()
    )
    with till.world.database.writing() as session:
        payments.take_notice(session, notice, provider="another", now=till.world.clock.now())

    assert till.owner.sees(f"{path}/withdrawals/{asked['id']}")["state"] == "requested"
    assert till.mine("merchant_available") == 0
    assert _listed(till) == [("p1", "unmatched")]


def test_a_notice_of_a_payout_is_kept_and_followed(till: Till) -> None:
    till.paid()
    till.world.clock.turn(days=7)
    till.settle()
    path = f"/merchants/{till.merchant}"
    till.owner.did(f"{path}/payout-account", {"account": "acct_0123456789"})
    asked = till.owner.did(f"{path}/withdrawals", {"amount_minor": 810})
    told = {
        "ref": "out-1",
        "status": PayoutStatus.PAID,
        "amount_minor": 810,
        "currency": "CNY",
        "reference": asked["id"],
        "account": "acct_0123456789",
        "failure": None,
    }
    assert till.world.knock({"id": "p1", "payout": told}).status_code == 204
    with till.world.database.reading() as session:
        [row] = session.exec(select(InboxRow).where(InboxRow.id == "p1")).all()
        assert (row.status, row.problem) == ("paid", None)
    assert till.owner.sees(f"{path}/withdrawals/{asked['id']}")["state"] == "paid"
    till.world.knock({"id": "p2", "payout": {**told, "reference": "nobody-s"}})
    assert _listed(till) == [("p2", "unmatched")]
