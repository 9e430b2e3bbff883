"""The only MQTT client of the gateway: connect, subscribe, acknowledge when told to.

Paho does the protocol (3.1.1; its MQTT 5 is half as fast), driven by the process's one asyncio
loop. What this adds:

- **Acknowledge after the commit.** ``manual_ack``; a batch is acknowledged when ``ingest`` says
  so. A batch of an earlier connection is not acknowledged on a later one: the broker sends it
  again, and it has no second effect.
- **Subscribe on every connect**, and be ready only after the SUBACK.
- **Notice deafness.** A SUBACK says "granted" for filters that never deliver, and a session can
  be deleted behind our back. So the gateway sends itself an echo, and connects anew when it
  does not hear it.
- **Reconnect** with doubled delays and full jitter, bounded.
- **Hold back.** With ``unacked_max`` messages in hand the socket is not read, and so the broker
  is neither dead nor deaf meanwhile; nor is a connection made while half of that is in hand.
- **Read in chunks.** Paho asks the kernel for one byte at a time, and calls back through three
  locks for each message; that is most of what a message costs. :class:`_ChunkedSocket` asks for
  64 KiB; a PUBLISH goes from there to the batch, the PUBACKs of a batch are one write, and every
  other packet is paho's.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, time_func
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.broker_url import BrokerUrl
from gateway.clock import now_ms
from gateway.errors import BrokerAway
from gateway.inbox import Incoming
from gateway.protocol import FROM_BANK, ROOT, every_bank
from gateway.settings import GatewaySettings

log = structlog.get_logger("gateway.link")

_PUBLISH: Final = 0x30
_QOS_BITS: Final = 0x06
_QOS_1: Final = 0x02
_RETAIN: Final = 0x01
_PUBACK: Final = 0x40020000
"""A whole PUBACK as one number, less the message's."""
_CHUNK: Final = 65_536
_OUT_MAX: Final = 8 * 1024 * 1024
"""Bytes that may wait for the broker to take them; past this the connection is given up."""
_CONNECT_TIMEOUT_S: Final = 10.0
_LASTED_S: Final = 60.0
"""A connection that held for so long was a good one: the next pause is a short one again."""
_TICK_S: Final = 1.0


class _ChunkedSocket:
    """A non-blocking socket that reads in chunks, tells packets apart, and writes when told to.

    It is to paho what paho's own WebSocket wrapper is: ``recv``, ``send``, ``fileno``, ``close``.
    Paho is only let at whole packets, so it is never left in the middle of one, and what it
    writes it writes whole: our own packets may stand between paho's, both ways.
    """

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self._read = b""
        self._at = 0
        self._paho_until = 0
        self._out = bytearray()

    def fill(self) -> bool:
        """Take what the kernel has, about a chunk of it; False when the peer is gone."""
        try:
            chunk = self.inner.recv(_CHUNK)
            if not chunk:
                return False
            while isinstance(self.inner, ssl.SSLSocket) and self.inner.pending():
                chunk += self.inner.recv(_CHUNK)  # decrypted already: no select would tell
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        self._read = self._read[self._at :] + chunk
        self._at = 0
        return True

    def next_packet(self) -> tuple[int, int, int] | None:
        """The next whole packet: its first byte, and where its body begins and ends.

        Raises:
            BrokerAway: its length is not what MQTT allows.
        """
        read, at = self._read, self._at + 1
        length = shift = 0
        while at < len(read):
            digit = read[at]
            at += 1
            length |= (digit & 0x7F) << shift
            if digit < 0x80:  # noqa: PLR2004
                return (read[self._at], at, at + length) if at + length <= len(read) else None
            shift += 7
            if shift > 21:  # noqa: PLR2004
                msg = "the broker does not speak MQTT"
                raise BrokerAway(msg)
        return None

    def take(self, begin: int, end: int) -> bytes:
        """The packet's body, past which the next one is."""
        self._at = end
        return self._read[begin:end]

    def let_paho_read(self, end: int) -> None:
        """Let paho at what is before ``end``: it takes as many packets as it can get."""
        self._paho_until = end

    def recv(self, size: int) -> bytes:
        taken = self._read[self._at : min(self._at + size, self._paho_until)]
        if not taken:
            raise BlockingIOError
        self._at += len(taken)
        return taken

    def send(self, data: bytes | bytearray) -> int:
        if len(self._out) + len(data) > _OUT_MAX:
            msg = "the broker does not take what is sent"
            raise ConnectionError(msg)
        self.add(data)
        return len(data)

    def add(self, data: bytes | bytearray) -> None:
        """Send what there is always room for: ``unacked_max`` bounds the acknowledgements."""
        self._out += data

    def flush(self) -> bool:
        """Send what was collected; False while the kernel's buffer is full."""
        while self._out:
            try:
                sent = self.inner.send(self._out)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return False
            del self._out[:sent]
        return True

    def fileno(self) -> int:
        return self.inner.fileno()

    def close(self) -> None:
        self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Paho(Client):
    """Paho, with our socket."""

    def _create_socket(self) -> Any:
        inner: Any = super()._create_socket()
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _ChunkedSocket(inner)

    def spare_the_broker(self) -> None:
        """It is there, for all we know: wait for its next answer from now on."""
        with self._msgtime_mutex:
            self._last_bytes_received = time_func()
        self._ping_t = 0.0


class MqttBatch:
    """Messages of one connection."""

    def __init__(self, link: "Link", connection: int, messages: list[Incoming]) -> None:
        self.messages = messages
        self._link = link
        self._connection = connection

    def ack(self) -> None:
        """Acknowledge all, if they are still this connection's to acknowledge."""
        self._link.acknowledge(self._connection, self.messages)


class Link:
    """The gateway's connection to a broker. An ``Inbox`` and an ``Outbox``.

    Args:
        address: where the broker is.
        settings: bounds, delays, the client id.
        jitter: 0..1, spreads reconnects.
    """

    def __init__(
        self,
        address: BrokerUrl,
        settings: GatewaySettings,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._address = address
        self._settings = settings
        self._jitter = jitter
        self._client_id = address.client_id or settings.client_id
        self._echo_topic = f"{ROOT}/{self._client_id}/echo"
        self._arrived: list[Incoming] = []
        self._something = asyncio.Event()
        self._closed: asyncio.Future[str] | None = None
        self._connection = 0
        self._unacked = 0
        self._reading = False
        self._echoes_missed = 0
        self._received_at_echo = 0
        self._received_at_tick = 0
        self._subscribe_mid: int | None = None
        self.is_ready = asyncio.Event()
        """Set while subscribed: after the SUBACK, until the connection is lost."""
        self.listening_since_ms = 0
        """Since when it has been ready, and has not held back."""
        self.received = 0
        """Messages taken so far."""
        self.problem: str | None = None
        """Why there is no connection, in a sentence's words; None while there is one."""
        self._client = self._new_client()

    # -- the outside ------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected, for ever."""
        loop = asyncio.get_running_loop()
        delay_s = self._settings.reconnect_min_s
        while True:
            if len(self._arrived) > self._settings.unacked_max // 2:
                await asyncio.sleep(_TICK_S / 10)  # the broker will send much of it again
                continue
            began_s = loop.time()
            try:
                await self._one_connection()
            except BrokerAway as away:
                self.problem = str(away)
                log.warning("broker_away", broker=str(self._address), why=str(away))
            if loop.time() - began_s > _LASTED_S:
                delay_s = self._settings.reconnect_min_s
            await asyncio.sleep(delay_s * self._jitter())
            delay_s = min(delay_s * 2, self._settings.reconnect_max_s)

    async def batches(self) -> AsyncIterator[MqttBatch]:
        """What has arrived, whenever something has: at most ``batch_max`` at a time."""
        while True:
            if not self._arrived:
                self._something.clear()
                await self._something.wait()
            size = self._settings.batch_max
            taken, self._arrived = self._arrived[:size], self._arrived[size:]
            if taken:
                yield MqttBatch(self, self._connection, taken)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        """Hand a message to the broker; False when there is no connection, and nothing was sent."""
        if not self.is_ready.is_set():
            return False
        self._client.publish(topic, payload, qos=qos, retain=retain)
        self._flush()
        return True

    def acknowledge(self, connection: int, messages: list[Incoming]) -> None:
        """PUBACK each message, in one write."""
        if connection != self._connection:
            return
        self._unacked -= len(messages)
        mids = [_PUBACK | message.mid for message in messages if message.mid]
        sock = self._socket()
        if sock is not None:
            sock.add(struct.pack(f"!{len(mids)}I", *mids))
        self._flush()
        if not self._reading and self._unacked <= self._settings.unacked_max // 2:
            self.listening_since_ms = now_ms()
            self._watch()

    # -- one connection ---------------------------------------------------------------

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        address = self._address
        self._connection += 1
        self._arrived = [message._replace(mid=0) for message in self._arrived]
        self._unacked = len(self._arrived)
        try:
            await asyncio.to_thread(
                self._client.connect, address.host, address.port, self._settings.keepalive_s
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            msg = f"can't reach the broker at {address} ({why})"
            raise BrokerAway(msg) from error
        try:
            self._echoes_missed = 0
            self._watch()
            self._flush()
            raise BrokerAway(await self._until_closed(self._closed))
        except asyncio.CancelledError:
            self._client.disconnect()  # with a goodbye
            self._flush()
            raise
        finally:
            self.is_ready.clear()
            self._drop()

    async def _until_closed(self, closed: asyncio.Future[str]) -> str:
        loop = asyncio.get_running_loop()
        ready_by_s = loop.time() + _CONNECT_TIMEOUT_S
        echo_due_s = loop.time() + self._settings.echo_every_s
        while not closed.done():
            await asyncio.wait([closed], timeout=_TICK_S)
            self._keep_alive()
            now_s = loop.time()
            if not self._reading:
                ready_by_s = now_s + _CONNECT_TIMEOUT_S
            elif not self.is_ready.is_set():
                if now_s >= ready_by_s:
                    self._lost(f"{self._address} did not confirm the subscriptions in time")
            elif now_s >= echo_due_s:
                echo_due_s = now_s + self._settings.echo_every_s
                self._echo()
        return closed.result()

    def _keep_alive(self) -> None:
        """Paho's keepalive, which knows nothing of what we read, and of what we leave unread."""
        if not self._reading or self.received != self._received_at_tick:
            self._client.spare_the_broker()
        self._received_at_tick = self.received
        self._client.loop_misc()
        self._flush()

    def _echo(self) -> None:
        if self._echoes_missed >= 2 and self.received == self._received_at_echo:  # noqa: PLR2004
            self._lost("deaf: the broker says subscribed, and delivers nothing")
            return
        self._received_at_echo = self.received
        self._echoes_missed += 1
        self._client.publish(self._echo_topic, b"", qos=0)
        self._flush()

    def _new_client(self) -> _Paho:
        address = self._address
        client = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._write_later
        client.max_inflight_messages_set(1_000)
        client.max_queued_messages_set(10_000)
        client.connect_timeout = _CONNECT_TIMEOUT_S
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if address.tls:
            ca_file = self._settings.ca_file
            client.tls_set(ca_certs=str(ca_file) if ca_file else None)
        return client

    # -- paho's callbacks: they set marks and return -------------------------------------

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode,
        _properties: Properties | None,
    ) -> None:  # fmt: skip
        if code.is_failure:
            self._lost(f"the broker at {self._address} did not let the gateway in ({code})")
            return
        share = f"$share/{self._settings.shared_group}/" if self._settings.shared_group else ""
        filters = [(share + every_bank(channel), 1) for channel in FROM_BANK]
        _, self._subscribe_mid = client.subscribe([*filters, (self._echo_topic, 0)])

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:  # fmt: skip
        if mid != self._subscribe_mid:
            return
        if any(code.is_failure for code in codes):
            self._lost("the broker refused a subscription; check the gateway's rights")
            return
        self.listening_since_ms = now_ms()
        self.problem = None
        self.is_ready.set()
        log.info("subscribed", broker=str(self._address))

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode,
        _properties: Properties | None,
    ) -> None:  # fmt: skip
        self._lost(f"the connection to {self._address} was lost: {code}")

    def _on_socket_close(self, _client: Client, _data: Any, sock: Any) -> None:
        with contextlib.suppress(OSError):
            sock.flush()  # paho closes right after its goodbye
        self._forget(sock)

    def _write_later(self, _client: Client, _data: Any, _sock: Any) -> None:
        """Nothing: every way that leads here ends in ``_flush``."""

    # -- the socket -------------------------------------------------------------------

    def _socket(self) -> _ChunkedSocket | None:
        sock: Any = self._client.socket()
        return sock if isinstance(sock, _ChunkedSocket) and sock.fileno() >= 0 else None

    def _on_readable(self) -> None:
        sock = self._socket()
        if sock is None:
            return
        try:
            is_there = sock.fill()
        except OSError as error:
            self._lost(f"the connection to {self._address} was lost: {error}")
            return
        if not is_there:
            self._lost("the broker closed the connection")
            return
        try:
            self._read_packets(sock)
        except BrokerAway as away:
            self._lost(str(away))
            return
        if self._arrived:
            self._something.set()
        if self._unacked >= self._settings.unacked_max:
            self._unwatch()
        self._flush()

    def _read_packets(self, sock: _ChunkedSocket) -> None:
        """Each PUBLISH to the batch, and every other packet to paho."""
        received_at_ms, before = now_ms(), len(self._arrived)
        while (packet := sock.next_packet()) is not None:
            header, begin, end = packet
            if header & 0xF0 == _PUBLISH:
                self._take(header, sock.take(begin, end), received_at_ms)
                continue
            sock.let_paho_read(end)
            if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        self._unacked += len(self._arrived) - before
        self.received += len(self._arrived) - before

    def _take(self, header: int, body: bytes, received_at_ms: int) -> None:
        qos = header & _QOS_BITS
        try:
            end = 2 + (body[0] << 8 | body[1])
            topic = body[2:end].decode()
            mid = body[end] << 8 | body[end + 1] if qos else 0
        except (IndexError, UnicodeDecodeError):
            msg = "the broker does not speak MQTT"
            raise BrokerAway(msg) from None
        if topic == self._echo_topic:
            self._echoes_missed = 0
            return
        if qos > _QOS_1:
            msg = "the broker sends at QoS 2, which was not asked for"
            raise BrokerAway(msg)
        payload = body[end + 2 :] if qos else body[end:]
        self._arrived.append(Incoming(topic, payload, received_at_ms, bool(header & _RETAIN), mid))

    def _flush(self) -> None:
        """Let paho write into our buffer, and the buffer onto the wire."""
        self._client.loop_write()  # which may close the socket
        sock = self._socket()
        if sock is None:
            return
        loop = asyncio.get_running_loop()
        try:
            if sock.flush():
                loop.remove_writer(sock.fileno())
            else:
                loop.add_writer(sock.fileno(), self._flush)
        except OSError as error:
            self._lost(f"the connection to {self._address} was lost: {error}")

    def _watch(self) -> None:
        sock = self._socket()
        if sock is not None and not self._reading:
            asyncio.get_running_loop().add_reader(sock.fileno(), self._on_readable)
            self._reading = True

    def _unwatch(self) -> None:
        sock = self._socket()
        if sock is not None and self._reading:
            asyncio.get_running_loop().remove_reader(sock.fileno())
        self._reading = False

    def _drop(self) -> None:
        """Close the socket without a goodbye: the broker keeps what we did not acknowledge."""
        sock = self._socket()
        if sock is not None:
            self._forget(sock)
            sock.close()

    def _forget(self, sock: _ChunkedSocket) -> None:
        """Before it is closed: the loop would take the next socket of its number for it."""
        if sock.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock.fileno())
            loop.remove_writer(sock.fileno())
            self._reading = False

    def _lost(self, why: str) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(why)
