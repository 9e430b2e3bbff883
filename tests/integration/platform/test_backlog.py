"""What waits and what is stuck is among the figures; so is what the gateway counts."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine

from backend.api.figures import Backlog
from backend.db.engine import Database
from backend.up import Options, running
from gateway.clock import now_ms
from gateway.inbox import Incoming
from gateway.tables import DeadLetter
from tests.integration.rentals.conftest import HandClock, World, at_work

Figures = dict[tuple[str, str], float]
"""By name and its one label."""


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Any:
    with at_work(tmp_path, database_url) as world:
        yield world


def parsed(text: str) -> Figures:
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures(world: World) -> Figures:
    return parsed(world.client.get("/metrics").text)


def test_what_waits_is_counted(world: World) -> None:
    world.market()
    world.delivered()
    renter = world.people["renter"]
    [rental] = renter.sees("/rentals")["items"]
    renter.did(f"/rentals/{rental['id']}/scan", {"qr_token": world.tokens["LW-0001"]})
    renter.did(f"/rentals/{rental['id']}/deposit", {"accepted_disclosure": True})
    assert figures(world)["lendwatt_waiting", "outbox"] == 1
    world.send()
    assert figures(world)["lendwatt_waiting", "outbox"] == 1, "good for some seconds"
    world.clock.turn(seconds=11)
    told = figures(world)
    assert {told["lendwatt_waiting", what] for what in ("events", "outbox", "webhooks")} == {0}


def test_what_is_stuck_is_counted_by_kind(world: World) -> None:
    with world.database.writing() as session:
        for letter in "ab":
            session.add(
                DeadLetter(
                    id=letter, topic="t", payload=b"", reason="x", detail="", received_at_ms=1
                )
            )
    told = figures(world)
    assert told["lendwatt_stuck", "dead_letter"] == 2
    assert told["lendwatt_stuck", "zombie"] == 0


def test_while_the_database_is_away_there_are_no_figures_of_it(tmp_path: Path) -> None:
    away = create_engine(f"sqlite:///{tmp_path / 'not' / 'there.db'}")
    assert list(Backlog(Database(away), HandClock()).collect()) == []
    away.dispose()


def test_lendwatt_up_tells_what_its_gateway_counts(tmp_path: Path) -> None:
    asyncio.run(_count_a_bad_word(tmp_path))


async def _count_a_bad_word(folder: Path) -> None:
    options = Options(
        data_dir=folder, demo=True, broker="embedded", port=0, provider_port=0, bank_port=0
    )
    async with running(options) as platform, httpx.AsyncClient() as client:
        word = Incoming("lw/v1/LW-0001/state", b"{", now_ms(), retained=False, mid=0)
        await asyncio.to_thread(platform.gateway.ingest.store, [word])
        told = parsed((await client.get(f"{platform.url}/metrics")).text)
    assert told["lendwatt_gateway_ready", ""] == 1
    assert sum(n for (name, _), n in told.items() if name == "lendwatt_gateway_dead_letters_total")
    assert told["lendwatt_stuck", "dead_letter"] == 1
    assert ("lendwatt_waiting", "events") in told
