"""Money that merchants take out: claimed in the books before anybody is asked to send it."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import one_of, some_of
from backend.domain.withdrawal import OVER, WithdrawalState

_DUE = text("due_at IS NOT NULL")


class WithdrawalRow(SQLModel, table=True):
    """One withdrawal, by our id, which the provider knows as its reference."""

    __tablename__ = "withdrawal"
    __table_args__: ClassVar[Any] = (
        Index("ix_withdrawal_merchant", "merchant_id", "id"),
        Index("ix_withdrawal_due", "due_at", sqlite_where=_DUE, postgresql_where=_DUE),
        CheckConstraint("amount_minor > 0", name="ck_withdrawal_amount"),
        CheckConstraint(
            f"({some_of('state', OVER)}) = (ended_at IS NOT NULL)", name="ck_withdrawal_ended"
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    asked_by: str = Field(foreign_key="person.id", max_length=26)
    state: WithdrawalState = one_of(WithdrawalState)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    account: str = Field(max_length=120)
    """Where it goes: the merchant's payout account as it was when this was asked for."""
    provider: str = Field(max_length=16)
    provider_ref: str | None = Field(default=None, max_length=128)
    key: str = Field(unique=True, max_length=120)
    """The idempotency key at the provider, stored before the first call."""
    asked_at: datetime
    due_at: datetime | None
    """When the provider is asked, or asked again; None: not by itself any more."""
    attempts: int = 0
    """Since the provider last answered."""
    ended_at: datetime | None = None
    failure: str = Field(default="", max_length=200)
    """Why it failed, in the provider's or the operator's words."""
    problem: str | None = Field(default=None, sa_type=Text)
    """Why it needs a person: it is on the operator's stuck list."""
