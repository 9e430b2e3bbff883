"""Queries on who is on shift, who can be asked, and where they are."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func
from sqlmodel import Session, col, select, update

from backend.db.jobs import TAKEN
from backend.db.tables.dispatch import PositionSampleRow, ShiftRow, StaffPositionRow
from backend.db.tables.people import Person
from backend.db.tables.rentals import JobRow
from backend.db.upsert import upsert
from backend.domain.geo import Point

# -- shifts ----------------------------------------------------------------------------


def open_shift(session: Session, *, person_id: str, merchant_id: str) -> ShiftRow | None:
    """The shift that this person is on at this merchant."""
    found = select(ShiftRow).where(
        ShiftRow.merchant_id == merchant_id,
        ShiftRow.person_id == person_id,
        col(ShiftRow.ended_at).is_(None),
    )
    return session.exec(found).first()


def open_shifts(session: Session, person_id: str) -> Sequence[ShiftRow]:
    """The shifts that this person is on, oldest first."""
    found = select(ShiftRow).where(
        ShiftRow.person_id == person_id, col(ShiftRow.ended_at).is_(None)
    )
    return session.exec(found.order_by(col(ShiftRow.id))).all()


def begin(session: Session, *, id_: str, person_id: str, merchant_id: str, now: datetime) -> bool:
    """Begin a shift; False if they are on one."""
    begun = session.exec(
        upsert(session, ShiftRow)
        .values(id=id_, merchant_id=merchant_id, person_id=person_id, started_at=now)
        .on_conflict_do_nothing()
    )
    return begun.rowcount == 1


def end(session: Session, shift: ShiftRow, *, now: datetime) -> bool:
    """End a shift; False if it is over."""
    ended = session.exec(
        update(ShiftRow)
        .where(col(ShiftRow.id) == shift.id, col(ShiftRow.ended_at).is_(None))
        .values(ended_at=now)
    )
    session.refresh(shift)
    return ended.rowcount == 1


def on_shift(session: Session, merchant_ids: Collection[str]) -> dict[str, list[str]]:
    """Who is on shift, by merchant; nobody who is suspended."""
    found = (
        select(ShiftRow.merchant_id, ShiftRow.person_id)
        .join(Person, col(Person.id) == col(ShiftRow.person_id))
        .where(
            col(ShiftRow.merchant_id).in_(merchant_ids),
            col(ShiftRow.ended_at).is_(None),
            col(Person.suspended_at).is_(None),
        )
        .order_by(col(ShiftRow.id))
    )
    people: dict[str, list[str]] = {}
    for merchant_id, person_id in session.exec(found):
        people.setdefault(merchant_id, []).append(person_id)
    return people


def suspended(session: Session, person_ids: Collection[str]) -> frozenset[str]:
    """Who of these people may not work."""
    found = select(Person.id).where(
        col(Person.id).in_(person_ids), col(Person.suspended_at).is_not(None)
    )
    return frozenset(session.exec(found))


def loads(session: Session, person_ids: Collection[str]) -> dict[str, int]:
    """How many jobs each of these people has in hand; who has none is absent."""
    found = (
        select(JobRow.staff_id, func.count())
        .where(col(JobRow.staff_id).in_(person_ids), col(JobRow.state).in_(TAKEN))
        .group_by(col(JobRow.staff_id))
    )
    return {person_id: jobs for person_id, jobs in session.exec(found) if person_id is not None}


def operators(session: Session) -> Sequence[str]:
    """Ids of the platform's operators."""
    return session.exec(select(Person.id).where(col(Person.is_operator).is_(True))).all()


# -- positions -------------------------------------------------------------------------


def put_position(session: Session, person_id: str, at: Point, *, now: datetime) -> None:
    """Keep where somebody is; what was told later stays."""
    told = upsert(session, StaffPositionRow).values(
        person_id=person_id, lat=at.lat, lng=at.lng, told_at=now
    )
    session.exec(
        told.on_conflict_do_update(
            index_elements=["person_id"],
            set_={"lat": at.lat, "lng": at.lng, "told_at": now},
            where=col(StaffPositionRow.told_at) <= now,
        )
    )


def position(session: Session, person_id: str) -> StaffPositionRow | None:
    """Where somebody is, as they last told."""
    found = select(StaffPositionRow).where(StaffPositionRow.person_id == person_id)
    return session.exec(found.execution_options(populate_existing=True)).first()


def sampled_at(session: Session, job_id: str) -> datetime | None:
    """When the newest of a job's samples was taken."""
    found = select(func.max(PositionSampleRow.told_at)).where(PositionSampleRow.job_id == job_id)
    return session.exec(found).one()


def forget_positions(session: Session, *, before: datetime) -> None:
    """Forget where people were before that."""
    session.exec(delete(PositionSampleRow).where(col(PositionSampleRow.told_at) < before))
    session.exec(delete(StaffPositionRow).where(col(StaffPositionRow.told_at) < before))
