"""Who works for a merchant: hired by phone, seen with their shift, let go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from backend.db import market, people
from backend.db.notifications import notify
from backend.db.shifts import open_shift
from backend.db.tables.market import StaffRow
from backend.domain.errors import Code, Refusal
from backend.ids import new_id
from backend.principal import Principal
from backend.services import shifts
from backend.services.market import own


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Somebody who works for a merchant."""

    staff: StaffRow
    on_shift_since: datetime | None
    """None: they are off."""


def staff(session: Session, *, who: Principal, merchant_id: str) -> Sequence[Worker]:
    """List who works for a merchant now, and who of them is on shift.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    since = market.on_shift(session, merchant.id)
    return [
        Worker(staff=row, on_shift_since=since.get(row.person_id))
        for row in market.staff(session, merchant.id)
    ]


def hire(
    session: Session, *, who: Principal, merchant_id: str, phone: str, name: str, now: datetime
) -> Worker:
    """Have somebody, by their phone, deliver and collect for this merchant, from now on.

    Raises:
        Refusal: NOT_FOUND, STAFF_ALREADY_HIRED.
    """
    merchant = own(session, who, merchant_id)
    person = people.person_for_phone(session, phone=phone, new_id=new_id(), now=now)
    if merchant.id in market.employers(session, person.id):
        raise Refusal(Code.STAFF_ALREADY_HIRED)
    row = StaffRow(
        id=new_id(), merchant_id=merchant.id, person_id=person.id, name=name, joined_at=now
    )
    session.add(row)
    data = {"merchant_id": merchant.id, "name": merchant.name}
    notify(session, person_ids=[person.id], kind="staff.hired", data=data, now=now)
    shift = shifts.begin(session, person_id=person.id, merchant_id=merchant.id, now=now)
    return Worker(staff=row, on_shift_since=shift.started_at)


def let_go(
    session: Session, *, who: Principal, merchant_id: str, staff_id: str, now: datetime
) -> StaffRow:
    """Have somebody work here no more. Their rights end at once; their jobs go to others.

    Raises:
        Refusal: NOT_FOUND; STAFF_HAS_BANK while one of the merchant's banks is in their hands.
    """
    merchant = own(session, who, merchant_id)
    row = market.staff_member(session, staff_id, merchant_id=merchant.id)
    if row is None:
        raise Refusal(Code.NOT_FOUND)
    if row.left_at is not None:
        return row
    in_hand = market.banks_in_hand(session, row.person_id, merchant_id=merchant.id)
    if in_hand:
        raise Refusal(Code.STAFF_HAS_BANK, bank=",".join(in_hand))
    if market.end_employment(session, row.id, now=now):
        shift = open_shift(session, person_id=row.person_id, merchant_id=merchant.id)
        if shift is not None:
            shifts.leave(session, shift, now=now)
        data = {"merchant_id": merchant.id, "name": merchant.name}
        notify(session, person_ids=[row.person_id], kind="staff.left", data=data, now=now)
    session.refresh(row)
    return row
