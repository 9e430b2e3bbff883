"""Catch up with what had to wait, and forget what is past keeping."""

from datetime import datetime, timedelta

from backend.db import idempotency, notifications, people, rentals
from backend.db.engine import Database
from backend.domain.rental import RentalState
from backend.services import payments
from backend.settings import Settings


def start_waiting(database: Database, *, now: datetime, limit: int = 100) -> int:
    """Give the start commands that had to wait for another command of the same bank."""
    with database.writing() as session:
        started = 0
        for rental_id in rentals.without_command(session, limit=limit):
            rental = rentals.rental(session, rental_id)
            if rental.state is RentalState.STARTING:
                started += payments.command_start(session, rental, now=now)
        return started


def forget(database: Database, settings: Settings, *, now: datetime) -> None:
    """Drop what is past keeping: codes, ended sign-ins, answers kept for repeats, old news."""
    with database.writing() as session:
        people.prune(session, before=now - timedelta(days=1))
        idempotency.prune(session, before=now - timedelta(seconds=settings.idempotency_keep_s))
        kept = timedelta(seconds=settings.notifications_keep_s)
        notifications.prune(session, before=now - kept)
