"""A bill put right by news that came after it, in the renter's favour only.

A bank that was away tells late that it had stopped feeding before the rental was billed to have
ended. Then the end moves to where it belongs, and the difference is given back; the bill itself
stays as it was written. No news makes a bill higher.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import rentals, seam
from backend.db.tables.rentals import RentalRow
from backend.domain.credit import CreditKind, too_much
from backend.domain.money import Minor
from backend.services import billing
from backend.services.credits import bill_of, credit
from gateway.events import OutputOff


def hear_late_off(session: Session, event: OutputOff, *, now: datetime) -> None:
    """Give back what was billed for time after the bank had stopped for good."""
    rental = rentals.billed_at(session, event.bank, seam.from_ms(event.occurred_at_ms))
    if rental is None or rental.bought_out_at is not None:
        return
    too_much = _too_much(session, rental)
    if too_much > 0:
        credit(
            session,
            rental,
            amount_minor=too_much,
            kind=CreditKind.LATE_OUTPUT_OFF,
            why="the bank had stopped earlier than was known",
            by_id=None,
            evidence=event.id,
            now=now,
        )


def _too_much(session: Session, rental: RentalRow) -> Minor:
    """What the bill is above what it would be now, less what was taken back already."""
    off_at = seam.idle_since(session, rental.bank_id, until=rental.collected_at)
    if off_at is None or rental.amount_minor is None:
        return Minor(0)
    rightful = billing.price_until(rental, end=off_at).total_minor
    return too_much(bill_of(session, rental), rightful_minor=rightful)
