"""One behaviour of the broker, whichever it is: the embedded one and Mosquitto, same tests.

What must *not* arrive is shown by something that does arrive after it on the same way.
"""

import asyncio
import socket
from itertools import product

import pytest

from gateway import credentials
from gateway.broker import start_broker
from gateway.errors import StartError
from gateway.protocol import BankId
from tests.integration.broker.clients import (
    BANKS,
    Client,
    World,
    connect_packet,
    remaining_length,
    until,
)

ONE, TWO, THREE = BANKS
CHANNELS = ("status", "state", "result", "command", "config")
REFUSED = {4, 5, 134, 135}
"""Bad user name or password, not authorised; in 3.1.1 and as paho translates them."""


def topic(bank: str, channel: str) -> str:
    return f"lw/v1/{bank}/{channel}"


# -- who may connect ------------------------------------------------------------------


async def test_a_bank_with_its_secret_is_admitted(world: World):
    assert (await world.bank(ONE)).admitted


async def test_whoever_cannot_prove_who_it_is_is_refused(world: World):
    attempts = [
        (None, None),
        (ONE, "wrong"),
        (ONE, ""),
        ("LW-10K-9999", "anything"),
        ("", ""),
        ("gateway", "gateway"),
        (ONE.lower(), world.secrets[ONE]),
    ]
    clients = [await world.stranger(*attempt, client_id=ONE) for attempt in attempts]
    assert all(client.connack in REFUSED for client in clients)


async def test_one_banks_secret_does_not_serve_another(world: World):
    assert (await world.bank(ONE, secret=world.secrets[TWO])).connack in REFUSED


async def test_the_gateways_secret_is_new_each_time(kind, engine):
    async with (
        await start_broker(kind, engine=engine) as one,
        await start_broker(kind, engine=engine) as two,
    ):
        assert one.gateway_url.password != two.gateway_url.password
        assert one.gateway_url.client_id != two.gateway_url.client_id


# -- which topics ---------------------------------------------------------------------


async def test_a_bank_publishes_on_its_own_three_topics_and_no_other(world: World):
    gateway = await world.gateway("lw/v1/#")
    others = ["lw/v1/x", "lw/v1", "lw/v2/a/state", "a", "/", "$SYS/broker/version"]
    for bank in BANKS:
        client = await world.bank(bank)
        for name in [*(topic(*pair) for pair in product(BANKS, CHANNELS)), *others]:
            await client.publish(name, f"{bank} on {name}")
        await client.publish(topic(bank, "state"), f"{bank} is through")
        await gateway.hears(f"{bank} is through".encode())
    allowed = product(BANKS, ("status", "state", "result"))
    expected = {f"{bank} on {topic(bank, channel)}".encode() for bank, channel in allowed}
    through = {f"{bank} is through".encode() for bank in BANKS}
    assert set(gateway.payloads()) == expected | through


async def test_a_bank_hears_its_own_command_and_config_and_nothing_else(world: World):
    gateway = await world.gateway("lw/v1/#")  # what others subscribed to is not for a bank
    for bank in BANKS:
        await gateway.publish(topic(bank, "config"), f"kept for {bank}", retain=True)
    await (await world.bank(TWO)).publish(topic(TWO, "status"), b"birth", retain=True)
    bank = await world.bank(ONE)
    own = [topic(ONE, "command"), topic(ONE, "config"), topic(ONE, "+"), topic(ONE, "#")]
    foreign = ["#", "+/+/+/+", "lw/#", "lw/v1/+/command", "lw/v1/+/config", topic(TWO, "config")]
    foreign += [topic(TWO, "command"), topic(TWO, "#"), "lw/v1/+/status", topic(TWO, "status")]
    for topic_filter in own + foreign:
        await bank.subscribe(topic_filter)
    for other in BANKS[::-1]:  # its own comes last
        for channel in CHANNELS:
            await gateway.publish(topic(other, channel), f"now for {other}")
    await gateway.publish(topic(ONE, "command"), b"the end")
    await bank.hears(b"the end")
    await bank.hears(b"kept for LW-10K-0001")
    assert {message.topic for message in bank.heard} == {
        topic(ONE, "command"),
        topic(ONE, "config"),
    }
    assert all(b"000" not in text or ONE.encode() in text for text in bank.payloads())


async def test_a_command_keeps_the_lower_of_both_qos(world: World):
    gateway, bank = await world.gateway(), await world.bank(ONE)
    await bank.subscribe(topic(ONE, "command"), 1)
    await gateway.publish(topic(ONE, "command"), b"once at most", qos=0)
    await gateway.publish(topic(ONE, "command"), b"once at least", qos=1)
    assert (await bank.hears(b"once at most")).qos == 0
    assert (await bank.hears(b"once at least")).qos == 1


async def test_the_retained_status_reaches_a_gateway_that_comes_later(world: World):
    bank = await world.bank(ONE)
    await bank.publish(topic(ONE, "status"), b"birth", retain=True)
    await bank.publish(topic(ONE, "state"), b"passing")
    gateway = await world.gateway("lw/v1/+/status", "lw/v1/+/state")
    kept = await gateway.hears(b"birth")
    assert kept.retain
    await bank.publish(topic(ONE, "status"), b"again", retain=True)
    assert not (await gateway.hears(b"again")).retain
    assert b"passing" not in gateway.payloads()


async def test_an_empty_retained_message_clears_what_was_kept(world: World):
    gateway, bank = await world.gateway(), await world.bank(ONE)
    await gateway.publish(topic(ONE, "config"), b"old", retain=True)
    await gateway.publish(topic(ONE, "config"), b"", retain=True)
    await bank.subscribe(topic(ONE, "config"))
    await gateway.publish(topic(ONE, "config"), b"new")
    await bank.hears(b"new")
    assert bank.payloads() == [b"new"]


async def test_what_is_sent_right_before_goodbye_is_delivered(world: World):
    gateway = await world.gateway("lw/v1/+/state")
    for number in range(10):
        program = await asyncio.create_subprocess_exec(
            *("mosquitto_pub", "-h", world.broker.bank_host, "-p", str(world.broker.bank_port)),
            *("-u", ONE, "-P", world.secrets[ONE], "-q", str(number % 3)),
            *("-t", topic(ONE, "state"), "-m", f"report {number}"),
        )
        assert await program.wait() == 0
    await until(lambda: len(gateway.heard) == 10)
    assert gateway.payloads() == [f"report {number}".encode() for number in range(10)]


# -- one client id, one client --------------------------------------------------------


async def proves_unharmed(bank: Client, name: BankId, gateway: Client) -> None:
    """Still connected, and its subscription still works."""
    await gateway.publish(topic(name, "command"), b"are you there")
    await bank.hears(b"are you there")
    assert bank.admitted


@pytest.mark.parametrize("secret", [None, "wrong"])
async def test_a_refused_connect_with_a_banks_client_id_does_not_touch_it(world: World, secret):
    gateway, victim = await world.gateway(), await world.bank(ONE)
    await victim.subscribe(topic(ONE, "command"))
    intruder = await world.stranger(ONE if secret else None, secret, client_id=ONE)
    assert intruder.connack in REFUSED
    await proves_unharmed(victim, ONE, gateway)


async def test_another_bank_cannot_take_a_banks_client_id(world: World):
    gateway, victim = await world.gateway(), await world.bank(ONE)
    await victim.subscribe(topic(ONE, "command"))
    intruder = await world.bank(TWO, client_id=ONE)
    await intruder.subscribe(topic(ONE, "command"))
    await proves_unharmed(victim, ONE, gateway)
    assert intruder.payloads() == []


async def test_a_bank_cannot_take_the_gateways_client_id(world: World):
    name = world.broker.gateway_url.client_id
    gateway = await world.gateway("lw/v1/+/state", client_id=name)
    intruder = await world.bank(ONE, client_id=name)
    await world.stranger(None, None, client_id=name)
    await intruder.publish(topic(ONE, "state"), b"still heard")
    await gateway.hears(b"still heard")
    assert gateway.admitted


async def test_a_bank_that_connects_again_ends_its_old_connection(world: World):
    gateway = await world.gateway("lw/v1/+/status")
    old = await world.bank(ONE, will=(topic(ONE, "status"), b"old is gone"))
    new = await world.bank(ONE)
    await until(lambda: old.gone)
    await gateway.hears(b"old is gone")
    await new.subscribe(topic(ONE, "command"))
    await proves_unharmed(new, ONE, gateway)


# -- the last will --------------------------------------------------------------------


async def test_a_will_is_published_when_the_link_drops_and_is_kept(world: World):
    gateway = await world.gateway("lw/v1/+/status")
    bank = await world.bank(ONE, will=(topic(ONE, "status"), b"gone"))
    bank.drop()
    await gateway.hears(b"gone")
    late = await world.gateway("lw/v1/+/status")
    assert (await late.hears(b"gone")).retain


async def test_no_will_is_published_after_a_goodbye(world: World):
    gateway = await world.gateway("lw/v1/+/status")
    polite = await world.bank(ONE, will=(topic(ONE, "status"), b"polite is gone"))
    await asyncio.to_thread(polite.close)
    rude = await world.bank(TWO, will=(topic(TWO, "status"), b"rude is gone"))
    rude.drop()
    await gateway.hears(b"rude is gone")
    assert gateway.payloads() == [b"rude is gone"]


@pytest.mark.parametrize("foreign", [topic(TWO, "status"), topic(ONE, "command"), "lw/v1/x"])
async def test_a_will_obeys_the_topic_rules(world: World, foreign):
    gateway = await world.gateway("lw/v1/#")
    liar = await world.bank(ONE, will=(foreign, b"a lie"))
    liar.drop()
    await until(lambda: liar.gone)
    honest = await world.bank(THREE, will=(topic(THREE, "status"), b"the truth"))
    honest.drop()
    await gateway.hears(b"the truth")
    late = await world.gateway("lw/v1/#")
    await late.hears(b"the truth")
    assert b"a lie" not in gateway.payloads() + late.payloads()


# -- liveness and bounds --------------------------------------------------------------


async def raw(world: World, bank: BankId, *, keepalive_s: int, will: tuple[str, str] = ("", "")):
    """A connection of a bank, admitted, with no client behind it."""
    reader, writer = await asyncio.open_connection(world.broker.bank_host, world.broker.bank_port)
    writer.write(
        connect_packet(
            bank, world.secrets[bank], client_id=bank, keepalive_s=keepalive_s, will=will
        )
    )
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    return reader, writer


async def ends(reader: asyncio.StreamReader, *, within_s: float) -> bool:
    async with asyncio.timeout(within_s):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


async def test_a_client_that_falls_silent_is_cut_off_and_one_that_pings_is_not(world: World):
    gateway = await world.gateway("lw/v1/+/status")
    alive = await world.bank(TWO, keepalive_s=1)
    reader, writer = await raw(world, ONE, keepalive_s=1, will=(topic(ONE, "status"), "silent"))
    assert await ends(reader, within_s=10)  # Mosquitto looks every 5 s
    writer.close()
    await gateway.hears(b"silent")
    assert alive.admitted


async def test_a_payload_a_little_over_the_contract_gets_through_to_be_judged(world: World):
    gateway, bank = await world.gateway("lw/v1/+/state"), await world.bank(ONE)
    await bank.publish(topic(ONE, "state"), b"x" * 5000)
    await gateway.hears(b"x" * 5000)


async def test_a_far_larger_packet_ends_the_connection_and_harms_nobody(world: World):
    gateway, other = await world.gateway("lw/v1/+/state"), await world.bank(TWO)
    bank = await world.bank(ONE)
    bank.mqtt.publish(topic(ONE, "state"), b"x" * 64 * 1024, 1)
    await until(lambda: bank.gone)
    await other.publish(topic(TWO, "state"), b"unharmed")
    await gateway.hears(b"unharmed")
    assert gateway.payloads() == [b"unharmed"]


async def test_fifty_megabytes_are_refused_before_they_are_sent(world: World):
    reader, writer = await raw(world, ONE, keepalive_s=30)
    writer.write(b"\x32" + remaining_length(50_000_000) + b"\x00\x05hello")
    assert await ends(reader, within_s=5)
    writer.close()


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xf0\x7f" * 32], ids=["http", "zeros", "f0"]
)
async def test_what_is_not_mqtt_is_hung_up_on(world: World, junk):
    reader, writer = await asyncio.open_connection(world.broker.bank_host, world.broker.bank_port)
    writer.write(junk + b"x" * 128)
    assert await ends(reader, within_s=5)
    writer.close()
    assert (await world.bank(ONE)).admitted


async def test_nothing_is_lost_while_others_subscribe(world: World):
    others = [await world.gateway(topic(ONE, "state")) for _ in range(10)]
    gateway, bank = await world.gateway("lw/v1/+/state"), await world.bank(ONE)

    async def subscribes_on_and_on(client: Client, number: int) -> None:
        for turn in range(20):
            await client.subscribe(f"lw/v1/LW-{number:04}/{turn}")

    others_do = [subscribes_on_and_on(client, number) for number, client in enumerate(others)]
    restless = asyncio.gather(*others_do)
    for number in range(500):
        bank.mqtt.publish(topic(ONE, "state"), str(number), 1)
        await asyncio.sleep(0)
    await restless
    await until(lambda: len(gateway.heard) >= 500, within_s=10)
    assert gateway.payloads() == [str(number).encode() for number in range(500)]


async def test_a_gateway_that_acknowledges_late_gets_everything(world: World):
    gateway = await world.gateway("lw/v1/+/state", manual_ack=True)
    bank = await world.bank(ONE)
    sent = [bank.mqtt.publish(topic(ONE, "state"), str(number), 1) for number in range(5000)]
    await until(lambda: all(one.is_published() for one in sent), within_s=20)
    for number in range(5000):  # not one was acknowledged before all were sent
        if number >= len(gateway.heard):
            await until(lambda upto=number: len(gateway.heard) > upto)
        message = gateway.heard[number]
        gateway.mqtt.ack(message.mid, message.qos)
    assert gateway.payloads() == [str(number).encode() for number in range(5000)]


# -- credentials that change ----------------------------------------------------------


async def test_a_revoked_bank_is_cut_off_and_refused_and_the_others_stay(world: World):
    gateway = await world.gateway("lw/v1/+/status")
    bank = await world.bank(ONE, will=(topic(ONE, "status"), b"last words"))
    other = await world.bank(TWO)
    await world.change(credentials.revoke, ONE)
    await until(lambda: bank.gone, within_s=5)
    assert (await world.bank(ONE)).connack in REFUSED
    await other.publish(topic(TWO, "status"), b"still here")
    await gateway.hears(b"still here")
    assert gateway.payloads() == [b"still here"]  # who is shut out has no last word either


async def test_a_rotated_secret_ends_the_old_connection_and_opens_a_new_one(world: World):
    bank = await world.bank(ONE)
    secret = await world.change(credentials.rotate, ONE)
    await until(lambda: bank.gone, within_s=5)
    assert (await world.bank(ONE)).connack in REFUSED
    assert (await world.admitted(ONE, secret)).admitted


async def test_a_bank_registered_while_the_broker_runs_is_admitted(world: World):
    newcomer = BankId("LW-10K-0004")
    secret = await world.change(credentials.issue, newcomer)
    assert (await world.admitted(newcomer, secret)).admitted


async def test_a_lost_poke_costs_a_moment_only(world: World, monkeypatch):
    monkeypatch.setattr(world.broker, "poke", lambda: None)
    bank = await world.bank(ONE)
    await world.change(credentials.revoke, ONE)
    await until(lambda: bank.gone, within_s=5)


# -- starting -------------------------------------------------------------------------


async def test_a_taken_port_is_told_in_one_sentence(kind, engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 .* choose another"):
            await start_broker(kind, engine=engine, port=port)


async def test_it_listens_on_loopback_unless_told_otherwise(kind, engine):
    with pytest.raises(StartError, match="without encryption"):
        await start_broker(kind, engine=engine, host="0.0.0.0")  # noqa: S104
    async with await start_broker(
        kind,
        engine=engine,
        host="0.0.0.0",  # noqa: S104
        allow_remote=True,
    ) as broker:
        assert broker.bank_host == "127.0.0.1"


async def test_its_port_is_free_again_when_it_has_closed(kind, engine):
    async with await start_broker(kind, engine=engine) as broker:
        port = broker.bank_port
    async with await start_broker(kind, engine=engine, port=port) as broker:
        assert broker.bank_port == port
