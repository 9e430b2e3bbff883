"""Dead letters: banks' messages that were not believed, and their replay."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT_OLDER, WhyIn
from backend.api.schemas import Out
from backend.api.shapes import Limit
from backend.db.letters import Letter
from backend.services import letters

router = APIRouter(prefix="/dead-letters", route_class=IdempotentRoute)

LetterId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["0f" * 32])]


class LetterOut(Out):
    """A message that was not believed, and why."""

    id: str
    topic: str = Field(examples=["lw/v1/LW-000123/state"])
    payload: str = Field(description="At most the first 4 KiB; what is no UTF-8 is replaced.")
    reason: str = Field(examples=["bad_field"])
    detail: str = Field(examples=["battery: must be at most 100"])
    received_at: datetime
    is_wanted: bool = Field(description="Whether it is about to be taken in again.")
    outcome: str | None = Field(examples=["replayed"])
    closed_at: datetime | None

    @classmethod
    def of(cls, letter: Letter) -> "LetterOut":
        """Show a letter; its bytes as text, whatever they are."""
        shown = {name: getattr(letter, name) for name in cls.model_fields if name != "payload"}
        return cls(**shown, payload=letter.payload.decode(errors="replace"))


class LettersOut(Out):
    """A page of dead letters, newest first."""

    items: list[LetterOut]
    next: str | None = Field(description=NEXT_OLDER)


@router.get("")
def page(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    closed: bool = False,
    before: Annotated[LetterId | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 20,
) -> LettersOut:
    """List the messages that wait for a person, or those that were dealt with."""
    found = letters.page(session, is_open=not closed, before=before, limit=limit)
    items = [LetterOut.of(letter) for letter in found]
    return LettersOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/{letter_id}/replay", status_code=202)
def replay(
    *, letter_id: LetterId, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> LetterOut:
    """Have it taken in again: what came of it stands in `outcome` a moment later."""
    return LetterOut.of(
        letters.replay(session, who=who, letter_id=letter_id, reason=body.reason, now=now)
    )


@router.post("/{letter_id}/put-aside")
def put_aside(
    *, letter_id: LetterId, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> LetterOut:
    """Let it be."""
    return LetterOut.of(
        letters.put_aside(session, who=who, letter_id=letter_id, reason=body.reason, now=now)
    )
