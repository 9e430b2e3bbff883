"""Look after a bank that is out: remind, fetch, sell, say that it is missing, and look for it."""

from datetime import datetime

from sqlmodel import Session

from backend.db import market, rentals, seam
from backend.db.tables.rentals import RentalRow
from backend.domain.overdue import OUT, REMIND_EVERY, Outing, Verdict, look
from backend.domain.rental import RentalEvent, RentalState
from backend.ids import new_id
from backend.limits import COMMAND_EXPIRY_S
from backend.services import billing, purchases, returns
from backend.services.places import brought_to
from backend.services.steps import hear

_GIVEN_BACK = frozenset({RentalState.RETURNING, RentalState.START_FAILED})
"""States in which it is not the renter whom a bank waits for."""


def due(session: Session, *, now: datetime, limit: int) -> list[str]:
    """Ids of rentals that are to be looked after now."""
    return list(rentals.due(session, now=now, out_since=now - REMIND_EVERY, limit=limit))


def look_after(session: Session, rental_id: str, *, now: datetime) -> bool:
    """Do what is due for one rental.

    Returns:
        False if nothing is: somebody else did it, or the bank is back.
    """
    rental = rentals.rental(session, rental_id)
    if rental.state not in OUT or (rental.due_at is not None and rental.due_at > now):
        return False
    verdict = look(_outing(session, rental), now=now)
    if verdict.bought_at is not None:
        _sell(session, rental, at=verdict.bought_at, now=now)
        return True
    rental.due_at = verdict.next_at
    session.add(rental)
    _tell(session, rental, verdict, now=now)
    if verdict.is_to_be_fetched:
        returns.send_for(
            session,
            rental,
            RentalEvent.REQUEST_RETURN,
            place=brought_to(rental),
            now=now,
            by_id=None,
            evidence="never used",
        )
    return True


def look_for(session: Session, bank_id: str, *, now: datetime) -> None:
    """Have a bank show itself that was missing and is heard again, once for each silence.

    Its merchant looks it over before it goes out again.
    """
    rental = rentals.renting(session, bank_id)
    if rental is None or rental.state not in OUT or rental.missing_told_at is None:
        return
    rental.missing_told_at = None
    session.add(rental)
    seam.order(
        session,
        id_=new_id(),
        bank_id=bank_id,
        kind="locate",
        cause=rental.id,
        now=now,
        expiry_s=COMMAND_EXPIRY_S,
    )
    market.needs_inspection(session, bank_id)
    data = {"rental_id": rental.id, "bank_id": bank_id}
    hear(session, rental, kind="rental.located", data=data, now=now)


def _outing(session: Session, rental: RentalRow) -> Outing:
    seen = seam.seen(session, rental.bank_id)
    return Outing(
        state=rental.state,
        since=rental.handed_over_at or rental.requested_at,
        told_at=rental.overdue_told_at,
        started_at=rental.billing_start_at,
        capped_at=billing.capped_at(rental),
        heard_at=None if seen is None else seen.heard_at,
        missing_told_at=rental.missing_told_at,
    )


def _sell(session: Session, rental: RentalRow, *, at: datetime, now: datetime) -> None:
    why = "its price reached the total cap"
    purchases.sell(session, rental, by_id=rental.renter_id, why=why, at=at, now=now)


def _tell(session: Session, rental: RentalRow, verdict: Verdict, *, now: datetime) -> None:
    capped_at = billing.capped_at(rental)
    data = {
        "rental_id": rental.id,
        "bank_id": rental.bank_id,
        "amount_minor": billing.amount_of(rental, now=now),
        "cap_total_minor": billing.terms_of(rental).cap_total_minor,
        "bought_at": None if capped_at is None else capped_at.isoformat(),
    }
    if verdict.reminds:
        rental.overdue_told_at = now
        kind = "rental.uncollected" if rental.state in _GIVEN_BACK else "rental.overdue"
        hear(session, rental, kind=kind, data=data, now=now)
    if verdict.tells_missing:
        rental.missing_told_at = now
        hear(session, rental, kind="rental.missing", data=data, now=now)
    session.add(rental)
