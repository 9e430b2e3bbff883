"""The provider's use cases of payouts: money that goes out for the payee.

As with payments, each is one transaction, and a payout is brought up to now before anyone
looks at it.
"""

from collections.abc import Callable
from dataclasses import astuple
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Final

from backend.payments.provider_app import payout as rules
from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.faults import At, Fault, Faults
from backend.payments.provider_app.ids import new_notice_id, new_payout_id
from backend.payments.provider_app.keys import View, answer_once
from backend.payments.provider_app.memory import Memory
from backend.payments.provider_app.payout import Payout, PayoutOrder
from backend.payments.provider_app.problems import Code, Refused
from backend.payments.provider_app.rows import Answer, NewNotice, Rows
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.wire import notice_body, payout_view

_DECLINED: Final = frozenset({Fault.DECLINED})
LISTED: Final = 100
"""How many payouts a list has at most."""


class PayoutDesk:
    """Where money goes out. Thread-safe; ``on_notice`` is called after each commit."""

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

    def pay_out(self, order: PayoutOrder, *, key: str) -> Answer:
        """Send money."""
        wish = ("pay_out", *astuple(order))
        answer = answer_once(self._memory, key, wish, partial(self._send, order=order))
        self._on_notice()
        return answer

    def fetch(self, payout_id: str) -> Payout:
        """A payout as it is now."""
        with self._memory.transaction() as rows:
            payout = rows.payout(payout_id)
            if payout is None:
                raise Refused(Code.NOT_FOUND, "there is no such payout")
            return self._current(rows, payout)

    def find(self, reference: str) -> Payout | None:
        """The payout that bears this reference."""
        with self._memory.transaction() as rows:
            found = rows.payout_with(reference)
            return self._current(rows, found) if found else None

    def newest(self) -> list[Payout]:
        """The newest first, at most ``LISTED``."""
        with self._memory.transaction() as rows:
            return [self._current(rows, each) for each in rows.newest_payouts(limit=LISTED)]

    def reference_of(self, payout_id: str) -> str:
        """The payee's id of a payout; empty: there is none."""
        with self._memory.transaction() as rows:
            payout = rows.payout(payout_id)
            return payout.order.reference if payout else ""

    def sweep(self, *, limit: int = 100) -> int:
        """End what is due; how many there were, at most ``limit``."""
        with self._memory.transaction() as rows:
            due = rows.due_payouts(self._clock(), limit=limit)
            for payout in due:
                self._current(rows, payout)
        return len(due)

    def _send(self, rows: Rows, *, order: PayoutOrder) -> tuple[HTTPStatus, View]:
        if rows.payout_with(order.reference) is not None:
            raise Refused(Code.REFERENCE_TAKEN, "another payout bears this reference")
        payout = rules.sent(
            order,
            payout_id=new_payout_id(),
            now=self._clock(),
            soon=timedelta(seconds=self._settings.payout_s),
            late=timedelta(seconds=self._settings.slow_payout_s),
        )
        if self._faults.strike(At.PAY_OUT, order.reference, among=_DECLINED):
            raise Refused(Code.DECLINED, "declined: the sandbox was told to")
        rows.add_payout(payout)
        return HTTPStatus.CREATED, self._view(payout)

    def _current(self, rows: Rows, before: Payout) -> Payout:
        now = self._clock()
        after = rules.payout_as_of(before, now)
        if after != before:
            kind = f"payout.{after.status}"
            notice = NewNotice(
                id=new_notice_id(),
                kind=kind,
                subject_id=after.id,
                reference=after.order.reference,
                body=notice_body(kind, self._view(after), now=now),
            )
            rows.save_payout(after)
            rows.add_notice(notice, now=now)
        return after

    def _view(self, payout: Payout) -> View:
        return payout_view(payout, public_url=self._settings.public_url)
