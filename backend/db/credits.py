"""Queries on credit notes and refunds, and on what may be given back."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, func
from sqlmodel import Session, col, select, update

from backend.db.tables.credits import CreditNoteRow, RefundRow, RefundWhy
from backend.db.tables.money import (
    DepositRow,
    OutboxRow,
    PaymentRow,
    PaymentState,
    PostingRow,
    TransferRow,
)
from backend.domain.credit import CreditKind
from backend.domain.ledger import AccountCode, natural
from backend.domain.money import Minor

# -- credit notes ----------------------------------------------------------------------


def by_evidence(
    session: Session, rental_id: str, kind: CreditKind, evidence: str
) -> CreditNoteRow | None:
    """The note of this kind that rests on this already; none rests on nothing."""
    if not evidence:
        return None
    return session.exec(
        select(CreditNoteRow).where(
            CreditNoteRow.rental_id == rental_id,
            CreditNoteRow.kind == kind,
            CreditNoteRow.evidence == evidence,
        )
    ).first()


def given_minor(session: Session, rental_id: str) -> Minor:
    """What the platform gave of its own on this bill."""
    given = select(func.coalesce(func.sum(CreditNoteRow.amount_minor), 0)).where(
        CreditNoteRow.rental_id == rental_id, CreditNoteRow.kind == CreditKind.GOODWILL
    )
    return Minor(int(session.exec(given).one()))


def of_rental(session: Session, rental_id: str) -> Sequence[CreditNoteRow]:
    """All notes on a bill, oldest first."""
    return session.exec(
        select(CreditNoteRow)
        .where(CreditNoteRow.rental_id == rental_id)
        .order_by(col(CreditNoteRow.id))
    ).all()


# -- refunds ---------------------------------------------------------------------------


def read_refund(session: Session, refund_id: str) -> RefundRow:
    """A refund that something in the database refers to, to look at."""
    found = select(RefundRow).where(RefundRow.id == refund_id)
    return session.exec(found.execution_options(populate_existing=True)).one()


def refund_under(session: Session, key: str) -> RefundRow | None:
    """The refund that is, or was, asked for at a provider with this key."""
    wish = ":".join(key.split(":")[:2])
    found = select(RefundRow).join(OutboxRow, col(OutboxRow.refund_id) == col(RefundRow.id))
    return session.exec(found.where(OutboxRow.key == wish)).first()


def unclaimed(session: Session, provider: str, provider_ref: str) -> RefundRow | None:
    """The refund of this payment that fits none of ours, if one was asked for."""
    return session.exec(
        select(RefundRow).where(
            RefundRow.provider == provider,
            RefundRow.provider_ref == provider_ref,
            col(RefundRow.payment_id).is_(None),
        )
    ).first()


def went(session: Session, refund_id: str, *, now: datetime) -> bool:
    """Note that a refund went; False if that is known."""
    marked = session.exec(
        update(RefundRow)
        .where(col(RefundRow.id) == refund_id, col(RefundRow.refunded_at).is_(None))
        .values(refunded_at=now)
    )
    return marked.rowcount == 1


def came_back(session: Session, refund_id: str) -> bool:
    """Note that a refund came back which had gone; False if it has not gone, or is known to have.

    The one in whose transaction it is noted finds it with one more return.
    """
    marked = session.exec(
        update(RefundRow)
        .where(col(RefundRow.id) == refund_id, col(RefundRow.refunded_at).is_not(None))
        .values(refunded_at=None, returns=col(RefundRow.returns) + 1)
    )
    return marked.rowcount == 1


def refunds_of(session: Session, rental_id: str) -> Sequence[RefundRow]:
    """All refunds of a rental's payments, oldest first."""
    return session.exec(
        select(RefundRow).where(RefundRow.rental_id == rental_id).order_by(col(RefundRow.id))
    ).all()


def kept(session: Session, rental_id: str) -> Sequence[tuple[PaymentRow, int]]:
    """A rental's payments that brought money, locked, with what of each is not to go back yet.

    The oldest first. Of a deposit it is what bills took.
    """
    asked = (
        select(func.coalesce(func.sum(RefundRow.amount_minor), 0))
        .where(col(RefundRow.payment_id) == col(PaymentRow.id))
        .where(col(RefundRow.why) != RefundWhy.DEPOSIT)
        .correlate(PaymentRow)
        .scalar_subquery()
    )
    brought = case(
        (col(DepositRow.payment_id).is_not(None), col(DepositRow.billed_minor)),
        else_=col(PaymentRow.amount_minor),
    )
    rows = session.execute(
        select(PaymentRow, (brought - asked).label("kept_minor"))
        .join(DepositRow, col(DepositRow.payment_id) == col(PaymentRow.id), isouter=True)
        .where(PaymentRow.rental_id == rental_id, PaymentRow.state == PaymentState.PAID)
        .order_by(col(PaymentRow.id))
        .with_for_update(of=PaymentRow)
    )
    return [(payment, int(kept_minor)) for payment, kept_minor in rows]


# -- accounts --------------------------------------------------------------------------


def standing_minor(session: Session, rental_id: str, account: AccountCode) -> Minor:
    """What stands on an account because of one rental, from the account's natural side."""
    total = session.execute(
        select(func.coalesce(func.sum(PostingRow.amount_minor), 0))
        .join(TransferRow, col(TransferRow.id) == col(PostingRow.transfer_id))
        .where(TransferRow.rental_id == rental_id, PostingRow.account == account)
    ).scalar_one()
    return natural(account, int(total))
