"""Queries of the stuck list: what does not go on by itself, and its way back into the queues."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, func, or_, select, update

from backend.db.seam import to_ms
from backend.db.tables.market import BankRow
from backend.db.tables.money import Ask, OutboxRow, PaymentRow, PaymentState
from backend.db.tables.reconciliation import BreakRow
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import HOLDINGS
from backend.domain.overdue import OUT
from backend.domain.rental import CLOSED, RentalState
from gateway.tables import BankShadow, CommandRow


def starts_in_doubt(session: Session, *, limit: int) -> Sequence[RentalRow]:
    """Rentals whose bank was told to feed and never said whether it did."""
    return session.exec(
        select(RentalRow)
        .join(CommandRow, col(CommandRow.id) == col(RentalRow.start_command_id))
        .where(
            col(RentalRow.state).in_((RentalState.STARTING, RentalState.RETURNING)),
            col(RentalRow.confirmed_at).is_(None),
            CommandRow.status == "unknown",
        )
        .order_by(col(RentalRow.id))
        .limit(limit)
    ).all()


def zombies(session: Session, *, limit: int) -> Sequence[tuple[RentalRow, BankRow]]:
    """Open rentals whose bank is not in the hands that their state says."""
    disagree = or_(
        *(
            (col(RentalRow.state) == state)
            & col(BankRow.holder).not_in([holder.value for holder in hands])
            for state, hands in HOLDINGS.items()
            if state not in CLOSED and state is not RentalState.PAYMENT_DUE
        )
    )
    return session.exec(
        select(RentalRow, BankRow)
        .where(col(BankRow.id) == col(RentalRow.bank_id), disagree)
        .order_by(col(RentalRow.id))
        .limit(limit)
    ).all()


def missing(
    session: Session, *, silent_since: datetime, limit: int
) -> Sequence[tuple[RentalRow, int]]:
    """Rentals whose bank is out and was not heard of since then; and when it was, in UTC ms."""
    return session.exec(
        select(RentalRow, BankShadow.heard_at_ms)
        .where(
            col(BankShadow.bank_id) == col(RentalRow.bank_id),
            col(RentalRow.state).in_(OUT),
            col(BankShadow.heard_at_ms) < to_ms(silent_since),
        )
        .order_by(col(RentalRow.id))
        .limit(limit)
    ).all()


def uncollected(
    session: Session, *, since: datetime, limit: int
) -> Sequence[tuple[RentalRow, datetime]]:
    """Rentals whose bank waits to be fetched since before then; and since when it does.

    What its renter says is back already waits for an answer, not for somebody to come.
    """
    waits_since = func.coalesce(RentalRow.return_requested_at, RentalRow.deposit_held_at)
    return session.exec(
        select(RentalRow, waits_since)
        .where(
            col(RentalRow.state).in_((RentalState.RETURNING, RentalState.START_FAILED)),
            col(RentalRow.claimed_returned_at).is_(None),
            waits_since <= since,
        )
        .order_by(waits_since)
        .limit(limit)
    ).all()


def claimed(session: Session, *, limit: int) -> Sequence[RentalRow]:
    """Rentals whose renter says that the bank is back, and nobody has confirmed it."""
    return session.exec(
        select(RentalRow)
        .where(
            RentalRow.state == RentalState.RETURNING,
            col(RentalRow.claimed_returned_at).is_not(None),
        )
        .order_by(col(RentalRow.claimed_returned_at))
        .limit(limit)
    ).all()


def given_up(session: Session, *, limit: int) -> Sequence[tuple[OutboxRow, PaymentRow | None]]:
    """What a provider was asked often enough, or has refused; and of which payment."""
    rows = session.exec(
        select(OutboxRow, PaymentRow)
        .join(PaymentRow, col(PaymentRow.id) == col(OutboxRow.payment_id), isouter=True)
        .where(col(OutboxRow.problem).is_not(None), col(OutboxRow.aside_at).is_(None))
        .order_by(col(OutboxRow.id))
        .limit(limit)
    )
    return [(row, payment) for row, payment in rows]


def put_ask_aside(session: Session, outbox_id: str, *, now: datetime) -> bool:
    """Ask no more, and take it off the list; its problem stays.

    Returns:
        False if it has none, or is a payment to be made: nobody could ever pay then.
    """
    aside = session.exec(
        update(OutboxRow)
        .where(
            col(OutboxRow.id) == outbox_id,
            col(OutboxRow.ask) != Ask.CREATE,
            col(OutboxRow.problem).is_not(None),
            col(OutboxRow.aside_at).is_(None),
        )
        .values(aside_at=now, done_at=func.coalesce(OutboxRow.done_at, now))
    )
    return aside.rowcount == 1


def ask_for_payment_no_more(session: Session, payment_id: str, *, now: datetime) -> bool:
    """Have a payment not made any more that was asked for in vain.

    Returns:
        False while its provider may still be asked, or may have been asked after it last said
        that it has no such payment.
    """
    known = select(PaymentRow.unheard_of_at).where(PaymentRow.id == payment_id)
    ended = session.exec(
        update(OutboxRow)
        .where(
            col(OutboxRow.payment_id) == payment_id,
            col(OutboxRow.ask) == Ask.CREATE,
            col(OutboxRow.problem).is_not(None),
            col(OutboxRow.due_at) < known.scalar_subquery(),
        )
        .values(done_at=now)
    )
    return ended.rowcount == 1


def payments_in_doubt(session: Session, *, since: datetime, limit: int) -> Sequence[PaymentRow]:
    """Payments begun before then, of which nobody knows whether they were made."""
    return session.exec(
        select(PaymentRow)
        .where(PaymentRow.state == PaymentState.UNKNOWN, col(PaymentRow.created_at) < since)
        .order_by(col(PaymentRow.id))
        .limit(limit)
    ).all()


def ask_after_payment(session: Session, payment_id: str, *, at: datetime) -> bool:
    """Have the provider asked after a payment as if nothing was heard since then."""
    wanted = session.exec(
        update(PaymentRow)
        .where(col(PaymentRow.id) == payment_id, col(PaymentRow.state) == PaymentState.UNKNOWN)
        .values(checked_at=at)
    )
    return wanted.rowcount == 1


def resolve_break(session: Session, break_id: str, *, now: datetime) -> bool:
    """Take a break off the list; the next look puts it back if it is still there."""
    resolved = session.exec(
        update(BreakRow)
        .where(col(BreakRow.id) == break_id, col(BreakRow.resolved_at).is_(None))
        .values(resolved_at=now)
    )
    return resolved.rowcount == 1
