"""Look after banks that are out, one transaction for each rental."""

from datetime import datetime

import structlog

from backend.db.engine import Database
from backend.follow import POISON
from backend.services import overdue

_log = structlog.get_logger(__name__)


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
        with database.writing() as session:
            return overdue.look_after(session, rental_id, now=now)
    except POISON as error:
        _log.error("rental_not_looked_after", rental=rental_id, problem=str(error)[:500])
        return False
