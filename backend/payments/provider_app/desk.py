"""The provider's use cases: each one transaction, in which all that belongs together is written.

Before anyone looks at a payment, it is brought up to now: a hold that ran out is seen as
expired even if the sweep has not come by yet.
"""

from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Final

from backend.payments.provider_app import payment as rules
from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.faults import At, Fault, Faults
from backend.payments.provider_app.ids import new_notice_id, new_payment_id
from backend.payments.provider_app.keys import View, answer_once
from backend.payments.provider_app.memory import Memory
from backend.payments.provider_app.payment import Mode, Order, Payment, Rule, Status
from backend.payments.provider_app.problems import Code, Refused
from backend.payments.provider_app.rows import Answer, NewNotice, Rows
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.wire import notice_body, payment_view

_DECLINED: Final = frozenset({Fault.DECLINED})
_EXPIRED: Final = frozenset({Fault.HOLD_EXPIRED})
LISTED: Final = 100
"""How many payments a page of a list has at most."""


class Played(StrEnum):
    """What the payer does on the page, or the calendar does by itself."""

    PAY = "pay"
    DECLINE = "decline"
    EXPIRE = "expire"


class Desk:
    """Where wishes are granted. Thread-safe; ``on_notice`` is called after each commit."""

    def __init__(
        self,
        *,
        memory: Memory,
        settings: ProviderSettings,
        clock: Clock,
        faults: Faults,
        on_notice: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._clock = clock
        self._faults = faults
        self._on_notice = on_notice

    def create(self, order: Order, *, key: str) -> Answer:
        """Open a payment."""
        wish = ("create", *astuple(order))
        return answer_once(self._memory, key, wish, partial(self._open, order=order))

    def capture(self, payment_id: str, amount_minor: int, *, key: str) -> Answer:
        """Take part or all of a hold."""
        rule = partial(rules.captured, amount_minor=amount_minor, now=self._clock())
        return self._moved_once(At.CAPTURE, payment_id, rule, amount_minor, key=key)

    def cancel(self, payment_id: str, *, key: str) -> Answer:
        """Let a hold go, or stop asking."""
        return self._moved_once(At.CANCEL, payment_id, rules.canceled, key=key)

    def refund(self, payment_id: str, amount_minor: int, *, key: str) -> Answer:
        """Give part or all back."""
        rule = partial(rules.refunded, amount_minor=amount_minor)
        return self._moved_once(At.REFUND, payment_id, rule, amount_minor, key=key)

    def fetch(self, payment_id: str) -> Payment:
        """A payment as it is now."""
        with self._memory.transaction() as rows:
            return self._met(rows, rows.payment(payment_id), At.FETCH)

    def find(self, reference: str) -> Payment | None:
        """The payment that bears this reference."""
        with self._memory.transaction() as rows:
            found = rows.payment_with(reference)
            return self._met(rows, found, At.FIND) if found else None

    def paid_since(self, since: datetime, *, after: str) -> tuple[list[Payment], bool]:
        """A page of what was taken since then, by id; whether there is more."""
        with self._memory.transaction() as rows:
            found = rows.paid_payments(since, after=after, limit=LISTED + 1)
        return found[:LISTED], len(found) > LISTED

    def shown(self, payment_id: str) -> Payment:
        """A payment as its page shows it: no fault strikes who only looks."""
        with self._memory.transaction() as rows:
            return self._current(rows, rows.payment(payment_id))

    def reference_of(self, payment_id: str) -> str:
        """The payee's id of a payment; empty: there is none."""
        with self._memory.transaction() as rows:
            payment = rows.payment(payment_id)
            return payment.order.reference if payment else ""

    def play(self, payment_id: str, action: Played) -> Payment:
        """The payer's part, or the calendar's."""
        with self._memory.transaction() as rows:
            before = self._current(rows, rows.payment(payment_id))
            payment = self._write(rows, before, self._played(before, action))
        self._on_notice()
        return payment

    def sweep(self, *, limit: int = 100) -> int:
        """End what time has ended; how many there were, at most ``limit``."""
        with self._memory.transaction() as rows:
            due = rows.due_payments(self._clock(), limit=limit)
            for payment_id in due:
                self._current(rows, rows.payment(payment_id))
        return len(due)

    def _moved_once(self, at: At, payment_id: str, rule: Rule, *details: int, key: str) -> Answer:
        def act(rows: Rows) -> tuple[HTTPStatus, View]:
            before = self._met(rows, rows.payment(payment_id), at)
            after = rule(before)
            if at is At.REFUND:
                self._may_decline(at, before.order.reference)
            return HTTPStatus.OK, self._view(self._write(rows, before, after))

        answer = answer_once(self._memory, key, (at.value, payment_id, *details), act)
        self._on_notice()
        return answer

    def _open(self, rows: Rows, *, order: Order) -> tuple[HTTPStatus, View]:
        if rows.payment_with(order.reference) is not None:
            raise Refused(Code.REFERENCE_TAKEN, "another payment bears this reference")
        self._may_decline(At.CREATE, order.reference)
        payment = rules.asked(
            order,
            payment_id=new_payment_id(),
            now=self._clock(),
            pay_within=timedelta(seconds=self._settings.pay_within_s),
        )
        rows.add_payment(payment)
        return HTTPStatus.CREATED, self._view(payment)

    def _played(self, payment: Payment, action: Played) -> Payment:
        if action is Played.DECLINE:
            return rules.declined(payment)
        if action is Played.EXPIRE:
            return rules.expired(payment)
        hold = timedelta(seconds=self._settings.hold_s)
        agreed = rules.agreed(payment, now=self._clock(), hold=hold)
        could = {Fault.DECLINED_ON_PAGE}
        if payment.order.mode is Mode.MANUAL:
            could.add(Fault.SHORT_HOLD)
        struck = self._faults.strike(At.PAGE, payment.order.reference, among=frozenset(could))
        if struck is None:
            return agreed
        if struck.fault is Fault.DECLINED_ON_PAGE:
            return rules.declined(payment)
        return rules.agreed(payment, now=self._clock(), hold=timedelta(seconds=struck.for_s))

    def _may_decline(self, at: At, reference: str) -> None:
        if self._faults.strike(at, reference, among=_DECLINED):
            raise Refused(Code.DECLINED, "declined: the sandbox was told to")

    def _met(self, rows: Rows, payment: Payment | None, at: At) -> Payment:
        """The payment as who asks for it meets it: its hold may be gone before its time."""
        current = self._current(rows, payment)
        is_hold = current.status is Status.AUTHORIZED
        if is_hold and self._faults.strike(at, current.order.reference, among=_EXPIRED):
            return self._write(rows, current, rules.expired(current))
        return current

    def _current(self, rows: Rows, payment: Payment | None) -> Payment:
        if payment is None:
            raise Refused(Code.NOT_FOUND, "there is no such payment")
        return self._write(rows, payment, rules.as_of(payment, self._clock()))

    def _write(self, rows: Rows, before: Payment, after: Payment) -> Payment:
        if after != before:
            now = self._clock()
            kind = rules.notice_kind(before, after)
            notice = NewNotice(
                id=new_notice_id(),
                kind=kind,
                subject_id=after.id,
                reference=after.order.reference,
                body=notice_body(kind, self._view(after), now=now),
            )
            rows.save_payment(after)
            rows.add_notice(notice, now=now)
        return after

    def _view(self, payment: Payment) -> View:
        return payment_view(payment, public_url=self._settings.public_url)
