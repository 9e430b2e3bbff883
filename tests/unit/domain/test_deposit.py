import pytest

from backend.domain.deposit import (
    DEPOSIT_MOVES,
    ENDED,
    DepositEvent,
    DepositState,
    Hold,
    Settled,
    move_deposit,
    settle,
    transfers_for,
)
from backend.domain.errors import Code, Refusal
from backend.domain.ledger import TransferKind
from backend.domain.money import Currency, Minor

HOLD = Hold(
    id="H1",
    renter="R1",
    currency=Currency.CNY,
    held_minor=Minor(9900),
    captured_minor=Minor(1000),
)


def kinds(state, event):
    return [transfer.kind for transfer in transfers_for(state, event, HOLD)]


def test_a_hold_is_asked_for_held_and_released():
    state = move_deposit(DepositState.PENDING, DepositEvent.HOLD)
    assert state is DepositState.HELD
    assert move_deposit(state, DepositEvent.RELEASE) is DepositState.RELEASED


def test_what_cannot_follow_is_refused_and_names_both():
    with pytest.raises(Refusal) as refused:
        move_deposit(DepositState.RELEASED, DepositEvent.CAPTURE)
    assert refused.value.code is Code.WRONG_STATE
    assert refused.value.detail == {"state": "released", "event": "capture"}


def test_nothing_leads_out_of_an_ended_hold():
    left = {state for (state, _), after in DEPOSIT_MOVES.items() if after is not state}
    assert set(ENDED) == set(DepositState) - left


@pytest.mark.parametrize("left", [DepositState.PENDING, DepositState.UNKNOWN])
def test_what_we_did_not_hear_of_can_turn_out_to_be_anything(left):
    reached = {after for (state, _), after in DEPOSIT_MOVES.items() if state is left}
    assert reached == set(DepositState)


@pytest.mark.parametrize("event", [DepositEvent.LOSE_TRACK, DepositEvent.STILL_OPEN])
def test_money_that_is_held_is_not_forgotten_in_doubt(event):
    with pytest.raises(Refusal):
        move_deposit(DepositState.HELD, event)


@pytest.mark.parametrize("state", DepositState)
def test_a_fact_told_twice_changes_nothing(state):
    again = [event for (left, event), after in DEPOSIT_MOVES.items() if left is after is state]
    assert again
    assert [kinds(state, event) for event in again] == [[]] * len(again)


def test_holding_is_written_in_the_books():
    assert kinds(DepositState.PENDING, DepositEvent.HOLD) == [TransferKind.DEPOSIT_HELD]


@pytest.mark.parametrize("state", [DepositState.HELD, DepositState.PENDING, DepositState.UNKNOWN])
@pytest.mark.parametrize(
    ("event", "end"),
    [
        (DepositEvent.CAPTURE, TransferKind.DEPOSIT_CAPTURED),
        (DepositEvent.SECURE, TransferKind.DEPOSIT_SECURED),
        (DepositEvent.RELEASE, TransferKind.DEPOSIT_RELEASED),
    ],
)
def test_an_end_is_written_with_its_beginning_which_may_not_have_been_heard(state, event, end):
    assert kinds(state, event) == [TransferKind.DEPOSIT_HELD, end]


def test_a_hold_that_ran_out_is_released_in_the_books():
    assert kinds(DepositState.HELD, DepositEvent.EXPIRE) == [
        TransferKind.DEPOSIT_HELD,
        TransferKind.DEPOSIT_RELEASED,
    ]


@pytest.mark.parametrize("state", [DepositState.PENDING, DepositState.UNKNOWN])
@pytest.mark.parametrize(
    "event",
    [
        DepositEvent.DECLINE,
        DepositEvent.EXPIRE,
        DepositEvent.LOSE_TRACK,
        DepositEvent.STILL_OPEN,
    ],
)
def test_a_hold_that_never_was_leaves_no_trace(state, event):
    assert kinds(state, event) == []


@pytest.mark.parametrize(
    ("held", "fee", "kept", "freed"),
    [(9900, 1000, 1000, 8900), (9900, 0, 0, 9900), (9900, 9900, 9900, 0), (9900, 12000, 9900, 0)],
)
def test_never_more_is_kept_than_was_held(held, fee, kept, freed):
    assert settle(held_minor=Minor(held), fee_minor=Minor(fee)) == Settled(
        kept_minor=Minor(kept), freed_minor=Minor(freed)
    )


@pytest.mark.parametrize(
    ("held", "fee", "frozen", "kept", "waiting", "freed"),
    [
        (9900, 900, 500, 400, 500, 9000),
        (9900, 900, 2000, 0, 900, 9000),
        (600, 900, 500, 400, 200, 0),
        (300, 900, 500, 300, 0, 0),
        (9900, 0, 500, 0, 0, 9900),
    ],
)
def test_what_is_disputed_is_neither_kept_nor_freed(*, held, fee, frozen, kept, waiting, freed):
    assert settle(
        held_minor=Minor(held), fee_minor=Minor(fee), frozen_minor=Minor(frozen)
    ) == Settled(kept_minor=Minor(kept), freed_minor=Minor(freed), waiting_minor=Minor(waiting))


def test_a_secured_deposit_is_spent_by_what_takes_from_it():
    assert move_deposit(DepositState.SECURED, DepositEvent.SPEND) is DepositState.CAPTURED
    assert kinds(DepositState.SECURED, DepositEvent.SPEND) == []


@pytest.mark.parametrize("event", [DepositEvent.RELEASE, DepositEvent.EXPIRE])
def test_what_was_secured_is_cash_and_no_hold_any_more(event):
    with pytest.raises(Refusal):
        move_deposit(DepositState.SECURED, event)
