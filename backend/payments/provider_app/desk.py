"""The provider's use cases: each one transaction, in which all that belongs together is written.

A wish that comes with an idempotency key is answered once, and the answer is kept beside its
effect. Before anyone looks at a payment, it is brought up to now: a hold that ran out is seen
as expired even if the sweep has not come by yet.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple
from datetime import timedelta
from enum import StrEnum
from functools import partial
from http import HTTPStatus

from backend.payments.provider_app import payment as rules
from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.ids import new_notice_id, new_payment_id
from backend.payments.provider_app.memory import Answer, Memory, Rows
from backend.payments.provider_app.payment import Order, Payment, Rule
from backend.payments.provider_app.problems import HTTP_STATUS, Code, Refused, problem
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.wire import notice_body, payment_view


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
        on_notice: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._clock = clock
        self._on_notice = on_notice
        hold = timedelta(seconds=settings.hold_s)
        self._plays: dict[Played, Rule] = {
            Played.PAY: lambda payment: rules.agreed(payment, now=clock(), hold=hold),
            Played.DECLINE: rules.declined,
            Played.EXPIRE: rules.expired,
        }

    def create(self, order: Order, *, key: str) -> Answer:
        """Open a payment."""
        return self._once(key, ("create", *astuple(order)), partial(self._open, order=order))

    def capture(self, payment_id: str, amount_minor: int, *, key: str) -> Answer:
        """Take part or all of a hold."""
        rule = partial(rules.captured, amount_minor=amount_minor)
        return self._moved_once("capture", payment_id, rule, amount_minor, key=key)

    def cancel(self, payment_id: str, *, key: str) -> Answer:
        """Let a hold go, or stop asking."""
        return self._moved_once("cancel", payment_id, rules.canceled, key=key)

    def refund(self, payment_id: str, amount_minor: int, *, key: str) -> Answer:
        """Give part or all back."""
        rule = partial(rules.refunded, amount_minor=amount_minor)
        return self._moved_once("refund", payment_id, rule, amount_minor, key=key)

    def fetch(self, payment_id: str) -> Payment:
        """A payment as it is now."""
        with self._memory.transaction() as rows:
            return self._current(rows, rows.payment(payment_id))

    def find(self, reference: str) -> Payment | None:
        """The payment that bears this reference."""
        with self._memory.transaction() as rows:
            found = rows.payment_with(reference)
            return self._current(rows, found) if found else None

    def play(self, payment_id: str, action: Played) -> Payment:
        """The payer's part, or the calendar's."""
        with self._memory.transaction() as rows:
            payment = self._move(rows, payment_id, self._plays[action])
        self._on_notice()
        return payment

    def sweep(self, *, limit: int = 100) -> int:
        """End what time has ended; how many there were, at most ``limit``."""
        with self._memory.transaction() as rows:
            due = rows.due_payments(self._clock(), limit=limit)
            for payment_id in due:
                self._current(rows, rows.payment(payment_id))
        return len(due)

    def _moved_once(
        self, verb: str, payment_id: str, rule: Rule, *details: int, key: str
    ) -> Answer:
        def act(rows: Rows) -> tuple[HTTPStatus, Payment]:
            return HTTPStatus.OK, self._move(rows, payment_id, rule)

        return self._once(key, (verb, payment_id, *details), act)

    def _once(
        self,
        key: str,
        wish: tuple[object, ...],
        act: Callable[[Rows], tuple[HTTPStatus, Payment]],
    ) -> Answer:
        """Answer a wish, or say again what was answered to it. Rules refuse before they write."""
        fingerprint = hashlib.sha256(json.dumps(wish).encode()).hexdigest()
        with self._memory.transaction() as rows:
            kept = rows.answer(key)
            if kept is None:
                kept = self._answer(rows, fingerprint, act)
                rows.keep_answer(key, kept)
            elif kept.wish != fingerprint:
                raise Refused(Code.KEY_REUSED, "this key was used for another wish")
        self._on_notice()
        return kept

    def _answer(
        self,
        rows: Rows,
        fingerprint: str,
        act: Callable[[Rows], tuple[HTTPStatus, Payment]],
    ) -> Answer:
        try:
            status, payment = act(rows)
        except Refused as no:
            status = HTTP_STATUS[no.code]
            body = problem(status, no.code, no.detail)
        else:
            body = payment_view(payment, public_url=self._settings.public_url)
        return Answer(wish=fingerprint, status=status, body=json.dumps(body))

    def _open(self, rows: Rows, *, order: Order) -> tuple[HTTPStatus, Payment]:
        if rows.payment_with(order.reference) is not None:
            raise Refused(Code.REFERENCE_TAKEN, "another payment bears this reference")
        payment = rules.asked(
            order,
            payment_id=new_payment_id(),
            now=self._clock(),
            pay_within=timedelta(seconds=self._settings.pay_within_s),
        )
        rows.add_payment(payment)
        return HTTPStatus.CREATED, payment

    def _move(self, rows: Rows, payment_id: str, rule: Rule) -> Payment:
        before = self._current(rows, rows.payment(payment_id))
        return self._write(rows, before, rule(before))

    def _current(self, rows: Rows, payment: Payment | None) -> Payment:
        if payment is None:
            raise Refused(Code.NOT_FOUND, "there is no such payment")
        return self._write(rows, payment, rules.as_of(payment, self._clock()))

    def _write(self, rows: Rows, before: Payment, after: Payment) -> Payment:
        if after != before:
            now = self._clock()
            kind = rules.notice_kind(before, after)
            rows.save_payment(after)
            rows.add_notice(
                notice_id=new_notice_id(),
                kind=kind,
                payment_id=after.id,
                body=notice_body(kind, after, now=now, public_url=self._settings.public_url),
                now=now,
            )
        return after
