"""Look at the jobs that are due, and forget where people were."""

from datetime import datetime

import structlog

from backend.db import jobs, rentals, shifts
from backend.db.engine import Database
from backend.domain.dispatch import LOOK_AGAIN
from backend.follow import POISON
from backend.services import dispatch
from backend.services.whereabouts import KEEP_POSITIONS

_log = structlog.get_logger(__name__)


def watch(database: Database, *, now: datetime, limit: int = 100) -> int:
    """Do what is due about jobs: offers that lapsed, deliveries that are late, banks not home."""
    with database.reading() as session:
        due = jobs.due(session, now=now, limit=limit)
    done = 0
    for job_id in due:
        try:
            done += _look(database, job_id, now=now)
        except POISON as error:
            _log.error("dispatch_failed", job=job_id, problem=str(error))
            _put_off(database, job_id, now=now)
    return done


def _look(database: Database, job_id: str, *, now: datetime) -> bool:
    with database.writing() as session:
        seen = jobs.read(session, job_id)
        if seen is None:
            return False
        rental = rentals.rental(session, seen.rental_id)
        job = jobs.lock(session, job_id)
        if job.due_at is None or job.due_at > now:
            return False  # somebody else looked
        dispatch.look(session, rental, job, now=now)
        return True


def _put_off(database: Database, job_id: str, *, now: datetime) -> None:
    """Let the other jobs come first now."""
    with database.writing() as session:
        job = jobs.lock(session, job_id)
        job.due_at = now + LOOK_AGAIN
        session.add(job)


def forget_positions(database: Database, *, now: datetime) -> None:
    """Forget where people were, after some days."""
    with database.writing() as session:
        shifts.forget_positions(session, before=now - KEEP_POSITIONS)
