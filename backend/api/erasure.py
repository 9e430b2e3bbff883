"""To be forgotten."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Out
from backend.services import erasure

router = APIRouter(tags=["sign-in"], route_class=IdempotentRoute)


class ErasedOut(Out):
    """Somebody who is known no more."""

    id: str = Field(
        description="By which what is of money stays.", examples=["01KAP2M9V3Z1W6T7Q8R9S0ABCD"]
    )
    erased_at: datetime


@router.post("/me/erase")
def erase_me(*, session: DbSession, who: CurrentPrincipal, now: Now) -> ErasedOut:
    """Have everything forgotten that tells who I am, and be signed out everywhere.

    My phone is free to sign up anew, as somebody else. What is of money stays, under a number that
    leads to nobody. Refused, and nothing is forgotten, while anything of mine is open.
    """
    return ErasedOut.model_validate(erasure.erase_me(session, who=who, now=now))
