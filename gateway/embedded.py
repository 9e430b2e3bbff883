"""The broker inside the process: amqtt 0.12.1, hardened. For one machine, on loopback.

amqtt brings the packets, the listener, the retained store, the subscription table and the
plugins; our credentials and topic rules go in as two plugins. What its connection handling
gets wrong is replaced by :class:`Link` and by :class:`HardenedBroker`; each override names the
hole it mends. Read this again at each new version of amqtt (pyproject.toml pins the minor),
with ``tests/integration/broker`` at hand, which holds it and Mosquitto to one behaviour.

What to know:

- A session ends with its link, whatever ``clean session`` says: nothing is kept for a client
  that is away. A message that is never acknowledged stays in flight, and is not sent again:
  amqtt redelivers nothing after a reconnect. The contract bears that: the bank's next report
  says all that the lost one said.
- A bank's session goes by its user name, whatever client id it sends, as with Mosquitto's
  ``use_username_as_clientid``: so nobody can take over, or end, the session of another.
- QoS 2 is taken from clients and delivered as QoS 1.
- It is one event loop, shared with the gateway: some thousand messages a second. A second
  machine, or a thousand banks, want Mosquitto.

Bounds are the constants below.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from socket import socket

from amqtt.adapters import BufferReader, StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt import MQTTPacket
from amqtt.mqtt.connack import IDENTIFIER_REJECTED, NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.constants import QOS_1, QOS_2
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import CONNECT
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import OutgoingApplicationMessage, Session

from gateway.credentials import (
    GATEWAY_USER,
    hashed,
    may_publish,
    may_receive,
    may_subscribe,
    new_secret,
    verify,
)
from gateway.embedded_link import MAX_PACKET_BYTES, Link, read_frame
from gateway.protocol import ROOT, BankId, is_bank_id

MAX_LINKS = 4_000
"""Open connections; the next is closed unheard."""
CONNECT_TIMEOUT_S = 5.0
"""From TCP connect to a whole CONNECT, and for the answer to leave."""
MAX_LEVELS = 8
"""Of a topic: see :func:`filters_for`."""
PACKETS_AT_ONCE = 16
"""Packets of one client before the others, and the rest of the process, have their turn."""
SHUTDOWN_S = 5.0

_REFUSED_SUBSCRIPTION = 0x80
_GONE = (AMQTTError, MQTTError, NoDataError, CodecError, OSError, EOFError, TimeoutError)
"""How a link ends on its own: what the peer sent, or that it went away."""

_log = logging.getLogger(__name__)


# -- our rules, as amqtt's plugins ----------------------------------------------------


@dataclass(kw_only=True)
class Roster:
    """Who may connect. Replaced as a whole by the credential watch."""

    gateway_hash: str
    banks: Mapping[BankId, str] = field(default_factory=dict)

    def hash_of(self, username: str | None) -> str | None:
        """The stored hash for a user name; None when there is none."""
        if username == GATEWAY_USER:
            return self.gateway_hash
        return self.banks.get(BankId(username or ""))


class SecretPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is untyped
    """Lets a client in by its user name and secret."""

    @dataclass
    class Config:
        """A live object: amqtt passes it on."""

        roster: Roster

    async def authenticate(self, *, session: Session) -> bool:
        """Whether the secret is the user's."""
        stored = self.config.roster.hash_of(session.username)
        return verify(stored, session.password or "")


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]
    """Keeps a bank to its own topics, and the gateway to the contract's."""

    @dataclass
    class Config:
        """Nothing to configure."""

    async def topic_filtering(self, *, session: Session, topic: str, action: Action) -> bool:
        """Whether a client may publish, subscribe or receive."""
        if session.username == GATEWAY_USER:
            return topic.startswith(f"{ROOT}/") and topic.count("/") < MAX_LEVELS
        bank = BankId(session.username)
        match action:
            case Action.PUBLISH:
                return may_publish(bank, topic)
            case Action.SUBSCRIBE:
                return may_subscribe(bank, topic)
            case _:
                return may_receive(bank, topic)


# -- the broker -----------------------------------------------------------------------


class HardenedBroker(Broker):  # type: ignore[misc]
    """amqtt's broker, with each connection's life in one coroutine: :meth:`_connected`."""

    def __init__(self, listening: socket, roster: Roster) -> None:
        self._listening = listening
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.roster = roster
        plugins = {
            f"{__name__}.{SecretPlugin.__name__}": {"roster": roster},
            f"{__name__}.{TopicPlugin.__name__}": {},
        }
        host, port = listening.getsockname()[:2]
        listener = ListenerConfig(bind=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        super().__init__(BrokerConfig(listeners={"default": listener}, plugins=plugins))

    async def _create_server_instance(self, *_: object) -> asyncio.Server:
        """Mends: a taken port was a logged traceback. Ours was bound before."""
        return await asyncio.start_server(
            self._accept, sock=self._listening, limit=2 * MAX_PACKET_BYTES
        )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Mends: connections beyond the limit waited, open and without bound."""
        if len(self._connections) >= MAX_LINKS:
            writer.transport.abort()
            return
        task = self._loop.create_task(self._connected(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def links(self) -> list[Link]:
        """The clients now connected."""
        return [link for _, link in self._sessions.values()]

    async def shutdown(self) -> None:
        """Mends: connections outlived the broker."""
        self._stopping = True
        for server in self._servers.values():
            server.instance.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=SHUTDOWN_S)
        await super().shutdown()

    # - a connection's life

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        try:
            link = await self._admit(reader, writer)
            if link is not None:
                await self._serve(link)
        except _GONE as error:
            _log.debug("a client was not admitted: %s", error)
        finally:
            await _hang_up(writer)

    async def _admit(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Link | None:
        """Answer the CONNECT; None when it was refused.

        Mends: the session of the client id's owner was destroyed before the secret was looked
        at, and a client that sent nothing stayed for ever. Here a stranger touches nothing.
        """
        link: Link
        to_client = StreamWriterAdapter(writer)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            header, body = await read_frame(StreamReaderAdapter(reader))
            if header.packet_type != CONNECT:
                msg = "the first packet is not CONNECT"
                raise MQTTError(msg)
            link, session = await Link.init_from_connect(
                BufferReader(header.to_bytes() + body), to_client, self.plugins_manager
            )
            refusal = await self._refusal(session)
            if refusal is not None:
                await ConnackPacket.build(0, refusal).to_stream(to_client)
                return None
        session.clean_session = True
        session.transitions.connect()
        link.attach(session, StreamReaderAdapter(reader), to_client)
        link.transport = writer.transport
        link.stored_hash = self.roster.hash_of(session.username)
        return link

    async def _refusal(self, session: Session) -> int | None:
        """The CONNACK code to refuse with; None admits, and the session has its own client id."""
        if not await self._authenticate(session, self.listeners_config["default"]):
            _log.info("refused a client that calls itself %.40r", session.username)
            return int(NOT_AUTHORIZED)
        if session.username != GATEWAY_USER:
            session.client_id = session.username
        elif is_bank_id(session.client_id):
            return int(IDENTIFIER_REJECTED)
        return None

    async def _serve(self, link: Link) -> None:
        """Everything between CONNACK and the end, and then the Last Will.

        Mends: a new client was sent the retained messages of every other's subscriptions;
        what a client sent right before DISCONNECT was lost.
        """
        await self._take_over(link)
        goodbye = False
        try:
            await link.mqtt_connack_authorize(authorize=True)
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(link.send_outbox())
                goodbye = await self._converse(link)
                sender.cancel()
        except* _GONE as ended:
            _log.debug("%s is gone: %s", link.session.client_id, ended.exceptions)
        finally:
            link.end()
            await self._forget(link)
            if not (goodbye or link.shut_out or self._stopping):
                await self._send_will(link)

    async def _converse(self, link: Link) -> bool:
        """Handle what the client sends until it says goodbye."""
        taken = 0
        while not isinstance(packet := await link.next_packet(), DisconnectPacket):
            await self._handle(link, packet)
            taken += 1
            if taken % PACKETS_AT_ONCE == 0:
                await asyncio.sleep(0)  # reading what is buffered already does not yield
        return True

    async def _take_over(self, link: Link) -> None:
        """Mends: the old connection of a client that connects again stayed open."""
        client_id = link.session.client_id
        _, old = self._sessions.get(client_id, (None, None))
        if old is not None:
            old.cut()
            await self._del_all_subscriptions(old.session)
        self._sessions[client_id] = (link.session, link)

    async def _forget(self, link: Link) -> None:
        """End the session, unless a newer connection has taken its place."""
        session = link.session
        if self._link_of(session) is link:
            del self._sessions[session.client_id]
            await self._del_all_subscriptions(session)

    # - packets

    async def _handle(self, link: Link, packet: MQTTPacket) -> None:
        match packet:
            case PublishPacket():
                await self._publish(link, packet)
            case PubackPacket():
                link.acknowledged(packet)
            case PubrelPacket():
                await link.release(packet)
            case PingReqPacket():
                await link.handle_pingreq(packet)
            case SubscribePacket():
                await self._subscribe(link, packet)
            case UnsubscribePacket():
                for topic_filter in packet.payload.topics:
                    self._del_subscription(topic_filter, link.session)
                await link.mqtt_acknowledge_unsubscription(packet.variable_header.packet_id)
            case _:
                msg = f"a client does not send {type(packet).__name__}"
                raise MQTTError(msg)

    async def _publish(self, link: Link, packet: PublishPacket) -> None:
        """Deliver, then acknowledge: a bank is held back while the gateway has no room."""
        if packet.qos > QOS_2:
            msg = "there is no QoS 3"
            raise MQTTError(msg)
        if link.first_time(packet):
            await self._pass_on(
                link, packet.topic_name, packet.data, qos=packet.qos, retain=packet.retain_flag
            )
        await link.confirm(packet)

    async def _send_will(self, link: Link) -> None:
        """Mends: a Last Will went past the topic rules."""
        session = link.session
        if session.will_flag:
            await self._pass_on(
                link,
                session.will_topic,
                session.will_message,
                qos=session.will_qos,
                retain=session.will_retain,
            )

    async def _pass_on(
        self, link: Link, topic: str, data: bytes, *, qos: int, retain: bool
    ) -> None:
        if not await self._topic_filtering(link.session, topic, Action.PUBLISH):
            _log.info("%s may not publish on %.80r", link.session.username, topic)
            return
        if retain:
            await self.retain_message(link.session, topic, data, qos)
        for target, granted in self._audience(topic):
            if await self._topic_filtering(target.session, topic, Action.RECEIVE):
                message = OutgoingApplicationMessage(
                    None, topic, min(qos, granted), data, retain=False
                )
                await target.offer(message, wait=target is not link)

    def _audience(self, topic: str) -> list[tuple[Link, int]]:
        """Who has subscribed to a topic, once each, with the best QoS granted.

        Mends: half of all messages were lost, because other clients subscribed while the table
        was walked; and each message walked the whole table.
        """
        found: dict[str, tuple[Link, int]] = {}
        for topic_filter in filters_for(topic):
            for session, qos in self._subscriptions.get(topic_filter, ()):
                link = self._link_of(session)
                if link is not None and qos >= found.get(session.client_id, (link, 0))[1]:
                    found[session.client_id] = (link, qos)
        return list(found.values())

    async def _subscribe(self, link: Link, packet: SubscribePacket) -> None:
        """Grant what the rules allow, then send what is retained for it, to this client only."""
        wishes = packet.payload.topics
        for topic_filter, _ in wishes:  # what was granted before is replaced
            self._del_subscription(topic_filter, link.session)
        codes = [
            await self.add_subscription((topic_filter, min(qos, QOS_1)), link.session)
            for topic_filter, qos in wishes
        ]
        await link.mqtt_acknowledge_subscription(packet.variable_header.packet_id, codes)
        for (topic_filter, _), granted in zip(wishes, codes, strict=True):
            if granted != _REFUSED_SUBSCRIPTION:
                await self._send_retained(link, topic_filter, granted)

    async def _send_retained(self, link: Link, topic_filter: str, granted: int) -> None:
        """As many as there are banks at most; the subscriber's own outbox takes them all."""
        kept_messages = self._retained_messages
        wild = "+" in topic_filter or "#" in topic_filter
        for topic in list(kept_messages) if wild else [topic_filter]:
            kept = kept_messages.get(topic)
            if (
                kept is not None
                and self._matches(topic, topic_filter)
                and await self._topic_filtering(link.session, topic, Action.RECEIVE)
            ):
                qos = min(kept.qos, granted)
                message = OutgoingApplicationMessage(None, topic, qos, kept.data, retain=True)
                await link.offer(message, wait=False)

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        """As amqtt's, without a task for each question."""
        for plugin in self.plugins_manager._topic_plugins:  # noqa: SLF001
            if not await plugin.topic_filtering(session=session, topic=topic, action=action):
                return False
        return True

    def _link_of(self, session: Session) -> Link | None:
        _, link = self._sessions.get(session.client_id, (None, None))
        return link if isinstance(link, Link) and link.session is session else None


def filters_for(topic: str) -> Iterator[str]:
    """Every filter that matches a topic: 47 for the four levels of ours, however many banks.

    Source: MQTT 3.1.1, 4.7. ``#`` also matches the level above it.
    """
    levels = topic.split("/")
    for depth in range(len(levels) + 1):
        for head in product(*((level, "+") for level in levels[:depth])):
            yield "/".join((*head, "#"))
            if depth == len(levels):
                yield "/".join(head)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection after what was written has left, but not wait long for that."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
            return
    writer.transport.abort()


# -- what broker.py starts ------------------------------------------------------------


class Embedded:
    """A hardened amqtt on a socket that already listens."""

    def __init__(self, listening: socket) -> None:
        self._listening = listening
        self._started = False
        self.gateway_host, self.gateway_port = listening.getsockname()[:2]
        self.gateway_user = GATEWAY_USER
        self.gateway_secret = new_secret()
        """Random, and of this process only."""
        self._broker = HardenedBroker(listening, Roster(gateway_hash=hashed(self.gateway_secret)))

    @property
    def bank_port(self) -> int:
        """One port serves banks and gateway."""
        return int(self.gateway_port)

    async def start(self) -> None:
        """Serve."""
        self._started = True
        await self._broker.start()

    async def use(self, hashes: Mapping[BankId, str]) -> None:
        """Put credentials in force; whoever lives by one that is gone is cut off now."""
        self._broker.roster.banks = hashes
        for link in self._broker.links():
            if self._broker.roster.hash_of(link.session.username) != link.stored_hash:
                _log.info("%s has no valid secret any more: cut off", link.session.username)
                link.shut_out = True
                link.cut()

    async def close(self) -> None:
        """End every connection and stop."""
        if self._started:
            await self._broker.shutdown()
        self._listening.close()
