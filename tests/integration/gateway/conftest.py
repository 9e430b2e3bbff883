"""A gateway at work: a real broker, a real database, and banks played by a plain client."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy import Connection, Engine, text
from sqlmodel import Session

from gateway import credentials, tables
from gateway.broker import RunningBroker, start_broker
from gateway.clock import now_ms
from gateway.database import open_database
from gateway.protocol import BankId
from gateway.service import Gateway
from gateway.settings import GatewaySettings

BANK = BankId("LW-0001")
STRANGER = BankId("LW-0002")
BOUND_S = 15.0


async def until(holds: Callable[[], Any], *, what: str, bound_s: float = BOUND_S) -> Any:
    """Wait until something is so; what it answered."""
    deadline = time.monotonic() + bound_s
    while time.monotonic() < deadline:
        answer = holds()
        if answer:
            return answer
        await asyncio.sleep(0.01)
    msg = f"not within {bound_s} s: {what}"
    raise AssertionError(msg)


class HandHeldBank:
    """A bank played by a client that knows nothing of ours: topics and JSON by hand."""

    def __init__(self, broker: RunningBroker, bank: BankId, secret: str) -> None:
        self.bank = bank
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.up_from_ms = now_ms() - 600_000
        self.seq = 0
        self._subscribed = False
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=bank, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.username_pw_set(bank, secret)
        self._client.on_message = lambda _c, _d, m: self.heard.append(
            (m.topic, json.loads(m.payload))
        )
        self._client.on_connect = lambda c, *_: c.subscribe(
            [(f"lw/v1/{bank}/command", 1), (f"lw/v1/{bank}/config", 1)]
        )
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self._client.connect(broker.bank_host, broker.bank_port)
        self._client.loop_start()

    async def is_connected(self) -> "HandHeldBank":
        await until(lambda: self._subscribed, what="the bank is subscribed")
        return self

    def say(self, channel: str, payload: bytes | dict[str, Any], *, retain: bool = False) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(f"lw/v1/{self.bank}/{channel}", data, qos=1, retain=retain)

    def state(self, **given: Any) -> dict[str, Any]:
        """The next state, as the contract's page shows it."""
        self.seq += 1
        said = {
            "boot": 7, "seq": self.seq, "up_ms": now_ms() - self.up_from_ms, "battery": 83,
            "lock": "locked", "lock_ms": 0, "output": "off", "output_ms": 0, "plugged": False,
            "plugged_ms": 0, "sessions": 0, "on_s": 0, "energy_mwh": 0, "last_command": None,
            "faults": [],
        }  # fmt: skip
        return said | given

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def read(connection: Connection, table: str, where: str = "1=1") -> list[dict[str, Any]]:
    """Rows of a table, as a person would look them up."""
    found = connection.execute(text(f"SELECT * FROM {table} WHERE {where}"))  # noqa: S608
    return [dict(row._mapping) for row in found]


class World:
    """Broker, database and gateway of one test."""

    def __init__(
        self,
        engine: Engine,
        broker: RunningBroker,
        settings: GatewaySettings,
        secrets: dict[BankId, str],
    ) -> None:
        self.engine = engine
        self.broker = broker
        self.secrets = secrets
        self.events_told = 0
        self.gateway = Gateway(engine, broker.gateway_url, settings, self._told)
        self.banks: list[HandHeldBank] = []

    def _told(self) -> None:
        self.events_told += 1

    async def bank(self, bank: BankId = BANK) -> HandHeldBank:
        """Connect a bank."""
        held = HandHeldBank(self.broker, bank, self.secrets[bank])
        self.banks.append(held)
        return await held.is_connected()

    def rows(self, table: str, where: str = "1=1") -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return read(connection, table, where)

    async def row(self, table: str, where: str) -> dict[str, Any]:
        found = await until(lambda: self.rows(table, where), what=f"{table}: {where}")
        return found[0]

    def command(
        self, kind: str, *, seconds: float = 30, name: str = "c1", args: str = "{}"
    ) -> None:
        """Wish for something, as the backend does."""
        with self.engine.begin() as connection:
            connection.execute(
                tables.COMMAND.insert().values(
                    id=name, bank_id=BANK, kind=kind, args=args, status="created",
                    created_at_ms=now_ms(), expires_at_ms=now_ms() + round(seconds * 1000),
                    attempts=0,
                )
            )  # fmt: skip
        self.gateway.wake_sender()


@pytest.fixture(
    params=[
        ("embedded", "sqlite"),
        ("embedded", "postgresql"),
        pytest.param(("mosquitto", "sqlite"), marks=pytest.mark.mosquitto),
    ],
    ids="-".join,
)
def kinds(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of broker and database."""
    return request.param


@pytest.fixture
def kind(kinds: tuple[str, str]) -> str:
    return kinds[0]


@pytest.fixture
def database_kind(kinds: tuple[str, str]) -> str:
    return kinds[1]


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(
        resend_after_s=0.3, settle_s=0.5, sweep_every_s=0.1, reconnect_min_s=0.05,
        reconnect_max_s=0.5, will_grace_s=0.5,
    )  # fmt: skip


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
async def world(kind: str, engine: Engine, settings: GatewaySettings) -> AsyncIterator[World]:
    with Session(engine) as session:
        secrets = {
            bank: credentials.issue(session, bank, now_ms=now_ms()) for bank in (BANK, STRANGER)
        }
        session.commit()
    async with await start_broker(kind, engine=engine) as broker:
        world = World(engine, broker, settings, secrets)
        work = asyncio.create_task(world.gateway.run())
        await until(lambda: world.gateway.is_ready or work.done(), what="the gateway is ready")
        yield world
        await asyncio.to_thread(lambda: [bank.close() for bank in world.banks])
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
