"""What is the embedded broker's alone: its bounds, and what it does with nonsense."""

import asyncio
import random

import pytest
from amqtt.broker import Broker
from hypothesis import given
from hypothesis import strategies as st

from gateway import embedded, embedded_link
from gateway.embedded import filters_for
from tests.integration.broker.clients import BANKS, World, connect_packet, until

ONE, TWO, THREE = BANKS


@pytest.fixture
def kind() -> str:
    return "embedded"


@pytest.fixture
def little(monkeypatch):
    """Bounds that a test can reach."""
    monkeypatch.setattr(embedded_link, "GATEWAY_IN_FLIGHT", 5)
    monkeypatch.setattr(embedded_link, "GATEWAY_OUTBOX", 10)
    monkeypatch.setattr(embedded_link, "BANK_IN_FLIGHT", 5)
    monkeypatch.setattr(embedded_link, "BANK_OUTBOX", 10)
    monkeypatch.setattr(embedded, "MAX_LINKS", 5)
    monkeypatch.setattr(embedded, "CONNECT_TIMEOUT_S", 0.2)


def state_of(bank: str) -> str:
    return f"lw/v1/{bank}/state"


# -- bounds ---------------------------------------------------------------------------


@pytest.mark.usefixtures("little")
async def test_banks_are_held_back_by_a_gateway_that_is_behind_and_lose_nothing(world: World):
    gateway = await world.gateway("lw/v1/+/state", manual_ack=True)
    bank = await world.bank(ONE)
    sent = [bank.mqtt.publish(state_of(ONE), str(number), 1) for number in range(50)]
    await until(lambda: len(gateway.heard) == 5)
    await until(lambda: sum(one.is_published() for one in sent) >= 14)
    assert not all(one.is_published() for one in sent)
    for number in range(50):
        await until(lambda upto=number: len(gateway.heard) > upto)
        gateway.mqtt.ack(gateway.heard[number].mid, 1)
    assert gateway.payloads() == [str(number).encode() for number in range(50)]


@pytest.mark.usefixtures("little")
async def test_banks_go_on_when_the_gateway_that_held_them_back_is_gone(world: World):
    stuck = await world.gateway("lw/v1/+/state", manual_ack=True)
    bank = await world.bank(ONE)
    sent = [bank.mqtt.publish(state_of(ONE), str(number), 1) for number in range(50)]
    await until(lambda: len(stuck.heard) == 5)
    stuck.drop()
    await until(lambda: all(one.is_published() for one in sent))
    gateway = await world.gateway("lw/v1/+/state")
    await bank.publish(state_of(ONE), b"on we go")
    await gateway.hears(b"on we go")


@pytest.mark.usefixtures("little")
async def test_a_bank_that_does_not_acknowledge_is_cut_off_and_holds_nobody_back(world: World):
    gateway = await world.gateway()
    reader, writer = await asyncio.open_connection(world.broker.bank_host, world.broker.bank_port)
    writer.write(connect_packet(ONE, world.secrets[ONE], client_id=ONE, keepalive_s=60))
    name = f"lw/v1/{ONE}/command"
    subscribe = b"\x00\x01" + len(name).to_bytes(2) + name.encode() + b"\x01"
    writer.write(bytes([0x82, len(subscribe)]) + subscribe)
    await reader.readexactly(4 + 5)
    for number in range(30):
        await gateway.publish(name, str(number))
    async with asyncio.timeout(5):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1_000_000)
    writer.close()
    assert gateway.admitted


@pytest.mark.usefixtures("little")
async def test_connections_beyond_the_limit_are_closed(world: World):
    clients = [await world.gateway() for _ in range(5)]
    reader, writer = await asyncio.open_connection(world.broker.bank_host, world.broker.bank_port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert all(client.admitted for client in clients)


@pytest.mark.parametrize("begun", [b"", b"\x10", b"\x10\x40\x00\x04MQTT"])
@pytest.mark.usefixtures("little")
async def test_whoever_does_not_finish_its_connect_is_hung_up_on(world: World, begun):
    reader, writer = await asyncio.open_connection(world.broker.bank_host, world.broker.bank_port)
    writer.write(begun)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_qos_2_is_delivered_once(world: World):
    gateway, bank = await world.gateway("lw/v1/+/state"), await world.bank(ONE)
    for number in range(20):
        await bank.publish(state_of(ONE), str(number), qos=2)
    await until(lambda: len(gateway.heard) == 20)
    assert [message.qos for message in gateway.heard] == [1] * 20


async def test_the_gateway_does_not_take_a_banks_client_id(world: World):
    bank = await world.bank(ONE)
    assert not (await world.gateway(client_id=ONE)).admitted
    assert bank.admitted


# -- nonsense -------------------------------------------------------------------------


async def test_no_bytes_of_an_admitted_bank_harm_the_others(world: World, caplog):
    """Seeded; whole packets with one thing wrong, which is where parsers break."""
    rng = random.Random(20_260_301)  # noqa: S311
    gateway, other = await world.gateway("lw/v1/+/state"), await world.bank(TWO)
    address = world.broker.bank_host, world.broker.bank_port
    connect = connect_packet(ONE, world.secrets[ONE], client_id=ONE, keepalive_s=60)
    for _ in range(300):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(connect if rng.random() < 0.8 else garbled(rng, connect))
        for _ in range(rng.randrange(1, 5)):
            body = rng.randbytes(rng.choice((0, 1, 2, 3, 10, 100)))
            writer.write(bytes([rng.randrange(256), len(body)]) + body)
        writer.write(b"\x32\xfe\x7f\x3f\xf0" + b"\xff" * 16_380)  # a topic that is not UTF-8
        writer.write_eof()
        await read_to_end(reader)
        writer.close()
    await other.publish(state_of(TWO), b"unharmed")
    await gateway.hears(b"unharmed")
    assert gateway.payloads() == [b"unharmed"]
    assert [record for record in caplog.records if record.exc_info] == []


def garbled(rng: random.Random, packet: bytes) -> bytes:
    changed = bytearray(packet)
    changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


async def read_to_end(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(10):
        try:
            await reader.read()
        except ConnectionError:
            return


# -- filters --------------------------------------------------------------------------

LEVELS = st.sampled_from(["lw", "v1", "A", "B", ""])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join)
FILTERS = st.builds(
    lambda head, tail: "/".join([*head, *tail]),
    st.lists(LEVELS | st.just("+"), min_size=1, max_size=5),
    st.sampled_from([[], ["#"]]),
)


@given(topic=TOPICS, topic_filter=FILTERS)
def test_the_filters_of_a_topic_are_those_that_match_it(topic, topic_filter):
    matches = Broker._matches(None, topic, topic_filter)
    assert (topic_filter in set(filters_for(topic))) == matches


def test_a_topic_of_ours_has_few_filters():
    assert len(set(filters_for(state_of(ONE)))) == len(list(filters_for(state_of(ONE)))) == 47
