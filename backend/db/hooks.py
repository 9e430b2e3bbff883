"""Queries on merchants' webhooks and the messages that are to be sent there."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, select, update
from sqlmodel.sql.expression import SelectOfScalar

from backend.db.engine import tell
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow

HOOKS = "hooks"
"""Told when there is something to send to a merchant's own system."""
BY_OWNER = "by_owner"
"""Why an address ended: its owner wanted it to."""

_TO_DO = (col(WebhookMessageRow.delivered_at).is_(None), col(WebhookMessageRow.problem).is_(None))


def webhooks(session: Session, merchant_id: str) -> Sequence[WebhookRow]:
    """The addresses that hear of this merchant now, oldest first."""
    return session.exec(
        select(WebhookRow)
        .where(WebhookRow.merchant_id == merchant_id, col(WebhookRow.ended_at).is_(None))
        .order_by(col(WebhookRow.id))
    ).all()


def webhooks_lost(session: Session, merchant_id: str, *, after: datetime) -> Sequence[WebhookRow]:
    """The addresses that ended since then without their owner's doing, oldest first."""
    return session.exec(
        select(WebhookRow)
        .where(
            WebhookRow.merchant_id == merchant_id,
            col(WebhookRow.ended_at) > after,
            WebhookRow.ended_why != BY_OWNER,
        )
        .order_by(col(WebhookRow.id))
    ).all()


def webhook(
    session: Session, webhook_id: str, *, merchant_id: str, is_to_change: bool = False
) -> WebhookRow | None:
    """An address, if it is this merchant's, also one that ended; locked if it is to change."""
    found = select(WebhookRow).where(
        WebhookRow.id == webhook_id, WebhookRow.merchant_id == merchant_id
    )
    if is_to_change:
        found = found.with_for_update(key_share=True)
    return session.exec(found).first()


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
    """One message, if it is this address's, locked for this transaction."""
    return session.exec(
        select(WebhookMessageRow)
        .where(WebhookMessageRow.id == message_id, WebhookMessageRow.webhook_id == webhook_id)
        .with_for_update()
    ).first()


def is_full(session: Session, webhook_id: str, *, most: int) -> bool:
    """Whether as many messages as may do so wait to be sent there."""
    waiting = select(WebhookMessageRow.id).where(
        WebhookMessageRow.webhook_id == webhook_id, *_TO_DO
    )
    return session.exec(waiting.offset(most - 1).limit(1)).first() is not None


def _ready(now: datetime) -> SelectOfScalar[WebhookRow]:
    """Addresses that are free and have something due, first the one that is free the longest."""
    due = select(WebhookMessageRow.webhook_id).where(*_TO_DO, WebhookMessageRow.due_at <= now)
    return (
        select(WebhookRow)
        .where(
            col(WebhookRow.ended_at).is_(None),
            WebhookRow.free_at <= now,
            col(WebhookRow.id).in_(due),
        )
        .order_by(col(WebhookRow.free_at), col(WebhookRow.id))
        .limit(1)
    )


def is_any_ready(session: Session, *, now: datetime) -> bool:
    """Whether there is something to claim."""
    return session.exec(_ready(now)).first() is not None


def claim(
    session: Session, *, now: datetime, lease: timedelta
) -> tuple[WebhookMessageRow, WebhookRow] | None:
    """Take an address, for as long as the lease, and what is due there the longest.

    Addresses take turns, and each has one message on its way at a time: however many wait for
    one that does not answer, they keep one sender waiting. Each claim is an attempt.
    """
    ready = _ready(now).with_for_update(skip_locked=True, key_share=True)
    webhook = session.exec(ready).first()
    if webhook is None:
        return None
    due = (
        select(WebhookMessageRow)
        .where(WebhookMessageRow.webhook_id == webhook.id, *_TO_DO, WebhookMessageRow.due_at <= now)
        .order_by(col(WebhookMessageRow.due_at), col(WebhookMessageRow.id))
        .limit(1)
    )
    message = session.exec(due.with_for_update()).first()
    if message is None:
        return None
    webhook.free_at = now + lease
    message.attempts += 1
    return message, webhook


def claimed(session: Session, message_id: str) -> tuple[WebhookMessageRow, WebhookRow]:
    """A message that was claimed, with where it went, as they are now; locked, that first."""
    of = select(WebhookMessageRow.webhook_id).where(WebhookMessageRow.id == message_id)
    there = select(WebhookRow).where(WebhookRow.id == session.exec(of).one())
    webhook = session.exec(there.with_for_update(key_share=True)).one()
    found = select(WebhookMessageRow).where(WebhookMessageRow.id == message_id)
    return session.exec(found.with_for_update()).one(), webhook


def prune(session: Session, *, before: datetime) -> None:
    """Forget messages written before ``before``."""
    session.exec(delete(WebhookMessageRow).where(col(WebhookMessageRow.created_at) < before))


def end(session: Session, webhook_id: str, *, why: str, now: datetime) -> bool:
    """Send nothing there any more, nor what waits; False if it had ended before."""
    ended = session.exec(
        update(WebhookRow)
        .where(col(WebhookRow.id) == webhook_id, col(WebhookRow.ended_at).is_(None))
        .values(ended_at=now, ended_why=why)
    )
    session.exec(
        update(WebhookMessageRow)
        .where(col(WebhookMessageRow.webhook_id) == webhook_id, *_TO_DO)
        .values(problem=f"the webhook ended: {why}")
    )
    return ended.rowcount == 1
