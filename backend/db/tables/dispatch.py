"""Who is asked to do a job, who is on shift, and where they are."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import one_of, unique_where
from backend.domain.dispatch import OfferState

_ON_SHIFT = text("ended_at IS NULL")
_ON_EARTH = "lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180"


class OfferRow(SQLModel, table=True):
    """One person was asked to do one job, until a deadline."""

    __tablename__ = "offer"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_offer_once", "job_id", "person_id", where="state <> 'withdrawn'"),
        unique_where("uq_offer_one_winner", "job_id", where="state = 'accepted'"),
        Index("ix_offer_person", "person_id", "state"),
        Index("ix_offer_rental", "rental_id"),
        Index("ix_offer_job", "job_id", "state"),
        CheckConstraint("expires_at > offered_at", name="ck_offer_deadline"),
        CheckConstraint("(state = 'open') = (answered_at IS NULL)", name="ck_offer_answered"),
    )

    id: str = Field(primary_key=True, max_length=26)
    job_id: str = Field(foreign_key="job.id", max_length=26)
    rental_id: str = Field(foreign_key="rental.id", max_length=26)
    """The job's: who said no is remembered for all its jobs of a kind."""
    person_id: str = Field(foreign_key="person.id", max_length=26)
    state: OfferState = one_of(OfferState)
    offered_at: datetime
    expires_at: datetime
    answered_at: datetime | None = None
    """When it was accepted, declined, lapsed, taken or withdrawn."""


class ShiftRow(SQLModel, table=True):
    """One person takes jobs of one merchant, from then until then."""

    __tablename__ = "shift"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_shift_open", "merchant_id", "person_id", where="ended_at IS NULL"),
        Index("ix_shift_person", "person_id", sqlite_where=_ON_SHIFT, postgresql_where=_ON_SHIFT),
        CheckConstraint("ended_at >= started_at", name="ck_shift_span"),
    )

    id: str = Field(primary_key=True, max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    started_at: datetime
    ended_at: datetime | None = None


class StaffPositionRow(SQLModel, table=True):
    """Where somebody who works is, as their phone last told."""

    __tablename__ = "staff_position"
    __table_args__: ClassVar[Any] = (CheckConstraint(_ON_EARTH, name="ck_staff_position"),)

    person_id: str = Field(foreign_key="person.id", primary_key=True, max_length=26)
    lat: float
    lng: float
    told_at: datetime = Field(index=True)


class PositionSampleRow(SQLModel, table=True):
    """Where somebody was while they delivered; kept for some days, to settle a quarrel."""

    __tablename__ = "position_sample"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(_ON_EARTH, name="ck_position_sample"),
        Index("ix_position_sample_job", "job_id", "told_at"),
    )

    id: str = Field(primary_key=True, max_length=26)
    job_id: str = Field(foreign_key="job.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    lat: float
    lng: float
    told_at: datetime = Field(index=True)
