"""Who lends what, at which price: merchants, their staff, their banks, their tariffs.

A bank's custody stands here, apart from any rental's state: ``bank.holder`` is who has it
now, and ``custody_move`` is how it came to that, with proof. A tariff is never changed,
only followed by a newer version.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import append_only, one_of, unique_where
from backend.domain.custody import Holder, Proof
from backend.domain.markets import Market


class MerchantStatus(StrEnum):
    """Whether the operator lets a merchant lend."""

    PENDING = "pending"
    APPROVED = "approved"
    SUSPENDED = "suspended"


class MerchantRow(SQLModel, table=True):
    """An individual merchant."""

    __tablename__ = "merchant"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("owner_id", "name"),
        CheckConstraint("service_radius_m > 0", name="ck_merchant_radius"),
        CheckConstraint("lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180", name="ck_merchant"),
    )

    id: str = Field(primary_key=True, max_length=26)
    owner_id: str = Field(foreign_key="person.id", index=True, max_length=26)
    name: str = Field(max_length=80)
    status: MerchantStatus = one_of(MerchantStatus)
    timezone: str = Field(max_length=64)
    currency: str = Field(max_length=3)
    lat: float
    lng: float
    address: str = Field(max_length=200)
    cell: str = Field(default="", max_length=16, index=True)
    """The H3 cell of its place: what dispatch searches by."""
    service_radius_m: int
    is_open: bool = True
    """The merchant's own switch: whether rentals are taken at all now."""
    hours: str | None = Field(default=None, sa_type=Text)
    """Opening hours of the week in its own time zone, as JSON; None: always open."""
    payout_account: str | None = Field(default=None, max_length=120)
    """Where withdrawals go, as the payment provider names it."""
    commission_bp: int
    """The platform's part of new rentals' bills, in basis points."""
    created_at: datetime


class StaffRow(SQLModel, table=True):
    """One person works for one merchant, from then until then."""

    __tablename__ = "staff"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_staff_once", "merchant_id", "person_id", where="left_at IS NULL"),
    )

    id: str = Field(primary_key=True, max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", index=True, max_length=26)
    name: str = Field(max_length=80)
    joined_at: datetime
    left_at: datetime | None = None


class TariffRow(SQLModel, table=True):
    """One immutable version of a merchant's price; the newest is in force."""

    __tablename__ = "tariff"
    __table_args__: ClassVar[Any] = (UniqueConstraint("merchant_id", "version"),)

    id: str = Field(primary_key=True, max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    version: int
    terms: str = Field(sa_type=Text)
    """``tariff.to_json``."""
    market: Market = one_of(Market, default=Market.PLAIN)
    """Whose rules it was checked against."""
    created_at: datetime
    created_by: str = Field(foreign_key="person.id", max_length=26)


class BankRow(SQLModel, table=True):
    """One power bank, as the business knows it. What it last said is its shadow."""

    __tablename__ = "bank"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(
            "(holder IN ('staff', 'renter')) = (holder_id IS NOT NULL)", name="ck_bank_held_by_whom"
        ),
        CheckConstraint("NOT is_offered OR holder = 'merchant'", name="ck_bank_offered_at_home"),
    )

    id: str = Field(primary_key=True, max_length=32)
    merchant_id: str = Field(foreign_key="merchant.id", index=True, max_length=26)
    model: str = Field(max_length=32)
    qr_token: str = Field(unique=True, max_length=64)
    """What the label says, instead of the id: not to be guessed."""
    holder: Holder = one_of(Holder)
    holder_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    """Which member of staff or renter."""
    held_since: datetime
    is_offered: bool
    """The merchant's own word that it may go out: set by nobody else."""
    is_recalled: bool = False
    batch: str = Field(default="", max_length=32, index=True)
    """The maker's production batch: what a recall names."""
    is_to_inspect: bool = False
    """Found, bought back or repaired: goes out again only by an act of its merchant."""
    created_at: datetime


class CustodyMoveRow(SQLModel, table=True):
    """A bank went from hand to hand, and what proves it."""

    __tablename__ = "custody_move"

    id: str = Field(primary_key=True, max_length=26)
    bank_id: str = Field(foreign_key="bank.id", index=True, max_length=32)
    rental_id: str | None = Field(default=None, foreign_key="rental.id", max_length=26)
    giver: Holder = one_of(Holder, check="giver")
    giver_id: str | None = Field(default=None, max_length=26)
    taker: Holder = one_of(Holder, check="taker")
    taker_id: str | None = Field(default=None, max_length=26)
    proof: Proof = one_of(Proof)
    reason: str = Field(default="", max_length=200)
    """An operator's, where that is the proof."""
    by_id: str = Field(foreign_key="person.id", max_length=26)
    at: datetime


for _table in (TariffRow, CustodyMoveRow):
    append_only(_table)
