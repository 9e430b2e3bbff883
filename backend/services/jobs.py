"""What staff do: take a job, set out, hand over, collect, bring home; or say no, or give it back.

A merchant's owner may do all of it too: many have no staff but themselves. Every change of
hands is proven by a scan of the bank's own label, or by the renter's code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from backend.db import jobs, market, rentals, scores
from backend.db.engine import keep_despite_refusal
from backend.db.notifications import notify
from backend.db.tables.dispatch import OfferRow
from backend.db.tables.market import BankRow, TariffRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain import door, eta
from backend.domain.custody import Holder, Proof
from backend.domain.dispatch import COLLECT_WITHIN, EndedWhy, OfferState
from backend.domain.errors import Code, Refusal
from backend.domain.handover import HandoverCode, try_code
from backend.domain.rental import RentalEvent, step
from backend.domain.tariff import Terms
from backend.principal import Principal
from backend.services import arrival, availability, billing, dispatch, feeding, handing_on, offers
from backend.services.rentals import call_off, cancel_fee_of, check_label
from backend.services.steps import advance, hear, pass_bank

# -- looking -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job, with the rental and the bank that it is about, for one person."""

    job: JobRow
    rental: RentalRow
    bank: BankRow
    terms: Terms
    """What the renter was shown; it may be another merchant's price."""
    is_from_another: bool
    """The renter asked at another merchant, who could not bring it."""
    offer: OfferRow | None
    """What this person was asked."""

    @property
    def offered_until(self) -> datetime | None:
        """The deadline of an offer that waits for an answer."""
        is_open = self.offer is not None and self.offer.state is OfferState.OPEN
        return self.offer.expires_at if self.offer is not None and is_open else None

    @property
    def waits_until(self) -> datetime | None:
        """Until when who delivers waits at the door."""
        return arrival.waits_until(self.job)


def waiting(session: Session, *, who: Principal) -> list[JobView]:
    """List the jobs that this person may take, and their own that go on."""
    found = jobs.jobs_for(
        session, who.person_id, merchant_ids=who.merchant_ids, works_for=who.staff_of
    )
    asked = jobs.offers_of(session, who.person_id, [job.id for job in found])
    return [_view(session, job, asked.get(job.id)) for job in found]


def view(session: Session, job: JobRow, *, who: Principal) -> JobView:
    """Put together what is shown of a job."""
    return _view(session, job, jobs.offer(session, job.id, who.person_id))


def _view(session: Session, job: JobRow, offer: OfferRow | None) -> JobView:
    rental = rentals.read(session, job.rental_id)
    asked_at = session.get_one(TariffRow, rental.tariff_id).merchant_id
    return JobView(
        job=job,
        rental=rental,
        bank=market.bank(session, job.bank_id),
        terms=billing.terms_of(rental),
        is_from_another=asked_at != job.merchant_id,
        offer=offer,
    )


def _locked(session: Session, who: Principal, job_id: str) -> tuple[RentalRow, JobRow]:
    """A job that concerns this person, and before it its rental, locked for this transaction."""
    seen = jobs.read(session, job_id)
    if seen is None or not jobs.concerns(
        session, job_id, who.person_id, merchant_ids=who.merchant_ids, works_for=who.staff_of
    ):
        raise Refusal(Code.NOT_FOUND)
    rental = rentals.rental(session, seen.rental_id)
    return rental, jobs.lock(session, job_id)


def _own(
    session: Session, who: Principal, job_id: str, *, kind: JobKind | None = None
) -> tuple[RentalRow, JobRow]:
    rental, job = _locked(session, who, job_id)
    if job.state is JobState.CANCELLED:
        raise Refusal(Code.JOB_ENDED)
    if job.staff_id != who.person_id:
        raise Refusal(Code.WRONG_STATE, state=job.state, event="not_your_job")
    if kind not in {None, job.kind}:
        raise Refusal(Code.WRONG_STATE, state=job.state, event=f"not_a_{kind}")
    return rental, job


# -- taking, and not taking ----------------------------------------------------------------


def accept(session: Session, *, who: Principal, job_id: str, now: datetime) -> JobView:
    """Take a job; one taker wins.

    Raises:
        Refusal: NOT_FOUND; ALREADY_TAKEN; JOB_ENDED if it ended, or went to another merchant;
            FORBIDDEN of who may not work.
    """
    rental, job = _locked(session, who, job_id)
    me = who.person_id
    if job.staff_id == me and job.state is not JobState.CANCELLED:
        return view(session, job, who=who)
    offers.take(session, job, person_id=me, now=now)
    if job.kind is JobKind.DELIVERY:
        _begin_trip(session, rental, job, now=now)
        advance(
            session, rental, RentalEvent.ACCEPT, now=now, by_id=me, staff_id=me, accepted_at=now
        )
        dispatch.look(session, rental, job, now=now)
    else:
        job.due_at, job.reminders = now + COLLECT_WITHIN, 0
        rental.collector_id = me
        session.add_all((rental, job))
        _tell(session, rental, job, "collection.accepted", now)
    return view(session, job, who=who)


def _begin_trip(session: Session, rental: RentalRow, job: JobRow, *, now: datetime) -> None:
    """Work out until when who has just accepted has to set out, and to be there."""
    job.left_m = arrival.from_shop_m(session, job)
    at_best = eta.estimate(eta.Stage.ACCEPTED, distance_m=job.left_m, now=now)
    job.deliver_by = max(job.deliver_by or at_best, at_best)
    session.add(job)
    arrival.refresh(session, rental, job, now=now)


def decline(session: Session, *, who: Principal, job_id: str, now: datetime) -> None:
    """Say no to a job; when everybody has, the next ones are asked at once.

    Raises:
        Refusal: NOT_FOUND; ALREADY_TAKEN; WRONG_STATE.
    """
    seen = jobs.read(session, job_id)
    if seen is None or jobs.offer(session, job_id, who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    rental = rentals.rental(session, seen.rental_id)
    job = jobs.lock(session, job_id)
    has_changed = offers.decline(session, job, person_id=who.person_id, now=now)
    if has_changed and job.state is JobState.OPEN:
        dispatch.look(session, rental, job, now=now)


def give_back(
    session: Session, *, who: Principal, job_id: str, reason: str, now: datetime
) -> JobView:
    """Give a job back that I cannot do after all; somebody else is asked at once.

    Raises:
        Refusal: NOT_FOUND; JOB_ENDED; WRONG_STATE once it is done.
    """
    rental, job = _own(session, who, job_id)
    if job.state not in jobs.TAKEN:
        raise Refusal(Code.WRONG_STATE, state=job.state, event="give_back")
    dispatch.drop(session, rental, job, EndedWhy.GIVEN_BACK, reason=reason, now=now)
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "staff_id": who.person_id,
        "kind": job.kind,
        "reason": reason,
    }
    owner_id = market.merchant(session, job.merchant_id).owner_id
    notify(session, person_ids=[owner_id], kind="job.given_back", data=data, now=now)
    session.refresh(job)
    return view(session, job, who=who)


def renter_absent(
    session: Session, *, who: Principal, job_id: str, reason: str, now: datetime
) -> JobView:
    """Leave a door that nobody opened: the delivery is called off, for what that cost on arrival.

    Raises:
        Refusal: NOT_FOUND; JOB_ENDED; WRONG_STATE; NOT_AT_DOOR of who is not known to be there;
            RENTER_MAY_COME until they have waited long enough.
    """
    rental, job = _own(session, who, job_id, kind=JobKind.DELIVERY)
    step(rental.state, RentalEvent.CANCEL)
    if job.at_door_at is None or arrival.fresh_position(session, job, now=now) is None:
        raise Refusal(Code.NOT_AT_DOOR)
    wait = door.waits_until(job.at_door_at) - now
    if wait > timedelta(0):
        raise Refusal(Code.RENTER_MAY_COME, retry_after_s=-(-wait // timedelta(seconds=1)))
    fee = cancel_fee_of(rental, now=job.at_door_at)
    if fee is None:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.CANCEL)
    data = {
        "rental_id": rental.id,
        "job_id": job.id,
        "staff_id": who.person_id,
        "reason": reason,
        "fee_minor": fee.fee_minor,
    }
    hear(session, rental, kind="rental.renter_absent", data=data, now=now)
    why, by_id = EndedWhy.RENTER_ABSENT, who.person_id
    said, proof = reason[:160], Proof.REASON
    call_off(session, rental, fee, why=why, by_id=by_id, evidence=said, now=now, proof=proof)
    session.refresh(job)
    return view(session, job, who=who)


# -- delivering ----------------------------------------------------------------------------


def set_out(
    session: Session, *, who: Principal, job_id: str, qr_token: str | None, now: datetime
) -> JobView:
    """Set out: to deliver, with the bank in hand, which its label proves; or to collect.

    Raises:
        Refusal: NOT_FOUND; JOB_ENDED; WRONG_STATE; PROOF_REQUIRED without a scan; WRONG_BANK;
            BANK_RECALLED; FORBIDDEN of who may not work.
    """
    rental, job = _own(session, who, job_id)
    offers.must_work(session, job, who.person_id)
    if job.kind is JobKind.DELIVERY:
        _pick_up(session, who, rental, qr_token=qr_token, now=now)
    _move(session, job, JobState.ACCEPTED, JobState.UNDER_WAY, set_out_at=now)
    if job.kind is JobKind.DELIVERY:
        job.has_bank = True
        arrival.refresh(session, rental, job, now=now)
        dispatch.look(session, rental, job, now=now)
    else:
        _tell(session, rental, job, "collection.set_out", now)
    return view(session, job, who=who)


def _pick_up(
    session: Session, who: Principal, rental: RentalRow, *, qr_token: str | None, now: datetime
) -> None:
    step(rental.state, RentalEvent.SET_OUT)
    bank = market.bank(session, rental.bank_id)
    if bank.is_recalled:
        raise Refusal(Code.BANK_RECALLED, bank=bank.id)
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

    A delivery that is late by then costs nothing.

    Raises:
        Refusal: NOT_FOUND; JOB_ENDED; WRONG_STATE; PROOF_REQUIRED; WRONG_BANK; BAD_CODE,
            CODE_LOCKED; BANK_UNAVAILABLE if it is not charged enough, or was not heard lately.
    """
    rental, job = _own(session, who, job_id, kind=JobKind.DELIVERY)
    bank = market.bank(session, rental.bank_id)
    step(rental.state, RentalEvent.HAND_OVER)
    least_pct = billing.terms_of(rental).min_battery_pct
    availability.must_be_fit(session, bank, min_battery_pct=least_pct, now=now)
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
    is_late = rental.promised_at is not None and now > rental.promised_at
    advance(
        session,
        rental,
        RentalEvent.HAND_OVER,
        now=now,
        by_id=who.person_id,
        proof=proof,
        handed_over_at=now,
        is_delivery_free=rental.is_delivery_free or is_late,
    )
    done = {"done_at": now, "has_bank": False, "due_at": None}
    _move(session, job, JobState.UNDER_WAY, JobState.DONE, **done)
    scores.look_again(session, job.merchant_id, now=now)
    return view(session, job, who=who)


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


# -- collecting ----------------------------------------------------------------------------


def collect(
    session: Session, *, who: Principal, job_id: str, qr_token: str, now: datetime
) -> JobView:
    """Take the bank back from the renter, proven by its label, and bill the rental.

    One that was missing goes out again only once its merchant has looked it over.

    Raises:
        Refusal: NOT_FOUND; JOB_ENDED; WRONG_STATE; WRONG_BANK; FORBIDDEN of who may not work,
            and had not set out.
    """
    rental, job = _own(session, who, job_id, kind=JobKind.COLLECTION)
    if job.state is JobState.ACCEPTED:
        offers.must_work(session, job, who.person_id)
    step(rental.state, RentalEvent.COLLECT)
    bank = market.bank(session, rental.bank_id)
    _take_in_hand(session, who, rental, bank, qr_token=qr_token, now=now)
    if rental.missing_told_at is not None:  # nobody knows what it went through meanwhile
        market.needs_inspection(session, bank.id)
    feeding.stop_feeding(session, rental, now=now)
    billing.collected(session, rental, by_id=who.person_id, evidence=job.id, now=now)
    job.has_bank, job.reminders = True, 0
    done = {"done_at": now, "due_at": handing_on.home_due_at(job, now=now)}
    _move(session, job, *jobs.TAKEN, JobState.DONE, **done)
    return view(session, job, who=who)


def check_in(
    session: Session, *, who: Principal, job_id: str, qr_token: str, now: datetime
) -> JobView:
    """Bring a bank home to its merchant, proven by its label.

    It is for rent again, unless something speaks against it that its merchant has to look into.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; WRONG_BANK.
    """
    _, job = _locked(session, who, job_id)
    if job.staff_id != who.person_id:
        raise Refusal(Code.WRONG_STATE, state=job.state, event="not_your_job")
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
        is_offered=availability.is_sound(session, bank),
    )
    market.bank_is_home(session, bank.id)
    session.refresh(job)
    return view(session, job, who=who)


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


def _move(session: Session, job: JobRow, *states: JobState, **changes: object) -> None:
    *old, new = states
    if not jobs.move(session, job, old=old, new=new, **changes):
        raise Refusal(Code.WRONG_STATE, state=job.state, event=new)


def _tell(session: Session, rental: RentalRow, job: JobRow, kind: str, now: datetime) -> None:
    data = {"rental_id": rental.id, "job_id": job.id, "staff_id": job.staff_id}
    hear(session, rental, kind=kind, data=data, now=now)
