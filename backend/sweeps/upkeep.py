"""Catch up with what had to wait, and forget what is past keeping."""

from datetime import datetime, timedelta

import structlog

from backend.db import hooks, idempotency, notifications, people, rentals
from backend.db.engine import Database
from backend.domain.rental import RentalState
from backend.follow import POISON
from backend.services.hooks import KEPT_FOR
from backend.services.starting import command_start
from backend.settings import Settings

_log = structlog.get_logger(__name__)


def start_waiting(database: Database, *, now: datetime, page: int = 100) -> int:
    """Give the start commands that had to wait for another command of the same bank.

    Returns:
        How many were given.
    """
    started, after = 0, ""
    while True:
        with database.reading() as session:
            waiting = rentals.without_command(session, after=after, limit=page)
        started += sum(_start(database, rental_id, now=now) for rental_id in waiting)
        if len(waiting) < page:
            return started
        after = waiting[-1]


def _start(database: Database, rental_id: str, *, now: datetime) -> bool:
    try:
        with database.writing() as session:
            rental = rentals.rental(session, rental_id)
            waits = rental.state is RentalState.STARTING and rental.start_command_id is None
            return waits and command_start(session, rental, now=now)
    except POISON as error:
        _log.error("rental_not_started", rental=rental_id, problem=str(error)[:500])
        return False


def forget(database: Database, settings: Settings, *, now: datetime) -> None:
    """Drop what is past keeping: codes, ended sign-ins, answers for repeats, news, webhooks."""
    with database.writing() as session:
        people.prune(session, before=now - timedelta(days=1))
        idempotency.prune(session, before=now - timedelta(seconds=settings.idempotency_keep_s))
        kept = timedelta(seconds=settings.notifications_keep_s)
        notifications.prune(session, before=now - kept)
        hooks.prune(session, before=now - KEPT_FOR)
