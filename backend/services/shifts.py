"""On shift and off: who can be asked. Whoever is hired is on shift until they go off."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from backend.db import jobs, market, rentals, shifts
from backend.db.tables.dispatch import ShiftRow
from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.domain.dispatch import EndedWhy, OfferEvent, OfferState
from backend.domain.errors import Code, Refusal
from backend.ids import new_id
from backend.principal import Principal
from backend.services import dispatch, offers


def mine(session: Session, *, who: Principal) -> Sequence[ShiftRow]:
    """List the shifts that this person is on."""
    return shifts.open_shifts(session, who.person_id)


def start(session: Session, *, who: Principal, merchant_id: str, now: datetime) -> ShiftRow:
    """Go on shift: the jobs that wait are offered at once.

    Raises:
        Refusal: NOT_FOUND for a merchant that this person does not work for.
    """
    if merchant_id not in who.staff_of | who.merchant_ids:
        raise Refusal(Code.NOT_FOUND)
    return begin(session, person_id=who.person_id, merchant_id=merchant_id, now=now)


def begin(session: Session, *, person_id: str, merchant_id: str, now: datetime) -> ShiftRow:
    """Have somebody on shift who works for this merchant; once, however often it is said."""
    session.flush()
    shifts.begin(session, id_=new_id(), person_id=person_id, merchant_id=merchant_id, now=now)
    shift = shifts.open_shift(session, person_id=person_id, merchant_id=merchant_id)
    if shift is None:  # ended at the same moment: then that is what holds
        raise Refusal(Code.TRY_AGAIN, retry_after_s=1)
    for waiting in jobs.open_at(session, merchant_id):
        rental, job = _locked(session, waiting)
        if job.state is JobState.OPEN:
            offers.join(session, rental, job, person_id, now=now)
    return shift


def end(session: Session, *, who: Principal, merchant_id: str, now: datetime) -> ShiftRow:
    """Go off shift: jobs that were accepted and not begun go to somebody else.

    Raises:
        Refusal: NOT_FOUND for who is not on shift there; BANK_IN_HAND, naming the bank, until
            it is handed over or checked in.
    """
    shift = shifts.open_shift(session, person_id=who.person_id, merchant_id=merchant_id)
    if shift is None:
        raise Refusal(Code.NOT_FOUND)
    leave(session, shift, now=now)
    return shift


def leave(session: Session, shift: ShiftRow, *, now: datetime) -> None:
    """End a shift, and let go of what it holds.

    Raises:
        Refusal: BANK_IN_HAND, naming the bank.
    """
    merchant_ids, me = [shift.merchant_id], shift.person_id
    _must_have_no_bank(jobs.in_hand(session, me, merchant_ids=merchant_ids))
    shifts.end(session, shift, now=now)
    for taken in jobs.in_hand(session, me, merchant_ids=merchant_ids):
        rental, job = _locked(session, taken)
        _must_have_no_bank([job])
        if job.state in jobs.TAKEN and job.staff_id == me:
            dispatch.drop(session, rental, job, EndedWhy.OFF_SHIFT, now=now)
    if market.merchant(session, shift.merchant_id).owner_id == me:
        return  # who owns it can be asked whenever it is open
    for waiting in jobs.open_at(session, shift.merchant_id):
        offer = jobs.offer(session, waiting.id, me)
        if offer is not None and offer.state is OfferState.OPEN:
            rental, job = _locked(session, waiting)
            if jobs.answer(session, offer, OfferEvent.WITHDRAW, now=now):
                dispatch.look(session, rental, job, now=now)


def _locked(session: Session, job: JobRow) -> tuple[RentalRow, JobRow]:
    rental = rentals.rental(session, job.rental_id)
    return rental, jobs.lock(session, job.id)


def _must_have_no_bank(in_hand: Sequence[JobRow]) -> None:
    for job in in_hand:
        if job.has_bank:
            raise Refusal(Code.BANK_IN_HAND, bank=job.bank_id)
