"""Who brings a bank, and who fetches it: what is due about a job, and what is done about it.

Every function runs in a transaction that has locked the rental, and then the job. What is due
stands in ``job.due_at``; :func:`look` does what is due and says when to look again. It is called
by a sweep, and at once wherever an act makes something due.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlmodel import Session

from backend.db import jobs, market, rentals, shifts
from backend.db.jobs import GOING_ON
from backend.db.notifications import notify
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import eta
from backend.domain.dispatch import (
    ATTEMPTS_MAX,
    REMIND_EVERY,
    REMINDERS_MAX,
    ROUNDS_MAX,
    Act,
    EndedWhy,
    Fetching,
    Next,
    Search,
    Trip,
    next_of_collection,
    next_of_search,
    next_of_trip,
    not_past_promise,
)
from backend.domain.eta import Stage
from backend.domain.rental import RentalState
from backend.services import arrival, handing_on, offers
from backend.services.places import Place, brought_to

BEFORE_THE_DOOR: Final = frozenset(
    {RentalState.REQUESTED, RentalState.ACCEPTED, RentalState.DELIVERING}
)

# -- beginning and ending ------------------------------------------------------------------


def begin_delivery(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Promise a time, and have the rental's bank brought to where it was asked for."""
    job = handing_on.open_job(session, rental, JobKind.DELIVERY, place=brought_to(rental), now=now)
    metres = arrival.from_shop_m(session, job)
    rental.promised_at = job.deliver_by = now + eta.promise(metres)
    rental.eta_at = rental.eta_told_at = eta.estimate(Stage.ASKED, distance_m=metres, now=now)
    session.add(rental)
    look(session, rental, job, now=now)


def begin_collection(session: Session, rental: RentalRow, *, place: Place, now: datetime) -> None:
    """Have the rental's bank fetched here, by its own merchant's people."""
    rental.urges, rental.urged_at = 0, None
    session.add(rental)
    job = handing_on.open_job(session, rental, JobKind.COLLECTION, place=place, now=now)
    look(session, rental, job, now=now)


def end_jobs(session: Session, rental: RentalRow, *, why: str, now: datetime) -> None:
    """Cancel what is still to be done for a rental; a bank in hand is yet to be checked in."""
    session.flush()
    for kind in JobKind:
        job = jobs.going_on(session, rental.id, kind)
        if job is not None:
            handing_on.end(session, job, why=why, now=now)


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
        handing_on.mark_abnormal(session, rental, job, why, now=now)
    if not _move_on(session, rental, job, why, now=now, not_banks=[bank.id]):
        handing_on.give_up(session, rental, job, why, now=now)


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
    handing_on.mark_abnormal(session, rental, job, why, now=now)
    if _move_on(session, rental, job, why, now=now, reason=reason):
        return
    if job.has_bank or rental.attempt >= ATTEMPTS_MAX:
        handing_on.give_up(session, rental, job, why, now=now)
    else:  # the bank is at home: somebody may come yet
        new = handing_on.hand_on(session, rental, job, None, why, now=now, reason=reason)
        if new is not None:
            look(session, rental, new, now=now)


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
    """Give a delivery to the next best, and ask them at once; False if there is nobody."""
    new = handing_on.move_on(session, rental, job, why, now=now, not_banks=not_banks, reason=reason)
    if new is not None:
        look(session, rental, new, now=now)
    return new is not None


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
    handing_on.note_late(session, rental, job, now=now)
    due = _next_of_search(session, rental, job, now=now)
    if due.act is Act.ASK:
        if offers.ask_round(session, rental, job, now=now):
            return
        job.rounds = ROUNDS_MAX
        due = _next_of_search(session, rental, job, now=now)
    if due.act is Act.GIVE_UP:
        handing_on.give_up(session, rental, job, EndedWhy.GIVEN_UP, now=now)
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
    handing_on.note_late(session, rental, job, now=now)
    due = next_of_trip(_trip(session, rental, job, now=now), now=now)
    if due.act is Act.GIVE_UP:
        handing_on.give_up(session, rental, job, EndedWhy.LATE, now=now)
        return
    if due.act is Act.RELIEVE and due.why is not None:
        handing_on.mark_abnormal(session, rental, job, due.why, now=now)
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


def _fetch_anew(
    session: Session, rental: RentalRow, job: JobRow, why: EndedWhy, *, now: datetime
) -> None:
    """Ask others to fetch a bank that somebody did not fetch."""
    place = Place(lat=job.lat, lng=job.lng, address=job.address)
    handing_on.end(session, job, why=why, now=now)
    rental.collector_id = None
    session.add(rental)
    begin_collection(session, rental, place=place, now=now)


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
