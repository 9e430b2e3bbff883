"""What an operator does to a rental that cannot go on by itself. Each act leaves a trace."""

from datetime import datetime

from sqlmodel import Session

from backend.db import audit, market, seam
from backend.db.tables.rentals import RentalRow
from backend.domain.cancellation import CancelFee, CancelStage
from backend.domain.custody import Holder, Proof
from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO
from backend.domain.overdue import OUT
from backend.domain.rental import RentalEvent, RentalState, step
from backend.principal import Principal
from backend.services import billing, dispatch, feeding, purchases
from backend.services.rentals import call_off, find_locked
from backend.services.starting import start_failed
from backend.services.steps import advance, hear, note, pass_bank


def cancel(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> RentalRow:
    """Call a rental off before the handover: it costs nothing, and whom it concerns hears why.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE once it was handed over.
    """
    rental = find_locked(session, rental_id)
    before = rental.state
    step(before, RentalEvent.CANCEL)
    free = CancelFee(stage=CancelStage.EXCUSED, fee_minor=ZERO)
    by_id, said, proof = who.person_id, reason[:160], Proof.REASON
    call_off(session, rental, free, why="by_hand", by_id=by_id, evidence=said, now=now, proof=proof)
    _trace(session, who, rental, "rental.cancel", before=before, reason=reason, now=now)
    return rental


def close(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    reason: str,
    now: datetime,
    back_at: datetime | None = None,
) -> RentalRow:
    """Close a rental whose bank is back, though nobody scanned it: billed until it was back.

    Args:
        session: a writing transaction.
        who: an operator.
        rental_id: a rental that its renter still has the bank of, as far as is known.
        reason: why the operator knows better.
        now: the time.
        back_at: since when it is back, if that is known to be earlier than now.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE.
    """
    rental = find_locked(session, rental_id)
    before = rental.state
    step(before, RentalEvent.COLLECT)
    _take_home(session, rental, Holder.MERCHANT, by_id=who.person_id, reason=reason, now=now)
    since = rental.handed_over_at or rental.requested_at
    billing.collected(
        session,
        rental,
        by_id=who.person_id,
        evidence=reason[:160],
        now=now,
        proof=Proof.REASON,
        back_at=None if back_at is None else min(now, max(since, back_at)),
    )
    market.needs_inspection(session, rental.bank_id)
    _trace(session, who, rental, "rental.close", before=before, reason=reason, now=now)
    return rental


def mark_lost(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> RentalRow:
    """Close a rental whose bank is gone and never fed: nobody is billed.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE, also of a bank that fed: that is bought, not lost.
    """
    rental = find_locked(session, rental_id)
    before = rental.state
    step(before, RentalEvent.LOSE)
    if rental.confirmed_at is not None:
        raise Refusal(Code.WRONG_STATE, state=before, event=RentalEvent.LOSE)
    _take_home(session, rental, Holder.LOST, by_id=who.person_id, reason=reason, now=now)
    advance(
        session,
        rental,
        RentalEvent.LOSE,
        now=now,
        by_id=who.person_id,
        proof=Proof.REASON,
        evidence=reason[:160],
        closed_at=now,
    )
    billing.release_deposit(session, rental, now=now)
    _trace(session, who, rental, "rental.mark_lost", before=before, reason=reason, now=now)
    return rental


def sell(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> RentalRow:
    """Bill a bank that fed and is gone, at the total cap that its renter agreed to.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE.
    """
    rental = find_locked(session, rental_id)
    before = rental.state
    purchases.sell(session, rental, by_id=who.person_id, why=reason[:160], at=now, now=now)
    _trace(session, who, rental, "rental.sell", before=before, reason=reason, now=now)
    return rental


def resolve_start(
    session: Session, *, who: Principal, rental_id: str, is_fed: bool, reason: str, now: datetime
) -> RentalRow:
    """Say whether a bank started that never told. The meter runs from now, if it did.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; NOT_IN_DOUBT while its word may still come.
    """
    rental = find_locked(session, rental_id)
    before = rental.state
    if before not in {RentalState.STARTING, RentalState.RETURNING}:
        raise Refusal(Code.WRONG_STATE, state=before, event=RentalEvent.OUTPUT_CONFIRMED)
    command = rental.start_command_id
    if rental.confirmed_at is not None or command is None:
        raise Refusal(Code.NOT_IN_DOUBT)
    if not seam.is_in_doubt(session, command):
        raise Refusal(Code.NOT_IN_DOUBT)
    by_id, evidence = who.person_id, reason[:160]
    if is_fed:
        _confirm(session, rental, by_id=by_id, evidence=evidence, now=now)
    elif before is RentalState.STARTING:
        start_failed(session, rental, evidence=evidence, by_id=by_id, now=now)
    else:
        billing.release_deposit(session, rental, now=now)
    action = "rental.start_confirmed" if is_fed else "rental.start_denied"
    _trace(session, who, rental, action, before=before, reason=reason, now=now)
    return rental


def _confirm(
    session: Session, rental: RentalRow, *, by_id: str, evidence: str, now: datetime
) -> None:
    event = RentalEvent.OUTPUT_CONFIRMED
    if rental.state is RentalState.STARTING:
        advance(session, rental, event, now=now, by_id=by_id, evidence=evidence, confirmed_at=now)
    else:
        note(session, rental, event, now=now, by_id=by_id, evidence=evidence, confirmed_at=now)
    billing.note_evidence(session, rental)


def _take_home(
    session: Session, rental: RentalRow, taker: Holder, *, by_id: str, reason: str, now: datetime
) -> None:
    """Take a bank out of its renter's hands, on the operator's word."""
    if rental.state not in OUT:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.COLLECT)
    feeding.withdraw_start(session, rental, now=now)
    dispatch.end_jobs(session, rental, why="by_hand", now=now)
    bank = market.bank(session, rental.bank_id)
    if bank.holder is not taker:  # where it disagreed with the rental, it may be there already
        pass_bank(
            session,
            bank,
            taker=taker,
            taker_id=None,
            proof=Proof.REASON,
            reason=reason[:200],
            by_id=by_id,
            now=now,
            rental_id=rental.id,
        )
    feeding.stop_feeding(session, rental, now=now)


def _trace(
    session: Session,
    who: Principal,
    rental: RentalRow,
    action: str,
    *,
    before: RentalState,
    reason: str,
    now: datetime,
) -> None:
    audit.write(
        session,
        by_id=who.person_id,
        action=action,
        subject="rental",
        subject_id=rental.id,
        before={"state": before},
        after={"state": rental.state},
        why=reason,
        now=now,
    )
    data = {"rental_id": rental.id, "action": action, "reason": reason}
    hear(session, rental, kind="rental.put_right", data=data, now=now)
