"""Queries on withdrawals, and their claims.

One is claimed by moving its ``due_at`` on, in a transaction of its own, as outbox rows are: then
the provider is asked, and who dies in between loses the claim when it falls due again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, or_
from sqlmodel import Session, col, select, update

from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.withdrawal import WithdrawalState


def put(session: Session, row: WithdrawalRow) -> None:
    """Have this paid out, by the next sweep once the transaction is durable."""
    session.add(row)
    session.flush()


def withdrawal(session: Session, withdrawal_id: str) -> WithdrawalRow | None:
    """A withdrawal, whoever asks, locked for this transaction."""
    found = select(WithdrawalRow).where(WithdrawalRow.id == withdrawal_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).first()


def withdrawal_of(
    session: Session, withdrawal_id: str, *, merchant_id: str
) -> WithdrawalRow | None:
    """A withdrawal, if it is this merchant's."""
    return session.exec(
        select(WithdrawalRow).where(
            WithdrawalRow.id == withdrawal_id, WithdrawalRow.merchant_id == merchant_id
        )
    ).first()


def withdrawals_of(
    session: Session, merchant_id: str, *, before: str | None, limit: int
) -> Sequence[WithdrawalRow]:
    """A merchant's withdrawals, newest first; those older than ``before``."""
    found = select(WithdrawalRow).where(WithdrawalRow.merchant_id == merchant_id)
    if before is not None:
        found = found.where(WithdrawalRow.id < before)
    return session.exec(found.order_by(col(WithdrawalRow.id).desc()).limit(limit)).all()


def claim(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> Sequence[WithdrawalRow]:
    """Take what is due, for as long as the lease; every claim is an attempt.

    One that was only requested is being processed from now on: it may be sent any moment.
    """
    due = (
        select(WithdrawalRow.id)
        .where(col(WithdrawalRow.due_at) <= now)
        .order_by(col(WithdrawalRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = session.exec(due).all()
    requested, processing = WithdrawalState.REQUESTED, WithdrawalState.PROCESSING
    session.exec(
        update(WithdrawalRow)
        .where(col(WithdrawalRow.id).in_(taken))
        .values(
            due_at=now + lease,
            attempts=col(WithdrawalRow.attempts) + 1,
            state=case(
                (col(WithdrawalRow.state) == requested, processing), else_=WithdrawalRow.state
            ),
        )
    )
    return session.exec(
        select(WithdrawalRow)
        .where(col(WithdrawalRow.id).in_(taken))
        .order_by(col(WithdrawalRow.id))
    ).all()


def stuck(session: Session, *, older_than: datetime, limit: int) -> Sequence[WithdrawalRow]:
    """Those that need a person: with a problem, or sent so long ago and not ended."""
    return session.exec(
        select(WithdrawalRow)
        .where(
            col(WithdrawalRow.ended_at).is_(None),
            or_(col(WithdrawalRow.problem).is_not(None), col(WithdrawalRow.asked_at) < older_than),
        )
        .order_by(col(WithdrawalRow.id))
        .limit(limit)
    ).all()
