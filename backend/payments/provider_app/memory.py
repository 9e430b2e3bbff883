"""The provider's memory: one SQLite file, and all of its SQL.

One connection, one lock, short transactions that begin by taking the write lock. A commit
is on the disk before anyone is answered. Times are UTC epoch microseconds, so that a time
written and read is the same; names end in ``_us``.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from backend.payments.provider_app.payment import Mode, Order, Payment, Status, due_at

_VERSION: Final = 1
_BUSY_TIMEOUT_S: Final = 5.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA: Final = """
CREATE TABLE payment (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    mode TEXT NOT NULL,
    description TEXT NOT NULL,
    return_url TEXT NOT NULL,
    status TEXT NOT NULL,
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    pay_before_us INTEGER NOT NULL,
    capture_before_us INTEGER,
    due_us INTEGER,
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor),
    CHECK (captured_minor <= amount_minor),
    CHECK (captured_minor = 0 OR status = 'paid')
) STRICT;
CREATE INDEX payment_due ON payment (due_us) WHERE due_us IS NOT NULL;

CREATE TABLE answer (
    key TEXT PRIMARY KEY,
    wish TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payment_id TEXT NOT NULL REFERENCES payment (id),
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_us INTEGER,
    outcome TEXT,
    CHECK ((due_us IS NULL) = (outcome IS NOT NULL))
) STRICT;
CREATE INDEX notice_due ON notice (due_us) WHERE due_us IS NOT NULL;
"""


class MemoryUnusableError(Exception):
    """The file cannot be opened, or is another program's."""


class Outcome(StrEnum):
    """How sending a notice ended."""

    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"
    """On purpose: the sandbox was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered to a wish, kept so that a repeat gets the same."""

    wish: str
    status: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice on its way. ``body`` never changes, and neither does ``id``."""

    id: str
    body: str
    attempts: int


class Rows:
    """The statements, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def payment(self, payment_id: str) -> Payment | None:
        """One payment."""
        return self._payment("SELECT * FROM payment WHERE id = ?", payment_id)

    def payment_with(self, reference: str) -> Payment | None:
        """The payment that bears the payee's reference."""
        return self._payment("SELECT * FROM payment WHERE reference = ?", reference)

    def due_payments(self, now: datetime, *, limit: int) -> list[str]:
        """The ids of payments that time has ended."""
        rows = self._connection.execute(
            "SELECT id FROM payment WHERE due_us <= ? ORDER BY due_us LIMIT ?", (_us(now), limit)
        )
        return [row["id"] for row in rows]

    def add_payment(self, payment: Payment) -> None:
        """Write a new payment."""
        order = payment.order
        self._connection.execute(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, NULL, ?)",
            (
                payment.id,
                order.reference,
                order.amount_minor,
                order.currency,
                order.mode,
                order.description,
                order.return_url,
                payment.status,
                _us(payment.created_at),
                _us(payment.pay_before),
                _us(due_at(payment)),
            ),
        )

    def save_payment(self, payment: Payment) -> None:
        """Write what can change of a payment."""
        self._connection.execute(
            "UPDATE payment SET status = ?, captured_minor = ?, refunded_minor = ?,"
            " capture_before_us = ?, due_us = ? WHERE id = ?",
            (
                payment.status,
                payment.captured_minor,
                payment.refunded_minor,
                _us(payment.capture_before),
                _us(due_at(payment)),
                payment.id,
            ),
        )

    def answer(self, key: str) -> Answer | None:
        """What was answered under this idempotency key."""
        row = self._connection.execute(
            "SELECT wish, status, body FROM answer WHERE key = ?", (key,)
        ).fetchone()
        return Answer(**row) if row else None

    def keep_answer(self, key: str, answer: Answer) -> None:
        """Remember an answer, for good: a sandbox is small, and a late repeat is a repeat."""
        self._connection.execute(
            "INSERT INTO answer VALUES (?, ?, ?, ?)",
            (key, answer.wish, answer.status, answer.body),
        )

    def add_notice(
        self, *, notice_id: str, kind: str, payment_id: str, body: str, now: datetime
    ) -> None:
        """Write a notice, due at once."""
        self._connection.execute(
            "INSERT INTO notice (id, kind, payment_id, body, due_us) VALUES (?, ?, ?, ?, ?)",
            (notice_id, kind, payment_id, body, _us(now)),
        )

    def due_notices(self, now: datetime, *, limit: int) -> list[Notice]:
        """Notices to be sent now, longest due first."""
        rows = self._connection.execute(
            "SELECT id, body, attempts FROM notice WHERE due_us <= ? ORDER BY due_us LIMIT ?",
            (_us(now), limit),
        )
        return [Notice(**row) for row in rows]

    def postpone_notice(self, notice_id: str, *, due: datetime) -> None:
        """One more attempt has failed; try again then."""
        self._connection.execute(
            "UPDATE notice SET attempts = attempts + 1, due_us = ? WHERE id = ?",
            (_us(due), notice_id),
        )

    def settle_notice(self, notice_id: str, outcome: Outcome) -> None:
        """Nothing more is sent of this one."""
        self._connection.execute(
            "UPDATE notice SET attempts = attempts + 1, due_us = NULL, outcome = ? WHERE id = ?",
            (outcome, notice_id),
        )

    def _payment(self, statement: str, value: str) -> Payment | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        return _payment(row) if row else None


class Memory:
    """The file. Thread-safe: transactions wait for each other."""

    def __init__(self, path: Path) -> None:
        """Open the file; make it if it is not there.

        Raises:
            MemoryUnusableError: the file cannot be used; the message says why.
        """
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise MemoryUnusableError(_sentence(path, error)) from error
        self._connection.row_factory = _as_dict
        self._lock = threading.Lock()
        try:
            self._prepare()
        except (sqlite3.Error, MemoryUnusableError) as error:
            self._connection.close()
            raise MemoryUnusableError(_sentence(path, error)) from error

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """All or nothing, on the disk when it is left."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        version = self._connection.execute("PRAGMA user_version").fetchone()["user_version"]
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        elif version != _VERSION:
            message = f"it is of version {version}, this program writes {_VERSION}"
            raise MemoryUnusableError(message)


def _sentence(path: Path, error: Exception) -> str:
    return f"the sandbox provider cannot use {path}: {error}; give it another file"


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _payment(row: dict[str, Any]) -> Payment:
    return Payment(
        id=row["id"],
        order=Order(
            reference=row["reference"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            mode=Mode(row["mode"]),
            description=row["description"],
            return_url=row["return_url"],
        ),
        status=Status(row["status"]),
        captured_minor=row["captured_minor"],
        refunded_minor=row["refunded_minor"],
        created_at=_when(row["created_us"]),
        pay_before=_when(row["pay_before_us"]),
        capture_before=(
            None if row["capture_before_us"] is None else _when(row["capture_before_us"])
        ),
    )


def _us(when: datetime | None) -> int | None:
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _when(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
