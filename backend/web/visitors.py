"""Who looks at a page that anybody may see."""

from typing import Annotated

from fastapi import Depends, Request

from backend.api.deps import AppParts, DbSession, Now, asker
from backend.domain.errors import Refusal
from backend.principal import Principal


def visitor(request: Request, parts: AppParts, session: DbSession, now: Now) -> Principal | None:
    """Tell who looks, if their browser is (still) signed in."""
    try:
        return asker(request=request, parts=parts, session=session, now=now, bearer=None)
    except Refusal:
        return None


Visitor = Annotated[Principal | None, Depends(visitor)]
