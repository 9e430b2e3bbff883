"""Queries for comparing with providers, and the breaks that were found."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_
from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from backend.db.tables.credits import RefundRow
from backend.db.tables.money import (
    DepositRow,
    InboxRow,
    PaymentRow,
    PostingRow,
    TransferRow,
)
from backend.db.tables.reconciliation import BreakRow, ReconciliationRow
from backend.db.tables.withdrawals import WithdrawalRow
from backend.db.upsert import upsert
from backend.domain.ledger import PROVIDER_CASH, refund_keys

# -- what is compared ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment with all that we have of it."""

    row: PaymentRow
    hold: DepositRow | None
    refunded_minor: int
    asked_back_minor: int
    booked_minor: int
    """What of it the books have as cash."""


def payment_ids(
    session: Session, *, after: str, ended_after: datetime | None, limit: int
) -> Sequence[str]:
    """A page of the payments to compare, oldest first.

    Args:
        session: to read in.
        after: the last one of the page before.
        ended_after: those not over, those that ended since then, and those with an open break;
            None: all.
        limit: rows of the page.
    """
    found = select(PaymentRow.id).where(col(PaymentRow.id) > after)
    if ended_after is not None:
        found = found.where(
            or_(
                col(PaymentRow.ended_at).is_(None),
                col(PaymentRow.ended_at) >= ended_after,
                col(PaymentRow.id).in_(_with_open_breaks()),
            )
        )
    return session.exec(found.order_by(col(PaymentRow.id)).limit(limit)).all()


def withdrawal_ids(
    session: Session, *, after: str, ended_after: datetime | None, limit: int
) -> Sequence[str]:
    """A page of the withdrawals to compare, as :func:`payment_ids`."""
    found = select(WithdrawalRow.id).where(col(WithdrawalRow.id) > after)
    if ended_after is not None:
        found = found.where(
            or_(
                col(WithdrawalRow.ended_at).is_(None),
                col(WithdrawalRow.ended_at) >= ended_after,
                col(WithdrawalRow.id).in_(_with_open_breaks()),
            )
        )
    return session.exec(found.order_by(col(WithdrawalRow.id)).limit(limit)).all()


def _with_open_breaks() -> SelectOfScalar[str]:
    return select(BreakRow.subject_id).where(col(BreakRow.resolved_at).is_(None))


def paid(session: Session, payment_id: str) -> Paid:
    """All that we have of a payment."""
    row = session.exec(select(PaymentRow).where(PaymentRow.id == payment_id)).one()
    hold = session.exec(select(DepositRow).where(DepositRow.payment_id == payment_id)).first()
    refunds = session.exec(select(RefundRow).where(RefundRow.payment_id == payment_id)).all()
    keys = [f"payment:{payment_id}:paid", f"deposit:{payment_id}:ended"]
    for refund in refunds:
        has_gone = refund.refunded_at is not None
        keys += refund_keys(refund.id, returns=refund.returns, is_gone=has_gone)
    booked = session.exec(
        select(func.coalesce(func.sum(PostingRow.amount_minor), 0))
        .join(TransferRow, col(TransferRow.id) == col(PostingRow.transfer_id))
        .where(col(TransferRow.key).in_(keys), PostingRow.account == PROVIDER_CASH)
    ).one()
    return Paid(
        row=row,
        hold=hold,
        refunded_minor=sum(each.amount_minor for each in refunds if each.refunded_at is not None),
        asked_back_minor=sum(each.amount_minor for each in refunds),
        booked_minor=int(booked),
    )


def withdrawal(session: Session, withdrawal_id: str) -> WithdrawalRow:
    """A withdrawal, to look at."""
    return session.exec(select(WithdrawalRow).where(WithdrawalRow.id == withdrawal_id)).one()


def knows_payment(session: Session, payment_id: str) -> bool:
    """Whether this is a payment of ours."""
    found = select(PaymentRow.id).where(PaymentRow.id == payment_id)
    return session.exec(found).first() is not None


def unclaimed(session: Session) -> Sequence[InboxRow]:
    """Notices of money that fits none of ours, and that nobody dealt with.

    Of what was sent back, another notice may have come before.
    """
    sent_back = exists().where(
        col(RefundRow.provider) == col(InboxRow.provider),
        col(RefundRow.provider_ref) == col(InboxRow.provider_ref),
        col(RefundRow.payment_id).is_(None),
        col(RefundRow.amount_minor) >= col(InboxRow.captured_minor),
    )
    return session.exec(
        select(InboxRow)
        .where(
            InboxRow.problem == "unmatched",
            col(InboxRow.resolved_at).is_(None),
            col(InboxRow.captured_minor) > 0,
            ~sent_back,
        )
        .order_by(col(InboxRow.received_at), col(InboxRow.id))
    ).all()


# -- what was found --------------------------------------------------------------------------


def begin(session: Session, *, day: str, now: datetime, lease: timedelta) -> bool:
    """Take a day's look; False if somebody else has it, or had.

    Who began it and is not heard of for the lease has lost it.
    """
    new = upsert(session, ReconciliationRow).values(day=day, begun_at=now, payments=0, breaks=0)
    taken = session.execute(new.on_conflict_do_nothing().returning(col(ReconciliationRow.day)))
    if taken.first() is not None:
        return True
    again = session.exec(
        update(ReconciliationRow)
        .where(
            col(ReconciliationRow.day) == day,
            col(ReconciliationRow.ended_at).is_(None),
            col(ReconciliationRow.begun_at) <= now - lease,
        )
        .values(begun_at=now)
    )
    return again.rowcount == 1


def end(session: Session, *, day: str, payments: int, breaks: int, now: datetime) -> None:
    """Note what a day's look came to."""
    session.exec(
        update(ReconciliationRow)
        .where(col(ReconciliationRow.day) == day)
        .values(ended_at=now, payments=payments, breaks=breaks)
    )


def saw(session: Session, row: BreakRow) -> None:
    """Keep a break; one that is open already was seen again."""
    seen = session.exec(
        update(BreakRow)
        .where(
            col(BreakRow.kind) == row.kind,
            col(BreakRow.subject_id) == row.subject_id,
            col(BreakRow.resolved_at).is_(None),
        )
        .values(ours=row.ours, theirs=row.theirs, last_seen_at=row.last_seen_at)
    )
    if seen.rowcount == 0:
        session.add(row)
        session.flush()


def resolve_unseen(session: Session, *, since: datetime, but: Collection[str]) -> None:
    """Close the open breaks that were not seen since then.

    Args:
        session: a writing transaction.
        since: the beginning of the look.
        but: subjects that could not be looked at.
    """
    session.exec(
        update(BreakRow)
        .where(
            col(BreakRow.resolved_at).is_(None),
            col(BreakRow.last_seen_at) < since,
            col(BreakRow.subject_id).not_in(but),
        )
        .values(resolved_at=since)
    )


def open_breaks(session: Session, *, limit: int) -> Sequence[BreakRow]:
    """The breaks that the last look showed, the longest first: for the operator's stuck list."""
    return session.exec(
        select(BreakRow)
        .where(col(BreakRow.resolved_at).is_(None))
        .order_by(col(BreakRow.first_seen_at), col(BreakRow.id))
        .limit(limit)
    ).all()
