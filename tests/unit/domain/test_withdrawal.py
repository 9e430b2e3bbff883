import pytest

from backend.domain.withdrawal import (
    OVER,
    WITHDRAWAL_MOVES,
    WithdrawalEvent,
    WithdrawalState,
    move_withdrawal,
)


def test_it_is_sent_only_after_it_was_claimed():
    assert (
        move_withdrawal(WithdrawalState.REQUESTED, WithdrawalEvent.SEND)
        is WithdrawalState.PROCESSING
    )


def test_a_doubt_is_ended_by_the_providers_word_only():
    led_to = {
        new for (state, _), new in WITHDRAWAL_MOVES.items() if state is WithdrawalState.UNKNOWN
    }
    still_in_doubt = move_withdrawal(WithdrawalState.UNKNOWN, WithdrawalEvent.SEND)

    assert led_to == {WithdrawalState.UNKNOWN, WithdrawalState.PROCESSING, *OVER}
    assert still_in_doubt is WithdrawalState.UNKNOWN


@pytest.mark.parametrize("event", WithdrawalEvent)
def test_nothing_leads_out_of_a_failure(event):
    assert move_withdrawal(WithdrawalState.FAILED, event) in {None, WithdrawalState.FAILED}


@pytest.mark.parametrize("event", WithdrawalEvent)
def test_what_was_paid_may_come_back_and_nothing_else(event):
    may_be = {None, WithdrawalState.PAID}
    if event is WithdrawalEvent.FAIL:
        may_be = {WithdrawalState.FAILED}
    assert move_withdrawal(WithdrawalState.PAID, event) in may_be


def test_what_failed_and_is_said_to_have_arrived_is_a_contradiction():
    assert move_withdrawal(WithdrawalState.FAILED, WithdrawalEvent.ARRIVE) is None
