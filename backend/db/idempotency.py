"""Answers already given, by person and key."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import Session, col

from backend.db.tables.platform import IdempotencyRecord
from backend.db.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was sent back."""

    status: int
    media_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The request that had this key first, and what it was answered."""

    fingerprint: str
    answer: Answer | None
    """None: it was not kept, or was forgotten."""


def claim(
    session: Session, *, person_id: str, key: str, fingerprint: str, now: datetime
) -> Earlier | None:
    """Take a key for this request; if it is taken, tell by whom.

    While another transaction holds the key, this waits for its end.
    """
    fresh = session.execute(
        upsert(session, IdempotencyRecord)
        .values(person_id=person_id, key=key, fingerprint=fingerprint, created_at=now, body=b"")
        .on_conflict_do_nothing(index_elements=["person_id", "key"])
        .returning(col(IdempotencyRecord.key))
    ).scalar()
    if fresh is not None:
        return None
    row = session.get_one(IdempotencyRecord, (person_id, key))
    kept = row.status and Answer(status=row.status, media_type=row.media_type, body=row.body)
    return Earlier(fingerprint=row.fingerprint, answer=kept or None)


def keep(session: Session, *, person_id: str, key: str, answer: Answer) -> None:
    """Write down what is answered to the request that claimed this key."""
    session.execute(
        update(IdempotencyRecord)
        .where(
            col(IdempotencyRecord.person_id) == person_id,
            col(IdempotencyRecord.key) == key,
        )
        .values(status=answer.status, media_type=answer.media_type, body=answer.body)
    )


def prune(session: Session, *, before: datetime) -> None:
    """Forget answers given before ``before``."""
    session.execute(delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < before))
