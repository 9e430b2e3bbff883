"""Figures over time: what is counted where, and what a chart does not know."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from backend.domain import series

NOON = datetime(2026, 11, 22, 12, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARKS = series.hours(now=NOON, count=3)


def test_hours_are_whole_and_end_now():
    assert [f"{mark:%H:%M}" for mark in MARKS] == ["10:00", "11:00", "12:00", "12:20"]


def test_days_begin_at_midnight_where_the_reader_is():
    marks = series.days(now=NOON, count=2, zone=timezone(timedelta(hours=8)))
    assert [f"{mark:%d %H:%M}" for mark in marks[:-1]] == ["21 00:00", "22 00:00"]
    assert marks[-1] == NOON


def test_a_bucket_begins_with_its_mark():
    moments = [MARKS[0] - timedelta(seconds=1), MARKS[0], MARKS[1], NOON, NOON + HOUR]
    assert series.counts(moments, MARKS) == [1, 1, 1]


@given(st.lists(st.integers(-10_000, 10_000)))
def test_what_happened_within_is_counted_once(seconds):
    moments = [NOON + timedelta(seconds=each) for each in seconds]
    within = [moment for moment in moments if MARKS[0] <= moment <= NOON]
    assert sum(series.counts(moments, MARKS)) == len(within)


def test_a_share_of_nothing_is_not_known():
    facts = [(MARKS[1], True), (MARKS[1], False)]
    assert series.shares(facts, MARKS) == [None, 0.5, None]


def test_what_has_no_end_goes_on():
    spans = [(MARKS[0], MARKS[1]), (MARKS[1], None), (MARKS[3], None)]
    assert series.going_on(spans, MARKS) == [1, 1, 1, 2]


def test_a_level_is_the_one_before_the_first_step_until_then():
    steps = [(MARKS[1], 500), (MARKS[1], 700), (MARKS[3], 0)]
    assert series.levels(steps, MARKS, before=0) == [0, 700, 700, 0]
    assert series.levels(steps, MARKS, before=None)[0] is None
