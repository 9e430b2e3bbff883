"""One MQTT 3.1.1 connection of one bank, from its attempt to its end, on an asyncio loop.

paho does the protocol and asyncio the waiting (paho's external loop): no thread per bank. Only
the opening, which paho does blocking, borrows a thread of the loop's own pool; that also bounds
how many banks connect at one time.

Each connection is a new paho client, so nothing that an old one had queued is sent late: a bank
says what is so now. It ends without DISCONNECT, as a bank that has left the network or lost its
power would end it, and so the broker publishes its will.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_sim.settings import SimSettings
from gateway.protocol import (
    RETAINED,
    TO_BANK,
    AnyMessage,
    BankId,
    Channel,
    ProtocolError,
    Will,
    encode,
    parse_topic,
    topic,
)

MAX_QUEUED: Final = 100
"""Messages that wait for a broker that stalls; at the bound new ones are lost, and the next state
heals."""

_REFUSED_CREDENTIAL: Final = frozenset({"Bad user name or password", "Not authorized"})


class BrokerAway(Exception):  # noqa: N818 - it names a state of the world
    """The broker can't be reached, or does not answer; worth another try."""


class CredentialRefused(Exception):  # noqa: N818 - named as what it is
    """The broker does not know this id with this secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the broker listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """None is plain TCP."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a bank connects with."""

    bank_id: BankId
    secret: str


class Connection:
    """One connection; it is not opened twice."""

    def __init__(
        self,
        identity: Identity,
        address: Address,
        settings: SimSettings,
        *,
        will: Will,
        hears: Callable[[Channel, bytes], None],
        acknowledged: Callable[[int], None],
    ) -> None:
        """Prepare a connection.

        Args:
            identity: whose it is.
            address: where the broker is.
            settings: keepalive and patience.
            will: what the broker publishes when the connection ends.
            hears: called with what comes on the bank's own topics.
            acknowledged: called with the number of a message that the broker has.
        """
        self.will = will
        self._identity = identity
        self._address = address
        self._settings = settings
        self._hears = hears
        self._acknowledged = acknowledged
        self._answer: asyncio.Future[ReasonCode | None] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._is_attended = False
        """Whether the socket is ours; before that it is the opening thread's."""
        self._is_severed = False
        self._client = self._new_client()

    async def open(self) -> bool:
        """Connect, and subscribe to the bank's own topics.

        Returns:
            Whether it stands; False when it was severed meanwhile.

        Raises:
            BrokerAway: nobody is there, or answers.
            CredentialRefused: this id with this secret is not let in.
        """
        await self._open_socket()
        self._attend()
        if self._is_severed:
            self.sever()
            return False
        code = await self._hear_answer()
        if self._is_severed:
            return False
        if code is None:
            msg = f"the broker at {self._address} closed the connection unanswered"
            raise BrokerAway(msg)
        if code.is_failure:
            raise self._refusal(code)
        bank_id = self._identity.bank_id
        self._client.subscribe([(topic(bank_id, channel), 1) for channel in TO_BANK])
        return True

    async def end(self) -> None:
        """Wait until the connection is over."""
        await self._over.wait()

    def say(self, channel: Channel, message: AnyMessage) -> int:
        """Send a message at QoS 1, and return its number."""
        name = topic(self._identity.bank_id, channel)
        return self._client.publish(name, encode(message), 1, retain=channel in RETAINED).mid

    def keep_alive(self) -> None:
        """Ping the broker where it is time; to be called about every second."""
        if self._is_attended:
            self._client.loop_misc()

    def sever(self) -> None:
        """Close the socket without DISCONNECT, so that the broker publishes the will."""
        self._is_severed = True
        client, sock = self._client, self._client.socket() if self._is_attended else None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            asyncio.get_running_loop().remove_writer(sock)
            # This may run inside one of its callbacks: what it still wants to write goes nowhere.
            client.on_socket_register_write = None
            client.on_socket_unregister_write = None
            client.on_socket_close = None
            sock.close()
        self._end()

    # -- opening ------------------------------------------------------------------------

    def _new_client(self) -> Client:
        identity, settings = self._identity, self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.bank_id,
            clean_session=True,
            protocol=MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.connect_timeout_s
        client.max_queued_messages_set(MAX_QUEUED)
        client.username_pw_set(identity.bank_id, identity.secret)
        client.will_set(topic(identity.bank_id, Channel.STATUS), encode(self.will), 1, retain=True)
        if self._address.tls is not None:
            client.tls_set_context(self._address.tls)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    async def _open_socket(self) -> None:
        host, port, keepalive_s = self._address.host, self._address.port, self._settings.keepalive_s
        try:
            await asyncio.to_thread(self._client.connect, host, port, keepalive_s)
        except OSError as error:
            msg = f"the broker at {self._address} can't be reached: {error.strerror or error}"
            raise BrokerAway(msg) from error

    async def _hear_answer(self) -> ReasonCode | None:
        """What the broker answers; None when the connection ended first."""
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                return await self._answer
        except TimeoutError as error:
            msg = f"the broker at {self._address} took the connection and then said nothing"
            raise BrokerAway(msg) from error

    def _refusal(self, code: ReasonCode) -> Exception:
        said = code.getName()
        if said not in _REFUSED_CREDENTIAL:
            return BrokerAway(f"the broker at {self._address} refused: {said.lower()}")
        return CredentialRefused(
            f"the broker at {self._address} refused the credential of bank "
            f"{self._identity.bank_id} ({said.lower()}): is it registered, and is this its newest "
            "secret?"
        )

    # -- on the loop --------------------------------------------------------------------

    def _attend(self) -> None:
        """Let the loop watch the socket."""
        client, loop = self._client, asyncio.get_running_loop()
        self._is_attended = True
        client.on_disconnect = lambda *_: self._end()
        sock = client.socket()
        if sock is None:  # the broker closed it at once
            self._end()
            return

        def write_when_ready(*_: object) -> None:
            loop.add_writer(sock, client.loop_write)

        def write_no_more(*_: object) -> None:
            loop.remove_writer(sock)

        def leave(*_: object) -> None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)

        client.on_socket_register_write = write_when_ready
        client.on_socket_unregister_write = write_no_more
        client.on_socket_close = leave
        loop.add_reader(sock, self._read)
        if client.want_write():
            write_when_ready()

    def _read(self) -> None:
        """Read what has come; TLS may hold more than the socket shows."""
        self._client.loop_read()
        sock = self._client.socket()
        while isinstance(sock, ssl.SSLSocket) and not self._is_severed and sock.pending():
            self._client.loop_read()
            sock = self._client.socket()

    def _end(self) -> None:
        if not self._answer.done():
            self._answer.set_result(None)
        self._over.set()

    # -- what paho tells ----------------------------------------------------------------

    def _on_connect(
        self, _: Client, __: Any, ___: Any, code: ReasonCode, ____: Properties | None
    ) -> None:
        if not self._answer.done():
            self._answer.set_result(code)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        try:
            bank_id, channel = parse_topic(message.topic)
        except ProtocolError:
            return
        if bank_id == self._identity.bank_id and not self._is_severed:
            self._hears(channel, bytes(message.payload))

    def _on_publish(self, _: Client, __: Any, mid: int, ___: ReasonCode, ____: Properties) -> None:
        if not self._is_severed:
            self._acknowledged(mid)
