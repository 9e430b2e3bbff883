"""What waits and what is stuck, as Prometheus reads it: whoever runs this is woken by these."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from backend.clock import Clock
from backend.db import figures
from backend.db.engine import Database
from backend.services import stuck
from backend.services.stuck import StuckKind

GOOD_FOR: Final = timedelta(seconds=10)
"""However often it is asked, the database is so seldom."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    at: datetime
    waiting: dict[str, int]
    stuck: dict[StuckKind, int]


class Backlog(Collector):
    """The backlog of the whole platform, whichever of its processes is asked.

    While the database is away there are no figures: an old one would look like a good one.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._counted: _Counted | None = None
        self._one_at_a_time = Lock()

    def describe(self) -> Iterator[Metric]:
        """The names alone: nobody counts anything before somebody asks."""
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        """The figures, not older than they are good for."""
        with self._one_at_a_time:
            counted = self._count()
        if counted is None:
            return
        waiting, is_stuck = _families()
        for what, count in counted.waiting.items():
            waiting.add_metric([what], count)
        for kind in StuckKind:
            is_stuck.add_metric([kind], counted.stuck.get(kind, 0))
        yield from (waiting, is_stuck)

    def _count(self) -> _Counted | None:
        now, last = self._clock.now(), self._counted
        if last is not None and timedelta(0) <= now - last.at < GOOD_FOR:
            return last
        try:
            with self._database.reading() as session:
                items = stuck.everything(session, now=now)
                self._counted = _Counted(
                    at=now,
                    waiting=figures.waiting(session),
                    stuck=Counter(item.kind for item in items),
                )
        except (OperationalError, PoolTimeoutError) as away:
            _log.warning("backlog_not_counted", reason=str(away))
            self._counted = None
        return self._counted


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "lendwatt_waiting",
            f"To be worked off; no more than {figures.COUNTED_MAX} are counted.",
            labels=["what"],
        ),
        GaugeMetricFamily(
            "lendwatt_stuck",
            f"On the operator's stuck list; no more than {stuck.EACH_MAX} of a kind are.",
            labels=["kind"],
        ),
    )
