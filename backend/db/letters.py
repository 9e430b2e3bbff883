"""Queries on what could not be taken in: banks' messages, and facts that could not be applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select, update

from backend.db.seam import from_ms, to_ms
from gateway.tables import DeadLetter, DomainEvent

# -- banks' messages ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A bank's message that was not believed."""

    id: str
    topic: str
    payload: bytes
    """At most the first 4 KiB."""
    reason: str
    """A stable word, as ``bad_field``."""
    detail: str
    received_at: datetime
    is_wanted: bool
    """Whether the gateway is about to take it in again."""
    outcome: str | None
    """What came of it; None: nobody tried anything."""
    closed_at: datetime | None
    """When it was replayed or put aside; None: it waits for a person."""


def _letter(row: DeadLetter) -> Letter:
    return Letter(
        id=row.id,
        topic=row.topic,
        payload=row.payload,
        reason=row.reason,
        detail=row.detail,
        received_at=from_ms(row.received_at_ms),
        is_wanted=row.wanted_at_ms is not None,
        outcome=row.outcome,
        closed_at=None if row.closed_at_ms is None else from_ms(row.closed_at_ms),
    )


def letters(session: Session, *, is_open: bool, before: str | None, limit: int) -> Sequence[Letter]:
    """A page of dead letters, newest first: those that wait for a person, or those dealt with.

    Args:
        session: the transaction.
        is_open: which.
        before: id of the last one of the page before.
        limit: how many.
    """
    closed, at_ms, key = (
        col(DeadLetter.closed_at_ms),
        col(DeadLetter.received_at_ms),
        col(DeadLetter.id),
    )
    found = select(DeadLetter).where(closed.is_(None) if is_open else closed.is_not(None))
    last = None if before is None else session.get(DeadLetter, before)
    if last is not None:
        is_same_time = at_ms == last.received_at_ms
        found = found.where((at_ms < last.received_at_ms) | (is_same_time & (key < last.id)))
    rows = session.exec(found.order_by(at_ms.desc(), key.desc()).limit(limit))
    return [_letter(row) for row in rows]


def letter(session: Session, letter_id: str) -> Letter | None:
    """A dead letter by its id."""
    row = session.get(DeadLetter, letter_id, populate_existing=True)
    return None if row is None else _letter(row)


def want(session: Session, letter_id: str, *, now: datetime) -> bool:
    """Have the gateway take a letter in again; False if it was dealt with."""
    return _change(session, letter_id, wanted_at_ms=to_ms(now))


def close(session: Session, letter_id: str, *, outcome: str, now: datetime) -> bool:
    """Put a letter aside; False if it was dealt with."""
    return _change(session, letter_id, wanted_at_ms=None, closed_at_ms=to_ms(now), outcome=outcome)


def _change(session: Session, letter_id: str, **changes: object) -> bool:
    changed = session.exec(
        update(DeadLetter)
        .where(col(DeadLetter.id) == letter_id, col(DeadLetter.closed_at_ms).is_(None))
        .values(**changes)
    )
    return changed.rowcount == 1


# -- facts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact from a bank that could not be applied."""

    id: str
    bank_id: str
    kind: str
    received_at: datetime
    problem: str


def given_up(session: Session, *, limit: int) -> Sequence[Fact]:
    """Facts that could not be applied, oldest first."""
    rows = session.exec(
        select(DomainEvent)
        .where(col(DomainEvent.problem).is_not(None))
        .order_by(col(DomainEvent.received_at_ms))
        .limit(limit)
    )
    return [
        Fact(
            id=row.id,
            bank_id=row.bank_id,
            kind=row.kind,
            received_at=from_ms(row.received_at_ms),
            problem=row.problem or "",
        )
        for row in rows
    ]


def apply_again(session: Session, event_id: str) -> bool:
    """Have a fact applied again that was given up; False if it was not."""
    wanted = session.exec(
        update(DomainEvent)
        .where(col(DomainEvent.id) == event_id, col(DomainEvent.problem).is_not(None))
        .values(problem=None, done_at_ms=None)
    )
    return wanted.rowcount == 1


def put_aside(session: Session, event_id: str, *, now: datetime) -> bool:
    """Let a fact that was given up be; False if it was not."""
    aside = session.exec(
        update(DomainEvent)
        .where(col(DomainEvent.id) == event_id, col(DomainEvent.problem).is_not(None))
        .values(problem=None, done_at_ms=to_ms(now))
    )
    return aside.rowcount == 1
