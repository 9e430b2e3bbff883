"""What is given back: credit notes on bills, and refunds of payments."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import append_only, one_of, unique_where
from backend.domain.credit import CreditKind


class CreditNoteRow(SQLModel, table=True):
    """A part of a bill, taken back. Never changed: another note may follow."""

    __tablename__ = "credit_note"
    __table_args__: ClassVar[Any] = (
        unique_where(
            "uq_credit_note_once", "rental_id", "kind", "evidence", where="evidence <> ''"
        ),
        Index("ix_credit_note_rental", "rental_id", "id"),
        CheckConstraint("amount_minor > 0", name="ck_credit_note_amount"),
        CheckConstraint(
            "refunded_minor BETWEEN 0 AND amount_minor", name="ck_credit_note_refunded"
        ),
        CheckConstraint(
            "merchant_minor >= 0 AND platform_minor >= 0"
            " AND merchant_minor + platform_minor = amount_minor",
            name="ck_credit_note_split_adds_up",
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    rental_id: str = Field(foreign_key="rental.id", max_length=26)
    kind: CreditKind = one_of(CreditKind)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    refunded_minor: int = Field(sa_type=BigInteger)
    """The part that was paid, and goes back; the rest need not be paid any more."""
    merchant_minor: int = Field(sa_type=BigInteger)
    """What of it the merchant gives up."""
    platform_minor: int = Field(sa_type=BigInteger)
    why: str = Field(max_length=500)
    by_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    """Who decided; None is the platform itself, on evidence."""
    evidence: str = Field(default="", max_length=160)
    """What it rests on: a second note of the same kind on the same is not written."""
    at: datetime


class RefundWhy(StrEnum):
    """Why money goes back to who paid it."""

    SURPLUS = "surplus"
    """Paid although it was not owed any more."""
    CREDIT = "credit"
    """A bill was put right after it was paid."""
    DEPOSIT = "deposit"
    """What is left of a deposit that had to be taken."""
    UNCLAIMED = "unclaimed"
    """A payment that fits none of ours."""


_UNCLAIMED = text("why = 'unclaimed'")


class RefundRow(SQLModel, table=True):
    """Money on its way back. The provider's idempotency key is made from its id."""

    __tablename__ = "refund"
    __table_args__: ClassVar[Any] = (
        Index("ix_refund_payment", "payment_id"),
        Index("ix_refund_rental", "rental_id"),
        unique_where("uq_refund_unclaimed", "provider", "provider_ref", where=str(_UNCLAIMED)),
        CheckConstraint("amount_minor > 0", name="ck_refund_amount"),
        CheckConstraint(
            "(why = 'unclaimed') = (payment_id IS NULL)", name="ck_refund_of_a_payment"
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    payment_id: str | None = Field(default=None, foreign_key="payment.id", max_length=26)
    """The payment it goes back to; None: one that fits none of ours."""
    rental_id: str | None = Field(default=None, foreign_key="rental.id", max_length=26)
    credit_id: str | None = Field(default=None, foreign_key="credit_note.id", max_length=26)
    why: RefundWhy = one_of(RefundWhy)
    provider: str = Field(max_length=16)
    provider_ref: str | None = Field(default=None, max_length=128)
    """Of an unclaimed payment; else the payment's row has it."""
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    asked_at: datetime
    refunded_at: datetime | None = None
    """When the provider said that it went; None again, if it came back."""
    returns: int = 0
    """How often it came back after that."""


append_only(CreditNoteRow)
