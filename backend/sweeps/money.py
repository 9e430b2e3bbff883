"""Act on what falls due with money: bills that nobody paid, holds that run out, deposits to spend.

Each rental is a transaction of its own, under its lock, and looks again at what made it due: two
workers do it once. Providers are asked later, from the outbox.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from sqlmodel import Session

from backend.db import deposits as dues
from backend.db import money, rentals
from backend.db.engine import Database
from backend.follow import POISON
from backend.limits import HOLD_MARGIN, MONEY_BATCH
from backend.services import deposits

_log = structlog.get_logger(__name__)


def act_on_deadlines(database: Database, *, now: datetime) -> int:
    """Take bills that were not paid in time from their deposits."""
    with database.reading() as session:
        due = dues.past_due(session, now=now, limit=MONEY_BATCH)
    return _each(
        database, due, lambda session, id_: deposits.act_on_deadline(session, id_, now=now)
    )


def secure_holds(database: Database, *, now: datetime) -> int:
    """Take holds that are about to run out while something may yet be owed."""
    with database.reading() as session:
        held = dues.running_out(session, until=now + HOLD_MARGIN, limit=MONEY_BATCH)
    due = [hold.rental_id for hold in held]
    return _each(database, due, lambda session, id_: deposits.secure(session, id_, now=now))


def spend_deposits(database: Database, *, now: datetime) -> int:
    """Pay bills out of deposits that had to be secured, and give the rest back."""
    with database.reading() as session:
        due = dues.to_spend(session, limit=MONEY_BATCH)
    return _each(database, due, lambda session, id_: _spend(session, id_, now=now))


def _spend(session: Session, rental_id: str, *, now: datetime) -> bool:
    rental = rentals.rental(session, rental_id)
    hold = money.deposit(session, rental.id)
    return hold is not None and deposits.spend(session, rental, hold, now=now)


def _each(
    database: Database, rental_ids: Sequence[str], act: Callable[[Session, str], bool]
) -> int:
    """Act on each in its own transaction; one that fails stops no other."""
    acted = 0
    for rental_id in rental_ids:
        try:
            with database.writing() as session:
                acted += act(session, rental_id)
        except POISON as error:
            _log.error("money_sweep", rental=rental_id, problem=f"{type(error).__name__}: {error}")
    return acted
