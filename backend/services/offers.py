"""Who is asked to do a job: a few people at once, each until a deadline; the first who accepts.

A delivery is offered to those on shift and to the owner while the merchant is open; a collection
to the owner at any hour, for the bank is theirs.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import Session

from backend.db import jobs, market, shifts
from backend.db.notifications import notify
from backend.db.tables.dispatch import OfferRow
from backend.db.tables.market import MerchantRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain.dispatch import (
    OFFER_FOR,
    OFFERS_AT_ONCE_MAX,
    OfferEvent,
    OfferState,
    not_past_promise,
    step_offer,
)
from backend.domain.errors import Code, Refusal
from backend.domain.hours import is_open_at
from backend.ids import new_id
from backend.services.choice import people_at


def askable(
    session: Session, job: JobRow, *, now: datetime, but: Collection[str] = ()
) -> list[str]:
    """Who of the job's merchant can be asked: the least busy first, then the owner.

    Args:
        session: a transaction.
        job: the job.
        now: the time.
        but: who is not to be asked.
    """
    of = market.merchant(session, job.merchant_id)
    away = {*but, *jobs.not_again(session, job.rental_id, job.kind)}
    if not _reaches_owner(of, job, now=now):
        away.add(of.owner_id)
    team = people_at(session, {of.id: of.owner_id}, but=away).get(of.id, [])
    loads = shifts.loads(session, team)
    return sorted(team, key=lambda each: (each == of.owner_id, loads.get(each, 0)))


def _asked(offers: Sequence[OfferRow]) -> set[str]:
    """Who was asked to do this very job."""
    return {each.person_id for each in offers if each.state is not OfferState.WITHDRAWN}


def _reaches_owner(of: MerchantRow, job: JobRow, *, now: datetime) -> bool:
    is_open = of.is_open and is_open_at(of.hours, of.timezone, now)
    return is_open or job.kind is JobKind.COLLECTION


def ask_round(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> bool:
    """Offer a job to more of its merchant's people.

    Returns:
        False if nobody is left to ask.
    """
    team = askable(session, job, now=now, but=_asked(jobs.offers(session, job.id)))
    if not team:
        return False
    owner_id = market.merchant(session, job.merchant_id).owner_id
    staff = [each for each in team if each != owner_id][: OFFERS_AT_ONCE_MAX - 1]
    ask(session, rental, job, [*staff, *([owner_id] if owner_id in team else [])], now=now)
    job.rounds += 1
    session.add(job)
    return True


def ask(
    session: Session, rental: RentalRow, job: JobRow, people: Sequence[str], *, now: datetime
) -> None:
    """Offer a job to these people, and have it looked at when their time is over."""
    expires_at = now + OFFER_FOR
    for person_id in people:
        session.add(
            OfferRow(
                id=new_id(),
                job_id=job.id,
                rental_id=job.rental_id,
                person_id=person_id,
                state=OfferState.OPEN,
                offered_at=now,
                expires_at=expires_at,
            )
        )
    promised_at = rental.promised_at
    job.due_at = not_past_promise(expires_at, promised_at=promised_at, now=now)
    session.add(job)
    session.flush()
    data = {
        "job_id": job.id,
        "rental_id": rental.id,
        "kind": job.kind,
        "merchant_id": job.merchant_id,
        "bank_id": job.bank_id,
        "place": {"lat": job.lat, "lng": job.lng, "address": job.address},
        "promised_at": None if promised_at is None else promised_at.isoformat(),
        "offer_expires_at": expires_at.isoformat(),
    }
    notify(session, person_ids=people, kind="job.offered", data=data, now=now)


def join(
    session: Session, rental: RentalRow, job: JobRow, person_id: str, *, now: datetime
) -> None:
    """Offer a job that waits to somebody who just came."""
    asked = jobs.offers(session, job.id)
    is_full = sum(each.state is OfferState.OPEN for each in asked) >= OFFERS_AT_ONCE_MAX
    if not is_full and person_id in askable(session, job, now=now, but=_asked(asked)):
        ask(session, rental, job, [person_id], now=now)


def take(session: Session, job: JobRow, *, person_id: str, now: datetime) -> None:
    """Give a job to who accepts it, if they are the first; the others hear that it is taken.

    Raises:
        Refusal: JOB_ENDED; ALREADY_TAKEN; NOT_FOUND for who was not asked, said no, or works
            there no more; FORBIDDEN of who may not work.
    """
    if job.state is JobState.CANCELLED:
        raise Refusal(Code.JOB_ENDED)
    if job.state is not JobState.OPEN:
        raise Refusal(Code.ALREADY_TAKEN)
    must_work(session, job, person_id)
    offer = jobs.offer(session, job.id, person_id) or _own_collection(session, job, person_id, now)
    if offer is None or offer.state is OfferState.DECLINED:
        raise Refusal(Code.NOT_FOUND)
    step_offer(offer.state, OfferEvent.ACCEPT)
    jobs.answer(session, offer, OfferEvent.ACCEPT, now=now)
    old, new = (JobState.OPEN,), JobState.ACCEPTED
    if not jobs.move(session, job, old=old, new=new, staff_id=person_id, accepted_at=now):
        raise Refusal(Code.ALREADY_TAKEN)
    losers = jobs.answer_all(session, job.id, OfferEvent.TAKE, now=now)
    data = {"job_id": job.id, "rental_id": job.rental_id}
    notify(session, person_ids=losers, kind="job.taken", data=data, now=now)


def must_work(session: Session, job: JobRow, person_id: str) -> None:
    """See that somebody works for a job's merchant, and may work.

    A suspended owner may still fetch their own banks: what was lent comes home.

    Raises:
        Refusal: NOT_FOUND; FORBIDDEN of who is suspended.
    """
    if person_id not in market.team(session, job.merchant_id):
        raise Refusal(Code.NOT_FOUND)
    owner_id = market.merchant(session, job.merchant_id).owner_id
    is_theirs = job.kind is JobKind.COLLECTION and person_id == owner_id
    if not is_theirs and shifts.suspended(session, [person_id]):
        raise Refusal(Code.FORBIDDEN)


def _own_collection(
    session: Session, job: JobRow, person_id: str, now: datetime
) -> OfferRow | None:
    """The offer of a bank's own merchant, who need not be asked to fetch it."""
    owner_id = market.merchant(session, job.merchant_id).owner_id
    if job.kind is not JobKind.COLLECTION or person_id != owner_id:
        return None
    offer = OfferRow(
        id=new_id(),
        job_id=job.id,
        rental_id=job.rental_id,
        person_id=person_id,
        state=OfferState.OPEN,
        offered_at=now,
        expires_at=now + OFFER_FOR,
    )
    session.add(offer)
    session.flush()
    return offer


def decline(session: Session, job: JobRow, *, person_id: str, now: datetime) -> bool:
    """Remember that somebody does not want a job.

    An owner who will not fetch their own bank now may still do it later.

    Returns:
        False if it was said before.

    Raises:
        Refusal: NOT_FOUND for who was not asked; ALREADY_TAKEN, WRONG_STATE if there is nothing
            to decline any more.
    """
    offer = jobs.offer(session, job.id, person_id)
    if offer is None:
        raise Refusal(Code.NOT_FOUND)
    owner_id = market.merchant(session, job.merchant_id).owner_id
    is_theirs = job.kind is JobKind.COLLECTION and person_id == owner_id
    event = OfferEvent.LAPSE if is_theirs else OfferEvent.DECLINE
    if offer.state is OfferState.DECLINED or (is_theirs and offer.state is OfferState.LAPSED):
        return False
    step_offer(offer.state, event)
    return jobs.answer(session, offer, event, now=now)
