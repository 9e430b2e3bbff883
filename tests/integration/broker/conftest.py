"""A running broker with three banks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlmodel import Session, SQLModel

from gateway import credentials
from gateway.broker import start_broker
from gateway.clock import now_ms
from gateway.protocol import BankId
from gateway.tables import BankCredential
from tests.integration.broker.clients import BANKS, World


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'db.sqlite'}")
    SQLModel.metadata.create_all(engine, tables=[BankCredential.__table__])
    yield engine
    engine.dispose()


@pytest.fixture
def secrets(engine: Engine) -> dict[BankId, str]:
    with Session(engine) as session:
        issued = {bank: credentials.issue(session, bank, now_ms=now_ms()) for bank in BANKS}
        session.commit()
    return issued


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def world(kind: str, engine: Engine, secrets: dict[BankId, str]) -> AsyncIterator[World]:
    async with await start_broker(kind, engine=engine) as broker:
        world = World(broker, engine, secrets)
        yield world
        await asyncio.to_thread(lambda: [client.close() for client in world.clients])
