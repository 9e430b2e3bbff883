"""Accounts are locked in one order, so that nobody waits for who waits for them."""

import re
import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from backend.db import money
from backend.domain import ledger
from backend.domain.money import Currency, Minor
from backend.payments.port import PaymentStatus
from tests.integration.money.conftest import BILL, DEPOSIT, Till
from tests.integration.money.test_short_of_cash import withdrawn

_CODE = re.compile(rf"^({'|'.join(ledger.AccountKind)})(:\w+)?$")


class Order:
    """The accounts that each transaction locked, in the order of the first time."""

    def __init__(self) -> None:
        self.locked: list[list[str]] = []
        self._now: dict[int, list[str]] = defaultdict(list)

    def heard(self, connection: Connection, statement: str, parameters: dict[str, object]) -> None:
        is_lock = "FROM account" in statement and "FOR UPDATE" in statement
        if not is_lock and not statement.startswith("UPDATE account"):
            return
        codes = [each for each in parameters.values() if _CODE.match(str(each))]
        mine = self._now[id(connection)]
        mine += [str(code) for code in codes if code not in mine]

    def ended(self, connection: Connection) -> None:
        self.locked.append(self._now.pop(id(connection), []))


@pytest.fixture
def database_kind() -> str:
    """Only there are accounts locked one by one."""
    return "postgresql"


@pytest.fixture
def order(till: Till) -> Iterator[Order]:
    """Watched until the end of the test, where it must have been one."""
    order, engine = Order(), till.world.database.engine

    def heard(
        connection: Connection, _cursor: object, statement: str, parameters: object, *_: object
    ) -> None:
        if isinstance(parameters, dict):
            order.heard(connection, statement, parameters)

    event.listen(engine, "before_cursor_execute", heard)
    event.listen(engine, "commit", order.ended)
    event.listen(engine, "rollback", order.ended)
    yield order
    assert max(map(len, order.locked)) > 1
    assert [codes for codes in order.locked if codes != sorted(codes)] == []


@pytest.mark.usefixtures("order")
def test_when_a_bill_is_put_right_after_its_merchant_had_it(till: Till) -> None:
    rental = withdrawn(till)
    till.credit(rental, BILL)
    till.world.send()


@pytest.mark.usefixtures("order")
def test_when_half_a_bill_is_paid_and_more_than_the_rest_taken_back(till: Till) -> None:
    rental = till.unpaid()
    till.dispute(rental, 500)
    till.all_runs()
    till.credit(rental, 600)
    till.all_runs()


@pytest.mark.usefixtures("order")
def test_when_what_was_laid_out_is_repaid_as_a_rental_is_settled(till: Till) -> None:
    laid_out = ledger.bill_credited(
        credit_id="earlier",
        renter=till.id_of("renter"),
        merchant=till.merchant,
        currency=Currency.CNY,
        split=ledger.Split(merchant_minor=Minor(270), platform_minor=Minor(30)),
        debt_minor=Minor(270),
    )
    with till.world.database.writing() as session:
        money.write(session, laid_out, rental_id=None, now=till.world.clock.now())
    till.paid()
    till.world.clock.turn(days=7)
    assert till.settle() == 1
    assert till.mine("merchant_debt") == 0


@pytest.mark.usefixtures("order")
def test_when_a_hold_is_taken_of_which_nobody_heard(till: Till) -> None:
    _, ref = till.world.deposit_asked()
    till.hears(till.world.provider.change(ref, status=PaymentStatus.PAID, captured_minor=DEPOSIT))
    till.all_runs()


def test_who_loses_a_deadlock_is_tried_again(till: Till) -> None:
    database, tries = till.world.database, []
    first, second = ledger.merchant_pending("A"), ledger.merchant_pending("B")
    for name, merchant in (("L1", "A"), ("L2", "B")):
        billed = ledger.rental_billed(
            rental_id=name,
            renter="R",
            merchant=merchant,
            currency=Currency.CNY,
            split=ledger.Split(merchant_minor=Minor(1), platform_minor=Minor(1)),
        )
        with database.writing() as session:
            money.write(session, billed, rental_id=None, now=till.world.clock.now())
    both_hold_one = threading.Barrier(2, timeout=10)

    def cross(one: ledger.AccountCode, other: ledger.AccountCode) -> None:
        def work(session: Session) -> None:
            tries.append(one)
            money.lock(session, [one], "CNY")
            if len(tries) <= 2:
                both_hold_one.wait()
            money.lock(session, [other], "CNY")

        database.carry_out(work)

    threads = [
        threading.Thread(target=cross, args=pair) for pair in ((first, second), (second, first))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(set(tries)) == [first, second]
    assert len(tries) == 3


def test_who_finds_the_database_away_is_not(till: Till) -> None:
    tries = []

    def away(_session: Session) -> None:
        tries.append(1)
        statement = "SELECT 1"
        raise OperationalError(statement, None, OSError("nobody there"))

    with pytest.raises(OperationalError):
        till.world.database.carry_out(away)
    assert tries == [1]
