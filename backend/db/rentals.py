"""Queries on rentals and their steps. Each is bound to who asks.

A rental moves by ``UPDATE … WHERE state = :old`` with the row count read, and leaves a step.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, true
from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from backend.db.tables.rentals import OCCUPYING, RentalRow, RentalStepRow
from backend.domain.custody import Proof
from backend.domain.overdue import OUT
from backend.domain.rental import (
    MerchantList,
    RentalEvent,
    RentalState,
    Stage,
    shows_called_off,
    states_in,
)
from backend.ids import new_id

# -- rentals ---------------------------------------------------------------------------


def _locked(found: SelectOfScalar[RentalRow]) -> SelectOfScalar[RentalRow]:
    """For this transaction alone; what it read before without locking is read anew."""
    return found.with_for_update().execution_options(populate_existing=True)


def rental(session: Session, rental_id: str) -> RentalRow:
    """A rental that something in the database refers to, locked for this transaction."""
    return session.exec(_locked(select(RentalRow).where(RentalRow.id == rental_id))).one()


def read(session: Session, rental_id: str) -> RentalRow:
    """A rental that something in the database refers to, to look at."""
    return session.exec(select(RentalRow).where(RentalRow.id == rental_id)).one()


def find(session: Session, rental_id: str) -> RentalRow | None:
    """A rental, whoever asks: for the operator, to look at."""
    return session.get(RentalRow, rental_id)


def rented(session: Session, rental_id: str, *, renter_id: str) -> RentalRow | None:
    """A rental, if it is this renter's."""
    return session.exec(
        select(RentalRow).where(RentalRow.id == rental_id, RentalRow.renter_id == renter_id)
    ).first()


def rented_from(session: Session, rental_id: str, *, merchant_id: str) -> RentalRow | None:
    """A rental, if it is one of this merchant's."""
    return session.exec(
        select(RentalRow).where(RentalRow.id == rental_id, RentalRow.merchant_id == merchant_id)
    ).first()


def rentals_of(
    session: Session,
    renter_id: str,
    *,
    stage: Stage | None,
    before: str | None,
    limit: int,
) -> Sequence[RentalRow]:
    """A renter's rentals of a stage, newest first; those older than ``before``."""
    found = select(RentalRow).where(RentalRow.renter_id == renter_id, _is_shown_as(stage))
    if before is not None:
        found = found.where(RentalRow.id < before)
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


def rentals_at(
    session: Session,
    merchant_id: str,
    *,
    which: MerchantList | None,
    before: str | None,
    limit: int,
) -> Sequence[RentalRow]:
    """A merchant's rentals in a list, newest first; those older than ``before``."""
    found = select(RentalRow).where(RentalRow.merchant_id == merchant_id, _is_shown_as(which))
    if before is not None:
        found = found.where(RentalRow.id < before)
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


def _is_shown_as(shown_as: Stage | MerchantList | None) -> ColumnElement[bool]:
    """Whether a rental is shown as this stage, or in this list; None: in any."""
    if shown_as is None:
        return true()
    is_in, is_off = col(RentalRow.state).in_(states_in(shown_as)), is_called_off()
    return is_in | is_off if shows_called_off(shown_as) else is_in & ~is_off


def is_called_off() -> ColumnElement[bool]:
    """Whether a rental was called off: for a fee it goes on until that is paid."""
    return col(RentalRow.cancelled_at).is_not(None)


def renting(session: Session, bank_id: str) -> RentalRow | None:
    """The rental that needs this bank, locked for this transaction; None if none does."""
    found = select(RentalRow).where(
        RentalRow.bank_id == bank_id, col(RentalRow.state).in_(OCCUPYING)
    )
    return session.exec(_locked(found)).first()


def lock_renting(session: Session, bank_ids: Collection[str]) -> None:
    """Lock the rentals that need these banks, before the banks themselves."""
    found = select(RentalRow).where(
        col(RentalRow.bank_id).in_(bank_ids), col(RentalRow.state).in_(OCCUPYING)
    )
    session.exec(_locked(found.order_by(col(RentalRow.id)))).all()


def by_start(session: Session, command_id: str) -> RentalRow | None:
    """The rental that this command is to start, locked for this transaction."""
    found = select(RentalRow).where(RentalRow.start_command_id == command_id)
    return session.exec(_locked(found)).first()


def owes(session: Session, renter_id: str) -> bool:
    """Whether this renter has a bill that is not paid."""
    found = select(RentalRow.id).where(
        RentalRow.renter_id == renter_id, RentalRow.state == RentalState.PAYMENT_DUE
    )
    return session.exec(found).first() is not None


def count_open(session: Session, renter_id: str) -> int:
    """How many banks this renter waits for or has."""
    found = select(func.count()).select_from(RentalRow)
    mine = found.where(RentalRow.renter_id == renter_id, col(RentalRow.state).in_(OCCUPYING))
    return session.exec(mine).one()


def last_metered(
    session: Session, renter_id: str, *, before: datetime, but: str
) -> RentalRow | None:
    """The renter's rental that was metered last before that, and has ended; not this one."""
    found = select(RentalRow).where(
        RentalRow.renter_id == renter_id,
        RentalRow.id != but,
        col(RentalRow.billing_start_at) < before,
        col(RentalRow.returned_at).is_not(None) | col(RentalRow.return_requested_at).is_not(None),
    )
    return session.exec(found.order_by(col(RentalRow.billing_start_at).desc()).limit(1)).first()


def billed_at(session: Session, bank_id: str, at: datetime) -> RentalRow | None:
    """The rental that was billed for this moment of a bank's, locked for this transaction."""
    found = select(RentalRow).where(
        RentalRow.bank_id == bank_id,
        col(RentalRow.state).in_((RentalState.PAYMENT_DUE, RentalState.COMPLETED)),
        col(RentalRow.billing_start_at) <= at,
        col(RentalRow.returned_at) > at,
    )
    return session.exec(_locked(found.order_by(col(RentalRow.id).desc()))).first()


def purchase(session: Session, bank_id: str) -> RentalRow | None:
    """The rental in which this bank was last bought, locked for this transaction."""
    found = select(RentalRow).where(
        RentalRow.bank_id == bank_id, col(RentalRow.bought_out_at).is_not(None)
    )
    return session.exec(_locked(found.order_by(col(RentalRow.id).desc()))).first()


def substitute(session: Session, rental_id: str) -> RentalRow | None:
    """The rental that replaces this one, unless it came to nothing."""
    nothing = (RentalState.CANCELLED, RentalState.UNDELIVERABLE)
    found = select(RentalRow).where(
        RentalRow.replaces_id == rental_id, col(RentalRow.state).not_in(nothing)
    )
    return session.exec(found).first()


def due(session: Session, *, now: datetime, out_since: datetime, limit: int) -> Sequence[str]:
    """Ids of rentals whose banks are out and are to be looked after now.

    Args:
        session: a transaction.
        now: the time.
        out_since: those that nobody looked after yet were handed over by then.
        limit: how many.
    """
    first = col(RentalRow.due_at).is_(None) & (col(RentalRow.handed_over_at) <= out_since)
    found = select(RentalRow.id).where(
        col(RentalRow.state).in_(OUT), first | (col(RentalRow.due_at) <= now)
    )
    return session.exec(found.order_by(col(RentalRow.id)).limit(limit)).all()


def without_command(session: Session, *, after: str, limit: int) -> Sequence[str]:
    """Ids of rentals that wait for a command that could not be given yet; a page of them."""
    found = select(RentalRow.id).where(
        RentalRow.state == RentalState.STARTING,
        col(RentalRow.start_command_id).is_(None),
        col(RentalRow.id) > after,
    )
    return session.exec(found.order_by(col(RentalRow.id)).limit(limit)).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of a rental: from which state to which, and on what grounds."""

    event: RentalEvent
    old: RentalState
    new: RentalState
    at: datetime
    by_id: str | None
    proof: Proof | None = None
    evidence: str = ""


def move(session: Session, rental_id: str, step: Move, changes: dict[str, Any]) -> bool:
    """Move a rental, if it still is where the step begins, and write the step down."""
    moved = session.exec(
        update(RentalRow)
        .where(col(RentalRow.id) == rental_id, col(RentalRow.state) == step.old)
        .values(state=step.new, **changes)
    )
    if moved.rowcount != 1:
        return False
    session.add(
        RentalStepRow(
            id=new_id(),
            rental_id=rental_id,
            event=step.event,
            state=step.new,
            at=step.at,
            by_id=step.by_id,
            proof=step.proof,
            evidence=step.evidence,
        )
    )
    return True


def count_steps(session: Session, rental_id: str, event: RentalEvent) -> int:
    """How often this happened in a rental."""
    found = select(func.count()).select_from(RentalStepRow)
    these = found.where(RentalStepRow.rental_id == rental_id, RentalStepRow.event == event)
    return session.exec(these).one()


def steps(session: Session, rental_id: str) -> Sequence[RentalStepRow]:
    """What happened in a rental, in order."""
    return session.exec(
        select(RentalStepRow)
        .where(RentalStepRow.rental_id == rental_id)
        .order_by(col(RentalStepRow.id))
    ).all()
