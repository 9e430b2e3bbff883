import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import hours
from backend.domain.errors import Code, Refusal
from backend.domain.hours import DAY_MIN, WEEK_MIN, Day, HoursProblem, Span, is_open_at

SHANGHAI = "Asia/Shanghai"
BERLIN = "Europe/Berlin"


def week(**days: list[list[str]]) -> str:
    return json.dumps(days)


def wall(zone: str, text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


NIGHTS = week(fri=[["18:00", "02:00"]], sun=[["22:00", "01:00"]])
SPLIT = week(mon=[["09:00", "12:00"], ["14:00", "22:00"]])


@pytest.mark.parametrize(
    ("told", "at", "is_open"),
    [
        (SPLIT, "2026-11-23T08:59:59", False),
        (SPLIT, "2026-11-23T09:00", True),
        (SPLIT, "2026-11-23T11:59:59", True),
        (SPLIT, "2026-11-23T12:00", False),
        (SPLIT, "2026-11-23T14:00", True),
        (SPLIT, "2026-11-23T22:00", False),
        (SPLIT, "2026-11-24T10:00", False),
        (NIGHTS, "2026-11-27T17:59", False),
        (NIGHTS, "2026-11-27T23:59", True),
        (NIGHTS, "2026-11-28T00:00", True),
        (NIGHTS, "2026-11-28T01:59", True),
        (NIGHTS, "2026-11-28T02:00", False),
        (NIGHTS, "2026-11-29T22:00", True),
        (NIGHTS, "2026-11-30T00:59", True),
        (NIGHTS, "2026-11-30T01:00", False),
        (week(mon=[["00:00", "24:00"]]), "2026-11-23T00:00", True),
        (week(mon=[["00:00", "24:00"]]), "2026-11-23T23:59:59", True),
        (week(mon=[["00:00", "24:00"]]), "2026-11-24T00:00", False),
        (week(mon=[["20:00", "00:00"]]), "2026-11-23T23:59", True),
        (week(mon=[["20:00", "00:00"]]), "2026-11-24T00:00", False),
        (week(), "2026-11-23T12:00", False),
    ],
)
def test_a_shop_is_open_in_its_hours_by_the_clock_on_its_wall(told, at, is_open):
    assert is_open_at(told, SHANGHAI, wall(SHANGHAI, at)) is is_open


def test_the_hours_are_the_merchants_wherever_the_question_comes_from():
    told = week(mon=[["09:00", "22:00"]])
    assert is_open_at(told, SHANGHAI, datetime(2026, 11, 23, 1, tzinfo=UTC))
    assert not is_open_at(told, BERLIN, datetime(2026, 11, 23, 1, tzinfo=UTC))


def test_without_hours_a_shop_is_always_open():
    assert is_open_at(None, SHANGHAI, datetime(2026, 11, 23, 20, tzinfo=UTC))


def test_a_time_without_a_zone_is_no_time():
    with pytest.raises(ValueError, match="without a zone"):
        is_open_at(None, SHANGHAI, datetime(2026, 11, 23))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("utc", "is_open"),
    [
        # 29 March 2026, a Sunday: 02:00 becomes 03:00.
        ("2026-03-29T00:29", False),  # 01:29
        ("2026-03-29T00:30", True),  # 01:30
        ("2026-03-29T00:59", True),  # 01:59
        ("2026-03-29T01:00", True),  # 03:00
        ("2026-03-29T01:29", True),  # 03:29
        ("2026-03-29T01:30", False),  # 03:30
    ],
)
def test_hours_hold_when_the_clocks_go_forward(utc, is_open):
    told = week(sun=[["01:30", "03:30"]])
    assert is_open_at(told, BERLIN, datetime.fromisoformat(utc + "+00:00")) is is_open


def test_hours_that_are_left_out_by_the_clock_are_never_open():
    told = week(sun=[["02:00", "03:00"]])
    midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)
    day = [midnight + timedelta(minutes=minute) for minute in range(23 * 60)]
    assert not any(is_open_at(told, BERLIN, at) for at in day)


def test_an_hour_that_comes_twice_is_open_twice():
    # 25 October 2026, a Sunday: 03:00 becomes 02:00.
    told = week(sun=[["02:00", "03:00"]])
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
    day = [midnight + timedelta(minutes=minute) for minute in range(25 * 60)]
    assert sum(is_open_at(told, BERLIN, at) for at in day) == 120
    for fold in (0, 1):
        assert is_open_at(told, BERLIN, wall(BERLIN, "2026-10-25T02:30", fold=fold))


def test_a_night_over_a_clock_change_ends_when_the_wall_says():
    told = week(sat=[["20:00", "04:00"]])
    for last_minute in ("2026-03-29T01:59+00:00", "2026-10-25T02:59+00:00"):
        at = datetime.fromisoformat(last_minute)
        assert is_open_at(told, BERLIN, at)
        assert not is_open_at(told, BERLIN, at + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("told", "problem", "where"),
    [
        ("nonsense", HoursProblem.NOT_A_WEEK, "hours"),
        ("[" * 100_000, HoursProblem.NOT_A_WEEK, "hours"),
        ("[]", HoursProblem.NOT_A_WEEK, "hours"),
        ('{"monday": []}', HoursProblem.UNKNOWN_DAY, "monday"),
        ('{"mon": "09:00"}', HoursProblem.NOT_A_SPAN, "mon"),
        ('{"mon": ["09:00", "10:00"]}', HoursProblem.NOT_A_SPAN, "mon"),
        ('{"mon": [["09:00"]]}', HoursProblem.NOT_A_SPAN, "mon"),
        ('{"mon": [[9, 10]]}', HoursProblem.NOT_A_SPAN, "mon"),
        ('{"tue": [["9:00", "10:00"]]}', HoursProblem.NOT_A_TIME, "tue"),
        ('{"tue": [["09:00", "24:01"]]}', HoursProblem.NOT_A_TIME, "tue"),
        ('{"tue": [["09:60", "10:00"]]}', HoursProblem.NOT_A_TIME, "tue"),
        ('{"wed": [["09:00", "09:00"]]}', HoursProblem.EMPTY_SPAN, "wed"),
        ('{"wed": [["24:00", "09:00"]]}', HoursProblem.EMPTY_SPAN, "wed"),
        (week(thu=[["09:00", "10:00"]] * 7), HoursProblem.TOO_MANY_SPANS, "thu"),
        (week(fri=[["09:00", "12:00"], ["11:59", "13:00"]]), HoursProblem.OVERLAP, "fri"),
        (week(fri=[["20:00", "02:00"]], sat=[["01:00", "03:00"]]), HoursProblem.OVERLAP, "sat"),
        (week(sun=[["20:00", "02:00"]], mon=[["01:00", "03:00"]]), HoursProblem.OVERLAP, "mon"),
    ],
)
def test_hours_that_cannot_be_are_refused_by_problem_and_day(told, problem, where):
    with pytest.raises(Refusal) as refused:
        hours.parse(told)
    assert refused.value.code is Code.BAD_HOURS
    assert refused.value.detail == {"problem": problem, "where": where}


def test_spans_that_touch_do_not_overlap():
    told = week(fri=[["20:00", "02:00"]], sat=[["02:00", "03:00"]])
    assert len(hours.parse(told)) == 2


@st.composite
def a_week(draw: st.DrawFn) -> hours.Hours:
    """Spans of under a day that follow one another, none over another."""
    edges = sorted(draw(st.sets(st.integers(0, WEEK_MIN - 1), max_size=12)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    spans = [Span(start_min=one, end_min=two) for one, two in pairs if two - one < DAY_MIN]
    starts = [span.start_min // DAY_MIN for span in spans]
    return tuple(spans) if max(map(starts.count, starts), default=0) <= 6 else ()


@given(a_week())
def test_hours_read_back_are_the_same(told):
    assert hours.parse(hours.to_json(told)) == told


@given(a_week(), st.integers(0, WEEK_MIN - 1))
def test_hours_agree_with_a_table_of_all_minutes(told, minute):
    table = {each % WEEK_MIN for span in told for each in range(span.start_min, span.end_min)}
    at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=minute)
    assert is_open_at(hours.to_json(told), "UTC", at) is (minute in table)


def test_days_are_counted_as_python_counts_them():
    assert list(Day)[datetime(2026, 11, 23, tzinfo=UTC).weekday()] is Day.MON
