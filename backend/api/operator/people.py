"""People, as an operator manages them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.erasure import ErasedOut
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT, After, WhyIn
from backend.api.schemas import Id, Out, Phone
from backend.api.shapes import Limit
from backend.db import oversight as queries
from backend.db.tables.people import Person
from backend.services import erasure, oversight

router = APIRouter(prefix="/people", route_class=IdempotentRoute)


class PersonOut(Out):
    """Somebody with a phone."""

    id: str = Field(examples=["01KAP2M9V3Z1W6T7Q8R9S0ABCD"])
    phone: str | None = Field(description="Null: they were forgotten.", examples=["+8613800138000"])
    name: str = Field(examples=["王小明"])
    language: str = Field(examples=["zh"])
    is_operator: bool
    suspended_at: datetime | None = Field(description="Since when they may not rent or work.")
    erased_at: datetime | None = Field(description="Since when nothing tells who they were.")
    created_at: datetime

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        """Show somebody; what stands in a forgotten phone's place is no phone."""
        told = person.model_dump(include=set(cls.model_fields))
        is_known = person.erased_at is None
        return cls(**{**told, "phone": person.phone if is_known else None})


class PersonCorrectionIn(WhyIn):
    """What to put right."""

    name: str = Field(min_length=1, max_length=80, examples=["王小明"])


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
    items = [PersonOut.of(row) for row in rows]
    return PeopleOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/{person_id}/suspend")
def suspend(
    *, person_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> PersonOut:
    """Keep somebody from renting and working; what they have open goes on."""
    return PersonOut.of(
        oversight.suspend_person(session, who=who, person_id=person_id, reason=body.reason, now=now)
    )


@router.post("/{person_id}/resume")
def resume(
    *, person_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> PersonOut:
    """Let somebody rent and work again."""
    return PersonOut.of(
        oversight.resume_person(session, who=who, person_id=person_id, reason=body.reason, now=now)
    )


@router.post("/{person_id}/correct")
def correct(
    *, person_id: Id, body: PersonCorrectionIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> PersonOut:
    """Put somebody's name right. The trace keeps its first letter only."""
    person = oversight.correct_person(
        session, who=who, person_id=person_id, name=body.name, reason=body.reason, now=now
    )
    return PersonOut.of(person)


@router.post("/{person_id}/erase")
def erase(
    *, person_id: Id, body: WhyIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> ErasedOut:
    """Have everything forgotten that tells who somebody is; what is of money stays."""
    return ErasedOut.model_validate(
        erasure.erase(session, who=who, person_id=person_id, reason=body.reason, now=now)
    )
