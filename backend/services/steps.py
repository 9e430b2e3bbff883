"""One step of a rental, and one change of hands: the two writes that all use cases share.

A step moves the state by compare-and-set, leaves a row that says when, by whom and on what
grounds, and tells whom it concerns: all in the caller's transaction. Where a bank goes from
hand to hand with it, that goes first: no rental comes to a state that its bank's custody denies.
"""

from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlmodel import Session

from backend.db import market, rentals
from backend.db.notifications import notify
from backend.db.rentals import Move
from backend.db.tables.market import BankRow, CustodyMoveRow
from backend.db.tables.rentals import OCCUPYING, RentalRow
from backend.domain.custody import Holder, Proof, agrees, pass_on
from backend.domain.errors import Code, Refusal
from backend.domain.rental import RentalEvent, RentalState, step
from backend.ids import new_id
from backend.services import hooks

KINDS: Final = MappingProxyType(
    {
        RentalState.REQUESTED: "rental.requested",
        RentalState.ACCEPTED: "rental.accepted",
        RentalState.DELIVERING: "rental.delivering",
        RentalState.DELIVERED: "rental.delivered",
        RentalState.DEPOSIT_DUE: "deposit.notice",
        RentalState.STARTING: "deposit.held",
        RentalState.RENTING: "rental.renting",
        RentalState.RETURNING: "rental.return_requested",
        RentalState.PAYMENT_DUE: "rental.payment_due",
        RentalState.COMPLETED: "rental.completed",
        RentalState.CANCELLED: "rental.cancelled",
        RentalState.UNDELIVERABLE: "rental.undeliverable",
        RentalState.START_FAILED: "rental.start_failed",
    }
)
"""What people hear when a rental comes to a state."""

_FOR_THE_WHOLE_TEAM: Final = frozenset(
    {RentalState.REQUESTED, RentalState.RETURNING, RentalState.START_FAILED, RentalState.CANCELLED}
)
"""States in which somebody is to set out, or need not any more."""


def advance(
    session: Session,
    rental: RentalRow,
    event: RentalEvent,
    *,
    now: datetime,
    by_id: str | None = None,
    proof: Proof | None = None,
    evidence: str = "",
    **changes: Any,
) -> bool:
    """Take a rental one step on, with the changes that belong to it.

    Args:
        session: a writing transaction.
        rental: the rental; it is read anew afterwards.
        event: what happened.
        now: when.
        by_id: the person; None is the platform, on a bank's or a provider's word.
        proof: of a handover.
        evidence: what it rests on, as an id or a reason.
        changes: columns of the rental that change with it.

    Returns:
        False if the wish was granted already, and so nothing changed.

    Raises:
        Refusal: WRONG_STATE, by the table or because somebody else was quicker;
            CUSTODY_DISAGREES, and nothing of all this has happened.
    """
    new = step(rental.state, event)
    if new is rental.state:
        return False
    needed_its_bank = rental.state in OCCUPYING
    move = Move(
        event=event,
        old=rental.state,
        new=new,
        at=now,
        by_id=by_id,
        proof=proof,
        evidence=evidence,
    )
    session.flush()
    if not rentals.move(session, rental.id, move, changes):
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=event)
    session.refresh(rental)
    if needed_its_bank:
        _must_agree(session, rental)
    announce(session, rental, now=now)
    return True


def _must_agree(session: Session, rental: RentalRow) -> None:
    holder = market.bank(session, rental.bank_id).holder
    if not agrees(rental.state, holder):
        raise Refusal(Code.CUSTODY_DISAGREES, state=rental.state, holder=holder)


def note(
    session: Session,
    rental: RentalRow,
    event: RentalEvent,
    *,
    now: datetime,
    evidence: str,
    by_id: str | None = None,
    **changes: Any,
) -> None:
    """Write down what happened and moves no rental, with the changes that belong to it.

    Raises:
        Refusal: WRONG_STATE, because somebody moved it meanwhile.
    """
    heard = Move(
        event=event, old=rental.state, new=rental.state, at=now, by_id=by_id, evidence=evidence
    )
    session.flush()
    if not rentals.move(session, rental.id, heard, changes):
        raise Refusal(Code.WRONG_STATE, state=rental.state, event=event)
    session.refresh(rental)


def announce(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Tell whom it concerns that a rental came to the state it is in."""
    bank = market.bank(session, rental.bank_id)
    data: dict[str, Any] = {
        "rental_id": rental.id,
        "state": rental.state,
        "merchant_id": rental.merchant_id,
        "bank": {"id": bank.id, "model": bank.model},
        "place": {"lat": rental.lat, "lng": rental.lng, "address": rental.address},
    }
    if rental.return_lat is not None:
        data["return_place"] = {
            "lat": rental.return_lat,
            "lng": rental.return_lng,
            "address": rental.return_address,
        }
    if rental.amount_minor is not None:
        data["amount_minor"] = rental.amount_minor
        for moment in ("billing_start_at", "returned_at"):
            at: datetime | None = getattr(rental, moment)
            data[moment] = None if at is None else at.isoformat()
    hear(session, rental, kind=KINDS[rental.state], data=data, now=now)


def hear(
    session: Session, rental: RentalRow, *, kind: str, data: dict[str, Any], now: datetime
) -> None:
    """Notify the renter, the merchant, and the staff whom it concerns."""
    team = market.team(session, rental.merchant_id)
    if rental.state not in _FOR_THE_WHOLE_TEAM:
        owner = team[0]
        team = tuple(
            person for person in (owner, rental.staff_id, rental.collector_id) if person is not None
        )
    notify(session, person_ids=(rental.renter_id, *team), kind=kind, data=data, now=now)
    hooks.publish(session, merchant_id=rental.merchant_id, kind=kind, data=data, now=now)


def pass_bank(
    session: Session,
    bank: BankRow,
    *,
    taker: Holder,
    taker_id: str | None,
    proof: Proof,
    by_id: str,
    now: datetime,
    rental_id: str | None,
    reason: str = "",
    is_offered: bool = False,
) -> None:
    """Let a bank change hands, with its proof, from whoever has it now.

    Raises:
        Refusal: it cannot go that way, not on this proof, or went elsewhere meanwhile.
    """
    pass_on(giver=bank.holder, taker=taker, proof=proof)
    move = CustodyMoveRow(
        id=new_id(),
        bank_id=bank.id,
        rental_id=rental_id,
        giver=bank.holder,
        giver_id=bank.holder_id,
        taker=taker,
        taker_id=taker_id,
        proof=proof,
        reason=reason,
        by_id=by_id,
        at=now,
    )
    if not market.move_custody(session, move, is_offered=is_offered):
        raise Refusal(Code.WRONG_HANDS, giver=bank.holder, taker=taker)
    session.refresh(bank)
