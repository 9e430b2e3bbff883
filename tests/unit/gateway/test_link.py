"""The link against a broker of bytes, that does what no well-behaved broker does on demand."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway import link as link_module
from gateway.broker_url import BrokerUrl
from gateway.link import Link, MqttBatch
from gateway.settings import GatewaySettings

BOUND_S = 5.0
CONNECT, PUBLISH, PUBACK, SUBSCRIBE, DISCONNECT = 0x10, 0x30, 0x40, 0x80, 0xE0
WELCOME = bytes([0x20, 2, 0, 0])
UNAVAILABLE = bytes([0x20, 2, 0, 3])


def publish(mid: int, payload: bytes = b"{}") -> bytes:
    """A QoS 1 PUBLISH, as a broker sends it."""
    topic = b"lw/v1/LW-0001/state"
    body = len(topic).to_bytes(2) + topic + mid.to_bytes(2) + payload
    return bytes([PUBLISH | 2, len(body)]) + body


def puback(mid: int) -> bytes:
    return bytes([PUBACK, 2]) + mid.to_bytes(2)


class ByteBroker:
    """Answers CONNECT and SUBSCRIBE; everything else is the test's to send."""

    def __init__(self) -> None:
        self.heard: list[list[tuple[int, bytes]]] = []
        """The packets of each connection."""
        self.answers: list[bytes] = []
        """To the coming CONNECTs; welcome when there is none."""
        self.closes_at_once = False
        self.writer: asyncio.StreamWriter
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets: list[tuple[int, bytes]] = []
        self.heard.append(packets)
        self.writer = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                packets.append((kind & 0xF0, body))
                if kind & 0xF0 == CONNECT:
                    writer.write(self.answers.pop(0) if self.answers else WELCOME)
                    if self.closes_at_once:
                        break
                elif kind & 0xF0 == SUBSCRIBE:
                    writer.write(bytes([0x90, 6]) + body[:2] + bytes([1, 1, 1, 0]))
        writer.close()

    def kinds(self, connection: int = -1) -> list[int]:
        return [kind for kind, _ in self.heard[connection]]


async def until(holds: Callable[[], Any], bound_s: float = BOUND_S) -> None:
    async with asyncio.timeout(bound_s):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(reconnect_min_s=0.01, reconnect_max_s=0.05)


@pytest.fixture
async def broker() -> AsyncIterator[ByteBroker]:
    broker = ByteBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    yield broker
    server.close()


@pytest.fixture
async def link(broker: ByteBroker, settings: GatewaySettings) -> AsyncIterator[Link]:
    """A link that is trying to connect."""
    link = Link(BrokerUrl(host="127.0.0.1", port=broker.port), settings)
    work = asyncio.create_task(link.run())
    yield link
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def next_batch(link: Link) -> MqttBatch:
    async with asyncio.timeout(BOUND_S):
        return await anext(aiter(link.batches()))


async def test_no_message_is_swallowed_while_commands_wait_for_their_acknowledgement(
    link: Link, broker: ByteBroker
) -> None:
    await until(link.is_ready.is_set)
    for _ in range(5):
        link.publish("lw/v1/LW-0001/command", b"{}", qos=1, retain=False)
    await until(lambda: broker.kinds().count(PUBLISH) == 5)
    mid = int.from_bytes(broker.heard[0][-1][1][23:25])
    broker.writer.write(puback(mid) + publish(1) + publish(2) + publish(3)[:9])
    await until(lambda: link.received >= 2)
    broker.writer.write(publish(3)[9:])
    await until(lambda: link.received >= 3)
    assert [message.mid for message in (await next_batch(link)).messages] == [1, 2, 3]


async def test_a_refused_connection_does_not_make_the_next_one_deaf(
    broker: ByteBroker, settings: GatewaySettings
) -> None:
    broker.answers = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
    link = Link(BrokerUrl(host="127.0.0.1", port=broker.port), settings)
    work = asyncio.create_task(link.run())
    await until(link.is_ready.is_set)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert len(broker.heard) == 4


async def test_it_says_goodbye(broker: ByteBroker, settings: GatewaySettings) -> None:
    link = Link(BrokerUrl(host="127.0.0.1", port=broker.port), settings)
    work = asyncio.create_task(link.run())
    await until(link.is_ready.is_set)
    work.cancel()
    await until(lambda: DISCONNECT in broker.kinds(0))


async def test_an_earlier_connections_messages_are_not_acknowledged_while_the_next_is_made(
    link: Link, broker: ByteBroker
) -> None:
    await until(link.is_ready.is_set)
    broker.writer.write(publish(1))
    batch = await next_batch(link)
    client: Any = link._client
    connect, is_made, may_go_on = client.connect, threading.Event(), threading.Event()

    def slowly(*args: Any) -> None:
        connect(*args)
        is_made.set()
        may_go_on.wait(BOUND_S)

    client.connect = slowly
    broker.writer.close()
    await until(is_made.is_set)
    batch.ack()
    may_go_on.set()
    await until(lambda: len(broker.heard) == 2 and SUBSCRIBE in broker.kinds())
    assert PUBACK not in broker.kinds()


async def test_an_acknowledgement_finds_room_where_a_command_does_not(
    link: Link, broker: ByteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(link.is_ready.is_set)
    broker.writer.write(publish(1))
    batch = await next_batch(link)
    monkeypatch.setattr(link_module, "_OUT_MAX", 0)
    batch.ack()
    await until(lambda: PUBACK in broker.kinds())


async def test_an_outage_is_met_with_growing_pauses_whenever_the_link_was_last_ready() -> None:
    settings = GatewaySettings(reconnect_min_s=0.005, reconnect_max_s=10)
    link = Link(BrokerUrl(host="127.0.0.1", port=1), settings, jitter=lambda: 1.0)
    link.listening_since_ms = 1
    attempts = 0

    def refuse(*_: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionRefusedError

    client: Any = link._client
    client.connect = refuse
    with suppress(TimeoutError):
        async with asyncio.timeout(0.6):
            await link.run()
    assert 3 <= attempts <= 8


class TestHoldingBack:
    """With four messages at most."""

    @pytest.fixture
    def settings(self) -> GatewaySettings:
        settings = GatewaySettings(
            unacked_max=4, echo_every_s=0.1, reconnect_min_s=0.01, reconnect_max_s=0.02
        )
        return settings.model_copy(update={"keepalive_s": 1})

    @pytest.fixture(autouse=True)
    def _ticking_fast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(link_module, "_TICK_S", 0.02, raising=False)

    async def test_a_gateway_that_holds_back_is_neither_deaf_nor_gone(
        self, link: Link, broker: ByteBroker
    ) -> None:
        await until(link.is_ready.is_set)
        broker.writer.write(b"".join(publish(mid) for mid in range(1, 6)))
        batch = await next_batch(link)
        await until(lambda: broker.kinds().count(0xC0) >= 3, bound_s=8)  # pings, a second apart
        assert len(broker.heard) == 1
        batch.ack()
        broker.writer.write(publish(6))
        await until(lambda: link.received == 6)

    async def test_a_backlog_does_not_grow_from_connection_to_connection(
        self, link: Link, broker: ByteBroker
    ) -> None:
        broker.closes_at_once = True
        broker.answers = [WELCOME + b"".join(publish(mid) for mid in range(1, 6))] * 50
        await until(lambda: len(link._arrived) >= 5)
        with suppress(TimeoutError):
            await until(lambda: len(broker.heard) > 5, bound_s=0.5)
        assert len(link._arrived) == 5
        broker.closes_at_once, broker.answers = False, []
        (await next_batch(link)).ack()
        await until(link.is_ready.is_set)
