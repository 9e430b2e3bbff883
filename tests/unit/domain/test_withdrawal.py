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


@pytest.mark.parametrize("state", sorted(OVER))
@pytest.mark.parametrize("event", WithdrawalEvent)
def test_nothing_leads_out_of_a_final_state(state, event):
    assert move_withdrawal(state, event) in {None, state}


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (WithdrawalState.PAID, WithdrawalEvent.FAIL),
        (WithdrawalState.FAILED, WithdrawalEvent.ARRIVE),
    ],
)
def test_what_contradicts_a_final_state_is_no_move(state, event):
    assert move_withdrawal(state, event) is None
