"""Merchants' own systems: where their webhooks go, and what is to be told there."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import unique_where

_TO_DO = text("delivered_at IS NULL AND problem IS NULL")


class WebhookRow(SQLModel, table=True):
    """An address of a merchant's own system that hears what its owner hears."""

    __tablename__ = "webhook"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_webhook_url", "merchant_id", "url", where="ended_at IS NULL"),
    )

    id: str = Field(primary_key=True, max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", index=True, max_length=26)
    url: str = Field(max_length=500)
    secret: str = Field(max_length=120)
    """``whsec_`` and base64: what each message is signed with, and so kept as it is."""
    created_at: datetime
    free_at: datetime
    """Before it nothing is sent there: claimed by moving this on; who failed rests until then."""
    pinged_at: datetime | None = None
    failing_since: datetime | None = None
    """Since when nothing arrived there; None: the newest message did."""
    ended_at: datetime | None = None
    ended_why: str = Field(default="", max_length=40)


class WebhookMessageRow(SQLModel, table=True):
    """One message to one address: signed anew at each attempt, its id the same."""

    __tablename__ = "webhook_message"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_webhook_message_due",
            "webhook_id",
            "due_at",
            sqlite_where=_TO_DO,
            postgresql_where=_TO_DO,
        ),
        Index("ix_webhook_message_of", "webhook_id", "id"),
        CheckConstraint("attempts >= 0", name="ck_webhook_message_attempts"),
    )

    id: str = Field(primary_key=True, max_length=26)
    webhook_id: str = Field(foreign_key="webhook.id", max_length=26)
    kind: str = Field(max_length=48)
    """As ``rental.requested``."""
    body: str = Field(sa_type=Text)
    """The very bytes that are sent, as UTF-8."""
    created_at: datetime = Field(index=True)
    due_at: datetime
    attempts: int = 0
    delivered_at: datetime | None = None
    last_answer: str = Field(default="", max_length=120)
    """What came of the newest attempt: a status, or why there was none."""
    problem: str | None = Field(default=None, max_length=120)
    """Why it was given up."""
