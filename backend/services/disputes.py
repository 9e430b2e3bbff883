"""Disputes: a renter says what is wrong with a bill, and the merchant or an operator answers."""

from sqlmodel import Session

from backend.db import disputes
from backend.domain.money import Minor


def frozen_minor(session: Session, rental_id: str) -> Minor:
    """What of a rental's bill is disputed now: nobody takes it while it is."""
    return disputes.frozen_minor(session, rental_id)
