"""Dead letters, opened again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from gateway import letters
from gateway.inbox import Incoming
from gateway.ingest import Ingest, Stored
from gateway.protocol import BankId, Channel, Reason, topic
from gateway.settings import GatewaySettings
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


def keep(store, *, payload=RESULT, reason=Reason.BAD_FIELD, is_wanted=True):
    letter = Letter(
        topic=TOPIC, payload=payload, reason=reason, detail="", received_at_ms=NOW - 1000
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
        return Stored(has_news=True)


def ingest(store):
    return Ingest(store, GatewaySettings(), ThreadPoolExecutor(1), lambda: None)


def test_what_is_understood_now_is_taken_in_with_the_time_it_came_at(store):
    keep(store)
    taken = Taken()
    assert letters.replay(store, taken, now_ms=NOW, limit=10)
    assert [(each.topic, each.received_at_ms) for each in taken] == [(TOPIC, NOW - 1000)]
    assert (row(store).outcome, row(store).closed_at_ms) == ("replayed", NOW)


@pytest.mark.parametrize(
    ("payload", "reason"), [(b"no json", Reason.NOT_JSON), (RESULT, Reason.RETAINED)]
)
def test_what_is_refused_again_says_why_and_stays_open(store, payload, reason):
    keep(store, payload=payload, reason=reason)
    take_in = ingest(store).store
    assert not letters.replay(store, lambda each: take_in([each]), now_ms=NOW, limit=10)
    assert row(store).outcome.startswith(f"refused again: {reason}: ")
    assert (row(store).closed_at_ms, row(store).wanted_at_ms) == (None, None)


def test_what_is_implausible_again_stays_open(store):
    keep(store, reason=Reason.IMPLAUSIBLE)
    refused = Letter(TOPIC, RESULT, Reason.IMPLAUSIBLE, "it runs backwards", NOW - 1000)
    stored = Stored(has_news=False, letters=(refused,))
    assert not letters.replay(store, lambda _: stored, now_ms=NOW, limit=10)
    assert row(store).outcome == "refused again: implausible: it runs backwards"
    assert row(store).closed_at_ms is None


def test_a_letter_that_trips_a_defect_of_ours_is_not_opened_for_ever(store):
    keep(store)

    def trip(_incoming):
        raise KeyError

    assert not letters.replay(store, trip, now_ms=NOW, limit=10)
    assert row(store).outcome == "refused again: internal: KeyError"
    assert (row(store).closed_at_ms, row(store).wanted_at_ms) == (None, None)


def test_while_the_database_is_away_a_letter_stays_wanted(store):
    keep(store)

    def away(_incoming):
        raise OperationalError(None, None, Exception())

    with pytest.raises(OperationalError):
        letters.replay(store, away, now_ms=NOW, limit=10)
    assert row(store).wanted_at_ms == NOW


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
