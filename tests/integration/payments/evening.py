"""An evening over the sandbox provider: the app, another company's app, and life between them.

People use the app over HTTP; the app asks the provider over HTTP; the provider's notices come
over HTTP too. One clock for both, turned by hand: with each turn all that runs by itself in
life has one round, and every notice that is due has been sent before the next.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from backend import sweeps
from backend.db.tables.money import DepositRow, OutboxRow, PaymentRow, PaymentState
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.deposit import DepositState
from backend.domain.withdrawal import WithdrawalState
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderDeclined
from backend.services.verify import verify
from tests.integration.payments.sandbox_bench import (
    Heard,
    Receiver,
    SandboxBench,
    sandbox_running,
    sandbox_settings,
)
from tests.integration.rentals.conftest import HandClock, World, at_work

TRIES = 12
"""How often somebody tries again before a test gives up on them."""
STEP = timedelta(minutes=2)
DEPOSIT_OF = {
    PaymentStatus.OPEN: {DepositState.PENDING},
    PaymentStatus.AUTHORIZED: {DepositState.HELD},
    PaymentStatus.PAID: {DepositState.CAPTURED, DepositState.SECURED},
    PaymentStatus.CANCELED: {DepositState.RELEASED, DepositState.DECLINED},
    PaymentStatus.FAILED: {DepositState.DECLINED},
    PaymentStatus.EXPIRED: {DepositState.EXPIRED, DepositState.DECLINED},
}
"""What our deposit must be when the provider's payment is so."""
WITHDRAWAL_OF = {
    PayoutStatus.PENDING: WithdrawalState.PROCESSING,
    PayoutStatus.PAID: WithdrawalState.PAID,
    PayoutStatus.FAILED: WithdrawalState.FAILED,
}
_NOT_YET = {"created", "unknown"}
_UNDER_WAY = {"created", "unknown", "open"}


@dataclass
class Evening(World):
    """A world whose provider is the sandbox."""

    sandbox: SandboxBench = field(init=False)
    merchant: str = field(init=False)

    # -- what runs by itself in life

    def goes_on(
        self,
        span: timedelta = timedelta(minutes=30),
        *,
        step: timedelta = STEP,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Let time pass in steps, until this is so or the span is over."""
        end = self.clock.now() + span
        while True:
            self._round()
            if until() or self.clock.now() >= end:
                return
            self.clock.turn(seconds=step.total_seconds())

    def _round(self) -> None:
        tools = sweeps.Tools(
            database=self.database,
            providers=self.providers,
            settings=self.client.app.state.parts.settings,
        )
        self.send()
        self.sandbox.wait_until_nothing_is_due()
        for each in sweeps.ALL:
            each.run(tools, self.clock.now())
        self.follow()
        self.sandbox.wait_until_nothing_is_due()

    # -- people, who try again

    def starting(self) -> str:
        """The deposit is held at last, and the bank was told to feed."""
        rental = self.delivered()
        self.people["renter"].did(f"/rentals/{rental}/scan", {"qr_token": self.tokens["LW-0001"]})
        for _ in range(TRIES):
            self.bank_is("LW-0001")
            self._pays(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
            if self.state(rental) == "starting":
                return rental
        raise AssertionError(self.rental(rental), self.sandbox.struck())

    def pays_bill(self, rental: str) -> None:
        """The renter pays, and tries again if that failed."""
        for _ in range(TRIES):
            if self.state(rental) != "payment_due":
                return
            self._pays(f"/rentals/{rental}/payment", None)
        assert self.state(rental) == "completed", (self.rental(rental), self.sandbox.struck())

    def _pays(self, path: str, body: dict[str, Any] | None) -> None:
        """Ask for a payment, wait for its page, agree, and wait for what comes of it."""
        answer = self.people["renter"].post(path, body)
        if not answer.is_success:  # for now: what is in doubt ends first
            self.goes_on()
            return
        payment = f"/payments/{answer.json()['id']}"
        self.goes_on(until=lambda: self._sees(payment)["state"] not in _NOT_YET)
        if self._sees(payment)["state"] != "open":
            return
        ref = self._sees(payment)["pay_url"].rpartition("/")[2]
        with suppress(ProviderDeclined):  # it ended meanwhile
            self.sandbox.provider.simulate(ref, "pay")
        self.goes_on(until=lambda: self._sees(payment)["state"] not in _UNDER_WAY)

    def _sees(self, path: str) -> dict[str, Any]:
        return dict(self.people["renter"].sees(path))

    def gets_back(self, rental: str, amount_minor: int) -> None:
        """The renter disputes a part, and the merchant gives in."""
        body = {"disputed_minor": amount_minor, "reason": "it was empty"}
        dispute = self.people["renter"].did(f"/rentals/{rental}/disputes", body)["id"]
        owner = self.people["owner"]
        owner.did(f"/merchants/{self.merchant}/disputes/{dispute}/concede")

    def withdraws(self, account: str) -> str:
        """The owner takes out all that is theirs: the withdrawal's id."""
        owner, path = self.people["owner"], f"/merchants/{self.merchant}"
        owner.did(f"{path}/payout-account", {"account": account})
        amount = owner.sees(f"{path}/settlement")["withdrawable_minor"]
        return str(owner.did(f"{path}/withdrawals", {"amount_minor": amount})["id"])

    def withdrawal(self, withdrawal: str) -> dict[str, Any]:
        """A withdrawal as its owner sees it."""
        path = f"/merchants/{self.merchant}/withdrawals/{withdrawal}"
        return dict(self.people["owner"].sees(path))

    # -- the truth

    def calms_down(self) -> None:
        """The provider behaves again, and all that waited for it gets its turn."""
        self.sandbox.calm()
        self.goes_on(timedelta(hours=8), step=timedelta(minutes=80))

    def must_be_true(self) -> None:
        """What we believe is what the provider says, the books say it too, and they balance."""
        with self.database.reading() as session:
            payments = list(session.exec(select(PaymentRow)))
            holds = {row.payment_id: row for row in session.exec(select(DepositRow))}
            withdrawals = list(session.exec(select(WithdrawalRow)))
            waiting = session.exec(
                select(OutboxRow.key).where(
                    col(OutboxRow.done_at).is_(None), col(OutboxRow.problem).is_(None)
                )
            ).all()
            assert verify(session).breaks == ()
        assert not waiting
        for payment in payments:
            self._must_agree(payment, holds.get(payment.id))
        for withdrawal in withdrawals:
            self._must_have_gone(withdrawal)
        self._nothing_else_at_provider(
            {row.id for row in payments}, {row.id for row in withdrawals}
        )
        self._money_is_where_the_books_say()

    def _must_agree(self, ours: PaymentRow, hold: DepositRow | None) -> None:
        told = self.sandbox.provider.find(ours.id)
        if told is None:
            assert ours.state is PaymentState.FAILED
            return
        assert told.ref == ours.provider_ref
        assert ours.state == PaymentState(told.status.value), (ours, told)
        if hold is not None:
            assert hold.state in DEPOSIT_OF[told.status], (hold, told)
            assert hold.captured_minor == told.captured_minor

    def _must_have_gone(self, ours: WithdrawalRow) -> None:
        told = self.sandbox.provider.find_payout(ours.id)
        if told is None:
            assert ours.state is WithdrawalState.FAILED
            return
        assert told.amount_minor == ours.amount_minor
        assert ours.state is WITHDRAWAL_OF[told.status], (ours, told)

    def _nothing_else_at_provider(self, payments: set[str], withdrawals: set[str]) -> None:
        assert set(self._told("SELECT reference FROM payment")) <= payments
        assert set(self._told("SELECT reference FROM payout")) <= withdrawals

    def _money_is_where_the_books_say(self) -> None:
        held = "SELECT sum(amount_minor) FROM payment WHERE status = 'authorized'"
        taken = "SELECT sum(captured_minor - refunded_minor) FROM payment"
        gone = "SELECT sum(amount_minor) FROM payout WHERE status = 'paid'"
        sums = {
            name: self._told(each)[0] or 0
            for name, each in {"held": held, "taken": taken, "gone": gone}.items()
        }
        assert self.balance("provider_holds") == sums["held"]
        assert self.balance("provider_cash") == sums["taken"] - sums["gone"]
        assert self.sum_of_books() == 0

    def _told(self, question: str) -> list[Any]:
        with closing(sqlite3.connect(self.sandbox.settings.database)) as rows:
            return [row[0] for row in rows.execute(question)]

    def refs(self) -> list[str]:
        """What the provider calls its payments, the oldest first."""
        return self._told("SELECT id FROM payment ORDER BY created_us, rowid")

    def struck(self) -> Counter[str]:
        """How often each fault happened."""
        return Counter(each["fault"] for each in self.sandbox.struck())


@contextmanager
def evening_over_sandbox(folder: Path, database_url: str) -> Iterator[Evening]:
    """Both apps at work, and a merchant with a bank."""
    clock = HandClock()
    with (
        closing(Receiver()) as receiver,
        sandbox_running(
            sandbox_settings(folder, receiver), clock.now, receiver, timeout_s=1
        ) as sandbox,
        at_work(
            folder,
            database_url,
            kind=Evening,
            clock=clock,
            providers={"sandbox": sandbox.provider},
        ) as world,
    ):
        assert isinstance(world, Evening)

        def pass_on(message: Heard) -> int:
            keep = {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}
            headers = {
                name: value for name, value in message.headers.items() if name.lower() in keep
            }
            answer = world.client.post(
                "/api/v1/webhooks/sandbox", content=message.body, headers=headers
            )
            return int(answer.status_code)

        receiver.passes_on = pass_on
        world.sandbox = sandbox
        world.merchant = world.market()
        yield world
