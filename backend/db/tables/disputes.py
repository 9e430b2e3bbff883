"""Disputes: a renter says that a part of their bill is wrong."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import one_of, unique_where
from backend.domain.dispute import DisputeState


class DisputeRow(SQLModel, table=True):
    """One dispute, and how it ended."""

    __tablename__ = "dispute"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_dispute_one_open", "rental_id", where="state = 'open'"),
        Index("ix_dispute_rental", "rental_id", "id"),
        Index("ix_dispute_merchant", "merchant_id", "id"),
        Index("ix_dispute_state", "state", "id"),
        CheckConstraint("disputed_minor > 0", name="ck_dispute_amount"),
        CheckConstraint(
            "granted_minor BETWEEN 0 AND disputed_minor", name="ck_dispute_granted_within"
        ),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ck_dispute_ended"),
    )

    id: str = Field(primary_key=True, max_length=26)
    rental_id: str = Field(foreign_key="rental.id", max_length=26)
    renter_id: str = Field(foreign_key="person.id", max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    state: DisputeState = one_of(DisputeState)
    disputed_minor: int = Field(sa_type=BigInteger)
    granted_minor: int = Field(default=0, sa_type=BigInteger)
    currency: str = Field(max_length=3)
    reason: str = Field(max_length=500)
    """The renter's."""
    answer: str = Field(default="", max_length=500)
    """Whoever ended it, for the renter to read."""
    opened_at: datetime
    ended_at: datetime | None = None
    ended_by_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
