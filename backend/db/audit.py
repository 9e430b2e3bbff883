"""The operators' trace, written in the transaction of the change itself."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from backend.db.tables.audit import AuditRow
from backend.ids import new_id


def write(
    session: Session,
    *,
    by_id: str,
    action: str,
    subject: str,
    subject_id: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    why: str,
    now: datetime,
) -> None:
    """Note who changed what, from what to what, and why."""
    session.add(
        AuditRow(
            id=new_id(),
            by_id=by_id,
            at=now,
            action=action,
            subject=subject,
            subject_id=subject_id,
            before=json.dumps(before),
            after=json.dumps(after),
            why=why,
        )
    )
