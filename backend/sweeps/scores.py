"""Keep the scores that dispatch ranks by fresh."""

from datetime import datetime

import structlog

from backend.db import scores as rows
from backend.db.engine import Database
from backend.follow import POISON
from backend.services import scores

_log = structlog.get_logger(__name__)


def work_out_scores(database: Database, *, now: datetime, limit: int = 200) -> int:
    """Work out the scores that are due, each in a transaction of its own; say how many."""
    with database.reading() as session:
        due = rows.due(session, now=now, limit=limit)
    return sum(_work_out(database, merchant_id, now=now) for merchant_id in due)


def _work_out(database: Database, merchant_id: str, *, now: datetime) -> bool:
    try:
        with database.writing() as session:
            return scores.work_out(session, merchant_id, now=now)
    except POISON as error:
        _log.error("score_not_worked_out", merchant=merchant_id, problem=str(error)[:500])
        with database.writing() as session:  # the others come first now
            rows.take(session, merchant_id, now=now, until=now + scores.EVERY)
        return False
