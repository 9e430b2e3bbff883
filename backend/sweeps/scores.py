"""Keep the scores that dispatch ranks by fresh."""

from datetime import datetime

from backend.db import scores as rows
from backend.db.engine import Database
from backend.services import scores


def work_out_scores(database: Database, *, now: datetime, limit: int = 200) -> int:
    """Work out the scores that are due, each in a transaction of its own; say how many."""
    with database.reading() as session:
        due = rows.due(session, now=now, limit=limit)
    done = 0
    for merchant_id in due:
        with database.writing() as session:
            done += scores.work_out(session, merchant_id, now=now)
    return done
