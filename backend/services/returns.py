"""How a bank comes back: its renter asks for it to be fetched, or says that it is back already.

Both stop the meter at once. A claim that it is back rests on the renter's word alone, so its
merchant may deny it, and then the meter was never stopped; but only so often: after that an
operator looks into it, and what they say stands.
"""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from backend.db import audit, jobs, rentals
from backend.db.tables.rentals import JobKind, RentalRow
from backend.domain.errors import Code, Refusal
from backend.domain.rental import RentalEvent, RentalState
from backend.limits import CLAIMS_MAX
from backend.principal import Principal
from backend.services import billing, dispatch, feeding
from backend.services.places import Place
from backend.services.rentals import find_locked, of_merchant, own_locked
from backend.services.steps import advance, hear, note


def ask_return(
    session: Session, *, who: Principal, rental_id: str, place: Place, now: datetime
) -> RentalRow:
    """Ask for the bank to be fetched here. The meter stops now, and the bank is told to stop.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE.
    """
    rental = own_locked(session, who, rental_id)
    send_for(session, rental, RentalEvent.REQUEST_RETURN, place=place, now=now, by_id=who.person_id)
    return rental


def send_for(
    session: Session,
    rental: RentalRow,
    event: RentalEvent,
    *,
    place: Place,
    now: datetime,
    by_id: str | None,
    evidence: str = "",
) -> bool:
    """Have a bank fetched from here, stop the meter, and have the bank stop.

    Returns:
        False if it is to be fetched already.

    Raises:
        Refusal: WRONG_STATE.
    """
    is_withdrawn = feeding.withdraw_start(session, rental, now=now)
    moved = advance(
        session,
        rental,
        event,
        now=now,
        by_id=by_id,
        evidence=evidence,
        return_requested_at=now,
        **_at(place),
    )
    if not moved:
        return False
    dispatch.begin_collection(session, rental, place=place, now=now)
    feeding.stop_feeding(session, rental, now=now)
    if rental.deposit_held_at is None or is_withdrawn:
        billing.release_deposit(session, rental, now=now)
    return True


def _at(place: Place) -> dict[str, Any]:
    return {
        "return_lat": place.lat,
        "return_lng": place.lng,
        "return_address": place.address,
    }


# -- "I already returned it" ----------------------------------------------------------------


def claim(
    session: Session, *, who: Principal, rental_id: str, place: Place, note_: str, now: datetime
) -> RentalRow:
    """Say that the bank is back already. The meter stops now; staff confirm it by a scan.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE; CLAIMED_TOO_OFTEN once an operator has denied it.
    """
    rental = own_locked(session, who, rental_id)
    if rental.claimed_returned_at is not None and rental.state is RentalState.RETURNING:
        return rental
    if rentals.count_steps(session, rental.id, RentalEvent.DENY_RETURN) > CLAIMS_MAX:
        raise Refusal(Code.CLAIMED_TOO_OFTEN)
    by_id = who.person_id
    moved = advance(
        session,
        rental,
        RentalEvent.CLAIM_RETURNED,
        now=now,
        by_id=by_id,
        evidence=note_[:160],
        return_requested_at=now,
        claimed_returned_at=now,
        **_at(place),
    )
    if not moved:  # it was to be fetched already: that request stands, whatever is said of this
        note(
            session,
            rental,
            RentalEvent.CLAIM_RETURNED,
            now=now,
            by_id=by_id,
            evidence=note_[:160],
            claimed_returned_at=now,
        )
    if jobs.going_on(session, rental.id, JobKind.COLLECTION) is None:
        dispatch.begin_collection(session, rental, place=place, now=now)
    data = {"rental_id": rental.id, "note": note_}
    hear(session, rental, kind="rental.claimed_returned", data=data, now=now)
    return rental


def deny(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    rental_id: str,
    reason: str,
    now: datetime,
) -> RentalRow:
    """Say, as its merchant, that the bank is not back.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if nobody claims that it is; OPERATOR_DECIDES if this
            was denied too often.
    """
    rental = of_merchant(session, who, merchant_id=merchant_id, rental_id=rental_id)
    _must_be_claimed(rental)
    if rentals.count_steps(session, rental.id, RentalEvent.DENY_RETURN) >= CLAIMS_MAX:
        raise Refusal(Code.OPERATOR_DECIDES)
    _deny(session, rental, by_id=who.person_id, reason=reason, now=now)
    return rental


def deny_for_good(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> RentalRow:
    """Say, as an operator, that the bank is not back.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if nobody claims that it is.
    """
    rental = find_locked(session, rental_id)
    _must_be_claimed(rental)
    before = rental.state
    _deny(session, rental, by_id=who.person_id, reason=reason, now=now)
    audit.write(
        session,
        by_id=who.person_id,
        action="rental.deny_return",
        subject="rental",
        subject_id=rental.id,
        before={"state": before},
        after={"state": rental.state},
        why=reason,
        now=now,
    )
    return rental


def _must_be_claimed(rental: RentalRow) -> None:
    if rental.claimed_returned_at is None or rental.state is not RentalState.RETURNING:
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=RentalEvent.DENY_RETURN)


def _deny(session: Session, rental: RentalRow, *, by_id: str, reason: str, now: datetime) -> None:
    """Let the meter go on as if it had never stopped, unless more than the claim stopped it."""
    if feeding.is_only_claimed(rental):
        dispatch.end_jobs(session, rental, why="denied", now=now)
        advance(
            session,
            rental,
            RentalEvent.DENY_RETURN,
            now=now,
            by_id=by_id,
            evidence=reason[:160],
            return_requested_at=None,
            claimed_returned_at=None,
            return_lat=None,
            return_lng=None,
            return_address=None,
            collector_id=None,
            due_at=now,
        )
        billing.note_evidence(session, rental)
    else:
        note(
            session,
            rental,
            RentalEvent.DENY_RETURN,
            now=now,
            by_id=by_id,
            evidence=reason[:160],
            claimed_returned_at=None,
        )
    data = {"rental_id": rental.id, "reason": reason}
    hear(session, rental, kind="rental.return_denied", data=data, now=now)
