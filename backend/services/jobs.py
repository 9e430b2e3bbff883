"""What staff do: take a job, set out, hand over, collect, bring home.

A merchant's owner may do all of it too: many have no staff but themselves. Every change of
hands is proven by a scan of the bank's own label, or by the renter's code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from backend.db import market, rentals
from backend.db.engine import keep_despite_refusal
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.domain.handover import HandoverCode, try_code
from backend.domain.precheck import MIN_BATTERY_PCT
from backend.domain.rental import RentalEvent, step
from backend.principal import Principal
from backend.services import availability, billing
from backend.services.rentals import check_label, stop_feeding
from backend.services.steps import advance, hear, pass_bank


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job, with the rental and the bank that it is about."""

    job: JobRow
    rental: RentalRow
    bank: BankRow


def waiting(session: Session, *, who: Principal) -> list[JobView]:
    """List the jobs that this person may take, and their own that go on."""
    found = rentals.jobs_for(session, who.person_id, merchant_ids=_employers(who))
    return [view(session, job) for job in found]


def view(session: Session, job: JobRow) -> JobView:
    """Put together what is shown of a job."""
    return JobView(
        job=job,
        rental=rentals.read(session, job.rental_id),
        bank=market.bank(session, job.bank_id),
    )


def _employers(who: Principal) -> Sequence[str]:
    return sorted(who.staff_of | who.merchant_ids)


def _job(session: Session, who: Principal, job_id: str) -> JobRow:
    job = rentals.job_for(session, job_id, merchant_ids=_employers(who))
    if job is None:
        raise Refusal(Code.NOT_FOUND)
    return job


def _own_job(session: Session, who: Principal, job_id: str) -> JobRow:
    job = _job(session, who, job_id)
    if job.staff_id != who.person_id:
        raise Refusal(Code.WRONG_STATE, state=job.state, event="not_your_job")
    return job


def accept(session: Session, *, who: Principal, job_id: str, now: datetime) -> JobView:
    """Take a job; one taker wins.

    Raises:
        Refusal: NOT_FOUND; ALREADY_TAKEN.
    """
    job = _job(session, who, job_id)
    if job.staff_id == who.person_id:
        return view(session, job)
    me = who.person_id
    if not _move(session, job, JobState.OPEN, JobState.ACCEPTED, staff_id=me, accepted_at=now):
        raise Refusal(Code.ALREADY_TAKEN)
    rental = rentals.rental(session, job.rental_id)
    if job.kind is JobKind.DELIVERY:
        advance(
            session, rental, RentalEvent.ACCEPT, now=now, by_id=me, staff_id=me, accepted_at=now
        )
    else:
        rental.collector_id = me
        session.add(rental)
        _tell(session, rental, job, "collection.accepted", now)
    return view(session, job)


def set_out(
    session: Session, *, who: Principal, job_id: str, qr_token: str | None, now: datetime
) -> JobView:
    """Set out: to deliver, with the bank in hand, which its label proves; or to collect.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; PROOF_REQUIRED without a scan; WRONG_BANK.
    """
    job = _own_job(session, who, job_id)
    rental = rentals.rental(session, job.rental_id)
    if job.kind is JobKind.DELIVERY:
        _pick_up(session, who, rental, qr_token=qr_token, now=now)
        job.has_bank = True
        session.add(job)
    if not _move(session, job, JobState.ACCEPTED, JobState.UNDER_WAY, set_out_at=now):
        raise Refusal(Code.WRONG_STATE, state=job.state, event=RentalEvent.SET_OUT)
    if job.kind is JobKind.COLLECTION:
        _tell(session, rental, job, "collection.set_out", now)
    return view(session, job)


def _pick_up(
    session: Session, who: Principal, rental: RentalRow, *, qr_token: str | None, now: datetime
) -> None:
    step(rental.state, RentalEvent.SET_OUT)
    bank = market.bank(session, rental.bank_id)
    if qr_token is None:
        raise Refusal(Code.PROOF_REQUIRED, giver=bank.holder, taker=Holder.STAFF, proof="none")
    _take_in_hand(session, who, rental, bank, qr_token=qr_token, now=now)
    advance(
        session,
        rental,
        RentalEvent.SET_OUT,
        now=now,
        by_id=who.person_id,
        proof=Proof.SCAN,
        set_out_at=now,
    )


def hand_over(
    session: Session,
    *,
    who: Principal,
    job_id: str,
    qr_token: str | None,
    code: str | None,
    now: datetime,
) -> JobView:
    """Hand the bank to the renter, proven by its label or by the renter's code.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; PROOF_REQUIRED; WRONG_BANK; BAD_CODE, CODE_LOCKED;
            BANK_UNAVAILABLE if it is not charged enough, or was not heard lately.
    """
    job = _own_job(session, who, job_id)
    rental = rentals.rental(session, job.rental_id)
    bank = market.bank(session, rental.bank_id)
    step(rental.state, RentalEvent.HAND_OVER)
    availability.must_be_fit(session, bank, min_battery_pct=MIN_BATTERY_PCT, now=now)
    proof = _prove(session, rental, qr_token=qr_token, code=code)
    pass_bank(
        session,
        bank,
        taker=Holder.RENTER,
        taker_id=rental.renter_id,
        proof=proof,
        by_id=who.person_id,
        now=now,
        rental_id=rental.id,
    )
    advance(
        session,
        rental,
        RentalEvent.HAND_OVER,
        now=now,
        by_id=who.person_id,
        proof=proof,
        handed_over_at=now,
    )
    _move(session, job, JobState.UNDER_WAY, JobState.DONE, done_at=now, has_bank=False)
    return view(session, job)


def _prove(session: Session, rental: RentalRow, *, qr_token: str | None, code: str | None) -> Proof:
    if qr_token is not None:
        check_label(session, expected=rental.bank_id, qr_token=qr_token)
        return Proof.SCAN
    if code is None:
        raise Refusal(Code.PROOF_REQUIRED, giver=Holder.STAFF, taker=Holder.RENTER, proof="none")
    tried = try_code(HandoverCode(digits=rental.code, wrong_tries=rental.code_tries), given=code)
    rental.code_tries = tried.code.wrong_tries
    session.add(rental)
    if tried.refusal is not None:
        keep_despite_refusal(session)  # or the guesses would be free
        raise tried.refusal
    return Proof.CODE


def collect(
    session: Session, *, who: Principal, job_id: str, qr_token: str, now: datetime
) -> JobView:
    """Take the bank back from the renter, proven by its label, and bill the rental.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; WRONG_BANK.
    """
    job = _own_job(session, who, job_id)
    if job.kind is not JobKind.COLLECTION:
        raise Refusal(Code.WRONG_STATE, state=job.state, event=RentalEvent.COLLECT)
    rental = rentals.rental(session, job.rental_id)
    step(rental.state, RentalEvent.COLLECT)
    bank = market.bank(session, rental.bank_id)
    _take_in_hand(session, who, rental, bank, qr_token=qr_token, now=now)
    stop_feeding(session, rental, now=now)
    billing.collected(session, rental, by_id=who.person_id, evidence=job.id, now=now)
    old = (JobState.ACCEPTED, JobState.UNDER_WAY)
    rentals.move_job(session, job.id, old=old, new=JobState.DONE, done_at=now, has_bank=True)
    session.refresh(job)
    return view(session, job)


def check_in(
    session: Session, *, who: Principal, job_id: str, qr_token: str, now: datetime
) -> JobView:
    """Bring a bank home to its merchant, proven by its label; it is for rent again.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; WRONG_BANK.
    """
    job = _own_job(session, who, job_id)
    bank = market.bank(session, job.bank_id)
    if not job.has_bank or job.state not in {JobState.DONE, JobState.CANCELLED}:
        raise Refusal(Code.WRONG_STATE, state=job.state, event="check_in")
    check_label(session, expected=bank.id, qr_token=qr_token)
    pass_bank(
        session,
        bank,
        taker=Holder.MERCHANT,
        taker_id=None,
        proof=Proof.SCAN,
        by_id=who.person_id,
        now=now,
        rental_id=job.rental_id,
        is_offered=True,
    )
    market.bank_is_home(session, bank.id)
    session.refresh(job)
    return view(session, job)


def _take_in_hand(
    session: Session,
    who: Principal,
    rental: RentalRow,
    bank: BankRow,
    *,
    qr_token: str,
    now: datetime,
) -> None:
    """Staff hold the bank now, proven by a scan of its own label."""
    check_label(session, expected=bank.id, qr_token=qr_token)
    pass_bank(
        session,
        bank,
        taker=Holder.STAFF,
        taker_id=who.person_id,
        proof=Proof.SCAN,
        by_id=who.person_id,
        now=now,
        rental_id=rental.id,
    )


def _move(session: Session, job: JobRow, old: JobState, new: JobState, **changes: object) -> bool:
    session.flush()
    moved = rentals.move_job(session, job.id, old=(old,), new=new, **changes)
    session.refresh(job)
    return moved


def _tell(session: Session, rental: RentalRow, job: JobRow, kind: str, now: datetime) -> None:
    data = {"rental_id": rental.id, "job_id": job.id, "staff_id": job.staff_id}
    hear(session, rental, kind=kind, data=data, now=now)
