"""What a fact from a bank means for the rental that needs the bank.

A fact is never refused: one that concerns no rental, or comes too late to matter, does
nothing. Nothing is taken from when a fact *arrived*: a start or an end is when it occurred.

Whatever is heard of a bank that feeds although nobody pays for it, it is told to stop
(``feeding``): it was away when it was told to, it started after all, or it never was anybody's to
start.
"""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from backend.db import market, rentals, seam
from backend.db.notifications import notify
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import Holder
from backend.domain.rental import RentalEvent, RentalState
from backend.services import billing, corrections, feeding, hooks, overdue
from backend.services.starting import start_failed
from backend.services.steps import advance, hear, note
from gateway.events import (
    BankLocked,
    BankOffline,
    BankOnline,
    BankUnlocked,
    BatteryLow,
    BatteryRecovered,
    CommandDone,
    CommandOutcome,
    CommandUnknown,
    Event,
    FaultCleared,
    FaultRaised,
    LoadPlugged,
    LoadUnplugged,
    LockJammed,
    OutputOff,
    OutputOn,
)


def apply(session: Session, event: Event, *, now: datetime) -> None:
    """Do what follows from a fact, in the transaction that marks it done."""
    match event:
        case CommandOutcome():
            _end_of_command(session, event, now=now)
            feeding.stop_if_unpaid(session, event.bank, cause=event.id[:64], now=now)
        case OutputOn() | OutputOff() | LoadPlugged() | LoadUnplugged():
            rental = rentals.renting(session, event.bank)
            if rental is not None:
                billing.note_evidence(session, rental)
            if isinstance(event, OutputOff):
                corrections.hear_late_off(session, event, now=now)
            feeding.stop_if_unpaid(session, event.bank, cause=event.id[:64], now=now)
        case BatteryLow(battery_pct=level) | BatteryRecovered(battery_pct=level):
            _tell_owner(session, event, {"battery_pct": level}, now=now)
        case BankOnline():
            _tell_owner(session, event, {}, now=now)
            feeding.stop_if_unpaid(session, event.bank, cause=event.id[:64], now=now)
            overdue.look_for(session, event.bank, now=now)
        case BankLocked() | BankUnlocked() | LockJammed() | BankOffline():
            _tell_owner(session, event, {}, now=now)
        case FaultRaised(fault=fault) | FaultCleared(fault=fault):
            _tell_owner(session, event, {"fault": fault}, now=now)
        case _:  # seen in the shadow and in the merchant's list
            pass


def _tell_owner(session: Session, event: Event, facts: dict[str, Any], *, now: datetime) -> None:
    """Let a bank's merchant hear what became of it: ``bank.battery_low``, ``bank.unlocked``."""
    bank = market.find_bank(session, event.bank)
    if bank is None or bank.holder is Holder.SOLD:  # what becomes of that is not theirs to know
        return
    data = {
        "bank_id": bank.id,
        "merchant_id": bank.merchant_id,
        "occurred_at": seam.from_ms(event.occurred_at_ms).isoformat(),
        **facts,
    }
    owner_id = market.merchant(session, bank.merchant_id).owner_id
    kind = f"bank.{event.kind.removeprefix('bank_')}"
    notify(session, person_ids=[owner_id], kind=kind, data=data, now=now)
    hooks.publish(session, merchant_id=bank.merchant_id, kind=kind, data=data, now=now)


def _end_of_command(session: Session, event: CommandOutcome, *, now: datetime) -> None:
    rental = rentals.by_start(session, event.command)
    if rental is None or rental.state not in {RentalState.STARTING, RentalState.RETURNING}:
        return
    if rental.state is RentalState.RETURNING:
        _told_late(session, rental, event, now=now)
    elif isinstance(event, CommandDone):
        _started(session, rental, event, now=now)
    elif isinstance(event, CommandUnknown):
        # The money stays held until the bank's state resolves it.
        data = {"rental_id": rental.id, "reason": event.reason}
        hear(session, rental, kind="rental.start_in_doubt", data=data, now=now)
    else:
        _did_not_start(session, rental, event, now=now)


def _started(session: Session, rental: RentalRow, event: CommandDone, *, now: datetime) -> None:
    """The bank's state confirms: it feeds, since when its own word says."""
    advance(
        session,
        rental,
        RentalEvent.OUTPUT_CONFIRMED,
        now=now,
        evidence=event.id,
        confirmed_at=_fed_at(session, rental, event),
    )
    billing.note_evidence(session, rental)


def _fed_at(session: Session, rental: RentalRow, event: CommandDone) -> datetime:
    """Since when the bank feeds, by its own word, and not from before it was told to."""
    told_at = seam.from_ms(event.occurred_at_ms)
    fed_at = seam.feeding_since(session, rental.bank_id, until=told_at) or told_at
    return max(fed_at, seam.ordered_at(session, event.command))


def _told_late(
    session: Session, rental: RentalRow, event: CommandOutcome, *, now: datetime
) -> None:
    """How the start ended, heard when the renter had asked for the bank to be fetched.

    That it fed is evidence, for what was used before the request; that it did not lets the
    deposit go; while it stays in doubt, the money stays held.
    """
    if rental.confirmed_at is not None or isinstance(event, CommandUnknown):
        return
    if not isinstance(event, CommandDone):
        billing.release_deposit(session, rental, now=now)
        return
    note(
        session,
        rental,
        RentalEvent.OUTPUT_CONFIRMED,
        now=now,
        evidence=event.id,
        confirmed_at=_fed_at(session, rental, event),
    )
    billing.note_evidence(session, rental)


def _did_not_start(
    session: Session, rental: RentalRow, event: CommandOutcome, *, now: datetime
) -> None:
    start_failed(session, rental, evidence=event.id, by_id=None, now=now)
