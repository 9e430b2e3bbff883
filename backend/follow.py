"""Works off the gateway's facts: claim, apply, mark done, all in one transaction each.

Facts are taken oldest first, and no cursor is kept: what is not done is done next. One that
cannot be applied is tried a few times, then gets its ``problem`` and stops nobody behind it.
"""

from datetime import datetime

import structlog
from sqlalchemy.exc import DataError, IntegrityError, NoResultFound

from backend.clock import Clock
from backend.db import seam
from backend.db.engine import Database
from backend.domain.errors import Refusal
from backend.limits import FollowLimits
from backend.services import facts

_log = structlog.get_logger(__name__)

POISON = (
    Refusal,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    DataError,
    IntegrityError,
    NoResultFound,
)
"""What a fact, or a provider's word, that does not fit raises, whenever it is tried."""


class Follower:
    """Applies facts. Its memory is how often each of the failing ones was tried."""

    def __init__(self, database: Database, clock: Clock, limits: FollowLimits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._failures: dict[str, int] = {}

    def work(self) -> int:
        """Apply what waits, up to a batch.

        Returns:
            How many facts were applied or given up; 0 means that none can be now.
        """
        now = self._clock.now()
        with self._database.reading() as session:
            todo = seam.waiting(session, limit=self._limits.batch)
        return sum(self._try(event_id, now) for event_id in todo)

    def _try(self, event_id: str, now: datetime) -> bool:
        try:
            with self._database.writing() as session:
                event = seam.claim(session, event_id, now=now)
                if event is not None:
                    facts.apply(session, event, now=now)
        except POISON as error:
            return self._failed(event_id, error, now)
        self._failures.pop(event_id, None)
        return event is not None

    def _failed(self, event_id: str, error: Exception, now: datetime) -> bool:
        """Count a failure; at the bound, put the fact on the operator's list."""
        tries = self._failures.get(event_id, 0) + 1
        self._failures[event_id] = tries
        if tries < self._limits.tries:
            return False
        problem = f"{type(error).__name__}: {error}"[:500]
        _log.error("fact_given_up", fact=event_id, problem=problem)
        with self._database.writing() as session:
            seam.give_up(session, event_id, problem=problem, now=now)
        del self._failures[event_id]
        return True
