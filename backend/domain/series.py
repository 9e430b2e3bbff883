"""Figures over time, from facts that each have a moment.

The theory
----------
A chart has **marks**: moments in order, the last of which is now. A bucket lasts from one mark
to the next, its end belonging to the next one. What happened is counted by the bucket it fell in
(:func:`counts`, :func:`shares`); what lasted is counted at each mark (:func:`going_on`); a level
that steps is read at each mark (:func:`levels`). What lies before the first mark is in no bucket.

Not modelled: what was not kept. Whoever asks for more than the newest facts sees the older
marks too low, so they say how far back they looked.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

Share = float | None
"""From 0 to 1; None: of nothing."""


def hours(*, now: datetime, count: int) -> list[datetime]:
    """Give the last so many whole hours, and now."""
    last = now.replace(minute=0, second=0, microsecond=0)
    return [last - timedelta(hours=back) for back in range(count - 1, -1, -1)] + [now]


def days(*, now: datetime, count: int, zone: tzinfo) -> list[datetime]:
    """Give the beginnings of the last so many days of a zone, today's among them, and now."""
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=back) for back in range(count - 1, -1, -1)] + [now]


def counts(moments: Iterable[datetime], marks: Sequence[datetime]) -> list[int]:
    """Count what happened in each bucket."""
    found = [0] * (len(marks) - 1)
    for moment in moments:
        bucket = _bucket(moment, marks)
        if bucket is not None:
            found[bucket] += 1
    return found


def shares(facts: Iterable[tuple[datetime, bool]], marks: Sequence[datetime]) -> list[Share]:
    """Tell for each bucket how many of its facts are so."""
    known = list(facts)
    of_all = counts((moment for moment, _ in known), marks)
    so = counts((moment for moment, is_so in known if is_so), marks)
    return [part / whole if whole else None for part, whole in zip(so, of_all, strict=True)]


def going_on(
    spans: Iterable[tuple[datetime, datetime | None]], marks: Sequence[datetime]
) -> list[int]:
    """Count what goes on at each mark; a span without an end goes on."""
    known = list(spans)
    return [
        sum(begun <= mark and (ended is None or mark < ended) for begun, ended in known)
        for mark in marks
    ]


def levels(
    steps: Iterable[tuple[datetime, int]], marks: Sequence[datetime], *, before: int | None
) -> list[int | None]:
    """Read a level at each mark.

    Args:
        steps: moments, and what the level became; of one moment, the last one counts.
        marks: where to read it.
        before: the level before the first step; None: it is not known.
    """
    known = sorted(steps, key=lambda step: step[0])
    moments = [moment for moment, _ in known]
    passed = (bisect_right(moments, mark) for mark in marks)
    return [known[count - 1][1] if count else before for count in passed]


def _bucket(moment: datetime, marks: Sequence[datetime]) -> int | None:
    if moment < marks[0] or moment > marks[-1]:
        return None
    return min(bisect_right(marks, moment) - 1, len(marks) - 2)
