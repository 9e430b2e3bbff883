"""When a merchant is open: the spans of a week, told by the merchant's own clock on the wall.

The theory
----------
Hours are spans per weekday, each from a time of day until another::

    {"mon": [["09:00", "12:00"], ["14:00", "22:00"]], "fri": [["18:00", "02:00"]]}

A span belongs to the day it begins on. One that ends no later than it begins passes midnight
and ends on the next day, Sunday's on Monday. ``24:00`` is the end of a day, so ``00:00`` to
``24:00`` is all of it. Spans are half-open: at 22:00 sharp the shop is closed. A day that is
not named is a day off; no hours at all (None) means always open.

Times are those on the merchant's wall, not spans of real time. When the clocks go forward, the
hour that is left out is in nobody's hours; when they go back, the hour that comes twice is
open both times or neither.

What must always hold: no two spans of a week overlap; whatever :func:`to_json` wrote,
:func:`parse` reads as the same hours.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from backend.domain.errors import Code, Refusal

DAY_MIN: Final = 1_440
WEEK_MIN: Final = 7 * DAY_MIN
SPANS_PER_DAY_MAX: Final = 6
"""More is a mistake, not a shop."""
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


class Day(StrEnum):
    """A weekday, in the order that :meth:`datetime.weekday` counts."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class HoursProblem(StrEnum):
    """What is wrong with hours; goes with BAD_HOURS."""

    NOT_A_WEEK = "hours_not_a_week"
    UNKNOWN_DAY = "hours_unknown_day"
    NOT_A_SPAN = "hours_not_a_span"
    NOT_A_TIME = "hours_not_a_time"
    EMPTY_SPAN = "hours_empty_span"
    TOO_MANY_SPANS = "hours_too_many_spans"
    OVERLAP = "hours_overlap"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """Open from a minute of the week until before another.

    The end may lie in the next week: Sunday night goes on into Monday.
    """

    start_min: int
    """0 is Monday 00:00."""
    end_min: int

    def covers(self, minute: int) -> bool:
        """Whether this minute of the week is in it."""
        return any(self.start_min <= each < self.end_min for each in (minute, minute + WEEK_MIN))


Hours: TypeAlias = tuple[Span, ...]
"""The spans of a week, in order."""


def is_open_at(hours_json: str | None, timezone: str, at: datetime) -> bool:
    """Whether a merchant with these hours is open.

    Args:
        hours_json: what :func:`to_json` wrote; None: always open.
        timezone: the merchant's, an IANA name.
        at: aware.
    """
    if at.tzinfo is None:
        msg = "a time without a zone is at no hour of the day"
        raise ValueError(msg)
    if hours_json is None:
        return True
    wall = at.astimezone(ZoneInfo(timezone))
    minute = wall.weekday() * DAY_MIN + wall.hour * 60 + wall.minute
    return any(span.covers(minute) for span in parse(hours_json))


@lru_cache(maxsize=4_096)
def parse(hours_json: str) -> Hours:
    """Read hours.

    Raises:
        Refusal: BAD_HOURS, with the problem and the day it is on.
    """
    try:
        told = json.loads(hours_json)
    except (json.JSONDecodeError, RecursionError) as unreadable:
        raise _bad(HoursProblem.NOT_A_WEEK) from unreadable
    return of_week(told)


def of_week(told: object) -> Hours:
    """Read hours from the days and their spans, as JSON holds them.

    Raises:
        Refusal: BAD_HOURS, with the problem and the day it is on.
    """
    if not isinstance(told, Mapping):
        raise _bad(HoursProblem.NOT_A_WEEK)
    unknown = [str(name) for name in told if name not in set(Day)]
    if unknown:
        raise _bad(HoursProblem.UNKNOWN_DAY, where=unknown[0][:20])
    hours = tuple(
        sorted(
            span
            for number, day in enumerate(Day)
            for span in _spans(told.get(day, ()), day=day, starts_min=number * DAY_MIN)
        )
    )
    _refuse_overlap(hours)
    return hours


def _spans(told: object, *, day: Day, starts_min: int) -> list[Span]:
    if not isinstance(told, Sequence) or isinstance(told, str):
        raise _bad(HoursProblem.NOT_A_SPAN, where=day)
    if len(told) > SPANS_PER_DAY_MAX:
        raise _bad(HoursProblem.TOO_MANY_SPANS, where=day)
    return [_span(each, day=day, starts_min=starts_min) for each in told]


def _span(told: object, *, day: Day, starts_min: int) -> Span:
    match told:
        case [str(opens), str(closes)]:
            start, end = (_minute(time, day=day) for time in (opens, closes))
        case _:
            raise _bad(HoursProblem.NOT_A_SPAN, where=day)
    if start in {end, DAY_MIN}:
        raise _bad(HoursProblem.EMPTY_SPAN, where=day)
    if end < start:
        end += DAY_MIN
    return Span(start_min=starts_min + start, end_min=starts_min + end)


def _minute(time: str, *, day: Day) -> int:
    if _TIME.fullmatch(time) is None:
        raise _bad(HoursProblem.NOT_A_TIME, where=day)
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


def _refuse_overlap(hours: Hours) -> None:
    if not hours:
        return
    first = hours[0]
    again = Span(start_min=first.start_min + WEEK_MIN, end_min=first.end_min + WEEK_MIN)
    for one, after in pairwise((*hours, again)):
        if after.start_min < one.end_min:
            raise _bad(HoursProblem.OVERLAP, where=_day_of(after.start_min))


def _bad(problem: HoursProblem, *, where: str = "hours") -> Refusal:
    return Refusal(Code.BAD_HOURS, problem=problem, where=where)


def to_json(hours: Hours) -> str:
    """Write hours down; the same hours always give the same text."""
    return json.dumps(to_week(hours))


def to_week(hours: Hours) -> dict[str, list[list[str]]]:
    """Give the spans by weekday, as people write them; days off are left out."""
    week: dict[str, list[list[str]]] = {}
    for span in hours:
        start = span.start_min % DAY_MIN
        end = start + span.end_min - span.start_min
        end -= DAY_MIN if end > DAY_MIN else 0
        week.setdefault(_day_of(span.start_min), []).append([_time(start), _time(end)])
    return week


def _day_of(minute: int) -> Day:
    return tuple(Day)[minute // DAY_MIN % 7]


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
