"""Money: payments and deposits, the books, and what is said to and heard from providers.

Postings and transfers are only added. An account's balance stands beside them, moved by the
UPDATE that checks it; so do each posting's number and the balance it led to.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from backend.db.tables.rules import append_only, one_of, some_of, unique_where
from backend.domain.deposit import DepositState
from backend.domain.ledger import DEBIT_KINDS, AccountKind


class Purpose(StrEnum):
    """What a payment is for."""

    DEPOSIT = "deposit"
    BILL = "bill"


class PaymentState(StrEnum):
    """What we know of a payment. ``unknown``: the provider was asked, and did not answer."""

    CREATED = "created"
    UNKNOWN = "unknown"
    OPEN = "open"
    AUTHORIZED = "authorized"
    PAID = "paid"
    CANCELED = "canceled"
    FAILED = "failed"
    EXPIRED = "expired"


LIVE = (PaymentState.CREATED, PaymentState.UNKNOWN, PaymentState.OPEN, PaymentState.AUTHORIZED)
"""While one is in these, no second one for the same purpose is started."""


class Ask(StrEnum):
    """What a provider is asked to do."""

    CREATE = "create"
    RELEASE = "release"
    CAPTURE = "capture"
    REFUND = "refund"


class PaymentRow(SQLModel, table=True):
    """One payment at a provider, by our id, which the provider knows as its reference."""

    __tablename__ = "payment"
    __table_args__: ClassVar[Any] = (
        unique_where("uq_payment_one_live", "rental_id", "purpose", where=some_of("state", LIVE)),
        UniqueConstraint("provider", "provider_ref"),
        Index("ix_payment_renter", "renter_id"),
        Index("ix_payment_state", "state", "checked_at"),
        CheckConstraint("amount_minor > 0", name="ck_payment_amount"),
    )

    id: str = Field(primary_key=True, max_length=26)
    rental_id: str = Field(foreign_key="rental.id", index=True, max_length=26)
    renter_id: str = Field(foreign_key="person.id", max_length=26)
    purpose: Purpose = one_of(Purpose)
    state: PaymentState = one_of(PaymentState)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    provider: str = Field(max_length=16)
    provider_ref: str | None = Field(default=None, max_length=128)
    pay_url: str | None = Field(default=None, max_length=2_000)
    created_at: datetime
    checked_at: datetime
    """When the provider last told us anything of it, or it was made."""
    unheard_of_at: datetime | None = None
    """When the provider last said that it has no such payment, though it was asked to make it."""
    ended_at: datetime | None = None


_HELD: Final = text("state = 'held'")
_WAITING: Final = text("state IN ('expired', 'secured')")


class DepositRow(SQLModel, table=True):
    """A hold: what a deposit's payment means to us. Only the newest of a rental counts."""

    __tablename__ = "deposit"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("amount_minor >= 0", name="ck_deposit_amount"),
        CheckConstraint(
            "captured_minor BETWEEN 0 AND amount_minor", name="ck_deposit_captured_within"
        ),
        CheckConstraint(
            "billed_minor >= 0 AND returned_minor >= 0"
            " AND billed_minor + returned_minor <= captured_minor",
            name="ck_deposit_spent_within",
        ),
        Index("ix_deposit_waiting", "state", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_deposit_expiry", "capture_before", sqlite_where=_HELD, postgresql_where=_HELD),
    )

    payment_id: str = Field(primary_key=True, foreign_key="payment.id", max_length=26)
    rental_id: str = Field(foreign_key="rental.id", index=True, max_length=26)
    state: DepositState = one_of(DepositState)
    amount_minor: int = Field(sa_type=BigInteger)
    captured_minor: int = Field(default=0, sa_type=BigInteger)
    billed_minor: int = Field(default=0, sa_type=BigInteger)
    """What of that bills took."""
    returned_minor: int = Field(default=0, sa_type=BigInteger)
    """What of it went back, or is on its way; the rest waits for the bill."""
    currency: str = Field(max_length=3)
    capture_before: datetime | None = None
    held_at: datetime | None = None
    ended_at: datetime | None = None


_IS_ASSET: Final = " OR ".join(
    f"code = '{kind}' OR substr(code, 1, {len(kind) + 1}) = '{kind}:'"
    for kind in sorted(DEBIT_KINDS)
)
_ON_ITS_SIDE: Final = (
    f"balance_minor = 0 OR code = '{AccountKind.PLATFORM_REVENUE}' "
    f"OR (balance_minor > 0) = ({_IS_ASSET})"
)
"""What ``ledger.check_balance`` says, for the database."""


class AccountRow(SQLModel, table=True):
    """A place where money can stand."""

    __tablename__ = "account"
    __table_args__: ClassVar[Any] = (CheckConstraint(_ON_ITS_SIDE, name="ck_account_side"),)

    code: str = Field(primary_key=True, max_length=80)
    currency: str = Field(primary_key=True, max_length=3)
    balance_minor: int = Field(default=0, sa_type=BigInteger)
    """The sum of its postings, kept by the UPDATE that checks it; ``lendwatt verify`` compares."""
    postings: int = 0
    """How many there are."""


class TransferRow(SQLModel, table=True):
    """One movement of money, whose postings sum to zero. Its key makes it happen once."""

    __tablename__ = "transfer"

    id: str = Field(primary_key=True, max_length=26)
    key: str = Field(unique=True, max_length=120)
    kind: str = Field(max_length=32)
    currency: str = Field(max_length=3)
    rental_id: str | None = Field(default=None, foreign_key="rental.id", index=True, max_length=26)
    at: datetime
    digest: str = Field(max_length=64)
    """``ledger.digest`` of all this and its postings."""


class PostingRow(SQLModel, table=True):
    """One account's part in a transfer: debit is positive, credit is negative."""

    __tablename__ = "posting"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(("account", "currency"), ("account.code", "account.currency")),
        UniqueConstraint("account", "currency", "number", name="uq_posting_number"),
        CheckConstraint("amount_minor <> 0", name="ck_posting_amount"),
    )

    transfer_id: str = Field(primary_key=True, foreign_key="transfer.id", max_length=26)
    line: int = Field(primary_key=True)
    account: str = Field(max_length=80)
    currency: str = Field(max_length=3)
    amount_minor: int = Field(sa_type=BigInteger)
    number: int
    """The account's first posting is 1: a gap is one that was taken out."""
    balance_minor: int = Field(sa_type=BigInteger)
    """The account's balance after it."""


_STUCK: Final = text("problem IS NOT NULL AND aside_at IS NULL")


class OutboxRow(SQLModel, table=True):
    """Something to ask of a provider, written with the change that wants it.

    With a problem and done, the provider said no, and nothing happened. With a problem and not
    done, nobody knows. Either way a person is told, until the row is put aside.
    """

    __tablename__ = "outbox"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_outbox_due",
            "due_at",
            sqlite_where=text("done_at IS NULL AND problem IS NULL"),
            postgresql_where=text("done_at IS NULL AND problem IS NULL"),
        ),
        Index("ix_outbox_stuck", "id", sqlite_where=_STUCK, postgresql_where=_STUCK),
        CheckConstraint(
            "payment_id IS NOT NULL OR refund_id IS NOT NULL", name="ck_outbox_subject"
        ),
    )

    id: str = Field(primary_key=True, max_length=26)
    key: str = Field(unique=True, max_length=120)
    """What it is, once. The provider is given :attr:`provider_key`, which is made from it."""
    ask: Ask = one_of(Ask)
    payment_id: str | None = Field(
        default=None, foreign_key="payment.id", index=True, max_length=26
    )
    """None: the refund of a payment that fits none of ours."""
    refund_id: str | None = Field(default=None, foreign_key="refund.id", max_length=26)
    """With REFUND: which."""
    amount_minor: int = Field(sa_type=BigInteger)
    created_at: datetime
    due_at: datetime
    """Claimed by moving this on: who dies with it in hand loses it then."""
    attempts: int = 0
    """Since it was wished, or wished anew."""
    refusals: int = 0
    """How often the provider has said no for good."""
    done_at: datetime | None = None
    """When the provider answered, or nobody needs an answer any more."""
    problem: str | None = Field(default=None, sa_type=Text)
    """Why it was given up or refused, for the operator's stuck list."""
    aside_at: datetime | None = None
    """When an operator took it off that list."""

    @property
    def provider_key(self) -> str:
        """The idempotency key at the provider, stored before the first call.

        A provider answers a key again as it did at first, also with a no. So what was refused and
        is wished anew has another key; what nobody knows the end of keeps its own.
        """
        return key_of(self.key, self.refusals)


def key_of(key: str, refusals: int) -> str:
    """The key under which a wish is made that was refused so often before."""
    return key if refusals == 0 else f"{key}:{refusals + 1}"


_OPEN: Final = text("problem IS NOT NULL AND resolved_at IS NULL")


class InboxRow(SQLModel, table=True):
    """A provider's verified notice, kept once, whatever became of it."""

    __tablename__ = "inbox"
    __table_args__: ClassVar[Any] = (
        Index("ix_inbox_unresolved", "received_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    provider: str = Field(primary_key=True, max_length=16)
    id: str = Field(primary_key=True, max_length=128)
    kind: str = Field(max_length=64)
    reference: str = Field(max_length=128)
    provider_ref: str = Field(max_length=128)
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    sent_at: datetime
    received_at: datetime
    raw: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The body, where it could not be read."""
    problem: str | None = Field(default=None, max_length=32)
    """Why it moved nothing, for the operator's list; None when it was applied."""
    status: str = Field(default="", max_length=16)
    """Where the provider said that the payment or payout stood."""
    captured_minor: int = Field(default=0, sa_type=BigInteger)
    """What it said was taken: if the notice fits nothing, that may be sent back."""
    resolved_at: datetime | None = None
    """When an operator dealt with it."""
    resolution: str = Field(default="", max_length=500)
    """How, in the operator's words."""


for _table in (TransferRow, PostingRow):
    append_only(_table)
