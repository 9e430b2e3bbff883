"""Which banks feed although nobody pays for it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import exists
from sqlmodel import Session, col, select

from backend.db.tables.market import BankRow
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import Holder
from backend.domain.rental import RentalState
from gateway.tables import BankShadow

PAID_FOR: Final = frozenset({RentalState.STARTING, RentalState.RENTING})
"""States of a rental in which its bank may feed."""


def unpaid(session: Session, *, after: str, limit: int) -> Sequence[str]:
    """Ids of banks that feed, can hear us, and are neither sold nor paid for; a page by id."""
    is_only_claimed = (col(RentalRow.state) == RentalState.RETURNING) & (
        col(RentalRow.claimed_returned_at) == col(RentalRow.return_requested_at)
    )
    is_paid_for = exists().where(
        col(RentalRow.bank_id) == col(BankRow.id),
        col(RentalRow.state).in_(PAID_FOR) | is_only_claimed,
    )
    found = select(BankRow.id).join(BankShadow, col(BankShadow.bank_id) == col(BankRow.id))
    feeding = found.where(
        col(BankRow.id) > after,
        BankShadow.output == "on",
        BankShadow.presence != "offline",
        BankRow.holder != Holder.SOLD,
        ~is_paid_for,
    )
    return session.exec(feeding.order_by(col(BankRow.id)).limit(limit)).all()
