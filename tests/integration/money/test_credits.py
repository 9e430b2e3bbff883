"""A bill put right: before it is paid and after, more than once, and never above the bill."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from backend.domain.credit import CreditKind
from backend.domain.errors import Code, Refusal
from gateway import events
from tests.integration.money.conftest import BILL, DEPOSIT, Till
from tests.integration.rentals.conftest import HOME


def test_before_it_is_paid_the_bill_becomes_less(till: Till) -> None:
    rental = till.world.payment_due()
    note = till.credit(rental, 300)
    assert (note.refunded_minor, note.merchant_minor, note.platform_minor) == (0, 270, 30)
    assert till.owed(rental) == 600
    assert till.mine("merchant_pending") == 540
    ref = till.pay(rental)
    assert till.world.provider.payments[ref].amount_minor == 600
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    assert "rental.credited" in till.renter.news()
    till.balances()


def test_credited_to_nothing_it_is_over_and_the_deposit_is_free(till: Till) -> None:
    rental = till.world.payment_due()
    till.credit(rental, BILL)
    assert till.world.state(rental) == "completed"
    till.world.send()
    assert till.deposit(rental)[0] == "released"
    assert till.mine("receivable") == till.mine("merchant_pending") == 0
    till.agrees_with_provider()
    till.balances()


def test_after_it_was_paid_it_goes_back_in_parts_each_once(till: Till) -> None:
    rental = till.paid()
    till.credit(rental, 300)
    till.credit(rental, 200)
    assert till.mine("refund_due") == 500
    till.world.send()
    assert till.world.provider.payments["fake-2"].refunded_minor == 500
    assert till.mine("refund_due") == 0
    shown = till.renter.sees(f"/rentals/{rental}/credits")
    assert [each["amount_minor"] for each in shown["credits"]] == [300, 200]
    assert [each["why"] for each in shown["refunds"]] == ["credit", "credit"]
    assert all(each["refunded_at"] for each in shown["refunds"])
    assert till.renter.news().count("payment.refunded") == 2
    till.agrees_with_provider()
    till.balances()


def test_a_refund_whose_answer_is_lost_goes_once(till: Till) -> None:
    rental = till.paid()
    till.credit(rental, 300)
    till.world.provider.loses_answers = True
    till.world.send()
    assert till.mine("refund_due") == 300
    till.world.provider.loses_answers = False
    till.world.clock.turn(seconds=3)
    till.world.send()
    assert till.world.provider.payments["fake-2"].refunded_minor == 300
    assert till.mine("refund_due") == 0
    till.agrees_with_provider()
    till.balances()


def test_never_more_than_the_bill(till: Till) -> None:
    rental = till.paid()
    till.credit(rental, 600)
    with pytest.raises(Refusal) as refused:
        till.credit(rental, 301)
    assert refused.value.code is Code.MORE_THAN_BILLED
    assert refused.value.detail == {"left_minor": 300, "currency": "CNY"}
    till.credit(rental, 300)
    till.world.send()
    assert till.world.balance("provider_cash") == 0
    till.balances()


def test_a_second_note_on_the_same_evidence_is_the_first(till: Till) -> None:
    rental = till.paid()
    first = till.credit(rental, 300, CreditKind.LATE_OUTPUT_OFF, evidence="e1")
    again = till.credit(rental, 300, CreditKind.LATE_OUTPUT_OFF, evidence="e1")
    assert first.id == again.id
    assert till.row(rental).credited_minor == 300
    till.balances()


def test_half_paid_from_the_deposit_it_lowers_what_is_owed_first(till: Till) -> None:
    rental = till.unpaid()
    dispute = till.dispute(rental, 500)
    till.all_runs()
    assert till.deposit(rental) == ("secured", BILL, 400)
    note = till.credit(rental, 600)
    assert note.refunded_minor == 100
    assert till.world.state(rental) == "completed"
    till.all_runs()
    assert till.deposit(rental) == ("captured", BILL, 400)
    assert till.world.provider.payments["fake-1"].refunded_minor == BILL - 300
    till.decide(dispute, 0)
    till.agrees_with_provider()
    till.balances()


def test_a_captured_deposit_is_refunded_as_any_payment(till: Till) -> None:
    rental = till.unpaid()
    till.all_runs()
    till.credit(rental, 300)
    till.world.send()
    hold = till.world.provider.payments["fake-1"]
    assert (hold.captured_minor, hold.refunded_minor) == (BILL, 300)
    till.agrees_with_provider()
    till.balances()


def test_what_a_credit_note_makes_too_much_of_a_payment_on_its_way_goes_back(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.credit(rental, 300)
    till.hears(till.agree(ref))
    assert till.world.state(rental) == "completed"
    till.world.send()
    assert till.world.provider.payments[ref].refunded_minor == 300
    till.agrees_with_provider()
    till.balances()


def test_what_a_credit_note_makes_too_much_of_a_taken_hold_goes_back(till: Till) -> None:
    rental = till.unpaid()
    till.deadlines()
    till.credit(rental, 300)
    till.all_runs()
    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, 600)
    assert till.world.provider.payments["fake-1"].refunded_minor == 300
    till.agrees_with_provider()
    till.balances()


def test_goodwill_is_the_platforms_own(till: Till) -> None:
    rental = till.paid()
    note = till.credit(rental, 500, CreditKind.GOODWILL)
    assert (note.merchant_minor, note.platform_minor) == (0, 500)
    assert till.mine("merchant_pending") == 810
    assert till.world.balance("platform_revenue") == -410
    till.balances()


def test_after_the_settlement_the_merchant_gives_it_from_what_is_theirs(till: Till) -> None:
    rental = till.paid()
    till.world.clock.turn(days=7)
    assert till.settle() == 1
    till.credit(rental, 300)
    assert till.mine("merchant_available") == 810 - 270
    assert till.mine("merchant_debt") == 0
    till.balances()


def test_what_the_merchant_has_no_more_is_laid_out_and_repaid_from_the_next(till: Till) -> None:
    rental = till.paid()
    till.world.clock.turn(days=7)
    till.settle()
    till.owner.did(f"/merchants/{till.merchant}/payout-account", {"account": "acct_0123456789"})
    till.owner.did(f"/merchants/{till.merchant}/withdrawals", {"amount_minor": 810})
    assert till.mine("merchant_available") == 0

    till.credit(rental, 300)
    assert till.mine("merchant_debt") == 270
    assert till.world.balance("platform_revenue") == 60
    till.world.send()
    assert till.world.provider.payments["fake-2"].refunded_minor == 300

    till.world.staff_does("check-in", qr_token=till.world.tokens["LW-0001"])
    till.world.ended(events.CommandDone)
    till.world.bank_is("LW-0001", output="off", lock="locked")
    till.paid()
    till.world.clock.turn(days=7)
    till.settle()
    assert till.mine("merchant_debt") == 0
    assert till.mine("merchant_available") == 810 - 270


def test_a_stranger_sees_no_credit_notes(till: Till) -> None:
    rental = till.paid()
    answer = till.world.people["other"].get(f"/rentals/{rental}/credits")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_credit_notes_are_only_added_to(till: Till) -> None:
    rental = till.paid()
    till.credit(rental, 300)
    with (
        pytest.raises(DBAPIError, match="only added to"),
        till.world.database.writing() as session,
    ):
        session.execute(text("UPDATE credit_note SET amount_minor = 1"))


def test_the_database_itself_refuses_more_than_the_bill(till: Till) -> None:
    till.paid()
    with pytest.raises(IntegrityError), till.world.database.writing() as session:
        session.execute(text("UPDATE rental SET credited_minor = 1"))
    assert DEPOSIT > BILL


def test_what_a_dispute_gave_back_of_a_bank_is_not_given_back_again_when_it_is_found(
    till: Till,
) -> None:
    rental = till.world.renting()
    till.world.clock.turn(hours=1)
    till.renter.did(f"/rentals/{rental}/buy-out", {"amount_minor": 9900})
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    till.decide(till.dispute(rental, 9000), 9000)
    till.owner.did(f"/merchants/{till.merchant}/banks/LW-0001/found", {"reason": "it lay there"})
    assert till.row(rental).credited_minor == 9000
    assert till.world.holder("LW-0001") == "merchant"
    till.balances()


def test_what_a_dispute_gave_back_in_part_is_made_up_when_the_bank_is_found(till: Till) -> None:
    rental = till.world.renting()
    till.world.clock.turn(hours=1)
    till.renter.did(f"/rentals/{rental}/buy-out", {"amount_minor": 9900})
    ref = till.pay(rental)
    till.hears(till.agree(ref))
    till.credit(rental, 100, CreditKind.GOODWILL)
    till.decide(till.dispute(rental, 4000), 4000)
    till.owner.did(f"/merchants/{till.merchant}/banks/LW-0001/found", {"reason": "it lay there"})
    assert till.row(rental).credited_minor == 9000 + 100
    till.balances()


@pytest.mark.parametrize(("granted", "credited"), [(1500, 1500), (1000, 1500), (1600, 1600)])
def test_a_dispute_and_late_news_of_the_same_give_it_back_once(
    till: Till, granted: int, credited: int
) -> None:
    rental = till.world.renting()
    off_at = till.world.clock.now() + timedelta(minutes=15)
    till.world.clock.turn(hours=4)
    till.renter.did(f"/rentals/{rental}/return", HOME)
    till.world.staff_does("accept")
    till.world.staff_does("collect", qr_token=till.world.tokens["LW-0001"])
    assert till.row(rental).amount_minor == 2100  # and 600 would have been right
    till.decide(till.dispute(rental, granted, "it was flat after a quarter of an hour"), granted)
    till.world.since(events.OutputOff, "LW-0001", at=off_at)
    till.world.follow()
    assert till.row(rental).credited_minor == credited
    till.balances()
