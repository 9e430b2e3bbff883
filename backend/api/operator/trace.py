"""The audit: who changed what, from what, to what, and why."""

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import DbSession, OperatorPrincipal
from backend.api.operator.shapes import NEXT_OLDER
from backend.api.schemas import AnyId, Out
from backend.api.shapes import Before, Limit
from backend.db import oversight as queries
from backend.db.tables.audit import AuditRow

router = APIRouter(prefix="/audit")


class ChangeOut(Out):
    """One change."""

    id: str
    at: datetime
    by_id: str
    action: str = Field(examples=["merchant.suspend"])
    subject: str = Field(examples=["merchant"])
    subject_id: str
    before: dict[str, str] = Field(examples=[{"status": "approved"}])
    after: dict[str, str] = Field(examples=[{"status": "suspended"}])
    why: str = Field(examples=["complaints about flat banks"])

    @classmethod
    def of(cls, row: AuditRow) -> "ChangeOut":
        """Show a change."""
        told = {name: getattr(row, name) for name in cls.model_fields}
        return cls(**{**told, "before": json.loads(row.before), "after": json.loads(row.after)})


class ChangesOut(Out):
    """A page of changes, newest first."""

    items: list[ChangeOut]
    next: str | None = Field(description=NEXT_OLDER)


@router.get("")
def changes(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    subject: Annotated[str | None, Query(pattern=r"^[a-z_]{1,32}$")] = None,
    subject_id: AnyId | None = None,
    by_id: AnyId | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> ChangesOut:
    """List operators' changes, newest first."""
    rows = queries.trace(
        session, subject=subject, subject_id=subject_id, by_id=by_id, before=before, limit=limit
    )
    items = [ChangeOut.of(row) for row in rows]
    return ChangesOut(items=items, next=items[-1].id if len(items) == limit else None)
