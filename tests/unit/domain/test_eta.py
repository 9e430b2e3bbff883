"""Promises and estimates."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import eta
from backend.domain.eta import Stage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
METRES = st.integers(min_value=0, max_value=50_000)


@pytest.mark.parametrize(
    ("metres", "seconds"), [(0, 0), (1, 1), (1_000, 324), (3_000, 972), (10_000, 3_240)]
)
def test_a_ride_is_the_way_by_road_at_fifteen_kilometres_an_hour(metres: int, seconds: int) -> None:
    assert eta.travel(metres) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("metres", "minutes"), [(0, 20), (1_800, 20), (1_900, 25), (3_000, 30), (10_000, 65)]
)
def test_a_promise_is_twenty_minutes_at_least_and_whole_fives(metres: int, minutes: int) -> None:
    assert eta.promise(metres) == timedelta(minutes=minutes)


@given(near=METRES, further=METRES, stage=st.sampled_from(Stage))
def test_further_away_is_never_sooner(near: int, further: int, stage: Stage) -> None:
    near, further = sorted((near, further))
    assert eta.travel(near) <= eta.travel(further)
    assert eta.promise(near) <= eta.promise(further)
    at_near, at_further = (
        eta.estimate(stage, distance_m=metres, now=NOW) for metres in (near, further)
    )
    assert NOW < at_near <= at_further


@given(metres=METRES)
def test_each_stage_has_less_before_it_and_none_more_than_was_promised(metres: int) -> None:
    estimates = [eta.estimate(stage, distance_m=metres, now=NOW) for stage in Stage]
    assert estimates == sorted(estimates, reverse=True)
    assert estimates[0] <= NOW + eta.promise(metres)


@given(metres=METRES)
def test_who_sets_out_in_time_is_there_in_time(metres: int) -> None:
    deliver_by = NOW + eta.promise(metres)
    last = eta.set_out_by(accepted_at=NOW, deliver_by=deliver_by, distance_m=metres)
    assert eta.estimate(Stage.UNDER_WAY, distance_m=metres, now=last) <= deliver_by


def test_who_accepts_late_has_five_minutes_nevertheless() -> None:
    last = eta.set_out_by(accepted_at=NOW, deliver_by=NOW, distance_m=3_000)
    assert last == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(("minutes", "is_told"), [(3, False), (-3, False), (3.1, True), (-4, True)])
def test_a_shift_of_more_than_three_minutes_is_told(minutes: float, *, is_told: bool) -> None:
    new = NOW + timedelta(minutes=minutes)
    assert eta.has_shifted(told=NOW, new=new) is is_told


def test_a_first_estimate_is_told() -> None:
    assert eta.has_shifted(told=None, new=NOW)


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (-90, 0), (1, 1), (60, 1), (61, 2)])
def test_minutes_are_rounded_up_and_never_negative(seconds: int, minutes: int) -> None:
    assert eta.minutes_left(NOW + timedelta(seconds=seconds), now=NOW) == minutes
