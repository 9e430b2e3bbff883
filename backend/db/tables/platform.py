"""What the HTTP edge remembers: notifications to people, and answers already given."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field, SQLModel


class Notification(SQLModel, table=True):
    """Something that one person should hear, numbered without gaps per person."""

    __tablename__ = "notification"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    seq: int = Field(primary_key=True)
    kind: str = Field(max_length=48)
    """As ``rental.accepted``."""
    data: str = Field(sa_type=Text)
    """JSON."""
    created_at: datetime = Field(index=True)


class IdempotencyRecord(SQLModel, table=True):
    """A request that had its effect, and what was answered; written with the effect itself."""

    __tablename__ = "idempotency_record"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    key: str = Field(primary_key=True, max_length=128)
    fingerprint: str = Field(max_length=64)
    """SHA-256 of method, path, query and body."""
    status: int | None = None
    """None: the answer is about to be given; or it was not kept, or was forgotten."""
    media_type: str | None = Field(default=None, max_length=64)
    body: bytes = Field(default=b"", sa_type=LargeBinary)
    created_at: datetime = Field(index=True)
