import pytest

from backend.domain.dispute import (
    DISPUTE_MOVES,
    DisputeEvent,
    DisputeState,
    frozen,
    move_dispute,
    verdict,
)
from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor


def test_everything_that_ends_a_dispute_ends_an_open_one():
    assert {state for state, _ in DISPUTE_MOVES} == {DisputeState.OPEN}
    assert {event for _, event in DISPUTE_MOVES} == set(DisputeEvent)
    assert set(DISPUTE_MOVES.values()) == set(DisputeState) - {DisputeState.OPEN}


@pytest.mark.parametrize("state", sorted(set(DisputeState) - {DisputeState.OPEN}))
@pytest.mark.parametrize("event", DisputeEvent)
def test_nothing_leads_out_of_an_end(state, event):
    with pytest.raises(Refusal) as refused:
        move_dispute(state, event)
    assert refused.value.detail == {"state": state, "event": event}


@pytest.mark.parametrize(
    ("granted", "event"),
    [
        (500, DisputeEvent.UPHOLD),
        (499, DisputeEvent.UPHOLD_IN_PART),
        (1, DisputeEvent.UPHOLD_IN_PART),
        (0, DisputeEvent.REJECT),
    ],
)
def test_a_decision_is_named_by_what_it_grants(granted, event):
    assert verdict(disputed_minor=Minor(500), granted_minor=Minor(granted)) is event


def test_no_more_is_granted_than_is_disputed():
    with pytest.raises(Refusal) as refused:
        verdict(disputed_minor=Minor(500), granted_minor=Minor(501))
    assert refused.value.code is Code.MORE_THAN_DISPUTED


def test_only_an_open_dispute_freezes_and_no_more_than_is_left_of_the_bill():
    left = Minor(300)
    assert frozen(DisputeState.OPEN, disputed_minor=Minor(200), left_minor=left) == 200
    assert frozen(DisputeState.OPEN, disputed_minor=Minor(500), left_minor=left) == 300
    for state in set(DisputeState) - {DisputeState.OPEN}:
        assert frozen(state, disputed_minor=Minor(200), left_minor=left) == 0
