"""One bank on the air: real MQTT 3.1.1, driven by one asyncio loop for any number of banks.

paho does the protocol and asyncio the waiting (paho's external loop): no thread per bank. Only
the opening of a connection, which paho does blocking, borrows a thread of the loop's own pool;
that also bounds how many banks connect at one time.

Each connection is a new paho client, so nothing that an old one had queued is sent late: a bank
says what is so now. The old one's socket is closed without a farewell, as a bank that has left
the network or lost its power would, and so the broker publishes its will.

The bank itself is a value (:mod:`firmware_sim.bank`); this file brings it time and messages, and
carries what it says. Everything here runs on the loop's thread.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_sim import bank as firmware
from firmware_sim.anatomy import Bank
from firmware_sim.settings import SimSettings
from gateway.protocol import (
    RETAINED,
    TO_BANK,
    BankId,
    Birth,
    Channel,
    CommandId,
    ProtocolError,
    Result,
    State,
    Will,
    encode,
    parse_topic,
    topic,
)

CHANNEL: Final[dict[type[firmware.Message], Channel]] = {
    Birth: Channel.STATUS,
    State: Channel.STATE,
    Result: Channel.RESULT,
}
_REFUSED_CREDENTIAL: Final = frozenset({"Bad user name or password", "Not authorized"})

MAX_QUEUED: Final = 100
"""Messages that wait for a broker that stalls; at the bound new ones are lost, and the next state
heals."""

log = structlog.get_logger()


class BrokerAway(Exception):  # noqa: N818 - it names a state of the world
    """The broker can't be reached, or took its time; worth another try."""


class CredentialRefused(Exception):  # noqa: N818 - named as what it is
    """The broker does not know this id with this secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the broker listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """None is plain TCP."""


class LinkState(StrEnum):
    """How a bank stands with the broker."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    REFUSED = "refused"
    """The last attempt was refused for the credential; it goes on trying."""
    DROPPED = "dropped"
    """Taken off the network."""
    DARK = "dark"
    """Its cells are empty."""


class Link:
    """A bank, its connection, and the hands that touch it."""

    def __init__(
        self,
        bank: Bank,
        *,
        bank_id: BankId,
        secret: str,
        address: Address,
        settings: SimSettings,
        jitter: Random,
        save: Callable[[Bank], None],
    ) -> None:
        self.bank = bank
        self.bank_id = bank_id
        self.state = LinkState.CONNECTING
        self._secret = secret
        self._address = address
        self._settings = settings
        self._jitter = jitter
        self._save = save
        self._client: Client | None = None
        self._unacknowledged: dict[int, CommandId] = {}
        self._answered: asyncio.Future[None] | None = None
        self._over = asyncio.Event()
        self._hurry = asyncio.Event()
        self._may_connect = asyncio.Event()
        self._is_dropped = False
        self._timer: asyncio.TimerHandle | None = None
        self._back_timer: asyncio.TimerHandle | None = None
        self._ticked_at_s: float | None = None
        self._log = log.bind(bank=bank_id)

    async def run(self) -> None:
        """Live until cancelled: then the power is gone, without a farewell."""
        self._save(self.bank)
        self._log.info("powered up", boot=self.bank.flash.boot)
        self._judge_air()
        self.catch_up()
        try:
            await self._connect_for_ever()
        finally:
            self._hang_up()
            for timer in (self._timer, self._back_timer):
                if timer is not None:
                    timer.cancel()

    # -- hands --------------------------------------------------------------------------

    def touch(self, act: Callable[[Bank], firmware.Spoken]) -> None:
        """Do something to the bank, now."""
        self._let_time_pass()
        self._become(act(self.bank))
        self._set_timer()

    def catch_up(self) -> None:
        """Bring the bank to this moment."""
        self._let_time_pass()
        self._set_timer()

    def lose_power(self) -> None:
        """Take the power away for a moment."""
        self.touch(lambda bank: (firmware.lose_power(bank), ()))

    def drop(self, *, for_s: float | None = None) -> None:
        """Take the bank off the network.

        Args:
            for_s: seconds until it comes back by itself; None is until :meth:`reconnect`.
        """
        self._is_dropped = True
        self._hang_up()
        self._judge_air()
        self._log.info("dropped off the network", for_s=for_s)
        if self._back_timer is not None:
            self._back_timer.cancel()
        if for_s is not None:
            loop = asyncio.get_running_loop()
            self._back_timer = loop.call_later(for_s, self.reconnect)

    def reconnect(self) -> None:
        """Bring the bank back onto the network, and let it try at once."""
        self._is_dropped = False
        if self._back_timer is not None:
            self._back_timer.cancel()
        self._hurry.set()
        self._judge_air()

    # -- time ---------------------------------------------------------------------------

    def _let_time_pass(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._ticked_at_s is None:
            self._ticked_at_s = now_s
        dt_ms = int((now_s - self._ticked_at_s) * 1_000)
        self._ticked_at_s += dt_ms / 1_000
        self._become(firmware.tick(self.bank, dt_ms, battery_speed=self._settings.battery_speed))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = min(firmware.wake_in_ms(self.bank) / 1_000, self._settings.tick_s)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._let_time_pass()
        if self._client is not None:
            self._client.loop_misc()  # keepalive
        self._set_timer()

    # -- the bank moves, and speaks ---------------------------------------------------------

    def _become(self, spoken: firmware.Spoken) -> None:
        """What the bank is now; flash is written before anything is said."""
        before, (self.bank, messages) = self.bank, spoken
        if self.bank.flash is not before.flash or self.bank.world.acts is not before.world.acts:
            self._save(self.bank)
        self._say(messages)
        if self.bank.flash.boot != before.flash.boot:
            self._log.info("powered up", boot=self.bank.flash.boot, fw=self.bank.ram.fw)
            self._hang_up()
            self._hurry.set()
        if self.bank.ram.is_powered != before.ram.is_powered:
            self._log.info("the cells are empty" if before.ram.is_powered else "back to life")
            self._hang_up()
        self._judge_air()

    def _say(self, messages: Iterable[firmware.Message]) -> None:
        if self._client is None:
            return
        for message in messages:
            channel = CHANNEL[type(message)]
            sent = self._client.publish(
                topic(self.bank_id, channel), encode(message), qos=1, retain=channel in RETAINED
            )
            if isinstance(message, Result):
                self._unacknowledged[sent.mid] = CommandId(message.command)
            self._log.info(f"says {channel}", **_told(message))

    def _judge_air(self) -> None:
        """Whether it may be on the air at all."""
        if self.bank.ram.is_powered and not self._is_dropped:
            self._may_connect.set()
            if self.state in (LinkState.DROPPED, LinkState.DARK):
                self.state = LinkState.CONNECTING
            return
        self._may_connect.clear()
        self.state = LinkState.DROPPED if self.bank.ram.is_powered else LinkState.DARK

    # -- the connection -----------------------------------------------------------------

    async def _connect_for_ever(self) -> None:
        failures = 0
        while True:
            await self._may_connect.wait()
            self._hurry.clear()
            try:
                await self._session()
                failures = 0
            except CredentialRefused as error:
                failures += 1
                self._note(LinkState.REFUSED, str(error))
            except BrokerAway as error:
                failures += 1
                self._note(LinkState.CONNECTING, str(error))
            await self._pause(failures)

    def _note(self, state: LinkState, text: str) -> None:
        if self._may_connect.is_set():
            self.state = state
            self._log.warning(text)

    async def _pause(self, failures: int) -> None:
        """Wait, at random up to a bound that doubles, so that a fleet does not come as one."""
        longest_s = self._settings.reconnect_first_s * 2.0 ** min(failures, 16)
        wait_s = self._jitter.uniform(0, min(longest_s, self._settings.reconnect_max_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()

    async def _session(self) -> None:
        """One connection, from its attempt to its end."""
        self._over.clear()
        self._unacknowledged.clear()
        self._answered = asyncio.get_running_loop().create_future()
        self.bank, will = firmware.connecting(self.bank)
        client = self._new_client(will)
        await self._open(client)
        if self.bank.flash.boot != will.boot or not self._may_connect.is_set():
            _sever(client)  # it rebooted, or was dropped, while it was connecting
            return
        self._client = client
        self._attend(client)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._answered
            await self._over.wait()
        except TimeoutError as error:
            msg = f"the broker at {self._where} took the connection and then said nothing"
            raise BrokerAway(msg) from error
        finally:
            self._hang_up()

    @property
    def _where(self) -> str:
        return f"{self._address.host}:{self._address.port}"

    def _new_client(self, will: Will) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.bank_id,
            clean_session=True,
            protocol=MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_queued_messages_set(MAX_QUEUED)
        client.username_pw_set(self.bank_id, self._secret)
        client.will_set(topic(self.bank_id, Channel.STATUS), encode(will), qos=1, retain=True)
        if self._address.tls is not None:
            client.tls_set_context(self._address.tls)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    async def _open(self, client: Client) -> None:
        address, keepalive_s = self._address, self._settings.keepalive_s
        try:
            await asyncio.to_thread(client.connect, address.host, address.port, keepalive_s)
        except OSError as error:
            msg = f"the broker at {self._where} can't be reached: {error.strerror or error}"
            raise BrokerAway(msg) from error

    def _attend(self, client: Client) -> None:
        """Let the loop watch the client's socket."""
        loop, sock = asyncio.get_running_loop(), client.socket()
        if sock is None:  # the broker closed it at once
            self._over.set()
            return

        def write_soon(*_: object) -> None:
            loop.add_writer(sock, client.loop_write)

        def write_no_more(*_: object) -> None:
            loop.remove_writer(sock)

        def closing(*_: object) -> None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)

        client.on_socket_register_write = write_soon
        client.on_socket_unregister_write = write_no_more
        client.on_socket_close = closing
        loop.add_reader(sock, _read_all, client)
        if client.want_write():
            write_soon()

    def _hang_up(self) -> None:
        """End the connection without a farewell."""
        client, self._client = self._client, None
        if client is not None:
            _sever(client)
        self.bank = firmware.disconnected(self.bank)
        if self.state is LinkState.CONNECTED:
            self.state = LinkState.CONNECTING
            self._log.info("connection ended")
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        self._over.set()

    # -- what paho tells ----------------------------------------------------------------

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, code: ReasonCode, ___: Properties | None
    ) -> None:
        if client is not self._client or self._answered is None or self._answered.done():
            return
        if code.is_failure:
            self._answered.set_exception(self._refusal(code))
            return
        self._let_time_pass()
        if client is not self._client:
            return  # it rebooted in that time
        self._answered.set_result(None)
        self.state = LinkState.CONNECTED
        self._log.info("connected", conn=self.bank.ram.conn)
        client.subscribe([(topic(self.bank_id, channel), 1) for channel in TO_BANK])
        self._become(firmware.connected(self.bank))
        self._set_timer()

    def _refusal(self, code: ReasonCode) -> Exception:
        if code.getName() in _REFUSED_CREDENTIAL:
            return CredentialRefused(
                f"the broker at {self._where} refused the credential of bank {self.bank_id} "
                f"({code.getName().lower()}): is it registered, and is this its newest secret?"
            )
        return BrokerAway(f"the broker at {self._where} refused: {code.getName().lower()}")

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if client is not self._client:
            return
        try:
            bank_id, channel = parse_topic(message.topic)
        except ProtocolError:
            return
        payload = bytes(message.payload)
        if bank_id == self.bank_id:
            self._log.info(f"hears {channel}", payload=payload[:200].decode(errors="replace"))
            self.touch(lambda bank: firmware.hear(bank, channel, payload))

    def _on_publish(
        self, client: Client, _: Any, mid: int, __: ReasonCode, ___: Properties
    ) -> None:
        command = self._unacknowledged.pop(mid, None)
        if client is self._client and command is not None:
            self.bank = firmware.acknowledged(self.bank, command)

    def _on_disconnect(
        self, client: Client, _: Any, __: DisconnectFlags, ___: ReasonCode, ____: Properties | None
    ) -> None:
        if client is not self._client:
            return
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(
                BrokerAway(f"the broker at {self._where} closed the connection unanswered")
            )
        self._hang_up()


def _told(message: firmware.Message) -> dict[str, object]:
    """What of a message is worth a line in the log."""
    if isinstance(message, State):
        keys = {"seq", "battery", "lock", "output", "plugged", "sessions", "on_s", "faults"}
        return message.model_dump(mode="json", include=keys)
    return message.model_dump(mode="json", exclude_none=True, exclude={"up_ms", "online"})


def _read_all(client: Client) -> None:
    """Read what has come; TLS may hold more than the socket shows."""
    client.loop_read()
    sock = client.socket()
    while isinstance(sock, ssl.SSLSocket) and sock.pending():
        client.loop_read()
        sock = client.socket()


def _sever(client: Client) -> None:
    """Close a client's socket without DISCONNECT, so that the broker publishes the will."""
    sock = client.socket()
    if sock is None:
        return
    if client.on_socket_close is not None:
        client.on_socket_close(client, None, sock)
    # This may run inside one of its callbacks: what it still wants to write goes nowhere.
    client.on_socket_register_write = None
    client.on_socket_unregister_write = None
    client.on_socket_close = None
    sock.close()
