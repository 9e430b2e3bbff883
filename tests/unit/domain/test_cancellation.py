import pytest

from backend.domain.cancellation import CancelFee, CancelStage, cancel_fee, check_seen
from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor
from backend.domain.rental import MOVES, RentalEvent, RentalState
from backend.domain.tariff import BillingStart, Rounding, Terms

S = RentalState
TERMS = Terms(
    free_s=0,
    block_s=900,
    block_price_minor=Minor(100),
    cap_24h_minor=Minor(1000),
    cap_total_minor=Minor(9900),
    delivery_fee_minor=Minor(0),
    deposit_minor=Minor(9900),
    billing_start=BillingStart.ARRIVAL,
    rounding=Rounding.CEIL,
    cancel_accepted_minor=Minor(200),
    cancel_delivering_minor=Minor(500),
)


@pytest.mark.parametrize(
    ("state", "stage", "fee"),
    [
        (S.REQUESTED, CancelStage.WAITING, 0),
        (S.ACCEPTED, CancelStage.ACCEPTED, 200),
        (S.DELIVERING, CancelStage.DELIVERING, 500),
    ],
)
def test_calling_off_costs_what_the_terms_say_of_the_stage(state, stage, fee):
    assert cancel_fee(TERMS, state, is_excused=False) == CancelFee(stage=stage, fee_minor=fee)


@pytest.mark.parametrize("state", [S.REQUESTED, S.ACCEPTED, S.DELIVERING])
def test_who_was_kept_waiting_calls_off_for_nothing(state):
    fee = cancel_fee(TERMS, state, is_excused=True)
    assert fee == CancelFee(stage=CancelStage.EXCUSED, fee_minor=0)


@pytest.mark.parametrize("state", RentalState)
def test_there_is_a_fee_exactly_while_the_table_lets_it_be_called_off(state):
    may_cancel = (state, RentalEvent.CANCEL) in MOVES
    assert (cancel_fee(TERMS, state, is_excused=False) is not None) is may_cancel


@pytest.mark.parametrize("seen", [200, 201])
def test_a_fee_that_was_seen_may_be_charged(seen):
    check_seen(CancelFee(stage=CancelStage.ACCEPTED, fee_minor=Minor(200)), seen_minor=Minor(seen))


def test_a_fee_that_has_risen_is_not_charged_but_named():
    fee = CancelFee(stage=CancelStage.DELIVERING, fee_minor=Minor(500))
    with pytest.raises(Refusal) as refused:
        check_seen(fee, seen_minor=Minor(200))
    assert refused.value.code is Code.CANCEL_COSTS
    assert refused.value.detail == {"fee_minor": 500, "seen_minor": 200}
