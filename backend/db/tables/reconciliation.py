"""Where provider, books and rentals do not agree, from the first look that showed it."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import unique_where


class BreakRow(SQLModel, table=True):
    """One break. It is over when a later look does not show it any more."""

    __tablename__ = "reconciliation_break"
    __table_args__: ClassVar[Any] = (
        unique_where(
            "uq_reconciliation_break_open", "kind", "subject_id", where="resolved_at IS NULL"
        ),
        Index("ix_reconciliation_break_seen", "last_seen_at"),
    )

    id: str = Field(primary_key=True, max_length=26)
    kind: str = Field(max_length=40)
    subject: str = Field(max_length=24)
    """``payment`` or ``withdrawal``."""
    subject_id: str = Field(max_length=128)
    """Our id of it, or, where we know none, the provider's."""
    rental_id: str | None = Field(default=None, max_length=26)
    ours: str = Field(max_length=200)
    theirs: str = Field(max_length=200)
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None = None


class ReconciliationRow(SQLModel, table=True):
    """One day's look at the providers, claimed by its day: two processes look once."""

    __tablename__ = "reconciliation"

    day: str = Field(primary_key=True, max_length=10)
    """UTC, as ``2026-11-22``."""
    begun_at: datetime
    ended_at: datetime | None = None
    payments: int = 0
    """How many were compared."""
    breaks: int = 0
