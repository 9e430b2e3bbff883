"""What a bank is told on a rental's behalf: to stop, or that it need not start any more.

Only a bank that its renter pays for may feed, and nobody commands a bank that was sold.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import market, seam
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import Holder
from backend.domain.rental import RentalState
from backend.ids import new_id
from backend.limits import COMMAND_EXPIRY_S

_PAID_FOR = frozenset({RentalState.STARTING, RentalState.RENTING})


def stop_feeding(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Have the rental's bank stop and lock, if it feeds."""
    stop(session, rental.bank_id, cause=rental.id, now=now)


def stop(session: Session, bank_id: str, *, cause: str, now: datetime) -> None:
    """Have a bank stop and lock, if it feeds and is not sold."""
    seen = seam.seen(session, bank_id)
    bank = market.find_bank(session, bank_id)
    if seen is None or not seen.is_feeding or bank is None or bank.holder is Holder.SOLD:
        return
    seam.order(
        session,
        id_=new_id(),
        bank_id=bank_id,
        kind="charge_stop",
        cause=cause,
        now=now,
        expiry_s=COMMAND_EXPIRY_S,
    )


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
    return rental.state in _PAID_FOR or is_only_claimed(rental)


def is_only_claimed(rental: RentalRow) -> bool:
    """Whether the meter stands on the renter's word alone that the bank is back."""
    claimed_at = rental.claimed_returned_at
    return (
        rental.state is RentalState.RETURNING
        and claimed_at is not None
        and claimed_at == rental.return_requested_at
    )
