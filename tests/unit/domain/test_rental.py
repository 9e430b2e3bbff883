from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor
from backend.domain.rental import (
    CLOSED,
    MOVES,
    MerchantList,
    RentalEvent,
    RentalState,
    ReturnEvidence,
    Stage,
    billing_start,
    diagram,
    list_of,
    returned_at,
    shows_called_off,
    stage_of,
    states_in,
    step,
)
from backend.domain.tariff import BillingStart, Rounding, Terms

S, E = RentalState, RentalEvent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes):
    return None if minutes is None else NOON + timedelta(minutes=minutes)


def terms(start):
    return Terms(
        free_s=0,
        block_s=900,
        block_price_minor=Minor(100),
        cap_24h_minor=Minor(1000),
        cap_total_minor=Minor(9900),
        delivery_fee_minor=Minor(0),
        deposit_minor=Minor(9900),
        billing_start=start,
        rounding=Rounding.CEIL,
    )


# -- the table ---------------------------------------------------------------------------


def walk(*events):
    state = S.REQUESTED
    for event in events:
        state = step(state, event)
    return state


DELIVERED = (E.ACCEPT, E.SET_OUT, E.HAND_OVER)
RENTING = (*DELIVERED, E.SCAN, E.DEPOSIT_HELD, E.OUTPUT_CONFIRMED)


def test_a_rental_goes_from_the_request_to_the_receipt():
    assert walk(*RENTING, E.REQUEST_RETURN, E.COLLECT, E.PAID) is S.COMPLETED


def test_staff_may_collect_what_nobody_asked_to_be_fetched():
    assert walk(*RENTING, E.COLLECT) is S.PAYMENT_DUE


def test_a_bank_that_does_not_start_is_collected_and_the_rental_cancelled():
    assert walk(*RENTING[:-1], E.START_REFUSED, E.COLLECT) is S.CANCELLED


@pytest.mark.parametrize("known", [DELIVERED, (*DELIVERED, E.SCAN)])
def test_who_thinks_better_of_it_at_the_door_has_the_bank_fetched(known):
    assert walk(*known, E.REQUEST_RETURN, E.COLLECT) is S.PAYMENT_DUE


def test_a_bank_that_never_says_whether_it_started_can_be_given_back():
    assert walk(*RENTING[:-1], E.REQUEST_RETURN, E.COLLECT, E.PAID) is S.COMPLETED


def test_a_bank_that_never_says_whether_it_started_can_be_collected():
    assert walk(*RENTING[:-1], E.COLLECT, E.PAID) is S.COMPLETED


@pytest.mark.parametrize("event", [E.OUTPUT_CONFIRMED, E.START_REFUSED])
def test_news_of_the_start_that_comes_after_the_request_for_return_moves_nothing(event):
    with pytest.raises(Refusal):
        walk(*RENTING[:-1], E.REQUEST_RETURN, event)


@pytest.mark.parametrize("done", range(3))
def test_until_the_bank_is_delivered_the_renter_may_cancel(done):
    assert walk(*DELIVERED[:done], E.CANCEL) is S.CANCELLED


@pytest.mark.parametrize("done", [1, 2])
def test_a_cancellation_that_costs_something_is_paid_before_it_is_over(done):
    assert walk(*DELIVERED[:done], E.CANCEL_FOR_FEE, E.PAID) is S.COMPLETED


def test_before_anybody_accepted_cancelling_costs_nothing():
    with pytest.raises(Refusal):
        walk(E.CANCEL_FOR_FEE)


@pytest.mark.parametrize("done", range(3))
def test_whom_nobody_can_deliver_to_is_told_so_at_any_stage(done):
    assert walk(*DELIVERED[:done], E.GIVE_UP) is S.UNDELIVERABLE


@pytest.mark.parametrize("done", range(3))
def test_a_delivery_may_begin_again_with_somebody_else(done):
    assert walk(*DELIVERED[:done], E.REASSIGN, *DELIVERED) is S.DELIVERED


def test_a_claim_that_is_denied_leads_back_to_renting():
    assert walk(*RENTING, E.CLAIM_RETURNED, E.DENY_RETURN) is S.RENTING


@pytest.mark.parametrize("asked", [(), (E.REQUEST_RETURN,), (E.CLAIM_RETURNED,)])
def test_a_bank_that_does_not_come_back_is_bought(asked):
    assert walk(*RENTING, *asked, E.BUY_OUT, E.PAID) is S.COMPLETED


@pytest.mark.parametrize("done", range(len(RENTING) - len(DELIVERED)))
def test_a_bank_that_is_gone_before_it_fed_is_billed_to_nobody(done):
    assert walk(*RENTING[: len(DELIVERED) + done], E.LOSE) is S.CANCELLED


def test_a_bank_that_is_swapped_is_fetched_like_any_other():
    assert walk(*RENTING, E.SWAP, E.COLLECT, E.PAID) is S.COMPLETED
    assert walk(*RENTING[:-1], E.START_REFUSED, E.SWAP, E.COLLECT) is S.CANCELLED


def test_after_the_delivery_cancelling_is_refused():
    with pytest.raises(Refusal) as refused:
        walk(*DELIVERED, E.CANCEL)
    assert refused.value.code is Code.WRONG_STATE
    assert refused.value.detail == {"state": "delivered", "event": "cancel"}


def test_scanning_again_is_answered_alike():
    assert walk(*DELIVERED, E.SCAN, E.SCAN) is S.DEPOSIT_DUE


@pytest.mark.parametrize("state", RentalState)
@pytest.mark.parametrize("event", RentalEvent)
def test_what_is_not_in_the_table_is_refused_and_names_both(state, event):
    if (state, event) in MOVES:
        assert step(state, event) is MOVES[state, event]
        return
    with pytest.raises(Refusal) as refused:
        step(state, event)
    assert refused.value.detail == {"state": state.value, "event": event.value}


@pytest.mark.parametrize(
    ("state", "ways_in"),
    [
        (S.STARTING, {(S.DEPOSIT_DUE, E.DEPOSIT_HELD)}),
        (S.RENTING, {(S.STARTING, E.OUTPUT_CONFIRMED), (S.RETURNING, E.DENY_RETURN)}),
        (
            S.PAYMENT_DUE,
            {
                (S.STARTING, E.COLLECT),
                (S.RENTING, E.COLLECT),
                (S.RETURNING, E.COLLECT),
                (S.RENTING, E.BUY_OUT),
                (S.RETURNING, E.BUY_OUT),
                (S.ACCEPTED, E.CANCEL_FOR_FEE),
                (S.DELIVERING, E.CANCEL_FOR_FEE),
            },
        ),
        (S.COMPLETED, {(S.PAYMENT_DUE, E.PAID)}),
    ],
)
def test_there_is_no_back_door(state, ways_in):
    assert {way for way, after in MOVES.items() if after is state} == ways_in


def test_from_every_state_there_is_a_way_to_a_closed_one():
    ending = set(CLOSED)
    for _ in RentalState:
        ending |= {state for (state, _), after in MOVES.items() if after in ending}
    assert ending == set(RentalState)


def test_every_state_and_every_event_is_used():
    assert {S.REQUESTED, *MOVES.values()} == set(RentalState)
    assert {event for _, event in MOVES} == set(RentalEvent)


def test_closed_are_those_that_nothing_leads_out_of():
    assert CLOSED == (S.COMPLETED, S.CANCELLED, S.UNDELIVERABLE)


# -- what people are shown ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "stage", "shown_in"),
    [
        (S.REQUESTED, Stage.DELIVERING, MerchantList.TO_FULFIL),
        (S.STARTING, Stage.DELIVERING, MerchantList.TO_FULFIL),
        (S.RENTING, Stage.RENTING, MerchantList.IN_PROGRESS),
        (S.RETURNING, Stage.RENTING, MerchantList.TO_COLLECT),
        (S.PAYMENT_DUE, Stage.RENTING, MerchantList.IN_PROGRESS),
        (S.COMPLETED, Stage.COMPLETED, MerchantList.COMPLETED),
        (S.UNDELIVERABLE, Stage.CLOSED, MerchantList.CLOSED),
        (S.START_FAILED, Stage.CLOSED, MerchantList.TO_COLLECT),
    ],
)
def test_a_state_is_read_by_the_renter_and_listed_for_the_merchant(state, stage, shown_in):
    assert (stage_of(state), list_of(state)) == (stage, shown_in)


@pytest.mark.parametrize("words", [Stage, MerchantList])
def test_every_state_is_shown_exactly_once(words):
    shown = [state for word in words for state in states_in(word)]
    assert sorted(shown) == sorted(RentalState)


def test_stages_and_lists_of_one_spelling_are_not_mixed_up():
    assert S.START_FAILED in states_in(Stage.CLOSED)
    assert S.START_FAILED not in states_in(MerchantList.CLOSED)


@pytest.mark.parametrize("state", [S.CANCELLED, S.PAYMENT_DUE, S.COMPLETED])
def test_what_was_called_off_is_shown_as_that_whatever_became_of_its_fee(state):
    assert stage_of(state, is_called_off=True) is Stage.CLOSED
    assert list_of(state, is_called_off=True) is MerchantList.CLOSED
    assert [word for word in (*Stage, *MerchantList) if shows_called_off(word)] == [
        Stage.CLOSED,
        MerchantList.CLOSED,
    ]


def test_the_diagram_draws_every_row_of_the_table():
    drawn = diagram().splitlines()

    assert drawn[:2] == ["stateDiagram-v2", "    [*] --> requested"]
    assert "    starting --> renting: output_confirmed" in drawn
    assert "    completed --> [*]" in drawn
    assert len(drawn) == 2 + len(MOVES) + len(CLOSED)


# -- time --------------------------------------------------------------------------------


def start_of(billing, *, arrived=0, plugged=12, unlocked=5, handed_over=2, confirmed=6):
    return billing_start(
        terms(billing),
        arrived_at=at(arrived),
        plugged_at=at(plugged),
        unlocked_at=at(unlocked),
        handed_over_at=at(handed_over),
        confirmed_at=at(confirmed),
    )


def test_billing_by_arrival_waits_for_the_handover_and_the_bank():
    assert start_of(BillingStart.ARRIVAL) == at(6)
    assert start_of(BillingStart.ARRIVAL, handed_over=9) == at(9)


def test_billing_by_plug_starts_with_the_plug():
    assert start_of(BillingStart.PLUGGED) == at(12)


def test_a_cable_that_was_in_before_the_bank_fed_starts_nothing_early():
    assert start_of(BillingStart.PLUGGED, plugged=3) == at(6)


def test_billing_by_unlock_waits_for_the_bank():
    assert start_of(BillingStart.UNLOCKED) == at(6)
    assert start_of(BillingStart.UNLOCKED, unlocked=7) == at(7)


@pytest.mark.parametrize("billing", BillingStart)
@pytest.mark.parametrize("missing", ["handed_over", "confirmed"])
def test_without_handover_or_confirmation_nothing_is_billed(billing, missing):
    assert start_of(billing, **{missing: None}) is None


@pytest.mark.parametrize(
    ("billing", "missing"),
    [
        (BillingStart.ARRIVAL, "arrived"),
        (BillingStart.PLUGGED, "plugged"),
        (BillingStart.UNLOCKED, "unlocked"),
    ],
)
def test_without_what_the_tariff_names_nothing_is_billed(billing, missing):
    assert start_of(billing, **{missing: None}) is None


def end_of(*, started=0, requested=None, collected=None, off=None):
    return returned_at(
        ReturnEvidence(
            started_at=at(started),
            requested_at=at(requested),
            collected_at=at(collected),
            output_off_at=at(off),
        )
    )


def test_while_nothing_tells_of_a_return_the_meter_runs():
    assert end_of() is None


def test_a_late_collection_costs_the_renter_nothing():
    assert end_of(requested=60, collected=600) == at(60)


def test_a_bank_that_went_off_for_good_before_ended_it_itself():
    assert end_of(requested=60, collected=70, off=45) == at(45)


def test_a_collection_that_nobody_asked_for_ends_it():
    assert end_of(collected=30, off=31) == at(30)


def test_a_bank_that_was_off_before_it_started_tells_nothing():
    assert end_of(off=-5) is None
    assert end_of(off=-5, collected=30) == at(30)


def test_who_asked_back_before_billing_started_used_no_time():
    assert end_of(requested=-5, collected=30) == at(0)


def test_without_a_start_the_earliest_evidence_still_counts():
    assert end_of(started=None, requested=5, collected=9) == at(5)
