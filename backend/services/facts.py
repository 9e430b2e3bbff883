"""What a fact from a bank means for the rental that needs the bank.

A fact is never refused: one that concerns no rental, or comes too late to matter, does
nothing. Nothing is taken from when a fact *arrived*: a start or an end is when it occurred.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import rentals, seam
from backend.db.tables.rentals import JobKind, RentalRow
from backend.domain.rental import RentalEvent, RentalState
from backend.services import billing
from backend.services.rentals import Place, open_job
from backend.services.steps import advance, hear
from gateway.events import (
    CommandDone,
    CommandOutcome,
    CommandUnknown,
    Event,
    LoadPlugged,
    LoadUnplugged,
    OutputOff,
    OutputOn,
)


def apply(session: Session, event: Event, *, now: datetime) -> None:
    """Do what follows from a fact, in the transaction that marks it done."""
    match event:
        case CommandOutcome():
            _end_of_command(session, event, now=now)
        case OutputOn() | OutputOff() | LoadPlugged() | LoadUnplugged():
            rental = rentals.renting(session, event.bank)
            if rental is not None:
                billing.note_evidence(session, rental)
        case _:  # told to people by other means: the shadow, the merchant's list
            pass


def _end_of_command(session: Session, event: CommandOutcome, *, now: datetime) -> None:
    rental = rentals.by_start(session, event.command)
    if rental is None or rental.state is not RentalState.STARTING:
        return
    if isinstance(event, CommandDone):
        _started(session, rental, event, now=now)
    elif isinstance(event, CommandUnknown):
        # The money stays held until the bank's state resolves it.
        data = {"rental_id": rental.id, "reason": event.reason}
        hear(session, rental, kind="rental.start_in_doubt", data=data, now=now)
    else:
        _did_not_start(session, rental, event, now=now)


def _started(session: Session, rental: RentalRow, event: CommandDone, *, now: datetime) -> None:
    """The bank's state confirms: it feeds, since when its own word says."""
    told_at = seam.from_ms(event.occurred_at_ms)
    fed_at = seam.feeding_since(session, rental.bank_id, until=told_at) or told_at
    ordered_at = seam.ordered_at(session, event.command)
    advance(
        session,
        rental,
        RentalEvent.OUTPUT_CONFIRMED,
        now=now,
        evidence=event.id,
        confirmed_at=max(fed_at, ordered_at),
    )
    billing.note_evidence(session, rental)


def _did_not_start(
    session: Session, rental: RentalRow, event: CommandOutcome, *, now: datetime
) -> None:
    """Nothing is billed, the deposit is let go, and the bank is fetched."""
    advance(session, rental, RentalEvent.START_REFUSED, now=now, evidence=event.id)
    billing.release_deposit(session, rental, now=now)
    place = Place(lat=rental.lat, lng=rental.lng, address=rental.address)
    open_job(session, rental, JobKind.COLLECTION, place=place, now=now)
