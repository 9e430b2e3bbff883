"""Rentals, what happened in each, and the two jobs that staff do for one."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import append_only, one_of, some_of, unique_where
from backend.domain.custody import Proof
from backend.domain.overdue import OUT
from backend.domain.rental import CLOSED, RentalEvent, RentalState

OCCUPYING = frozenset(RentalState) - {*CLOSED, RentalState.PAYMENT_DUE}
"""States in which a rental needs its bank. Once it is collected, the next may have it."""


class JobKind(StrEnum):
    """The two staff jobs of a rental."""

    DELIVERY = "delivery"
    COLLECTION = "collection"


class JobState(StrEnum):
    """How far a job is. ``done`` is the handover; the bank's way home comes after it.

    A job that moves on to somebody else is ``cancelled``, and a new one begins.
    """

    OPEN = "open"
    ACCEPTED = "accepted"
    UNDER_WAY = "under_way"
    DONE = "done"
    CANCELLED = "cancelled"


_UNPAID = text("state = 'payment_due'")
_UNSETTLED = text("state = 'completed' AND settled_at IS NULL")
_IS_OUT = text(some_of("state", OUT))


class RentalRow(SQLModel, table=True):
    """One order, from scan to completion, with the terms it was made under."""

    __tablename__ = "rental"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_rental_one_per_bank", "bank_id", where=some_of("state", OCCUPYING)),
        Index("ix_rental_renter", "renter_id", "id"),
        Index("ix_rental_merchant", "merchant_id", "state", "id"),
        CheckConstraint("amount_minor >= 0", name="ck_rental_amount"),
        CheckConstraint("returned_at >= billing_start_at", name="ck_rental_no_negative_time"),
        CheckConstraint(
            "credited_minor >= 0 AND paid_minor >= 0"
            " AND credited_minor + paid_minor <= coalesce(amount_minor, 0)",
            name="ck_rental_never_over_the_bill",
        ),
        CheckConstraint(
            "merchant_minor + platform_minor = amount_minor", name="ck_rental_split_adds_up"
        ),
        Index("ix_rental_bank", "bank_id", "id"),
        Index("ix_rental_out", "due_at", sqlite_where=_IS_OUT, postgresql_where=_IS_OUT),
        unique_where(
            "uq_rental_one_substitute",
            "replaces_id",
            where="replaces_id IS NOT NULL AND state NOT IN ('cancelled', 'undeliverable')",
        ),
        Index("ix_rental_due", "payment_due_by", sqlite_where=_UNPAID, postgresql_where=_UNPAID),
        Index(
            "ix_rental_unsettled", "settle_at", sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED
        ),
        CheckConstraint(
            "state NOT IN ('payment_due', 'completed') "
            "OR (amount_minor IS NOT NULL AND returned_at IS NOT NULL)",
            name="ck_rental_billed",
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    renter_id: str = Field(foreign_key="person.id", max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    bank_id: str = Field(foreign_key="bank.id", max_length=32)
    tariff_id: str = Field(foreign_key="tariff.id", max_length=26)
    terms: str = Field(sa_type=Text)
    """The tariff as it was when this was asked for."""
    commission_bp: int
    """The platform's part of the bill, as it was then, in basis points."""
    replaces_id: str | None = Field(default=None, foreign_key="rental.id", max_length=26)
    """The rental whose broken bank this one's is a substitute for: its delivery costs nothing."""
    state: RentalState = one_of(RentalState)
    requested_at: datetime
    lat: float
    lng: float
    address: str = Field(max_length=200)

    staff_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    """Who delivers."""
    accepted_at: datetime | None = None
    set_out_at: datetime | None = None
    promised_at: datetime | None = None
    """By when it was to be delivered: the preset time. Late, the delivery fee is waived."""
    eta_at: datetime | None = None
    """When it will arrive, as far as is known."""
    eta_told_at: datetime | None = None
    """The same, as it was last pushed to the renter."""
    abnormal_at: datetime | None = None
    """Since when it is an abnormal order: it missed its preset time, or had to be reassigned."""
    attempt: int = 1
    """How often a bank was chosen for it."""
    urges: int = 0
    urged_at: datetime | None = None
    code: str = Field(max_length=4)
    """What the renter may say instead of showing the bank's QR."""
    code_tries: int = 0
    handed_over_at: datetime | None = None
    """Delivered, and proven: by the bank's QR or the renter's code."""

    scanned_at: datetime | None = None
    disclosure: str | None = Field(default=None, sa_type=Text)
    """The very words the renter accepted, and their SHA-256."""
    disclosure_sha256: str | None = Field(default=None, max_length=64)
    disclosed_at: datetime | None = None

    deposit_held_at: datetime | None = None
    start_command_id: str | None = Field(default=None, index=True, max_length=40)
    confirmed_at: datetime | None = None
    """When the bank's state said that it feeds."""
    plugged_at: datetime | None = None
    """Since when a load was first seen on it; what was there before the handover counts."""
    billing_start_at: datetime | None = None
    free_used_s: int = 0
    """Free seconds that an earlier rental of the same visit used up. A substitute has those of the
    first rental that it goes on for."""
    used_before_s: int = 0
    """How long the rentals that this one replaces were metered, when this one's meter started."""
    cost_before_minor: int = Field(default=0, sa_type=BigInteger)
    """What they cost then: it counts against the total cap."""
    is_delivery_free: bool = False
    """The delivery was late, or brought a substitute: its fee is waived."""

    cancelled_at: datetime | None = None
    claimed_returned_at: datetime | None = None
    """When the renter said that it is back already; None again if that was denied."""
    due_at: datetime | None = None
    """When to look after a bank that is out; None: a day after the handover."""
    overdue_told_at: datetime | None = None
    """When the renter was last reminded that the bank is out for long."""
    missing_told_at: datetime | None = None
    """When the merchant was told that the bank is out and silent; None again once it was heard."""
    bought_out_at: datetime | None = None
    """When the bank counted as bought: at the cap, or because it was lost."""
    return_requested_at: datetime | None = None
    return_lat: float | None = None
    return_lng: float | None = None
    return_address: str | None = Field(default=None, max_length=200)
    output_off_at: datetime | None = None
    """Since when the bank feeds nothing; None again when it feeds."""
    collector_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    collected_at: datetime | None = None

    returned_at: datetime | None = None
    """The end of billing: the earliest credible evidence."""
    amount_minor: int | None = Field(default=None, sa_type=BigInteger)
    merchant_minor: int | None = Field(default=None, sa_type=BigInteger)
    """The merchant's part of the bill, divided when it was made."""
    platform_minor: int | None = Field(default=None, sa_type=BigInteger)
    lines: str | None = Field(default=None, sa_type=Text)
    """The bill, line by line, as JSON."""
    payment_due_by: datetime | None = None
    """Until when the renter may pay by themselves; then it is taken from the deposit."""
    past_due_at: datetime | None = None
    """When that deadline was acted on; None again when there is a new one."""
    paid_minor: int = Field(default=0, sa_type=BigInteger)
    """What of the bill was paid, or taken from the deposit, less what went back."""
    credited_minor: int = Field(default=0, sa_type=BigInteger)
    """What of the bill was taken back by credit notes."""
    settle_at: datetime | None = None
    """The end of the dispute window: then the merchant's part is theirs to withdraw."""
    settled_at: datetime | None = None
    closed_at: datetime | None = None


class RentalStepRow(SQLModel, table=True):
    """A rental moved: what, when, by whom, and what proves it."""

    __tablename__ = "rental_step"
    __table_args__: ClassVar[Any] = (Index("ix_rental_step", "rental_id", "id"),)

    id: str = Field(primary_key=True, max_length=26)
    rental_id: str = Field(foreign_key="rental.id", max_length=26)
    event: RentalEvent = one_of(RentalEvent)
    state: RentalState = one_of(RentalState)
    """The state it led to."""
    at: datetime
    by_id: str | None = Field(default=None, max_length=26)
    """The person; None is the platform itself, on a bank's or a provider's word."""
    proof: Proof | None = one_of(Proof, default=None, nullable=True)
    evidence: str = Field(default="", max_length=160)
    """What it rests on: a domain event's id, a payment's, a command's, a reason."""


_IS_DUE = text("due_at IS NOT NULL")


class JobRow(SQLModel, table=True):
    """A delivery or a collection, waiting for staff or in their hands."""

    __tablename__ = "job"
    __table_args__: ClassVar[Any] = (
        unique_where(
            "uq_job_one_open", "rental_id", "kind", where="state NOT IN ('done', 'cancelled')"
        ),
        Index("ix_job_rental", "rental_id", "kind"),
        Index("ix_job_merchant", "merchant_id", "state"),
        Index("ix_job_staff", "staff_id", "state"),
        Index("ix_job_due", "due_at", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
        CheckConstraint(
            "state IN ('open', 'cancelled') OR staff_id IS NOT NULL", name="ck_job_has_staff"
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    rental_id: str = Field(foreign_key="rental.id", max_length=26)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=26)
    bank_id: str = Field(foreign_key="bank.id", max_length=32)
    kind: JobKind = one_of(JobKind)
    state: JobState = one_of(JobState)
    staff_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    lat: float
    lng: float
    address: str = Field(max_length=200)
    created_at: datetime
    accepted_at: datetime | None = None
    set_out_at: datetime | None = None
    done_at: datetime | None = None
    due_at: datetime | None = None
    """When dispatch must look at it again; None: nothing is due."""
    rounds: int = 0
    """How often it was offered."""
    choice: str | None = Field(default=None, sa_type=Text)
    """Why this bank and merchant were chosen, part by part, as JSON; None: the renter did."""
    deliver_by: datetime | None = None
    """What was promised; for who came in later, what can be asked of them."""
    left_m: int | None = None
    """The least distance to the renter that was left on the way."""
    moved_at: datetime | None = None
    """When they last came nearer; None: their phone has not told where they are."""
    at_door_at: datetime | None = None
    """Since when they are at the renter's door, by their own position; None: they are not."""
    late_at: datetime | None = None
    """Since when it is late or stalled."""
    reminders: int = 0
    reminded_at: datetime | None = None
    """When its staff were last reminded."""
    ended_why: str = Field(default="", max_length=40)
    """Why it was cancelled: ``late``, ``stalled``, ``off_shift``, ``bank_lost`` ..."""
    has_bank: bool = False
    """Whether its staff have the bank: a job may be over before the bank is home."""


append_only(RentalStepRow)
