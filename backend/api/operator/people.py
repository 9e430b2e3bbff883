"""People, as an operator manages them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT, After, WhyIn
from backend.api.schemas import Id, Out, Phone
from backend.api.shapes import Limit
from backend.db import oversight as queries
from backend.services import oversight

router = APIRouter(prefix="/people", route_class=IdempotentRoute)


class PersonOut(Out):
    """Somebody with a phone."""

    id: str = Field(examples=["01KAP2M9V3Z1W6T7Q8R9S0ABCD"])
    phone: str = Field(examples=["+8613800138000"])
    language: str = Field(examples=["zh"])
    is_operator: bool
    suspended_at: datetime | None = Field(description="Since when they may not rent or work.")
    created_at: datetime


class PeopleOut(Out):
    """A page of people, oldest first."""

    items: list[PersonOut]
    next: str | None = Field(description=NEXT)


@router.get("")
def people(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    phone: Annotated[Phone | None, Query()] = None,
    suspended: bool | None = None,
    after: After = "",
    limit: Limit = 20,
) -> PeopleOut:
    """List people."""
    rows = queries.people(session, phone=phone, is_suspended=suspended, after=after, limit=limit)
    items = [PersonOut.model_validate(row) for row in rows]
    return PeopleOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/{person_id}/suspend")
def suspend(
    *, person_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> PersonOut:
    """Keep somebody from renting and working; what they have open goes on."""
    return PersonOut.model_validate(
        oversight.suspend_person(session, who=who, person_id=person_id, reason=body.reason, now=now)
    )


@router.post("/{person_id}/resume")
def resume(
    *, person_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> PersonOut:
    """Let somebody rent and work again."""
    return PersonOut.model_validate(
        oversight.resume_person(session, who=who, person_id=person_id, reason=body.reason, now=now)
    )
