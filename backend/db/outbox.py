"""What is to be asked of providers, and what they told: the outbox and the inbox.

A row is claimed by moving its ``due_at`` on, in a transaction of its own; then the provider
is asked, outside any transaction; then the row is done. Who dies in between loses the claim
when it falls due again, and the next one asks with the same key.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, select, update

from backend.db.engine import tell
from backend.db.tables.money import Ask, InboxRow, OutboxRow
from backend.ids import new_id

OUTBOX = "outbox"
"""Told when something is to be asked of a provider: the outbox worker listens."""


def put(
    session: Session, *, key: str, ask: Ask, payment_id: str, amount_minor: int, now: datetime
) -> bool:
    """Have a provider asked once this transaction is durable.

    Returns:
        False, and nothing is written, if the key is there already.
    """
    if session.exec(select(OutboxRow.id).where(OutboxRow.key == key)).first() is not None:
        return False
    session.add(
        OutboxRow(
            id=new_id(),
            key=key,
            ask=ask,
            payment_id=payment_id,
            amount_minor=amount_minor,
            created_at=now,
            due_at=now,
        )
    )
    tell(session, OUTBOX)
    return True


def claim(session: Session, *, now: datetime, lease: timedelta, limit: int) -> Sequence[OutboxRow]:
    """Take what is due, for as long as the lease; every claim is an attempt."""
    due = (
        select(OutboxRow.id)
        .where(
            col(OutboxRow.done_at).is_(None),
            col(OutboxRow.problem).is_(None),
            col(OutboxRow.due_at) <= now,
        )
        .order_by(col(OutboxRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = session.exec(due).all()
    session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id).in_(taken))
        .values(due_at=now + lease, attempts=col(OutboxRow.attempts) + 1)
    )
    return session.exec(
        select(OutboxRow).where(col(OutboxRow.id).in_(taken)).order_by(col(OutboxRow.id))
    ).all()


def done(session: Session, outbox_id: str, *, now: datetime) -> bool:
    """Mark it asked and answered; False if somebody else did."""
    marked = session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == outbox_id, col(OutboxRow.done_at).is_(None))
        .values(done_at=now)
    )
    return marked.rowcount == 1


def again(session: Session, outbox_id: str, *, due_at: datetime) -> None:
    """Ask again then."""
    session.exec(update(OutboxRow).where(col(OutboxRow.id) == outbox_id).values(due_at=due_at))


def give_up(session: Session, outbox_id: str, *, problem: str) -> None:
    """Put it on the operator's stuck list."""
    session.exec(update(OutboxRow).where(col(OutboxRow.id) == outbox_id).values(problem=problem))


def receive(session: Session, row: InboxRow) -> bool:
    """Keep a notice; False if it came before."""
    if session.get(InboxRow, (row.provider, row.id)) is not None:
        return False
    session.add(row)
    session.flush()
    return True
