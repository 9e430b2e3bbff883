"""Who brings a bank, and who fetches it: jobs begin, move on to somebody else, and end.

Every function runs in a transaction that has locked the rental, and then the job. What is due
stands in ``job.due_at``; :func:`look` does what is due and says when to look again. It is called
by a sweep, and at once wherever an act makes something due.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from backend.db import jobs, market, rentals, scores, shifts
from backend.db.jobs import GOING_ON
from backend.db.notifications import notify
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import eta
from backend.domain.dispatch import (
    ATTEMPTS_MAX,
    FAILED,
    REMIND_EVERY,
    REMINDERS_MAX,
    ROUNDS_MAX,
    Act,
    EndedWhy,
    Fetching,
    Next,
    OfferEvent,
    Ranked,
    Search,
    Trip,
    next_of_collection,
    next_of_search,
    next_of_trip,
    not_past_promise,
)
from backend.domain.eta import Stage
from backend.domain.rental import RentalEvent, RentalState
from backend.ids import new_id
from backend.services import arrival, billing, choice, hooks, offers
from backend.services.places import Place, brought_to
from backend.services.steps import advance, announce, note

TRIES_MAX: Final = 5
"""Candidates that are tried in one transaction: another rental may be quicker for a bank."""
BEFORE_THE_DOOR: Final = frozenset(
    {RentalState.REQUESTED, RentalState.ACCEPTED, RentalState.DELIVERING}
)

# -- beginning and ending ------------------------------------------------------------------


def begin_delivery(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Promise a time, and have the rental's bank brought to where it was asked for."""
    job = _open_job(session, rental, JobKind.DELIVERY, place=brought_to(rental), now=now)
    metres = arrival.from_shop_m(session, job)
    rental.promised_at = job.deliver_by = now + eta.promise(metres)
    rental.eta_at = rental.eta_told_at = eta.estimate(Stage.ASKED, distance_m=metres, now=now)
    session.add(rental)
    look(session, rental, job, now=now)


def begin_collection(session: Session, rental: RentalRow, *, place: Place, now: datetime) -> None:
    """Have the rental's bank fetched here, by its own merchant's people."""
    rental.urges, rental.urged_at = 0, None
    session.add(rental)
    job = _open_job(session, rental, JobKind.COLLECTION, place=place, now=now)
    look(session, rental, job, now=now)


def _open_job(
    session: Session,
    rental: RentalRow,
    kind: JobKind,
    *,
    place: Place,
    now: datetime,
    why: str | None = None,
) -> JobRow:
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


def end_jobs(session: Session, rental: RentalRow, *, why: str, now: datetime) -> None:
    """Cancel what is still to be done for a rental; a bank in hand is yet to be checked in."""
    session.flush()
    for kind in JobKind:
        job = jobs.going_on(session, rental.id, kind)
        if job is not None:
            _end(session, job, why=why, now=now)


def _end(session: Session, job: JobRow, *, why: str, now: datetime) -> None:
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


def lose_bank(
    session: Session, bank: BankRow, *, now: datetime, why: EndedWhy = EndedWhy.BANK_LOST
) -> None:
    """Let the rental that waits for this bank have another: it is gone before the handover.

    Without another there is nothing to wait for: the rental is given up. That a bank was recalled
    is not its merchant's fault, and makes no abnormal order.
    """
    rental = rentals.renting(session, bank.id)
    if rental is None or rental.state not in BEFORE_THE_DOOR:
        return
    job = jobs.going_on(session, rental.id, JobKind.DELIVERY)
    if job is None:
        return
    if why is not EndedWhy.BANK_RECALLED:
        _mark_abnormal(session, rental, job, why, now=now)
    if not _move_on(session, rental, job, why, now=now, not_banks=[bank.id]):
        _give_up(session, rental, job, why, now=now)


def drop(
    session: Session,
    rental: RentalRow,
    job: JobRow,
    why: EndedWhy,
    *,
    now: datetime,
    reason: str = "",
) -> None:
    """Take a job from who will not do it, and look for somebody else.

    A bank that they have picked up stays with them until it is checked in; another goes out.
    """
    if job.kind is JobKind.COLLECTION:
        _fetch_anew(session, rental, job, why, now=now)
        return
    _mark_abnormal(session, rental, job, why, now=now)
    if _move_on(session, rental, job, why, now=now, reason=reason):
        return
    if job.has_bank or rental.attempt >= ATTEMPTS_MAX:
        _give_up(session, rental, job, why, now=now)
    else:  # the bank is at home: somebody may come yet
        _hand_on(session, rental, job, None, why, now=now, reason=reason)


# -- what is due ---------------------------------------------------------------------------


def look(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Do what is due about a job, and say when to look again."""
    jobs.lapse(session, job.id, now=now)
    if job.state not in GOING_ON:
        _look_for_bank(session, rental, job, now=now)
    elif job.kind is JobKind.COLLECTION:
        _look_at_collection(session, rental, job, now=now)
    elif job.state is JobState.OPEN:
        _look_at_search(session, rental, job, now=now)
    else:
        _look_at_trip(session, rental, job, now=now)


def _look_at_search(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    _note_late(session, rental, job, now=now)
    due = _next_of_search(session, rental, job, now=now)
    if due.act is Act.ASK:
        if offers.ask_round(session, rental, job, now=now):
            return
        job.rounds = ROUNDS_MAX
        due = _next_of_search(session, rental, job, now=now)
    if due.act is Act.GIVE_UP:
        _give_up(session, rental, job, EndedWhy.GIVEN_UP, now=now)
    elif due.act is not Act.MOVE_ON or not _move_on(session, rental, job, EndedWhy.NOBODY, now=now):
        _look_again(session, rental, job, due, now)


def _next_of_search(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> Next:
    search = Search(
        since=jobs.relieved_at(session, rental.id) or rental.requested_at,
        offered_until=jobs.offered_until(session, job.id),
        rounds=job.rounds,
        attempts=rental.attempt,
    )
    return next_of_search(search, now=now)


def _look_at_trip(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    _note_late(session, rental, job, now=now)
    due = next_of_trip(_trip(session, rental, job, now=now), now=now)
    if due.act is Act.GIVE_UP:
        _give_up(session, rental, job, EndedWhy.LATE, now=now)
        return
    if due.act is Act.RELIEVE and due.why is not None:
        _mark_abnormal(session, rental, job, due.why, now=now)
        if _move_on(session, rental, job, due.why, now=now):
            return
    _look_again(session, rental, job, due, now)


def _trip(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> Trip:
    return Trip(
        accepted_at=job.accepted_at or job.created_at,
        deliver_by=job.deliver_by or rental.promised_at or now,
        set_out_at=job.set_out_at,
        moved_at=job.moved_at,
        left_m=arrival.from_shop_m(session, job) if job.left_m is None else job.left_m,
        expected_at=arrival.expected_by_position(session, rental, job, now=now),
    )


def _look_at_collection(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    due = _next_of_collection(session, job, now=now)
    if due.act is Act.ASK:
        if offers.ask_round(session, rental, job, now=now):
            return
        job.rounds = ROUNDS_MAX
        due = _next_of_collection(session, job, now=now)
    if due.act is Act.RELIEVE and _others_may_fetch(session, job, now=now):
        _fetch_anew(session, rental, job, EndedWhy.LATE, now=now)
        return
    if due.act in {Act.RELIEVE, Act.REMIND}:
        _remind(session, rental, job, kind="collection.waiting", now=now)
        return
    job.due_at = due.look_at
    session.add(job)


def _others_may_fetch(session: Session, job: JobRow, *, now: datetime) -> bool:
    """Whether somebody else may: the owner always, and whoever can be asked."""
    is_owners = job.staff_id == market.merchant(session, job.merchant_id).owner_id
    return not is_owners or bool(offers.askable(session, job, now=now, but=[job.staff_id or ""]))


def _next_of_collection(session: Session, job: JobRow, *, now: datetime) -> Next:
    fetching = Fetching(
        accepted_at=job.accepted_at,
        offered_until=jobs.offered_until(session, job.id),
        rounds=job.rounds,
        reminders=job.reminders,
    )
    return next_of_collection(fetching, now=now)


def _look_for_bank(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Remind of a bank that is in somebody's hands although their job is over."""
    if job.has_bank:
        _remind(session, rental, job, kind="bank.bring_home", now=now)
    else:
        job.due_at = None
        session.add(job)


def _look_again(session: Session, rental: RentalRow, job: JobRow, due: Next, now: datetime) -> None:
    job.due_at = not_past_promise(due.look_at, promised_at=rental.promised_at, now=now)
    session.add(job)


def _remind(session: Session, rental: RentalRow, job: JobRow, *, kind: str, now: datetime) -> None:
    """Remind the merchant, and who has the job; in the end, tell the operators."""
    job.reminders += 1
    job.due_at = now + REMIND_EVERY if job.reminders < REMINDERS_MAX else None
    session.add(job)
    people = [market.merchant(session, job.merchant_id).owner_id]
    people += [job.staff_id] if job.staff_id is not None else []
    if job.due_at is None:
        people += shifts.operators(session)
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "bank_id": job.bank_id,
        "merchant_id": job.merchant_id,
    }
    notify(session, person_ids=people, kind=kind, data=data, now=now)


# -- abnormal orders -----------------------------------------------------------------------


def _note_late(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    is_late = rental.promised_at is not None and now >= rental.promised_at
    if is_late and rental.abnormal_at is None:
        _mark_abnormal(session, rental, job, EndedWhy.LATE, now=now)


def _mark_abnormal(
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


def _move_on(
    session: Session,
    rental: RentalRow,
    job: JobRow,
    why: EndedWhy,
    *,
    now: datetime,
    not_banks: Collection[str] = (),
    reason: str = "",
) -> bool:
    """Give a delivery to the next best bank, person or merchant.

    Returns:
        False if there is none, or it was given on often enough: nothing has changed.
    """
    if rental.attempt >= ATTEMPTS_MAX:
        return False
    session.flush()
    not_people = [job.staff_id] if why in FAILED and job.staff_id is not None else []
    wanted = choice.wanted_for(session, rental, not_people=not_people, not_banks=not_banks)
    return any(
        _hand_on(session, rental, job, chosen, why, now=now, reason=reason)
        for chosen in choice.candidates(session, wanted, now=now)[:TRIES_MAX]
    )


def _hand_on(
    session: Session,
    rental: RentalRow,
    job: JobRow,
    chosen: Ranked | None,
    why: EndedWhy,
    *,
    now: datetime,
    reason: str = "",
) -> bool:
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
        False if another rental was quicker for this bank, or it may not go out any more: nothing
            has changed.
    """
    if chosen is not None and market.lock_lendable(session, chosen.candidate.bank_id) is None:
        return False
    first_id, staff_id = rental.merchant_id, job.staff_id
    evidence = f"{why}: {reason}"[:160] if reason else why
    try:
        with session.begin_nested():
            _reassign(session, rental, chosen, evidence=evidence, now=now)
    except IntegrityError:  # the database lets one rental have a bank
        return False
    _end(session, job, why=why, now=now)
    new = _open_job(
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
    look(session, rental, new, now=now)
    return True


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


def _give_up(
    session: Session, rental: RentalRow, job: JobRow, why: EndedWhy, *, now: datetime
) -> None:
    """Say honestly that nobody comes; everything held is let go."""
    _end(session, job, why=why, now=now)
    advance(session, rental, RentalEvent.GIVE_UP, now=now, evidence=why, closed_at=now)
    billing.release_deposit(session, rental, now=now)


def _fetch_anew(
    session: Session, rental: RentalRow, job: JobRow, why: EndedWhy, *, now: datetime
) -> None:
    """Ask others to fetch a bank that somebody did not fetch."""
    place = Place(lat=job.lat, lng=job.lng, address=job.address)
    _end(session, job, why=why, now=now)
    rental.collector_id = None
    session.add(rental)
    begin_collection(session, rental, place=place, now=now)
