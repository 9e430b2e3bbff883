"""How much waits to be worked off, counted no further than needs be."""

from typing import Final

from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from backend.db.tables.hooks import WebhookMessageRow
from backend.db.tables.money import OutboxRow
from backend.db.tables.withdrawals import WithdrawalRow
from gateway.tables import DomainEvent

COUNTED_MAX: Final = 10_000
"""Beyond it, it only says that much: whoever looks has seen enough."""


def waiting(session: Session) -> dict[str, int]:
    """How many wait, by what they wait for."""
    todo: dict[str, SelectOfScalar[str]] = {
        "events": select(DomainEvent.id).where(
            col(DomainEvent.done_at_ms).is_(None), col(DomainEvent.problem).is_(None)
        ),
        "outbox": select(OutboxRow.id).where(
            col(OutboxRow.done_at).is_(None), col(OutboxRow.problem).is_(None)
        ),
        "payouts": select(WithdrawalRow.id).where(col(WithdrawalRow.due_at).is_not(None)),
        "webhooks": select(WebhookMessageRow.id).where(
            col(WebhookMessageRow.delivered_at).is_(None), col(WebhookMessageRow.problem).is_(None)
        ),
    }
    return {what: _count(session, rows) for what, rows in todo.items()}


def _count(session: Session, rows: SelectOfScalar[str]) -> int:
    found = rows.limit(COUNTED_MAX).subquery()
    return session.exec(select(func.count()).select_from(found)).one()
