"""Disputes: a renter says what is wrong with a bill, and the merchant or an operator answers.

The theory is at the top of ``domain/dispute.py``. Every one of these locks the rental first, so the
frozen part cannot change under whoever takes money or lets it go.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from backend.db import audit, disputes, market, money, rentals
from backend.db.tables.disputes import DisputeRow
from backend.db.tables.rentals import RentalRow
from backend.domain.credit import CreditKind
from backend.domain.dispute import DisputeEvent, DisputeState, move_dispute, verdict
from backend.domain.errors import Code, Refusal
from backend.domain.money import ZERO, Minor
from backend.domain.rental import RentalState
from backend.ids import new_id
from backend.limits import DISPUTES_MAX, PAYMENT_WITHIN
from backend.principal import Principal
from backend.services import billing, deposits
from backend.services.credits import bill_of, credit
from backend.services.rentals import own
from backend.services.steps import hear

# -- the renter ----------------------------------------------------------------------------------


def begin(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    disputed_minor: Minor,
    reason: str,
    now: datetime,
) -> DisputeRow:
    """Dispute a part of my bill, or all of it: that part is frozen until somebody decides.

    Args:
        session: a writing transaction.
        who: the renter.
        rental_id: a rental of theirs that was billed.
        disputed_minor: how much, above zero.
        reason: what is wrong, for who decides.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE before there is a bill; DISPUTE_TOO_LATE after the window;
            ALREADY_DISPUTED; MORE_THAN_BILLED.
    """
    rental = rentals.rental(session, own(session, who, rental_id).id)
    _check_time(rental, now=now)
    is_used_up = disputes.count(session, rental.id) >= DISPUTES_MAX
    if is_used_up or disputes.open_one(session, rental.id) is not None:
        raise Refusal(Code.ALREADY_DISPUTED)
    left = bill_of(session, rental).left_minor
    if disputed_minor > left:
        with billing.in_money_of(rental):
            raise Refusal(Code.MORE_THAN_BILLED, left_minor=left)
    dispute = DisputeRow(
        id=new_id(),
        rental_id=rental.id,
        renter_id=rental.renter_id,
        merchant_id=rental.merchant_id,
        state=DisputeState.OPEN,
        disputed_minor=disputed_minor,
        currency=billing.terms_of(rental).currency,
        reason=reason,
        opened_at=now,
    )
    session.add(dispute)
    session.flush()
    _tell(session, rental, dispute, kind="dispute.opened", now=now)
    hold = money.deposit(session, rental.id)
    if hold is not None:
        deposits.spend(session, rental, hold, now=now)  # the rest goes its way
    return dispute


def _check_time(rental: RentalRow, *, now: datetime) -> None:
    if rental.state is RentalState.PAYMENT_DUE:
        return
    if rental.state is not RentalState.COMPLETED:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event="dispute")
    if rental.settled_at is not None or rental.settle_at is None or rental.settle_at <= now:
        raise Refusal(Code.DISPUTE_TOO_LATE)


def withdraw(
    session: Session, *, who: Principal, rental_id: str, dispute_id: str, now: datetime
) -> DisputeRow:
    """Take a dispute of mine back: the bill stands.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it has ended.
    """
    rental, dispute = _locked(session, dispute_id)
    if (dispute.renter_id, rental.id) != (who.person_id, rental_id):
        raise Refusal(Code.NOT_FOUND)
    return _end(session, rental, dispute, DisputeEvent.WITHDRAW, by_id=who.person_id, now=now)


def mine(session: Session, *, who: Principal, rental_id: str) -> Sequence[DisputeRow]:
    """List the disputes of a rental of mine, oldest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    return disputes.of_rental(session, own(session, who, rental_id).id)


# -- the merchant --------------------------------------------------------------------------------


def concede(
    session: Session, *, who: Principal, merchant_id: str, dispute_id: str, now: datetime
) -> DisputeRow:
    """Admit that the renter is right, as the merchant: they get all that they dispute.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it has ended.
    """
    rental, dispute = _locked(session, dispute_id)
    owned = market.owned_merchant(session, merchant_id, owner_id=who.person_id)
    if owned is None or dispute.merchant_id != merchant_id:
        raise Refusal(Code.NOT_FOUND)
    return _end(
        session,
        rental,
        dispute,
        DisputeEvent.CONCEDE,
        granted_minor=Minor(dispute.disputed_minor),
        by_id=who.person_id,
        now=now,
    )


def at_merchant(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    state: DisputeState | None,
    before: str | None,
    limit: int,
) -> Sequence[DisputeRow]:
    """List a merchant's disputes, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    if market.owned_merchant(session, merchant_id, owner_id=who.person_id) is None:
        raise Refusal(Code.NOT_FOUND)
    return disputes.at_merchant(session, merchant_id, state=state, before=before, limit=limit)


# -- the operator --------------------------------------------------------------------------------


def decide(
    session: Session,
    *,
    who: Principal,
    dispute_id: str,
    granted_minor: Minor,
    reason: str,
    now: datetime,
) -> DisputeRow:
    """Decide a dispute: grant all of it, a part, or nothing.

    Args:
        session: a writing transaction.
        who: the operator.
        dispute_id: an open dispute.
        granted_minor: what the renter gets: zero to the disputed amount.
        reason: why, for both sides to read, and for the trace.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it has ended; MORE_THAN_DISPUTED.
    """
    rental, dispute = _locked(session, dispute_id)
    with billing.in_money_of(rental):
        event = verdict(disputed_minor=Minor(dispute.disputed_minor), granted_minor=granted_minor)
    before = dispute.state
    ended = _end(
        session,
        rental,
        dispute,
        event,
        granted_minor=granted_minor,
        answer=reason,
        by_id=who.person_id,
        now=now,
    )
    audit.write(
        session,
        by_id=who.person_id,
        action="dispute.decide",
        subject="dispute",
        subject_id=ended.id,
        before={"state": before},
        after={"state": ended.state, "granted_minor": str(ended.granted_minor)},
        why=reason,
        now=now,
    )
    return ended


def everywhere(
    session: Session, *, state: DisputeState | None, after: str, limit: int
) -> Sequence[DisputeRow]:
    """List all disputes, for an operator, oldest first."""
    return disputes.everywhere(session, state=state, after=after, limit=limit)


# -- the end -------------------------------------------------------------------------------------


def _locked(session: Session, dispute_id: str) -> tuple[RentalRow, DisputeRow]:
    """A dispute and its rental, locked.

    Raises:
        Refusal: NOT_FOUND.
    """
    seen = disputes.dispute(session, dispute_id)
    if seen is None:
        raise Refusal(Code.NOT_FOUND)
    rental = rentals.rental(session, seen.rental_id)
    session.refresh(seen)
    return rental, seen


def _end(
    session: Session,
    rental: RentalRow,
    dispute: DisputeRow,
    event: DisputeEvent,
    *,
    by_id: str,
    now: datetime,
    granted_minor: Minor = ZERO,
    answer: str = "",
) -> DisputeRow:
    """End a dispute, credit what is granted, and let what was frozen go its way."""
    granted = Minor(min(granted_minor, bill_of(session, rental).left_minor))
    moved = disputes.end(
        session,
        dispute.id,
        state=move_dispute(dispute.state, event),
        granted_minor=granted,
        answer=answer,
        by_id=by_id,
        now=now,
    )
    if not moved:
        raise Refusal(Code.WRONG_STATE, state=dispute.state, event=event)
    session.refresh(dispute)
    _tell(session, rental, dispute, kind=f"dispute.{dispute.state}", now=now)
    if granted > 0:
        credit(
            session,
            rental,
            amount_minor=granted,
            kind=CreditKind.DISPUTE,
            why=answer or dispute.reason,
            by_id=by_id,
            evidence=dispute.id,
            now=now,
        )
    if rental.state is RentalState.PAYMENT_DUE:
        _give_time(session, rental, now=now)
    return dispute


def _give_time(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """What was frozen may be paid by the renter first, as any bill."""
    until = now + PAYMENT_WITHIN
    rental.payment_due_by = max(rental.payment_due_by or until, until)
    rental.past_due_at = None
    session.add(rental)


def _tell(
    session: Session, rental: RentalRow, dispute: DisputeRow, *, kind: str, now: datetime
) -> None:
    data = {
        "dispute_id": dispute.id,
        "rental_id": rental.id,
        "state": dispute.state,
        "disputed_minor": dispute.disputed_minor,
        "granted_minor": dispute.granted_minor,
        "currency": dispute.currency,
        "reason": dispute.reason,
        "answer": dispute.answer,
    }
    hear(session, rental, kind=kind, data=data, now=now)
