"""People, and how they prove who they are."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel


class Person(SQLModel, table=True):
    """Somebody with a phone. What they may do follows from what they own and work for."""

    __tablename__ = "person"

    id: str = Field(primary_key=True, max_length=26)
    phone: str = Field(max_length=16, unique=True)
    """E.164, as ``+8613800138000``."""
    language: str = Field(default="zh", max_length=2)
    """``zh`` or ``en``: what they are written to in."""
    name: str = Field(default="", max_length=80)
    is_operator: bool = False
    suspended_at: datetime | None = None
    """Since when an operator keeps them from renting and working; what is open goes on."""
    erased_at: datetime | None = None
    """When their data was made anonymous; what is of money stays."""
    notified_seq: int = 0
    """The number of their last notification, see ``backend.db.notifications``."""
    created_at: datetime


class SigninCode(SQLModel, table=True):
    """A one-time code that was sent to a phone; only the newest of a phone counts."""

    __tablename__ = "signin_code"
    __table_args__: ClassVar[Any] = (Index("ix_signin_code_newest", "phone", "created_at"),)

    id: str = Field(primary_key=True, max_length=26)
    phone: str = Field(max_length=16)
    code_hash: str = Field(max_length=64)
    """Keyed with the server's secret: a million codes are quickly tried against a plain hash."""
    tries: int = 0
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


class SigninQuota(SQLModel, table=True):
    """How many codes one phone, or one network address, was sent in one hour."""

    __tablename__ = "signin_quota"

    subject: str = Field(primary_key=True, max_length=64)
    """``phone:+86…`` or ``address:203.0.113.7``."""
    hour: datetime = Field(primary_key=True)
    sent: int = 1


class SignIn(SQLModel, table=True):
    """One signed-in device: a family of refresh tokens, of which the newest is good."""

    __tablename__ = "sign_in"

    id: str = Field(primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", index=True, max_length=26)
    refresh_hash: str = Field(max_length=64)
    """SHA-256 of the one refresh token that is good."""
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
