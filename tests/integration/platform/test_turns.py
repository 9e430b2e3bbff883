"""Writers of one process queue up."""

import threading

import pytest
from sqlalchemy import text

from backend.db.engine import Database
from backend.db.turns import Turns
from tests.integration.platform.conftest import PATIENCE_S, wait_for


def queue_up(turns: Turns, name: int, served: list[int]) -> threading.Thread:
    """Start a thread that takes its turn, notes it and passes it on."""

    def go() -> None:
        assert turns.take(timeout_s=PATIENCE_S)
        served.append(name)
        turns.pass_on()

    waiting = len(turns._queue)
    thread = threading.Thread(target=go)
    thread.start()
    wait_for(lambda: len(turns._queue) == waiting + 1)
    return thread


def test_turns_come_in_the_order_they_were_asked_for() -> None:
    turns, served = Turns(), list[int]()
    assert turns.take(timeout_s=0)
    threads = [queue_up(turns, name, served) for name in range(20)]

    turns.pass_on()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert served == list(range(20))
    assert turns.take(timeout_s=0)


def test_who_gives_up_waiting_is_passed_over() -> None:
    turns, served = Turns(), list[int]()
    assert turns.take(timeout_s=0)
    assert not turns.take(timeout_s=0.01)
    thread = queue_up(turns, 1, served)

    turns.pass_on()
    thread.join(PATIENCE_S)

    assert served == [1]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_turn_ends_with_its_transaction_however_that_ends(database: Database) -> None:
    for end in ("commit", "rollback", "close", "invalidate"):
        connection = database.engine.connect()
        connection.execute(text("SELECT 1"))
        getattr(connection, end)()
        with database.writing() as session:
            session.execute(text("SELECT 1"))
        connection.close()
