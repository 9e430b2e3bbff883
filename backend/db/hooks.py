"""Queries on merchants' webhooks and the messages that are to be sent there."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from backend.db.engine import tell
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow

HOOKS = "hooks"
"""Told when there is something to send to a merchant's own system."""


def webhooks(session: Session, merchant_id: str) -> Sequence[WebhookRow]:
    """The addresses that hear of this merchant now, oldest first."""
    return session.exec(
        select(WebhookRow)
        .where(WebhookRow.merchant_id == merchant_id, col(WebhookRow.ended_at).is_(None))
        .order_by(col(WebhookRow.id))
    ).all()


def webhook(session: Session, webhook_id: str, *, merchant_id: str) -> WebhookRow | None:
    """An address, if it is this merchant's; also one that ended."""
    return session.exec(
        select(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.merchant_id == merchant_id)
    ).first()


def put(session: Session, message: WebhookMessageRow) -> None:
    """Have this message sent once the transaction is durable."""
    session.add(message)
    tell(session, HOOKS)


def messages(
    session: Session, webhook_id: str, *, before: str | None, limit: int
) -> Sequence[WebhookMessageRow]:
    """A page of what was, or is to be, sent there, newest first."""
    found = select(WebhookMessageRow).where(WebhookMessageRow.webhook_id == webhook_id)
    if before is not None:
        found = found.where(WebhookMessageRow.id < before)
    return session.exec(found.order_by(col(WebhookMessageRow.id).desc()).limit(limit)).all()


def message(session: Session, message_id: str, *, webhook_id: str) -> WebhookMessageRow | None:
    """One message, if it is this address's."""
    return session.exec(
        select(WebhookMessageRow).where(
            WebhookMessageRow.id == message_id, WebhookMessageRow.webhook_id == webhook_id
        )
    ).first()


def waiting(session: Session, webhook_id: str) -> int:
    """How many messages wait to be sent there."""
    return session.exec(
        select(func.count())
        .select_from(WebhookMessageRow)
        .where(
            WebhookMessageRow.webhook_id == webhook_id,
            col(WebhookMessageRow.delivered_at).is_(None),
            col(WebhookMessageRow.problem).is_(None),
        )
    ).one()


def claim(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> Sequence[tuple[WebhookMessageRow, WebhookRow]]:
    """Take what is due, for as long as the lease, with where it goes; each claim is an attempt."""
    due = (
        select(WebhookMessageRow.id)
        .where(
            col(WebhookMessageRow.delivered_at).is_(None),
            col(WebhookMessageRow.problem).is_(None),
            col(WebhookMessageRow.due_at) <= now,
        )
        .order_by(col(WebhookMessageRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = session.exec(due).all()
    session.exec(
        update(WebhookMessageRow)
        .where(col(WebhookMessageRow.id).in_(taken))
        .values(due_at=now + lease, attempts=col(WebhookMessageRow.attempts) + 1)
    )
    return session.exec(
        select(WebhookMessageRow, WebhookRow)
        .where(
            col(WebhookMessageRow.id).in_(taken),
            col(WebhookRow.id) == col(WebhookMessageRow.webhook_id),
        )
        .order_by(col(WebhookMessageRow.id))
    ).all()


def claimed(session: Session, message_id: str) -> tuple[WebhookMessageRow, WebhookRow]:
    """A message that was claimed, with where it went, as they are now; locked."""
    found = (
        select(WebhookMessageRow, WebhookRow)
        .where(
            WebhookMessageRow.id == message_id,
            col(WebhookRow.id) == col(WebhookMessageRow.webhook_id),
        )
        .with_for_update()
    )
    message, webhook = session.exec(found).one()
    return message, webhook


def end(session: Session, webhook_id: str, *, why: str, now: datetime) -> bool:
    """Send nothing there any more, nor what waits; False if it had ended before."""
    ended = session.exec(
        update(WebhookRow)
        .where(col(WebhookRow.id) == webhook_id, col(WebhookRow.ended_at).is_(None))
        .values(ended_at=now, ended_why=why)
    )
    session.exec(
        update(WebhookMessageRow)
        .where(
            col(WebhookMessageRow.webhook_id) == webhook_id,
            col(WebhookMessageRow.delivered_at).is_(None),
            col(WebhookMessageRow.problem).is_(None),
        )
        .values(problem=f"the webhook ended: {why}")
    )
    return ended.rowcount == 1
