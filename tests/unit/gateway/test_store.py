"""What the store answers and keeps, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from gateway import tables
from gateway.database import open_database
from gateway.inbox import Incoming
from gateway.ingest import Ingest
from gateway.settings import GatewaySettings
from gateway.store import Store


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def test_commands_in_doubt_for_ever_do_not_crowd_out_the_new_ones(engine: Engine) -> None:
    with engine.begin() as connection:
        for at_ms, status in enumerate(["unknown", "unknown", "unknown", "created"]):
            connection.execute(
                tables.COMMAND.insert().values(
                    id=f"c{at_ms}", bank_id=f"LW-000{at_ms}", kind="charge_start", args="{}",
                    status=status, created_at_ms=at_ms, expires_at_ms=at_ms, attempts=1,
                )
            )  # fmt: skip
        open_now = Store(engine).open_commands(connection, limit=2)
    assert [command.wish.id for command in open_now] == ["c3", "c0"]


def test_a_letters_topic_fits_every_database(engine: Engine) -> None:
    ingest = Ingest(Store(engine), GatewaySettings(), executor=None, on_news=lambda: None)  # type: ignore[arg-type]
    ingest.store([Incoming("lw/v1/\0/state", b"{}", 1, retained=False, mid=1)])
    with engine.connect() as connection:
        topics = connection.execute(select(tables.DEAD_LETTER.c.topic)).scalars().all()
    assert topics == ["lw/v1/\N{REPLACEMENT CHARACTER}/state"]
