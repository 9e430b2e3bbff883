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
from backend.db.upsert import upsert
from backend.ids import new_id

OUTBOX = "outbox"
"""Told when something is to be asked of a provider: the outbox worker listens."""


def put(
    session: Session,
    *,
    key: str,
    ask: Ask,
    payment_id: str | None,
    amount_minor: int,
    now: datetime,
    refund_id: str | None = None,
) -> bool:
    """Have a provider asked once this transaction is durable.

    Args:
        session: the transaction that wants it.
        key: what makes it happen once, here and at the provider.
        ask: what.
        payment_id: of which payment; None: one that fits none of ours.
        amount_minor: how much.
        now: when.
        refund_id: with REFUND, which.

    Returns:
        False, and nothing is written, if the key is there already.
    """
    written = (
        upsert(session, OutboxRow)
        .values(
            id=new_id(),
            key=key,
            ask=ask,
            payment_id=payment_id,
            refund_id=refund_id,
            amount_minor=amount_minor,
            created_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(col(OutboxRow.id))
    )
    if session.execute(written).scalar() is None:
        return False
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


def refused(session: Session, outbox_id: str, *, problem: str, now: datetime) -> None:
    """Mark it asked and refused for good, for the operator to see."""
    session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == outbox_id, col(OutboxRow.done_at).is_(None))
        .values(done_at=now, problem=problem)
    )


def give_up(session: Session, outbox_id: str, *, problem: str) -> None:
    """Put it on the operator's stuck list."""
    session.exec(update(OutboxRow).where(col(OutboxRow.id) == outbox_id).values(problem=problem))


def asked(session: Session, key: str) -> OutboxRow | None:
    """What was put under this key, done or not."""
    return session.exec(select(OutboxRow).where(OutboxRow.key == key)).first()


def put_aside(session: Session, provider: str, inbox_id: str, *, problem: str) -> None:
    """Put a notice on the operator's list: it moved nothing."""
    session.exec(
        update(InboxRow)
        .where(col(InboxRow.provider) == provider, col(InboxRow.id) == inbox_id)
        .values(problem=problem[:32])
    )


def notice(session: Session, provider: str, inbox_id: str) -> InboxRow | None:
    """A notice that was kept, locked for this transaction."""
    found = select(InboxRow).where(InboxRow.provider == provider, InboxRow.id == inbox_id)
    return session.exec(found.with_for_update()).first()


def unresolved(session: Session, *, limit: int) -> Sequence[InboxRow]:
    """Notices that moved nothing and that nobody has dealt with, the oldest first."""
    return session.exec(
        select(InboxRow)
        .where(col(InboxRow.problem).is_not(None), col(InboxRow.resolved_at).is_(None))
        .order_by(col(InboxRow.received_at))
        .limit(limit)
    ).all()


def resolve(
    session: Session, provider: str, inbox_id: str, *, resolution: str, now: datetime
) -> bool:
    """Note that an operator dealt with a notice; False if somebody else did."""
    resolved = session.exec(
        update(InboxRow)
        .where(
            col(InboxRow.provider) == provider,
            col(InboxRow.id) == inbox_id,
            col(InboxRow.problem).is_not(None),
            col(InboxRow.resolved_at).is_(None),
        )
        .values(resolved_at=now, resolution=resolution)
    )
    return resolved.rowcount == 1


def receive(session: Session, row: InboxRow) -> bool:
    """Keep a notice; False if it came before."""
    kept = (
        upsert(session, InboxRow)
        .values(**row.model_dump())
        .on_conflict_do_nothing()
        .returning(col(InboxRow.id))
    )
    return session.execute(kept).scalar() is not None


def refund_keys(session: Session, payment_id: str) -> Sequence[str]:
    """The keys under which refunds of a payment were, or are to be, asked for."""
    return session.exec(
        select(OutboxRow.key).where(
            col(OutboxRow.payment_id) == payment_id, col(OutboxRow.ask) == Ask.REFUND
        )
    ).all()
