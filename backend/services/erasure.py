"""Forgetting a person: asked for by themselves, or done by an operator.

What must always hold: nothing that is kept leads from the person's id to who they were, and the
books and the custody of every bank say what they said before (``domain.erasure``). It is all one
transaction: there is no moment in which somebody is half forgotten.
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import audit, erasure, shifts
from backend.db.engine import alone, tell
from backend.db.market import end_employment
from backend.db.tables.people import Person
from backend.domain.erasure import StillOpen
from backend.domain.errors import Code, Refusal
from backend.principal import Principal
from backend.services import shifts as work
from backend.services.signin import topic

BY_THEMSELVES = "asked for by themselves"


def erase_me(session: Session, *, who: Principal, now: datetime) -> Person:
    """Forget who asks.

    Raises:
        Refusal: STILL_OPEN with all that is; also while an operator keeps them from renting, or
            they would come back as somebody else.
    """
    person = _lock(session, who.person_id)
    barred = [] if person.suspended_at is None else [StillOpen.SUSPENSION]
    return _erase(session, person, by=who, barred=barred, why=BY_THEMSELVES, now=now)


def erase(
    session: Session, *, who: Principal, person_id: str, reason: str, now: datetime
) -> Person:
    """Forget somebody, as an operator.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if that is done; STILL_OPEN with all that is open.
    """
    return _erase(session, _lock(session, person_id), by=who, barred=[], why=reason, now=now)


def _lock(session: Session, person_id: str) -> Person:
    alone(session, f"renter:{person_id}")  # or they might ask for a bank meanwhile
    person = erasure.lock(session, person_id)
    if person is None:
        raise Refusal(Code.NOT_FOUND)
    if person.erased_at is not None:
        raise Refusal(Code.WRONG_STATE, state="erased", event="erase")
    return person


def _erase(
    session: Session,
    person: Person,
    *,
    by: Principal,
    barred: list[StillOpen],
    why: str,
    now: datetime,
) -> Person:
    is_open = barred + erasure.still_open(session, person.id)
    if is_open:
        raise Refusal(Code.STILL_OPEN, what=",".join(is_open))
    _stop_working(session, person.id, now=now)
    rentals = erasure.rentals_of(session, person.id)
    erasure.forget_answers(session, person.id, phone=person.phone, rentals=rentals)
    erasure.forget_news(session, person.id, rentals)
    erasure.forget_places(session, person.id)
    erasure.forget_name_at_work(session, person.id)
    erasure.forget_merchants(session, person.id, now=now)
    erasure.forget_person(session, person, now=now)
    for sign_in_id in erasure.end_sign_ins(session, person.id, now=now):
        tell(session, topic(sign_in_id))
    audit.write(
        session,
        by_id=by.person_id,
        action="person.erase",
        subject="person",
        subject_id=person.id,
        before={"account": "known"},
        after={"account": "erased"},
        why=why,
        now=now,
    )
    return person


def _stop_working(session: Session, person_id: str, *, now: datetime) -> None:
    for shift in shifts.open_shifts(session, person_id):
        work.leave(session, shift, now=now)
    for employment in erasure.employments(session, person_id):
        end_employment(session, employment.id, now=now)
