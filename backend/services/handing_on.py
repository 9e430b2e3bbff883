"""How a job begins and ends, and how a delivery passes on: to another bank, person or merchant.

``dispatch`` decides that it does. Every function runs in a transaction that has locked the rental,
and then the job; a job that begins here is yet to be looked at.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from backend.db import jobs, market, scores, shifts
from backend.db.jobs import GOING_ON
from backend.db.notifications import notify
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import eta
from backend.domain.dispatch import (
    ATTEMPTS_MAX,
    FAILED,
    REMIND_EVERY,
    EndedWhy,
    OfferEvent,
    Ranked,
)
from backend.domain.rental import RentalEvent, RentalState
from backend.ids import new_id
from backend.services import arrival, billing, choice, hooks
from backend.services.places import Place, brought_to
from backend.services.steps import advance, announce, note

TRIES_MAX: Final = 5
"""Candidates that are tried in one transaction: another rental may be quicker for a bank."""

# -- beginning and ending ------------------------------------------------------------------


def open_job(
    session: Session,
    rental: RentalRow,
    kind: JobKind,
    *,
    place: Place,
    now: datetime,
    why: str | None = None,
) -> JobRow:
    """Begin a job that nobody has yet; ``why`` is why this bank and merchant were chosen."""
    job = JobRow(
        id=new_id(),
        rental_id=rental.id,
        merchant_id=rental.merchant_id,
        bank_id=rental.bank_id,
        kind=kind,
        state=JobState.OPEN,
        lat=place.lat,
        lng=place.lng,
        address=place.address,
        created_at=now,
        due_at=now,
        choice=why,
    )
    session.add(job)
    session.flush()
    return job


def end(session: Session, job: JobRow, *, why: str, now: datetime) -> None:
    """Cancel a job; a bank in hand is yet to be brought home."""
    jobs.answer_all(session, job.id, OfferEvent.WITHDRAW, now=now)
    jobs.move(
        session,
        job,
        old=GOING_ON,
        new=JobState.CANCELLED,
        done_at=now,
        ended_why=why,
        reminders=0,
        due_at=home_due_at(job, now=now),
    )
    if job.kind is JobKind.DELIVERY:
        scores.look_again(session, job.merchant_id, now=now)


def home_due_at(job: JobRow, *, now: datetime) -> datetime | None:
    """When to remind of a bank that is to be brought home; None: it is not in hand."""
    return now + REMIND_EVERY if job.has_bank else None


# -- abnormal orders -----------------------------------------------------------------------


def note_late(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Mark an order that has missed what was promised."""
    is_late = rental.promised_at is not None and now >= rental.promised_at
    if is_late and rental.abnormal_at is None:
        mark_abnormal(session, rental, job, EndedWhy.LATE, now=now)


def mark_abnormal(
    session: Session, rental: RentalRow, job: JobRow, why: EndedWhy, *, now: datetime
) -> None:
    """Mark an abnormal order, once for each job, and tell everybody whom it concerns."""
    if job.late_at is not None:
        return
    job.late_at = now
    rental.abnormal_at = rental.abnormal_at or now
    session.add_all((rental, job))
    people = [rental.renter_id, market.merchant(session, job.merchant_id).owner_id]
    people += [job.staff_id] if job.staff_id is not None else []
    data = {"rental_id": rental.id, "merchant_id": job.merchant_id, "why": why}
    notify(
        session,
        person_ids=[*people, *shifts.operators(session)],
        kind="rental.abnormal",
        data=data,
        now=now,
    )


# -- moving on -----------------------------------------------------------------------------


def move_on(
    session: Session,
    rental: RentalRow,
    job: JobRow,
    why: EndedWhy,
    *,
    now: datetime,
    not_banks: Collection[str] = (),
    reason: str = "",
) -> JobRow | None:
    """Give a delivery to the next best bank, person or merchant.

    Returns:
        The new job; None if there is nobody, or it was given on often enough: nothing has changed.
    """
    if rental.attempt >= ATTEMPTS_MAX:
        return None
    session.flush()
    not_people = [job.staff_id] if why in FAILED and job.staff_id is not None else []
    wanted = choice.wanted_for(session, rental, not_people=not_people, not_banks=not_banks)
    for chosen in choice.candidates(session, wanted, now=now)[:TRIES_MAX]:
        new = hand_on(session, rental, job, chosen, why, now=now, reason=reason)
        if new is not None:
            return new
    return None


def hand_on(
    session: Session,
    rental: RentalRow,
    job: JobRow,
    chosen: Ranked | None,
    why: EndedWhy,
    *,
    now: datetime,
    reason: str = "",
) -> JobRow | None:
    """Take a delivery from its job to a new one.

    Args:
        session: a transaction.
        rental: before the door.
        job: its delivery, which ends.
        chosen: the next candidate; None: whoever comes, for the same bank.
        why: why it moves on.
        now: the time.
        reason: in the words of who gave it back.

    Returns:
        The new job; None if another rental was quicker for this bank, or it may not go out any
        more: nothing has changed.
    """
    if chosen is not None and market.lock_lendable(session, chosen.candidate.bank_id) is None:
        return None
    first_id, staff_id = rental.merchant_id, job.staff_id
    evidence = f"{why}: {reason}"[:160] if reason else why
    try:
        with session.begin_nested():
            _reassign(session, rental, chosen, evidence=evidence, now=now)
    except IntegrityError:  # the database lets one rental have a bank
        return None
    end(session, job, why=why, now=now)
    new = open_job(
        session,
        rental,
        JobKind.DELIVERY,
        place=brought_to(rental),
        now=now,
        why=None if chosen is None else choice.why(chosen),
    )
    asked_for = now + eta.promise(arrival.from_shop_m(session, new))
    new.deliver_by = max(rental.promised_at or asked_for, asked_for)
    _tell_moved(session, rental, first_id, staff_id, why=why, now=now)
    arrival.refresh(session, rental, new, now=now)
    return new


def _reassign(
    session: Session,
    rental: RentalRow,
    chosen: Ranked | None,
    *,
    evidence: str,
    now: datetime,
) -> None:
    changes: dict[str, Any] = {"staff_id": None, "accepted_at": None, "set_out_at": None}
    changes["attempt"] = rental.attempt + 1
    if chosen is not None:
        merchant = market.merchant(session, chosen.candidate.merchant_id)
        changes |= {
            "merchant_id": merchant.id,
            "bank_id": chosen.candidate.bank_id,
            "commission_bp": merchant.commission_bp,
        }
    if rental.state is RentalState.REQUESTED:
        note(session, rental, RentalEvent.REASSIGN, now=now, evidence=evidence, **changes)
        announce(session, rental, now=now)
    else:
        advance(session, rental, RentalEvent.REASSIGN, now=now, evidence=evidence, **changes)


def _tell_moved(
    session: Session,
    rental: RentalRow,
    first_id: str,
    staff_id: str | None,
    *,
    why: EndedWhy,
    now: datetime,
) -> None:
    people = [rental.renter_id, market.merchant(session, first_id).owner_id]
    people += [staff_id] if staff_id is not None else []
    data = {
        "rental_id": rental.id,
        "why": why,
        "from_merchant_id": first_id,
        "merchant_id": rental.merchant_id,
        "attempt": rental.attempt,
    }
    notify(session, person_ids=people, kind="rental.reassigned", data=data, now=now)
    hooks.publish(session, merchant_id=first_id, kind="rental.reassigned", data=data, now=now)


def give_up(
    session: Session, rental: RentalRow, job: JobRow, why: EndedWhy, *, now: datetime
) -> None:
    """Say honestly that nobody comes; everything held is let go."""
    end(session, job, why=why, now=now)
    advance(session, rental, RentalEvent.GIVE_UP, now=now, evidence=why, closed_at=now)
    billing.release_deposit(session, rental, now=now)
