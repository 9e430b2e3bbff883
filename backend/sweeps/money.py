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


def act_on_deadlines(database: Database, *, now: datetime, batch: int = MONEY_BATCH) -> int:
    """Take bills that were not paid in time from their deposits."""

    def due(session: Session, but: int) -> Sequence[str]:
        return dues.past_due(session, now=now, limit=batch, but=but)

    def act(session: Session, id_: str) -> bool:
        return deposits.act_on_deadline(session, id_, now=now)

    return _each(database, due, act, batch=batch)


def secure_holds(database: Database, *, now: datetime, batch: int = MONEY_BATCH) -> int:
    """Take holds that are about to run out while something may yet be owed."""

    def due(session: Session, but: int) -> Sequence[str]:
        held = dues.running_out(session, until=now + HOLD_MARGIN, limit=batch, but=but)
        return [hold.rental_id for hold in held]

    def act(session: Session, id_: str) -> bool:
        return deposits.secure(session, id_, now=now)

    return _each(database, due, act, batch=batch)


def spend_deposits(database: Database, *, now: datetime, batch: int = MONEY_BATCH) -> int:
    """Pay bills out of deposits that had to be secured, and give the rest back."""

    def due(session: Session, but: int) -> Sequence[str]:
        return dues.to_spend(session, limit=batch, but=but)

    return _each(database, due, lambda session, id_: _spend(session, id_, now=now), batch=batch)


def _spend(session: Session, rental_id: str, *, now: datetime) -> bool:
    rental = rentals.rental(session, rental_id)
    hold = money.deposit(session, rental.id)
    return hold is not None and deposits.spend(session, rental, hold, now=now)


def _each(
    database: Database,
    find: Callable[[Session, int], Sequence[str]],
    act: Callable[[Session, str], bool],
    *,
    batch: int,
) -> int:
    """Act on each of a batch; where that came to nothing at all, on those that come after it."""
    tried = 0
    while True:
        with database.reading() as session:
            due = find(session, tried)
        acted = sum(_act(database, rental_id, act) for rental_id in due)
        if acted or len(due) < batch:
            return acted
        tried += len(due)


def _act(database: Database, rental_id: str, act: Callable[[Session, str], bool]) -> bool:
    """Act on one in its own transaction; if it fails it stops no other."""
    try:
        return database.carry_out(lambda session: act(session, rental_id))
    except POISON as error:
        _log.error("money_sweep", rental=rental_id, problem=f"{type(error).__name__}: {error}")
        return False
