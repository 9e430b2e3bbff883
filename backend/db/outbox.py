"""What is to be asked of providers, and what they told: the outbox and the inbox.

A row is claimed by moving its ``due_at`` on, in a transaction of its own; then the provider
is asked, outside any transaction; then the row is done. Who dies in between loses the claim
when it falls due again, and the next one asks with the same key.

A row ends in one of three ways. *Done*: the provider answered. *Refused*: it said no, for good, and
nothing happened. *Given up*: nobody knows, and it was asked often enough. The last two have a
problem, which a person is told of; whoever wants the same once more gets it from there:
:func:`put` what was refused, :func:`again_by_hand` either.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select, update

from backend.db.engine import tell
from backend.db.tables.money import Ask, InboxRow, OutboxRow, key_of
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

    What was refused may be wanted anew, when things have changed: then it is asked again, under
    a new key.

    Args:
        session: the transaction that wants it.
        key: what makes it happen once.
        ask: what.
        payment_id: of which payment; None: one that fits none of ours.
        amount_minor: how much.
        now: when.
        refund_id: with REFUND, which.

    Returns:
        False, and nothing is written, if the same was asked already and not refused.
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
    if session.execute(written).scalar() is None and not _anew(
        session,
        col(OutboxRow.key) == key,
        col(OutboxRow.done_at).is_not(None),
        now=now,
        amount_minor=amount_minor,
    ):
        return False
    tell(session, OUTBOX)
    return True


def again_by_hand(session: Session, outbox_id: str, *, now: datetime) -> bool:
    """Ask again at once what was given up or refused; False if it was not, or was put aside."""
    is_listed = col(OutboxRow.aside_at).is_(None)
    wanted = _anew(session, col(OutboxRow.id) == outbox_id, is_listed, now=now)
    tell(session, OUTBOX)
    return wanted


def _anew(session: Session, *which: ColumnElement[bool], now: datetime, **changes: int) -> bool:
    """Have what has a problem asked as if it never had been; its refusals stay, and so its key."""
    wanted = session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.problem).is_not(None), *which)
        .values(problem=None, done_at=None, aside_at=None, attempts=0, due_at=now, **changes)
    )
    return wanted.rowcount == 1


def claim(session: Session, *, now: datetime, lease: timedelta) -> OutboxRow | None:
    """Take what is due the longest, for as long as the lease; every claim is an attempt.

    One at a time: of more, the last would be asked for long after its lease.
    """
    due = (
        select(OutboxRow.id)
        .where(
            col(OutboxRow.done_at).is_(None),
            col(OutboxRow.problem).is_(None),
            col(OutboxRow.due_at) <= now,
        )
        .order_by(col(OutboxRow.due_at))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = session.exec(due).first()
    if taken is None:
        return None
    session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == taken)
        .values(due_at=now + lease, attempts=col(OutboxRow.attempts) + 1)
    )
    return session.exec(select(OutboxRow).where(OutboxRow.id == taken)).one()


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


def refused(session: Session, row: OutboxRow, *, problem: str, now: datetime) -> None:
    """Mark a wish, as it was when it was made, refused for good: it is for an operator to see.

    Told twice, it is one refusal: what was wished anew meanwhile is another wish.
    """
    session.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == row.id, col(OutboxRow.refusals) == row.refusals)
        .values(done_at=now, problem=problem, refusals=row.refusals + 1)
    )


def needless(session: Session, outbox_id: str, *, now: datetime) -> None:
    """Ask no more, and take it off the list: what was wished is so."""
    _needless(session, col(OutboxRow.id) == outbox_id, now=now)


def needless_of(session: Session, payment_id: str, *, asks: Sequence[Ask], now: datetime) -> None:
    """Take off the list what was given up or refused of a payment, and is so now, or cannot be."""
    _needless(
        session,
        col(OutboxRow.payment_id) == payment_id,
        col(OutboxRow.ask).in_(asks),
        col(OutboxRow.problem).is_not(None),
        now=now,
    )


def _needless(session: Session, *which: ColumnElement[bool], now: datetime) -> None:
    session.exec(update(OutboxRow).where(*which).values(done_at=now, problem=None))


def give_up(session: Session, outbox_id: str, *, problem: str) -> None:
    """Put it on the operator's stuck list."""
    session.exec(update(OutboxRow).where(col(OutboxRow.id) == outbox_id).values(problem=problem))


def asked(session: Session, key: str) -> OutboxRow | None:
    """What was put under this key, done or not."""
    return session.exec(select(OutboxRow).where(OutboxRow.key == key)).first()


def of_refund(session: Session, refund_id: str) -> OutboxRow:
    """What was put for a refund, locked for this transaction."""
    found = select(OutboxRow).where(OutboxRow.refund_id == refund_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).one()


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


def has_newer(session: Session, provider: str, *, reference: str, than: datetime) -> bool:
    """Whether the provider told of the same a second time, later than then, and was heard first."""
    newer = select(InboxRow.id).where(
        InboxRow.provider == provider,
        InboxRow.reference == reference,
        col(InboxRow.sent_at) > than,
    )
    return session.exec(newer).first() is not None


def refund_keys(session: Session, payment_id: str) -> Sequence[str]:
    """The keys under which refunds of a payment were, or are to be, asked for at the provider."""
    rows = session.exec(
        select(OutboxRow.key, OutboxRow.refusals).where(
            col(OutboxRow.payment_id) == payment_id, col(OutboxRow.ask) == Ask.REFUND
        )
    )
    return [key_of(key, earlier) for key, last in rows for earlier in range(last + 1)]
