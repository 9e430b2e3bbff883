"""How a bank is told to feed for a rental, and what follows if it does not.

It is told only when its renter's deposit is held, and only if it may feed *now*: between the scan
and the hold an hour may pass, in which a bank goes flat, falls silent or is recalled. What was not
started costs nothing, and its renter may have it swapped.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import seam
from backend.db.tables.rentals import RentalRow
from backend.domain.errors import Refusal
from backend.domain.rental import RentalEvent
from backend.ids import new_id
from backend.limits import COMMAND_EXPIRY_S
from backend.services import availability, billing, dispatch
from backend.services.places import brought_to
from backend.services.steps import advance, hear


def command_start(session: Session, rental: RentalRow, *, now: datetime) -> bool:
    """Have the bank told to feed, unless another command still moves it: then later.

    A bank that must not feed is not told: the start has failed.

    Returns:
        Whether it is told.
    """
    try:
        availability.must_feed(session, rental.bank_id, now=now)
    except Refusal as unfit:
        refuse(session, rental, why=str(unfit.detail["why"]), now=now)
        return False
    command_id = new_id()
    ordered = seam.order(
        session,
        id_=command_id,
        bank_id=rental.bank_id,
        kind="charge_start",
        cause=rental.id,
        now=now,
        expiry_s=COMMAND_EXPIRY_S,
    )
    if ordered:
        rental.start_command_id = command_id
        session.add(rental)
    return ordered


def refuse(session: Session, rental: RentalRow, *, why: str, now: datetime) -> None:
    """Not start a bank that must not feed, and say why: reasons of WhyNot, a comma between two."""
    start_failed(session, rental, evidence=why, by_id=None, now=now)
    data = {"rental_id": rental.id, "why": why}
    hear(session, rental, kind="rental.bank_unfit", data=data, now=now)


def start_failed(
    session: Session, rental: RentalRow, *, evidence: str, by_id: str | None, now: datetime
) -> None:
    """Nothing is billed, the deposit is let go, and the bank is fetched."""
    advance(session, rental, RentalEvent.START_REFUSED, now=now, evidence=evidence, by_id=by_id)
    billing.release_deposit(session, rental, now=now)
    dispatch.begin_collection(session, rental, place=brought_to(rental), now=now)
