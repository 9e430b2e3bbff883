"""All SQL of the provider's memory, inside one transaction of it.

Times are UTC epoch microseconds, so that a time written and read is the same; names end in
``_us``.
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from backend.payments.provider_app.payment import Mode, Order, Payment, Status, due_at
from backend.payments.provider_app.payout import Payout, PayoutOrder, PayoutStatus

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
class NewNotice:
    """A notice as it is written: with the change that it tells of."""

    id: str
    kind: str
    subject_id: str
    """The payment, or the payout."""
    reference: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice on its way. ``body`` never changes, and neither does ``id``."""

    id: str
    subject_id: str
    reference: str
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

    def paid_payments(self, since: datetime, *, after: str, limit: int) -> list[Payment]:
        """Payments that were taken since then, by their ids, past one of them."""
        rows = self._connection.execute(
            "SELECT * FROM payment WHERE paid_us >= ? AND id > ? ORDER BY id LIMIT ?",
            (_us(since), after, limit),
        )
        return [_payment(row) for row in rows]

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
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, NULL, ?, NULL)",
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
            " capture_before_us = ?, due_us = ?, paid_us = ? WHERE id = ?",
            (
                payment.status,
                payment.captured_minor,
                payment.refunded_minor,
                _us(payment.capture_before),
                _us(due_at(payment)),
                _us(payment.paid_at),
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

    def payout(self, payout_id: str) -> Payout | None:
        """One payout."""
        return self._payout("SELECT * FROM payout WHERE id = ?", payout_id)

    def payout_with(self, reference: str) -> Payout | None:
        """The payout that bears the payee's reference."""
        return self._payout("SELECT * FROM payout WHERE reference = ?", reference)

    def newest_payouts(self, *, limit: int) -> list[Payout]:
        """The newest payouts first."""
        rows = self._connection.execute(
            "SELECT * FROM payout ORDER BY created_us DESC, rowid DESC LIMIT ?", (limit,)
        )
        return [_payout(row) for row in rows]

    def due_payouts(self, now: datetime, *, limit: int) -> list[Payout]:
        """Payouts that time has ended."""
        rows = self._connection.execute(
            "SELECT * FROM payout WHERE status = 'pending' AND due_us <= ? ORDER BY due_us LIMIT ?",
            (_us(now), limit),
        )
        return [_payout(row) for row in rows]

    def add_payout(self, payout: Payout) -> None:
        """Write a new payout."""
        order = payout.order
        self._connection.execute(
            "INSERT INTO payout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                payout.id,
                order.reference,
                order.amount_minor,
                order.currency,
                order.account,
                order.description,
                payout.status,
                payout.failure,
                _us(payout.created_at),
                _us(payout.due_at),
            ),
        )

    def save_payout(self, payout: Payout) -> None:
        """Write what can change of a payout."""
        self._connection.execute(
            "UPDATE payout SET status = ?, failure = ? WHERE id = ?",
            (payout.status, payout.failure, payout.id),
        )

    def add_notice(self, notice: NewNotice, *, now: datetime) -> None:
        """Write a notice, due at once."""
        self._connection.execute(
            "INSERT INTO notice (id, kind, subject_id, reference, body, due_us)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                notice.id,
                notice.kind,
                notice.subject_id,
                notice.reference,
                notice.body,
                _us(now),
            ),
        )

    def due_notices(self, now: datetime, *, limit: int) -> list[Notice]:
        """Notices to be sent now, longest due first."""
        rows = self._connection.execute(
            "SELECT id, subject_id, reference, body, attempts FROM notice"
            " WHERE due_us <= ? ORDER BY due_us, rowid LIMIT ?",
            (_us(now), limit),
        )
        return [Notice(**row) for row in rows]

    def postpone_notice(self, notice_id: str, *, due: datetime, is_behind: bool) -> None:
        """One more attempt is over; try again then, or behind the next about the same."""
        self._connection.execute(
            "UPDATE notice SET attempts = attempts + 1, due_us = ?, is_behind = ? WHERE id = ?",
            (_us(due), is_behind, notice_id),
        )

    def settle_notice(self, notice: Notice, outcome: Outcome, *, now: datetime) -> None:
        """Nothing more is sent of this one; what waits behind it goes."""
        self._connection.execute(
            "UPDATE notice SET attempts = attempts + 1, due_us = NULL, outcome = ? WHERE id = ?",
            (outcome, notice.id),
        )
        self._connection.execute(
            "UPDATE notice SET due_us = ?, is_behind = 0 WHERE subject_id = ? AND is_behind = 1"
            " AND due_us IS NOT NULL",
            (_us(now), notice.subject_id),
        )

    def _payout(self, statement: str, value: str) -> Payout | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        return _payout(row) if row else None

    def _payment(self, statement: str, value: str) -> Payment | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        return _payment(row) if row else None


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
        capture_before=_when_any(row["capture_before_us"]),
        paid_at=_when_any(row["paid_us"]),
    )


def _payout(row: dict[str, Any]) -> Payout:
    return Payout(
        id=row["id"],
        order=PayoutOrder(
            reference=row["reference"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            account=row["account"],
            description=row["description"],
        ),
        status=PayoutStatus(row["status"]),
        failure=row["failure"],
        created_at=_when(row["created_us"]),
        due_at=_when(row["due_us"]),
    )


def _us(when: datetime | None) -> int | None:
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _when_any(us: int | None) -> datetime | None:
    return None if us is None else _when(us)


def _when(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
