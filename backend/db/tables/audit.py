"""The operators' trace: who changed what, from what, to what, and why."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, Text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import append_only


class AuditRow(SQLModel, table=True):
    """One change by an operator, in the transaction that made it."""

    __tablename__ = "audit"
    __table_args__: ClassVar[Any] = (Index("ix_audit_subject", "subject", "subject_id"),)

    id: str = Field(primary_key=True, max_length=26)
    by_id: str = Field(foreign_key="person.id", max_length=26)
    at: datetime
    action: str = Field(max_length=48)
    """As ``merchant.approve``."""
    subject: str = Field(max_length=24)
    subject_id: str = Field(max_length=128)
    """Whole, whoever made it: a letter's is a hash, a notice's the provider's."""
    before: str = Field(sa_type=Text)
    """JSON of what it was."""
    after: str = Field(sa_type=Text)
    """JSON of what it is."""
    why: str = Field(max_length=500)


append_only(AuditRow)
