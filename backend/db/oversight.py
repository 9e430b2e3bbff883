"""Queries of the operator: everybody and everything, by page; nobody else may call them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select, update

from backend.db.tables.audit import AuditRow
from backend.db.tables.market import BankRow, CustodyMoveRow, MerchantRow
from backend.db.tables.money import PaymentRow, PaymentState
from backend.db.tables.people import Person
from backend.db.tables.reconciliation import BreakRow, ReconciliationRow
from backend.db.tables.rentals import RentalRow
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.custody import Holder
from backend.domain.rental import RentalState
from backend.domain.withdrawal import WithdrawalState


def people(
    session: Session, *, phone: str | None, is_suspended: bool | None, after: str, limit: int
) -> Sequence[Person]:
    """A page of people, oldest first; those with this phone, those suspended or not."""
    found = select(Person).where(col(Person.id) > after)
    if phone is not None:
        found = found.where(Person.phone == phone)
    if is_suspended is not None:
        since = col(Person.suspended_at)
        found = found.where(since.is_not(None) if is_suspended else since.is_(None))
    return session.exec(found.order_by(col(Person.id)).limit(limit)).all()


def suspend(session: Session, person_id: str, *, now: datetime) -> bool:
    """Keep a person from renting and working; False if that is so already."""
    moved = session.exec(
        update(Person)
        .where(col(Person.id) == person_id, col(Person.suspended_at).is_(None))
        .values(suspended_at=now)
    )
    return moved.rowcount == 1


def resume(session: Session, person_id: str) -> bool:
    """Let a person rent and work again; False if nothing kept them from it."""
    moved = session.exec(
        update(Person)
        .where(
            col(Person.id) == person_id,
            col(Person.suspended_at).is_not(None),
            col(Person.erased_at).is_(None),
        )
        .values(suspended_at=None)
    )
    return moved.rowcount == 1


def banks(
    session: Session,
    *,
    merchant_id: str | None,
    batch: str | None,
    holder: Holder | None,
    is_recalled: bool | None,
    after: str,
    limit: int,
) -> Sequence[BankRow]:
    """A page of banks, by id; those that fit all that is asked for."""
    found = select(BankRow).where(col(BankRow.id) > after)
    asked = {
        "merchant_id": merchant_id,
        "batch": batch,
        "holder": holder,
        "is_recalled": is_recalled,
    }
    found = found.filter_by(**{name: value for name, value in asked.items() if value is not None})
    return session.exec(found.order_by(col(BankRow.id)).limit(limit)).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A bank that was just recalled."""

    bank_id: str
    merchant_id: str


def to_recall(
    session: Session, *, batch: str | None, bank_ids: Sequence[str], limit: int
) -> Sequence[str]:
    """Ids of the banks of a batch, and those named, that are not recalled yet."""
    named = col(BankRow.id).in_(bank_ids)
    chosen = named if batch is None else named | (col(BankRow.batch) == batch)
    found = select(BankRow.id).where(chosen, col(BankRow.is_recalled).is_(False))
    return session.exec(found.order_by(col(BankRow.id)).limit(limit)).all()


def recall(session: Session, bank_ids: Sequence[str]) -> list[Recalled]:
    """Recall these banks; give those that were not recalled before."""
    rows = session.exec(
        update(BankRow)
        .where(col(BankRow.id).in_(bank_ids), col(BankRow.is_recalled).is_(False))
        .values(is_recalled=True)
        .returning(col(BankRow.id), col(BankRow.merchant_id))
        .execution_options(synchronize_session=False)
    ).all()
    return [Recalled(bank_id=row[0], merchant_id=row[1]) for row in sorted(rows)]


def release(session: Session, bank_id: str) -> bool:
    """End a bank's recall: it is to be inspected; False if it was not recalled."""
    moved = session.exec(
        update(BankRow)
        .where(col(BankRow.id) == bank_id, col(BankRow.is_recalled).is_(True))
        .values(is_recalled=False, is_to_inspect=True, is_offered=False)
    )
    return moved.rowcount == 1


def rentals(
    session: Session,
    *,
    states: Sequence[RentalState],
    merchant_id: str | None,
    renter_id: str | None,
    bank_id: str | None,
    is_abnormal: bool | None,
    before: str | None,
    limit: int,
) -> Sequence[RentalRow]:
    """A page of rentals, newest first; those that fit all that is asked for."""
    found = select(RentalRow)
    asked = {"merchant_id": merchant_id, "renter_id": renter_id, "bank_id": bank_id}
    found = found.filter_by(**{name: value for name, value in asked.items() if value is not None})
    if states:
        found = found.where(col(RentalRow.state).in_(states))
    if is_abnormal is not None:
        since = col(RentalRow.abnormal_at)
        found = found.where(since.is_not(None) if is_abnormal else since.is_(None))
    if before is not None:
        found = found.where(RentalRow.id < before)
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


def payments(
    session: Session,
    *,
    states: Sequence[PaymentState],
    rental_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[PaymentRow]:
    """A page of payments, newest first."""
    found = select(PaymentRow)
    if rental_id is not None:
        found = found.where(PaymentRow.rental_id == rental_id)
    if states:
        found = found.where(col(PaymentRow.state).in_(states))
    if before is not None:
        found = found.where(PaymentRow.id < before)
    return session.exec(found.order_by(col(PaymentRow.id).desc()).limit(limit)).all()


def withdrawals(
    session: Session,
    *,
    states: Sequence[WithdrawalState],
    merchant_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[WithdrawalRow]:
    """A page of withdrawals, newest first."""
    found = select(WithdrawalRow)
    if merchant_id is not None:
        found = found.where(WithdrawalRow.merchant_id == merchant_id)
    if states:
        found = found.where(col(WithdrawalRow.state).in_(states))
    if before is not None:
        found = found.where(WithdrawalRow.id < before)
    return session.exec(found.order_by(col(WithdrawalRow.id).desc()).limit(limit)).all()


def breaks(session: Session, *, is_open: bool, after: str, limit: int) -> Sequence[BreakRow]:
    """A page of what did not agree with a provider, by when it was first seen."""
    resolved = col(BreakRow.resolved_at)
    found = select(BreakRow).where(
        col(BreakRow.id) > after, resolved.is_(None) if is_open else resolved.is_not(None)
    )
    return session.exec(found.order_by(col(BreakRow.id)).limit(limit)).all()


def newest_look(session: Session) -> ReconciliationRow | None:
    """The newest day's look at the providers; None: there was none."""
    newest = select(ReconciliationRow).order_by(col(ReconciliationRow.day).desc())
    return session.exec(newest.limit(1)).first()


def trace(
    session: Session,
    *,
    subject: str | None,
    subject_id: str | None,
    by_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[AuditRow]:
    """A page of operators' changes, newest first."""
    asked = {"subject": subject, "subject_id": subject_id, "by_id": by_id}
    found = select(AuditRow).filter_by(
        **{name: value for name, value in asked.items() if value is not None}
    )
    if before is not None:
        found = found.where(AuditRow.id < before)
    return session.exec(found.order_by(col(AuditRow.id).desc()).limit(limit)).all()


# -- what belongs together -------------------------------------------------------------------


def people_of(session: Session, ids: Collection[str]) -> dict[str, Person]:
    """These people, by id."""
    rows = session.exec(select(Person).where(col(Person.id).in_(ids)))
    return {row.id: row for row in rows}


def merchants_of(session: Session, ids: Collection[str]) -> dict[str, MerchantRow]:
    """These merchants, by id."""
    rows = session.exec(select(MerchantRow).where(col(MerchantRow.id).in_(ids)))
    return {row.id: row for row in rows}


def custody_of(
    session: Session, rental_id: str, *, bank_ids: Collection[str], limit: int
) -> Sequence[CustodyMoveRow]:
    """How these banks changed hands in a rental, in order.

    Args:
        session: to read.
        rental_id: which.
        bank_ids: the banks that were ever chosen for it.
        limit: how many moves.
    """
    return session.exec(
        select(CustodyMoveRow)
        .where(col(CustodyMoveRow.bank_id).in_(bank_ids), CustodyMoveRow.rental_id == rental_id)
        .order_by(col(CustodyMoveRow.id))
        .limit(limit)
    ).all()
