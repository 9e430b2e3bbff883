"""Look after banks that are out, and those that feed for nobody: one transaction for each."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from backend.db import feeding as banks
from backend.db import rentals
from backend.db.engine import Database
from backend.follow import POISON
from backend.services import feeding, overdue

_log = structlog.get_logger(__name__)

PUT_OFF: Final = timedelta(hours=1)
"""When a rental is looked at again that could not be looked after: the others come first."""


def look_after_banks(database: Database, *, now: datetime, limit: int = 100) -> int:
    """Remind, fetch, sell and miss what is due; what cannot be looked after stops no other.

    Returns:
        How many rentals something was done for.
    """
    with database.reading() as session:
        ids = overdue.due(session, now=now, limit=limit)
    return sum(_look_after(database, rental_id, now=now) for rental_id in ids)


def _look_after(database: Database, rental_id: str, *, now: datetime) -> bool:
    try:
        return database.carry_out(lambda session: overdue.look_after(session, rental_id, now=now))
    except POISON as error:
        _log.error("rental_not_looked_after", rental=rental_id, problem=str(error)[:500])
        _put_off(database, rental_id, now=now)
        return False


def _put_off(database: Database, rental_id: str, *, now: datetime) -> None:
    with database.writing() as session:
        rental = rentals.rental(session, rental_id)
        rental.due_at = now + PUT_OFF
        session.add(rental)


def stop_unpaid(database: Database, *, now: datetime, page: int = 100) -> int:
    """Have banks stop that feed for nobody, though nothing new is heard of them.

    Returns:
        How many were told.
    """
    told, after = 0, ""
    while True:
        with database.reading() as session:
            feeding_on = banks.unpaid(session, after=after, limit=page)
        told += sum(_stop(database, bank_id, now=now) for bank_id in feeding_on)
        if len(feeding_on) < page:
            return told
        after = feeding_on[-1]


def _stop(database: Database, bank_id: str, *, now: datetime) -> bool:
    try:
        with database.writing() as session:
            return feeding.stop_if_unpaid(session, bank_id, cause="sweep", now=now)
    except POISON as error:
        _log.error("bank_not_stopped", bank=bank_id, problem=str(error)[:500])
        return False
