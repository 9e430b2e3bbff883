"""Dead letters: what banks said and was not believed, for an operator to look at and replay."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from backend.db import audit, letters
from backend.db.letters import Letter
from backend.domain.errors import Code, Refusal
from backend.principal import Principal


def page(session: Session, *, is_open: bool, before: str | None, limit: int) -> Sequence[Letter]:
    """A page of them, newest first: those that wait for a person, or those dealt with."""
    return letters.letters(session, is_open=is_open, before=before, limit=limit)


def replay(
    session: Session, *, who: Principal, letter_id: str, reason: str, now: datetime
) -> Letter:
    """Have the gateway take a message in again; what comes of it stands in the letter then.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it was dealt with.
    """
    before = _one(session, letter_id)
    if not letters.want(session, letter_id, now=now):
        raise Refusal(Code.WRONG_STATE, state="ended", event="replay")
    return _trace(session, who, before, action="dead_letter.replay", reason=reason, now=now)


def put_aside(
    session: Session, *, who: Principal, letter_id: str, reason: str, now: datetime
) -> Letter:
    """Deal with a message by letting it be.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it was dealt with.
    """
    before = _one(session, letter_id)
    if not letters.close(session, letter_id, outcome="put aside", now=now):
        raise Refusal(Code.WRONG_STATE, state="ended", event="put_aside")
    return _trace(session, who, before, action="dead_letter.put_aside", reason=reason, now=now)


def _one(session: Session, letter_id: str) -> Letter:
    letter = letters.letter(session, letter_id)
    if letter is None:
        raise Refusal(Code.NOT_FOUND)
    return letter


def _trace(
    session: Session, who: Principal, before: Letter, *, action: str, reason: str, now: datetime
) -> Letter:
    after = _one(session, before.id)
    audit.write(
        session,
        by_id=who.person_id,
        action=action,
        subject="dead_letter",
        subject_id=before.id,
        before={"reason": before.reason, "outcome": before.outcome or ""},
        after={"outcome": after.outcome or "wanted"},
        why=reason,
        now=now,
    )
    return after
