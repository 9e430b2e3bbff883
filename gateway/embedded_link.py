"""One client of the embedded broker: amqtt's connection handler, hardened.

Everything a client sends is read, handled and acknowledged in order, by one coroutine;
everything sent to it waits in one bounded outbox. Bounds are the constants below.
"""

import asyncio
import logging
from collections import deque
from typing import Any

from amqtt.adapters import BufferReader, StreamReaderAdapter
from amqtt.errors import MQTTError, NoDataError
from amqtt.mqtt import MQTTPacket, packet_class
from amqtt.mqtt.constants import QOS_1, QOS_2
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.session import OutgoingApplicationMessage

from gateway.credentials import GATEWAY_USER

MAX_PACKET_BYTES = 16 * 1024
"""Of one MQTT packet. A payload a little over the contract's 4 KiB gets through, so that the
gateway can say why it is refused; a client that sends more than this is cut off."""
WRITE_TIMEOUT_S = 10.0
"""For a client to read on; then it is cut off."""
GATEWAY_IN_FLIGHT = 4_000
"""Messages sent to the gateway and not acknowledged; the rest waits in its outbox."""
GATEWAY_OUTBOX = 10_000
"""Messages waiting for the gateway. At the bound banks are not read: TCP holds them back."""
BANK_IN_FLIGHT = 20
BANK_OUTBOX = 100
"""Messages waiting for a bank. One that reads so little is cut off, and comes back clean."""

_log = logging.getLogger(__name__)


class Link(BrokerProtocolHandler):  # type: ignore[misc]
    """One admitted client.

    Mends: a task per packet received and per message sent, without bound; a message dropped
    after 5 s without acknowledgement; packets read past their own end.
    """

    transport: asyncio.WriteTransport
    stored_hash: str | None = None
    """What it was admitted by: when that changes, it is shut out."""
    shut_out = False
    """It has no say any more: not even its Last Will is published."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outbox: deque[OutgoingApplicationMessage] = deque()
        self._to_do = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._over = False
        self._unreleased: set[int] = set()
        """QoS 2 packet ids that were delivered, and not yet released."""

    @property
    def is_gateway(self) -> bool:
        """Whether it signed in as the gateway."""
        return bool(self.session.username == GATEWAY_USER)

    def cut(self) -> None:
        """End the connection now; whoever serves it then sees its end."""
        self.transport.abort()

    async def stop(self) -> None:
        """What amqtt calls to end a session; its own waits for a client that does not read."""
        self.cut()

    # - from the client

    async def next_packet(self) -> MQTTPacket:
        """What the client sends.

        Mends: keepalive was never enforced. The standard allows one and a half periods.
        """
        async with asyncio.timeout(self.session.keep_alive * 1.5 or None):
            return await read_packet(self.reader)

    def first_time(self, packet: PublishPacket) -> bool:
        """Whether a publish is to be delivered: not one of QoS 2 that comes again."""
        return packet.qos != QOS_2 or packet.packet_id not in self._unreleased

    async def confirm(self, packet: PublishPacket) -> None:
        """Acknowledge a publish; its effects are done."""
        if packet.qos == QOS_1:
            await self._send_packet(PubackPacket.build(packet.packet_id))
        elif packet.qos == QOS_2:
            self._unreleased.add(packet.packet_id)
            await self._send_packet(PubrecPacket.build(packet.packet_id))

    async def release(self, packet: PubrelPacket) -> None:
        """The second half of QoS 2."""
        self._unreleased.discard(packet.packet_id)
        await self._send_packet(PubcompPacket.build(packet.packet_id))

    def acknowledged(self, packet: PubackPacket) -> None:
        """The client has a message: the next may go."""
        self.session.inflight_out.pop(packet.packet_id, None)
        self._to_do.set()

    # - to the client

    async def offer(self, message: OutgoingApplicationMessage, *, wait: bool) -> None:
        """Put a message in the outbox.

        Args:
            message: its packet id is not yet chosen.
            wait: whether to wait for room in the gateway's; False for what the link itself
                causes, which would wait for itself.
        """
        while wait and self.is_gateway and not self._over and len(self._outbox) >= GATEWAY_OUTBOX:
            self._has_room.clear()
            await self._has_room.wait()
        if not self.is_gateway and len(self._outbox) >= BANK_OUTBOX:
            _log.warning("%s does not read what is sent to it: cut off", self.session.username)
            self.cut()
        elif not self._over:
            self._outbox.append(message)
            self._to_do.set()

    async def send_outbox(self) -> None:
        """Send what waits, in order, as far as the window allows."""
        window = GATEWAY_IN_FLIGHT if self.is_gateway else BANK_IN_FLIGHT
        in_flight = self.session.inflight_out
        while True:
            await self._to_do.wait()
            self._to_do.clear()
            while self._outbox and len(in_flight) < window:
                message = self._outbox.popleft()
                if message.qos:
                    message.packet_id = self.session.next_packet_id
                    in_flight[message.packet_id] = message
                await self._send_packet(message.build_publish_packet())
            self._has_room.set()

    def end(self) -> None:
        """There is nobody to send to any more: let go of everyone who waits for room."""
        self._over = True
        self._outbox.clear()
        self._has_room.set()

    async def _send_packet(self, packet: MQTTPacket) -> None:
        """Mends: a client that does not read blocked for ever; cancellation was swallowed."""
        async with asyncio.timeout(WRITE_TIMEOUT_S), self._write_lock:
            await packet.to_stream(self.writer)


async def read_packet(reader: StreamReaderAdapter) -> MQTTPacket:
    """The next packet, parsed from its own bytes alone.

    Mends: no limit of size, and a packet that lies about its inner lengths read into the next.

    Raises:
        NoDataError: the client is gone.
        MQTTError: too large, or not MQTT.
    """
    header, body = await read_frame(reader)
    return await packet_class(header).from_stream(BufferReader(body), fixed_header=header)


async def read_frame(reader: StreamReaderAdapter) -> tuple[MQTTFixedHeader, bytes]:
    """The next packet's header and bytes, bounded before they are read."""
    header = await MQTTFixedHeader.from_stream(reader)
    if header is None:
        msg = "the client is gone"
        raise NoDataError(msg)
    if header.remaining_length > MAX_PACKET_BYTES:
        msg = f"a packet of {header.remaining_length} bytes"
        raise MQTTError(msg)
    return header, await reader.read(header.remaining_length)
