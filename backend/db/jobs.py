"""Queries on jobs and on who was offered them. Each is bound to who asks.

The order of locks is the rental, then its job, then its offers: whoever begins with a job reads
it unlocked, locks the rental, and then the job.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select, update

from backend.db.tables.dispatch import OfferRow
from backend.db.tables.rentals import JobKind, JobRow, JobState
from backend.domain.dispatch import FAILED, OfferEvent, OfferState, offer_after, offers_before
from backend.limits import PAGE_MAX

GOING_ON = (JobState.OPEN, JobState.ACCEPTED, JobState.UNDER_WAY)
TAKEN = (JobState.ACCEPTED, JobState.UNDER_WAY)
_ASKED = (OfferState.OPEN, OfferState.LAPSED)
"""Offers that may still be accepted."""

# -- jobs ------------------------------------------------------------------------------


def read(session: Session, job_id: str) -> JobRow | None:
    """A job, to look at."""
    return session.get(JobRow, job_id)


def lock(session: Session, job_id: str) -> JobRow:
    """A job that something in the database refers to, locked for this transaction."""
    found = select(JobRow).where(JobRow.id == job_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).one()


def concerns(
    session: Session,
    job_id: str,
    person_id: str,
    *,
    merchant_ids: Collection[str],
    works_for: Collection[str],
) -> bool:
    """Whether a job is this person's to see: they have it, were asked, or own its merchant.

    Args:
        session: a transaction.
        job_id: the job.
        person_id: who asks.
        merchant_ids: the merchants they own.
        works_for: the merchants they work for now: what others asked them is over.
    """
    found = select(JobRow.id).where(
        JobRow.id == job_id,
        (col(JobRow.staff_id) == person_id)
        | _asked(person_id, (*_ASKED, OfferState.TAKEN), by={*merchant_ids, *works_for})
        | (col(JobRow.merchant_id).in_(merchant_ids) & (col(JobRow.kind) == JobKind.COLLECTION)),
    )
    return session.exec(found).first() is not None


def _asked(
    person_id: str, states: Collection[OfferState], *, by: Collection[str]
) -> ColumnElement[bool]:
    asked = select(OfferRow.job_id).where(
        OfferRow.person_id == person_id, col(OfferRow.state).in_(states)
    )
    return col(JobRow.merchant_id).in_(by) & col(JobRow.id).in_(asked)


def jobs_for(
    session: Session,
    person_id: str,
    *,
    merchant_ids: Collection[str],
    works_for: Collection[str],
) -> Sequence[JobRow]:
    """The jobs that this person may take, and their own that go on, oldest first.

    Args:
        session: a transaction.
        person_id: who asks.
        merchant_ids: the merchants they own, whose collections they may always take.
        works_for: the merchants they work for now: what others asked them is over.
    """
    is_open = col(JobRow.state) == JobState.OPEN
    is_ours = col(JobRow.merchant_id).in_(merchant_ids)
    mine = col(JobRow.staff_id) == person_id
    return session.exec(
        select(JobRow)
        .where(
            (is_open & _asked(person_id, _ASKED, by={*merchant_ids, *works_for}))
            | (is_open & is_ours & (col(JobRow.kind) == JobKind.COLLECTION))
            | (mine & (col(JobRow.state).in_(TAKEN) | col(JobRow.has_bank).is_(True)))
        )
        .order_by(col(JobRow.id))
        .limit(PAGE_MAX)
    ).all()


def of_rental(session: Session, rental_id: str) -> Sequence[JobRow]:
    """All that anybody had to do for a rental, in order."""
    found = select(JobRow).where(JobRow.rental_id == rental_id)
    return session.exec(found.order_by(col(JobRow.id))).all()


def going_on(session: Session, rental_id: str, kind: JobKind) -> JobRow | None:
    """The job of this kind that is not over; locked for this transaction."""
    found = select(JobRow).where(
        JobRow.rental_id == rental_id, JobRow.kind == kind, col(JobRow.state).in_(GOING_ON)
    )
    locked = found.with_for_update().execution_options(populate_existing=True)
    return session.exec(locked).first()


def newest(session: Session, rental_id: str, kind: JobKind) -> JobRow | None:
    """The last job of this kind, to look at."""
    found = select(JobRow).where(JobRow.rental_id == rental_id, JobRow.kind == kind)
    return session.exec(found.order_by(col(JobRow.id).desc()).limit(1)).first()


def relieved_at(session: Session, rental_id: str) -> datetime | None:
    """When a delivery was last taken from somebody who had accepted it."""
    found = select(JobRow.done_at).where(
        JobRow.rental_id == rental_id,
        JobRow.kind == JobKind.DELIVERY,
        JobRow.state == JobState.CANCELLED,
        col(JobRow.staff_id).is_not(None),
    )
    return session.exec(found.order_by(col(JobRow.done_at).desc()).limit(1)).first()


def in_hand(
    session: Session, person_id: str, *, merchant_ids: Collection[str] | None = None
) -> Sequence[JobRow]:
    """The jobs this person has accepted and not done, and whose banks they still have."""
    found = select(JobRow).where(
        JobRow.staff_id == person_id,
        col(JobRow.state).in_(TAKEN) | col(JobRow.has_bank).is_(True),
    )
    if merchant_ids is not None:
        found = found.where(col(JobRow.merchant_id).in_(merchant_ids))
    return session.exec(found.order_by(col(JobRow.id))).all()


def open_at(session: Session, merchant_id: str) -> Sequence[JobRow]:
    """A merchant's jobs that nobody has taken, oldest first."""
    found = select(JobRow).where(JobRow.merchant_id == merchant_id, JobRow.state == JobState.OPEN)
    return session.exec(found.order_by(col(JobRow.id)).limit(PAGE_MAX)).all()


def due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Ids of the jobs that dispatch must look at, the longest due first."""
    found = select(JobRow.id).where(col(JobRow.due_at) <= now)
    return session.exec(found.order_by(col(JobRow.due_at)).limit(limit)).all()


def move(
    session: Session, job: JobRow, *, old: Sequence[JobState], new: JobState, **changes: Any
) -> bool:
    """Move a job, if it still is in one of the old states: one winner."""
    session.flush()
    moved = session.exec(
        update(JobRow)
        .where(col(JobRow.id) == job.id, col(JobRow.state).in_(old))
        .values(state=new, **changes)
    )
    session.refresh(job)
    return moved.rowcount == 1


# -- offers ----------------------------------------------------------------------------


def offers(session: Session, job_id: str) -> Sequence[OfferRow]:
    """Who was asked to do a job, in order."""
    found = select(OfferRow).where(OfferRow.job_id == job_id).order_by(col(OfferRow.id))
    return session.exec(found.execution_options(populate_existing=True)).all()


def offer(session: Session, job_id: str, person_id: str) -> OfferRow | None:
    """What this person was asked; None if they were not, or it was withdrawn."""
    found = select(OfferRow).where(
        OfferRow.job_id == job_id,
        OfferRow.person_id == person_id,
        col(OfferRow.state) != OfferState.WITHDRAWN,
    )
    return session.exec(found.execution_options(populate_existing=True)).first()


def offers_of(session: Session, person_id: str, job_ids: Iterable[str]) -> dict[str, OfferRow]:
    """What this person was asked, by job."""
    found = select(OfferRow).where(
        OfferRow.person_id == person_id,
        col(OfferRow.job_id).in_(list(job_ids)),
        col(OfferRow.state) != OfferState.WITHDRAWN,
    )
    return {row.job_id: row for row in session.exec(found)}


def offered_until(session: Session, job_id: str) -> datetime | None:
    """The last deadline of a job's offers that are open; None: none is."""
    found = select(OfferRow.expires_at).where(
        OfferRow.job_id == job_id, OfferRow.state == OfferState.OPEN
    )
    return session.exec(found.order_by(col(OfferRow.expires_at).desc()).limit(1)).first()


def answer(session: Session, offer: OfferRow, event: OfferEvent, *, now: datetime) -> bool:
    """Move one offer, if it still is where this may happen."""
    moved = session.exec(
        update(OfferRow)
        .where(col(OfferRow.id) == offer.id, col(OfferRow.state).in_(offers_before(event)))
        .values(state=offer_after(event), answered_at=now)
    )
    session.refresh(offer)
    return moved.rowcount == 1


def answer_all(session: Session, job_id: str, event: OfferEvent, *, now: datetime) -> list[str]:
    """Move all of a job's offers in which this may happen; gives the people."""
    found = (
        update(OfferRow)
        .where(col(OfferRow.job_id) == job_id, col(OfferRow.state).in_(offers_before(event)))
        .values(state=offer_after(event), answered_at=now)
        .returning(col(OfferRow.person_id))
        .execution_options(synchronize_session=False)
    )
    return list(session.execute(found).scalars())


def lapse(session: Session, job_id: str, *, now: datetime) -> None:
    """Let the offers of a job lapse whose deadline is over."""
    session.exec(
        update(OfferRow)
        .where(
            col(OfferRow.job_id) == job_id,
            col(OfferRow.state) == OfferState.OPEN,
            col(OfferRow.expires_at) <= now,
        )
        .values(state=OfferState.LAPSED, answered_at=now)
        .execution_options(synchronize_session=False)
    )


def not_again(session: Session, rental_id: str, kind: JobKind) -> frozenset[str]:
    """Who is not to be asked any more: they said no, let it lapse, or failed in it.

    Who had no time to fetch a bank may have it later, when it is to be fetched anew.
    """
    noes = [OfferState.DECLINED]
    noes += [OfferState.LAPSED] if kind is JobKind.DELIVERY else []
    answered = (
        select(OfferRow.person_id)
        .join(JobRow, col(JobRow.id) == col(OfferRow.job_id))
        .where(
            OfferRow.rental_id == rental_id,
            JobRow.kind == kind,
            col(OfferRow.state).in_(noes),
        )
    )
    failed = select(JobRow.staff_id).where(
        JobRow.rental_id == rental_id, JobRow.kind == kind, col(JobRow.ended_why).in_(FAILED)
    )
    people = {*session.exec(answered), *session.exec(failed)}
    return frozenset(person for person in people if person is not None)
