"""Dead letters, opened again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, update
from sqlmodel import SQLModel

from gateway import letters
from gateway.inbox import Incoming
from gateway.protocol import BankId, Channel, Reason, topic
from gateway.store import Letter, Store
from gateway.tables import DEAD_LETTER

NOW = 1_900_000_000_000
TOPIC = topic(BankId("LW-0001"), Channel.RESULT)
RESULT = b'{"boot":7,"seq":42,"up_ms":904120,"command":"c1","status":"done"}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    engine = create_engine(f"sqlite:///{tmp_path / 'db.sqlite'}")
    SQLModel.metadata.create_all(engine)
    yield Store(engine)
    engine.dispose()


def keep(store, *, payload=RESULT, is_wanted=True):
    letter = Letter(
        topic=TOPIC, payload=payload, reason=Reason.BAD_FIELD, detail="", received_at_ms=NOW - 1000
    )
    with store.transaction() as connection:
        store.add_dead_letters(connection, [letter])
        if is_wanted:
            connection.execute(update(DEAD_LETTER).values(wanted_at_ms=NOW))


def row(store):
    with store.transaction() as connection:
        return connection.execute(select(DEAD_LETTER)).one()


class Taken(list[Incoming]):
    def __call__(self, incoming):
        self.append(incoming)
        return True


def test_what_is_understood_now_is_taken_in_with_the_time_it_came_at(store):
    keep(store)
    taken = Taken()
    assert letters.replay(store, taken, now_ms=NOW, limit=10)
    assert [(each.topic, each.received_at_ms) for each in taken] == [(TOPIC, NOW - 1000)]
    assert (row(store).outcome, row(store).closed_at_ms) == ("replayed", NOW)


def test_what_is_refused_again_says_why_and_stays_open(store):
    keep(store, payload=b"no json")
    taken = Taken()
    assert not letters.replay(store, taken, now_ms=NOW, limit=10)
    assert taken == []
    assert row(store).outcome.startswith("refused again: ")
    assert (row(store).closed_at_ms, row(store).wanted_at_ms) == (None, None)


def test_a_letter_that_nobody_wants_stays_where_it_is(store):
    keep(store, is_wanted=False)
    assert not letters.replay(store, Taken(), now_ms=NOW, limit=10)
    assert row(store).outcome is None


def test_a_letter_is_replayed_once(store):
    keep(store)
    taken = Taken()
    letters.replay(store, taken, now_ms=NOW, limit=10)
    letters.replay(store, taken, now_ms=NOW, limit=10)
    assert len(taken) == 1
