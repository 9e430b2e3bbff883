"""The clients that test a broker."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.broker import RunningBroker
from gateway.clock import now_ms
from gateway.protocol import BankId

BANKS = tuple(BankId(f"LW-10K-000{n}") for n in (1, 2, 3))


async def until(condition: Callable[[], object], *, within_s: float = 5) -> None:
    """Wait for a condition, with a bound."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - paho's threads know no asyncio.Event
            await asyncio.sleep(0.005)


@dataclass
class Client:
    """A paho client that remembers what it hears."""

    host: str
    port: int
    username: str | None
    secret: str | None
    client_id: str = ""
    manual_ack: bool = False
    keepalive_s: int = 30
    will: tuple[str, bytes] | None = None
    heard: list[paho.MQTTMessage] = field(default_factory=list)
    connack: int | None = None
    gone: bool = False

    def __post_init__(self) -> None:
        self._granted: dict[int, list[int]] = {}
        self.mqtt = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=True,
            reconnect_on_failure=False,
            manual_ack=self.manual_ack,
        )
        self.mqtt.max_inflight_messages_set(0)  # with a limit, paho's two threads reorder
        if self.username is not None:
            self.mqtt.username_pw_set(self.username, self.secret)
        if self.will is not None:
            self.mqtt.will_set(*self.will, qos=1, retain=True)
        self.mqtt.on_connect = self._on_connect
        self.mqtt.on_disconnect = self._on_disconnect
        self.mqtt.on_subscribe = self._on_subscribe
        self.mqtt.on_message = lambda _client, _data, message: self.heard.append(message)

    def _on_connect(self, _client, _data, _flags, reason, _properties):
        self.connack = reason.value

    def _on_disconnect(self, _client, _data, _flags, _reason, _properties):
        self.gone = True

    def _on_subscribe(self, _client, _data, packet_id, reasons, _properties):
        self._granted[packet_id] = [reason.value for reason in reasons]

    @property
    def admitted(self) -> bool:
        return self.connack == 0 and not self.gone

    async def connect(self) -> "Client":
        """Connect, and wait for the answer: see ``connack``."""
        await asyncio.to_thread(self.mqtt.connect, self.host, self.port, self.keepalive_s)
        self.mqtt.loop_start()
        await until(lambda: self.connack is not None or self.gone)
        return self

    async def subscribe(self, topic_filter: str, qos: int = 1) -> list[int]:
        _, packet_id = self.mqtt.subscribe(topic_filter, qos)
        await until(lambda: packet_id in self._granted)
        return self._granted[packet_id]

    async def publish(
        self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and wait for the acknowledgement."""
        sent = self.mqtt.publish(topic, payload, qos, retain)
        await until(sent.is_published)

    async def hears(self, payload: bytes, *, within_s: float = 5) -> paho.MQTTMessage:
        def found():
            return [message for message in list(self.heard) if message.payload == payload]

        await until(found, within_s=within_s)
        return found()[0]

    def payloads(self) -> list[bytes]:
        return [message.payload for message in list(self.heard)]

    def drop(self) -> None:
        """Be gone without a goodbye."""
        if (sock := self.mqtt.socket()) is not None:
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@dataclass
class World:
    """A broker, its database, and everyone connected."""

    broker: RunningBroker
    engine: Engine
    secrets: dict[BankId, str]
    clients: list[Client] = field(default_factory=list)

    async def gateway(self, *filters: str, client_id: str = "", manual_ack: bool = False) -> Client:
        """A client with the gateway's own credential."""
        url = self.broker.gateway_url
        client = Client(
            url.host, url.port, url.username, url.password, client_id, manual_ack=manual_ack
        )
        self.clients.append(await client.connect())
        for topic_filter in filters:
            await client.subscribe(topic_filter)
        return client

    async def bank(
        self,
        bank: BankId,
        *,
        client_id: str | None = None,
        secret: str | None = None,
        will: tuple[str, bytes] | None = None,
        keepalive_s: int = 30,
    ) -> Client:
        """A client with a bank's credential."""
        return await self.stranger(
            bank, secret or self.secrets[bank], client_id or bank, will, keepalive_s
        )

    async def stranger(
        self,
        username: str | None,
        secret: str | None,
        client_id: str = "",
        will: tuple[str, bytes] | None = None,
        keepalive_s: int = 30,
    ) -> Client:
        """Anyone, at the banks' port."""
        client = Client(
            self.broker.bank_host,
            self.broker.bank_port,
            username,
            secret,
            client_id,
            will=will,
            keepalive_s=keepalive_s,
        )
        self.clients.append(await client.connect())
        return client

    async def admitted(self, bank: BankId, secret: str, *, within_s: float = 5) -> Client:
        """Try until the broker knows of a new secret."""
        async with asyncio.timeout(within_s):
            while True:
                client = await self.bank(bank, secret=secret)
                if client.admitted:
                    return client
                await asyncio.sleep(0.05)

    async def change(self, what: Callable[..., str | None], bank: BankId) -> str | None:
        """Issue, rotate or revoke, and tell the broker."""
        with Session(self.engine) as session:
            secret = what(session, bank, now_ms=now_ms())
            session.commit()
        self.broker.poke()
        return secret


def connect_packet(
    username: str,
    secret: str,
    *,
    client_id: str,
    keepalive_s: int,
    will: tuple[str, str] = ("", ""),
) -> bytes:
    """A CONNECT, by hand: for clients that then misbehave."""
    flags = 0b1100_0010 | (0b0000_0100 if will[0] else 0)
    texts = [client_id, *(will if will[0] else ()), username, secret]
    body = struct.pack("!H4sBBH", 4, b"MQTT", 4, flags, keepalive_s)
    body += b"".join(struct.pack("!H", len(text)) + text.encode() for text in texts)
    return bytes([0x10]) + remaining_length(len(body)) + body


def remaining_length(length: int) -> bytes:
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)
