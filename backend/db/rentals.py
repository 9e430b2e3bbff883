"""Queries on rentals, their steps and their jobs. Each is bound to who asks.

A rental moves by ``UPDATE … WHERE state = :old`` with the row count read, and leaves a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select, update

from backend.db.tables.rentals import (
    OCCUPYING,
    JobKind,
    JobRow,
    JobState,
    RentalRow,
    RentalStepRow,
)
from backend.domain.custody import Proof
from backend.domain.rental import RentalEvent, RentalState
from backend.ids import new_id

# -- rentals ---------------------------------------------------------------------------


def rental(session: Session, rental_id: str) -> RentalRow:
    """A rental that something in the database refers to, locked for this transaction."""
    found = select(RentalRow).where(RentalRow.id == rental_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).one()


def read(session: Session, rental_id: str) -> RentalRow:
    """A rental that something in the database refers to, to look at."""
    return session.exec(select(RentalRow).where(RentalRow.id == rental_id)).one()


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
    session: Session, renter_id: str, *, before: str | None, limit: int
) -> Sequence[RentalRow]:
    """A renter's rentals, newest first; those older than ``before``."""
    found = select(RentalRow).where(RentalRow.renter_id == renter_id)
    if before is not None:
        found = found.where(RentalRow.id < before)
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


def rentals_at(
    session: Session,
    merchant_id: str,
    *,
    states: Sequence[RentalState],
    before: str | None,
    limit: int,
) -> Sequence[RentalRow]:
    """A merchant's rentals in these states, newest first; those older than ``before``."""
    found = select(RentalRow).where(
        RentalRow.merchant_id == merchant_id, col(RentalRow.state).in_(states)
    )
    if before is not None:
        found = found.where(RentalRow.id < before)
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


def renting(session: Session, bank_id: str) -> RentalRow | None:
    """The rental that needs this bank, locked for this transaction; None if none does."""
    found = select(RentalRow).where(
        RentalRow.bank_id == bank_id, col(RentalRow.state).in_(OCCUPYING)
    )
    return session.exec(found.with_for_update()).first()


def by_start(session: Session, command_id: str) -> RentalRow | None:
    """The rental that this command is to start, locked for this transaction."""
    found = select(RentalRow).where(RentalRow.start_command_id == command_id)
    return session.exec(found.with_for_update()).first()


def owes(session: Session, renter_id: str) -> bool:
    """Whether this renter has a bill that is not paid."""
    found = select(RentalRow.id).where(
        RentalRow.renter_id == renter_id, RentalRow.state == RentalState.PAYMENT_DUE
    )
    return session.exec(found).first() is not None


def without_command(session: Session, *, limit: int) -> Sequence[str]:
    """Ids of rentals that wait for a command that could not be given yet."""
    found = select(RentalRow.id).where(
        RentalRow.state == RentalState.STARTING, col(RentalRow.start_command_id).is_(None)
    )
    return session.exec(found.limit(limit)).all()


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


def steps(session: Session, rental_id: str) -> Sequence[RentalStepRow]:
    """What happened in a rental, in order."""
    return session.exec(
        select(RentalStepRow)
        .where(RentalStepRow.rental_id == rental_id)
        .order_by(col(RentalStepRow.id))
    ).all()


# -- jobs ------------------------------------------------------------------------------


def job_for(session: Session, job_id: str, *, merchant_ids: Sequence[str]) -> JobRow | None:
    """A job, if it is one of these merchants'; locked for this transaction."""
    found = select(JobRow).where(JobRow.id == job_id, col(JobRow.merchant_id).in_(merchant_ids))
    return session.exec(found.with_for_update()).first()


def jobs_for(session: Session, staff_id: str, *, merchant_ids: Sequence[str]) -> Sequence[JobRow]:
    """The open jobs of these merchants, and this person's own that still go on, oldest first."""
    return session.exec(
        select(JobRow)
        .where(
            col(JobRow.merchant_id).in_(merchant_ids),
            (col(JobRow.state) == JobState.OPEN)
            | (
                (col(JobRow.staff_id) == staff_id)
                & (
                    col(JobRow.state).in_((JobState.ACCEPTED, JobState.UNDER_WAY))
                    | (
                        col(JobRow.state).in_((JobState.DONE, JobState.CANCELLED))
                        & col(JobRow.has_bank).is_(True)
                    )
                )
            ),
        )
        .order_by(col(JobRow.id))
    ).all()


def open_job(session: Session, rental_id: str, kind: JobKind) -> JobRow | None:
    """The job of this kind that is not over."""
    return session.exec(
        select(JobRow).where(
            JobRow.rental_id == rental_id,
            JobRow.kind == kind,
            col(JobRow.state).not_in((JobState.DONE, JobState.CANCELLED)),
        )
    ).first()


def move_job(
    session: Session, job_id: str, *, old: Sequence[JobState], new: JobState, **changes: Any
) -> bool:
    """Move a job, if it still is in one of the old states: one winner."""
    moved = session.exec(
        update(JobRow)
        .where(col(JobRow.id) == job_id, col(JobRow.state).in_(old))
        .values(state=new, **changes)
    )
    return moved.rowcount == 1
