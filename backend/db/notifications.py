"""Notifications: what each person should hear, in the order it happened to them.

Numbers count up per person, without gaps, and are taken with the person's row locked until
the commit. So the order of numbers is the order of commits, and a reader who has seen number
n misses nothing by asking for what is greater than n. (A cursor over one common sequence
would: rows become visible out of order.) They are taken last in the transaction, person by
person in one order: an owner hears of much at once, and nobody is to wait for them long.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlmodel import Session, col

from backend.db.engine import postpone, tell
from backend.db.tables.people import Person
from backend.db.tables.platform import Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notification, read."""

    seq: int
    kind: str
    data: dict[str, Any]
    created_at: datetime


def topic(person_id: str) -> str:
    """Name the news of one person, for ``Database.listen``."""
    return f"person:{person_id}"


def notify(
    session: Session,
    *,
    person_ids: Iterable[str],
    kind: str,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write a notification to each of these people, once however often they are named.

    Args:
        session: The transaction of the change that they hear of.
        person_ids: Whom; an unknown id is ignored.
        kind: What, as ``rental.accepted``.
        data: What a client needs to act on it; must be JSON.
        now: When.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    values = {"kind": kind, "data": text, "created_at": now}
    for person_id in set(person_ids):
        postpone(session, partial(_number, person_id=person_id, values=values), place=person_id)


def _number(session: Session, *, person_id: str, values: Mapping[str, Any]) -> None:
    seq = session.execute(
        update(Person)
        .where(col(Person.id) == person_id)
        .values(notified_seq=Person.notified_seq + 1)
        .returning(col(Person.notified_seq))
        .execution_options(synchronize_session=False)
    ).scalar()
    if seq is None:
        return
    session.execute(insert(Notification).values(person_id=person_id, seq=seq, **values))
    tell(session, topic(person_id))


def after(session: Session, *, person_id: str, seq: int, limit: int) -> list[Notice]:
    """Read this person's notifications with a greater number than ``seq``, oldest first."""
    rows = session.scalars(
        select(Notification)
        .where(col(Notification.person_id) == person_id, col(Notification.seq) > seq)
        .order_by(col(Notification.seq))
        .limit(limit)
    )
    return [
        Notice(seq=row.seq, kind=row.kind, data=json.loads(row.data), created_at=row.created_at)
        for row in rows
    ]


def last_seq(session: Session, *, person_id: str) -> int:
    """Tell the number of this person's newest notification, 0 if there is none."""
    return session.scalar(select(col(Person.notified_seq)).where(col(Person.id) == person_id)) or 0


def last_seqs(session: Session, *, person_ids: Collection[str]) -> dict[str, int]:
    """Tell the same of many people at once."""
    rows = session.execute(
        select(col(Person.id), col(Person.notified_seq)).where(col(Person.id).in_(person_ids))
    )
    return {row.id: row.notified_seq for row in rows}


def prune(session: Session, *, before: datetime) -> None:
    """Forget what was written before ``before``."""
    session.execute(delete(Notification).where(col(Notification.created_at) < before))
