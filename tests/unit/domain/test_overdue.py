from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.overdue import OUT, Outing, is_missing, look, may_come_back
from backend.domain.rental import RentalState

S = RentalState
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(hours):
    return NOON + timedelta(hours=hours)


RENTED = Outing(
    state=S.RENTING,
    since=NOON,
    told_at=None,
    started_at=NOON,
    capped_at=at(80),
    heard_at=at(23),
    missing_told_at=None,
)


def test_nobody_is_reminded_within_the_first_day():
    verdict = look(RENTED, now=at(23))
    assert not verdict.reminds
    assert verdict.next_at == at(24)


def test_after_a_day_the_renter_is_reminded_and_again_each_day():
    verdict = look(RENTED, now=at(24))
    assert verdict.reminds
    later = replace(RENTED, told_at=at(24), heard_at=at(47))
    assert not look(later, now=at(47)).reminds
    assert look(later, now=at(48)).reminds


def test_the_next_look_is_at_whatever_comes_first():
    assert look(RENTED, now=at(24)).next_at == at(47)  # silent for a day by then
    assert look(replace(RENTED, heard_at=at(24)), now=at(24)).next_at == at(48)
    assert look(replace(RENTED, capped_at=at(30)), now=at(24)).next_at == at(30)


def test_at_the_cap_it_is_bought_since_then_however_late_somebody_looks():
    verdict = look(RENTED, now=at(500))
    assert verdict.bought_at == at(80)
    assert not verdict.reminds


def test_just_before_the_cap_it_is_not_bought():
    assert look(RENTED, now=at(80) - timedelta(seconds=1)).bought_at is None
    assert look(RENTED, now=at(80)).bought_at == at(80)


@pytest.mark.parametrize("state", sorted(OUT - {S.RENTING}))
def test_only_what_is_being_rented_is_bought_by_itself(state):
    assert look(replace(RENTED, state=state), now=at(500)).bought_at is None


@pytest.mark.parametrize("state", sorted(OUT))
def test_what_was_never_started_is_fetched_after_a_day(state):
    outing = replace(RENTED, state=state, capped_at=None)
    assert not look(outing, now=at(23)).is_to_be_fetched
    assert look(outing, now=at(24)).is_to_be_fetched is (state in {S.DELIVERED, S.DEPOSIT_DUE})


def test_what_feeds_and_is_never_used_is_fetched_after_a_day():
    unused = replace(RENTED, started_at=None, capped_at=None)
    assert not look(unused, now=at(23)).is_to_be_fetched
    assert look(unused, now=at(24)).is_to_be_fetched


def test_a_silent_bank_is_missing_until_it_is_heard_again():
    assert is_missing(NOON, now=at(24))
    assert not is_missing(NOON, now=at(23.9))
    assert not is_missing(None, now=at(24))


def test_each_silence_is_told_once():
    silent = replace(RENTED, heard_at=NOON, told_at=at(24), capped_at=None)
    assert look(silent, now=at(25)).tells_missing
    assert not look(replace(silent, missing_told_at=at(25)), now=at(26)).tells_missing
    again = replace(silent, missing_told_at=at(25), heard_at=at(30))
    assert not look(again, now=at(53)).tells_missing
    assert look(again, now=at(54)).tells_missing


@pytest.mark.parametrize("hours", range(0, 400, 7))
def test_somebody_always_looks_again_later(hours):
    for state in OUT - {S.RENTING}:
        verdict = look(replace(RENTED, state=state), now=at(hours))
        assert verdict.next_at > at(hours) or not verdict.reminds


def test_what_was_bought_may_come_back_for_thirty_days():
    assert may_come_back(bought_at=NOON, now=NOON + timedelta(days=30, seconds=-1))
    assert not may_come_back(bought_at=NOON, now=NOON + timedelta(days=30))


def test_out_is_where_the_renter_has_the_bank():
    assert {S.DELIVERED, S.DEPOSIT_DUE, S.STARTING, S.RENTING, S.RETURNING, S.START_FAILED} == OUT
