"""Whatever comes, in whatever order and however often: the provider's truth, and balanced books.

One world is brought to where a bill is asked for and its hold stands. Hypothesis then takes copies
of its database through acts of the renter, of clocks, of a provider that loses answers, and through
old and new notices; at the end the provider is well again and everything that runs by itself runs.
"""

import copy
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from backend import sweeps
from backend.db import disputes as open_ones
from backend.db import money, rentals
from backend.db.engine import Database, make_engine
from backend.domain.credit import CreditKind
from backend.domain.errors import Refusal
from backend.domain.money import Minor
from backend.payments.port import PaymentStatus, ProviderNotice, ProviderPayment
from backend.principal import Principal, Scope
from backend.services import credits as crediting
from backend.services import disputes, payments
from tests.integration.money.conftest import Till

ACTS = (
    "renter pays",
    "renter fails",
    "renter begins anew",
    "hold expires",
    "hour",
    "day",
    "send",
    "send unheard",
    "credit",
    "dispute",
    "decide",
    "look",
)


@dataclass
class Copy:
    """A copy of the world, with hands of its own."""

    till: Till
    rental: str
    renter: Principal
    database: Database
    told: list[ProviderPayment] = field(default_factory=list)
    notices: int = 0

    @property
    def world(self) -> Any:
        return self.till.world

    def does(self, act: str) -> None:
        """One act; a rule that says no is as good."""
        try:
            self._do(act)
        except Refusal:
            return
        self.remember()

    def _do(self, act: str) -> None:
        provider, now = self.world.provider, self.world.clock.now()
        waiting = [ref for ref, each in provider.payments.items() if each.status == "open"]
        match act:
            case "renter pays" if waiting:
                provider.agree(waiting[-1])
            case "renter fails" if waiting:
                provider.change(waiting[-1], status=PaymentStatus.FAILED)
            case "hold expires" if provider.payments["fake-1"].status == "authorized":
                provider.change("fake-1", status=PaymentStatus.EXPIRED)
            case "hour":
                self.world.clock.turn(hours=1)
            case "day":
                self.world.clock.turn(days=1)
            case "send" | "send unheard":
                provider.loses_answers = act == "send unheard"
                self.world.send()
                provider.loses_answers = False
            case "look":
                self.till.deadlines()
                self.till.secure()
                self.till.spend()
            case _:
                self._write(act, now)

    def _write(self, act: str, now: Any) -> None:
        with self.database.writing() as session:
            rental = rentals.rental(session, self.rental)
            match act:
                case "renter begins anew":
                    payments.start_bill(
                        session, who=self.renter, rental_id=rental.id, provider="fake", now=now
                    )
                case "credit":
                    crediting.credit(
                        session,
                        rental,
                        amount_minor=Minor(123),
                        kind=CreditKind.CORRECTION,
                        why="a mistake",
                        by_id=None,
                        evidence="",
                        now=now,
                    )
                case "dispute":
                    disputes.begin(
                        session,
                        who=self.renter,
                        rental_id=rental.id,
                        disputed_minor=Minor(400),
                        reason="it was empty",
                        now=now,
                    )
                case "decide":
                    found = open_ones.open_one(session, rental.id)
                    if found is not None:
                        disputes.decide(
                            session,
                            who=self.till.operator,
                            dispute_id=found.id,
                            granted_minor=Minor(150),
                            reason="half and half",
                            now=now,
                        )

    def remember(self) -> None:
        for payment in self.world.provider.payments.values():
            if payment not in self.told:
                self.told.append(payment)

    def hears(self, number: int) -> None:
        """A notice of how some payment stood at some time."""
        self.notices += 1
        payment = self.told[number % len(self.told)]
        notice = ProviderNotice(
            id=f"any-{self.notices}", kind="payment", payment=payment, at=self.world.clock.now()
        )
        with self.database.writing() as session:
            payments.take_notice(session, notice, provider="fake", now=self.world.clock.now())

    def comes_to_rest(self) -> None:
        """The provider is well, tells all once more, and everything runs until nothing moves."""
        self._write("decide", self.world.clock.now())
        for _ in range(6):
            self.world.clock.turn(hours=13)
            self.world.ask_in_doubt()
            self.till.all_runs()
        self.remember()
        for number in range(len(self.told)):
            self.hears(number)
        self.till.all_runs()


@dataclass
class Start:
    """Where every run begins: a world as it was, and a database that is put back to it."""

    till: Till
    rental: str
    database: Database

    def again(self) -> Copy:
        """All as it was."""
        source = sqlite3.connect(str(self.till.world.database.engine.url.database))
        target = sqlite3.connect(str(self.database.engine.url.database))
        with closing(source), closing(target):
            source.backup(target)
        world = copy.copy(self.till.world)
        world.database, world.clock = self.database, copy.copy(self.till.world.clock)
        world.provider = copy.deepcopy(self.till.world.provider)
        world.providers = {"fake": world.provider}
        renter = Principal(
            person_id=self.till.id_of("renter"),
            sign_in_id="",
            scopes=frozenset({Scope.RENTER}),
            expires_at=world.clock.now(),
        )
        till = replace(self.till, world=world)
        here = Copy(till=till, rental=self.rental, renter=renter, database=self.database)
        here.remember()
        return here


@pytest.fixture
def start(till: Till, tmp_path: Path) -> Iterator[Start]:
    rental, _ref = till.world.bill_asked()
    for who in ("renter", "operator"):
        till.id_of(who)
    engine = make_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    yield Start(till=till, rental=rental, database=Database(engine))
    engine.dispose()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=st.lists(st.sampled_from(ACTS) | st.integers(0, 40), min_size=1, max_size=25))
def test_any_order_ends_in_the_providers_truth(start: Start, acts: list[str | int]) -> None:
    here = start.again()
    for act in acts:
        if isinstance(act, int):
            here.hears(act)
        else:
            here.does(act)
    here.comes_to_rest()
    _check(here)


def _check(here: Copy) -> None:
    till, world = here.till, here.world
    till.agrees_with_provider()
    till.balances()
    assert till.mine("refund_due") == 0
    row = till.row(here.rental)
    assert world.balance("provider_cash") == row.paid_minor
    with here.database.reading() as session:
        for payment in money.payments(session, row.id):
            told = world.provider.find(payment.id)
            assert told is None or payment.state == told.status
    if row.state == "completed":
        assert till.owed(row.id) == 0
        assert till.mine("deposit") == 0
    else:
        assert row.state == "payment_due"
        assert till.deposit(row.id)[0] in {"expired", "captured"}
    assert sweeps.spend_deposits(here.database, now=world.clock.now()) == 0
