"""What a bank is told on a rental's behalf: to stop, or that it need not start any more.

Only a bank that its renter pays for may feed, and nobody commands a bank that was sold. One that
feeds all the same is told to stop whenever something is heard of it, and now and then by a sweep:
but not while it is away, for it could not hear; not again for :data:`STOP_AGAIN` after it was told
in vain; and at most :data:`STOPS_MAX` times since it began to feed. Then it is an operator's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from backend.db import feeding as banks
from backend.db import market, rentals, seam
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import Holder
from backend.domain.rental import RentalState
from backend.ids import new_id
from backend.limits import COMMAND_EXPIRY_S, STOP_AGAIN, STOPS_MAX

_LONG: Final = timedelta(days=1)
"""How far back it is looked, of a bank that did not tell since when it feeds."""


def stop_feeding(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Have the rental's bank stop and lock, if it feeds."""
    stop(session, rental.bank_id, cause=rental.id, now=now)


def stop_if_unpaid(session: Session, bank_id: str, *, cause: str, now: datetime) -> bool:
    """Have a bank stop that feeds although nobody pays for it.

    Returns:
        Whether it was told now.
    """
    rental = rentals.renting(session, bank_id)
    if rental is None:
        return stop(session, bank_id, cause=cause, now=now)
    return not may_feed(rental) and stop(session, bank_id, cause=rental.id, now=now)


def stop(session: Session, bank_id: str, *, cause: str, now: datetime) -> bool:
    """Have a bank stop and lock, if it feeds, can hear it, and was not told in vain just now.

    Returns:
        Whether it was told now.
    """
    if not _feeds(session, bank_id):
        return False
    told = _told(session, bank_id, now=now)
    if len(told) >= STOPS_MAX or (told and now < told[0] + STOP_AGAIN):
        return False
    return _order_stop(session, bank_id, cause=cause, now=now)


def stop_again(session: Session, bank_id: str, *, now: datetime) -> bool:
    """Have a bank stop once more, on an operator's word; False if it does not feed, or is told."""
    return _feeds(session, bank_id) and _order_stop(session, bank_id, cause="by_hand", now=now)


def _feeds(session: Session, bank_id: str) -> bool:
    seen = seam.seen(session, bank_id)
    bank = market.find_bank(session, bank_id)
    if seen is None or bank is None or bank.holder is Holder.SOLD:
        return False
    return seen.is_feeding and seen.presence != "offline"


def _told(session: Session, bank_id: str, *, now: datetime) -> list[datetime]:
    """When the bank was told to stop since it began to feed, newest first."""
    since = seam.feeding_since(session, bank_id, until=now) or now - _LONG
    return seam.stops(session, bank_id, since=since)


def _order_stop(session: Session, bank_id: str, *, cause: str, now: datetime) -> bool:
    return seam.order(
        session,
        id_=new_id(),
        bank_id=bank_id,
        kind="charge_stop",
        cause=cause,
        now=now,
        expiry_s=COMMAND_EXPIRY_S,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedsOn:
    """A bank that feeds although nobody pays, and was told to stop often enough."""

    bank_id: str
    stops: int
    told_at: datetime
    """When it was last told."""


def feed_on(session: Session, *, now: datetime, limit: int) -> Iterator[FeedsOn]:
    """List the banks that were told to stop in vain, and are told no more."""
    for bank_id in banks.unpaid(session, after="", limit=limit):
        told = _told(session, bank_id, now=now)
        if len(told) >= STOPS_MAX:
            yield FeedsOn(bank_id=bank_id, stops=len(told), told_at=told[0])


def withdraw_start(session: Session, rental: RentalRow, *, now: datetime) -> bool:
    """Take back the wish that the bank start, if it did not go out yet.

    Returns:
        Whether it is sure now that the bank does not start for this rental.
    """
    if rental.state is not RentalState.STARTING:
        return False
    if rental.start_command_id is None:
        return True
    return seam.withdraw(session, rental.start_command_id, now=now)


def may_feed(rental: RentalRow) -> bool:
    """Whether the bank may feed as far as this rental goes.

    Whoever only claims that it is back goes on using it, if it is not, until that is denied.
    """
    return rental.state in banks.PAID_FOR or is_only_claimed(rental)


def is_only_claimed(rental: RentalRow) -> bool:
    """Whether the meter stands on the renter's word alone that the bank is back."""
    claimed_at = rental.claimed_returned_at
    return (
        rental.state is RentalState.RETURNING
        and claimed_at is not None
        and claimed_at == rental.return_requested_at
    )
