"""One bank, alive: time and messages are brought to it, and what it says is carried away.

The bank is a value (:mod:`firmware_sim.bank`). This is its one owner: everything that happens to
it, be it time, a message or a hand, goes through here, on the loop's thread, and first brings it
to the present moment. It connects, and connects again for ever, with growing, random pauses.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from random import Random
from typing import Final

import structlog

from firmware_sim import bank as firmware
from firmware_sim.anatomy import Bank
from firmware_sim.connection import Address, BrokerAway, Connection, CredentialRefused, Identity
from firmware_sim.settings import SimSettings
from gateway.protocol import Birth, Channel, CommandId, Result, State

CHANNEL: Final[dict[type[firmware.Message], Channel]] = {
    Birth: Channel.STATUS,
    State: Channel.STATE,
    Result: Channel.RESULT,
}

log = structlog.get_logger()


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
        identity: Identity,
        address: Address,
        settings: SimSettings,
        jitter: Random,
        save: Callable[[Bank], None],
    ) -> None:
        self.bank = bank
        self.bank_id = identity.bank_id
        self.state = LinkState.CONNECTING
        self._identity = identity
        self._address = address
        self._settings = settings
        self._jitter = jitter
        self._save = save
        self._connection: Connection | None = None
        self._unacknowledged: dict[int, CommandId] = {}
        self._hurry = asyncio.Event()
        self._may_connect = asyncio.Event()
        self._is_dropped = False
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._back_timer: asyncio.TimerHandle | None = None
        self._ticked_at_s: float | None = None
        self._log = log.bind(bank=identity.bank_id)

    async def run(self) -> None:
        """Live until cancelled: then the power is gone, without a farewell."""
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
        if self._connection is not None:
            self._connection.keep_alive()
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
        if self._connection is None:
            return
        for message in messages:
            channel = CHANNEL[type(message)]
            number = self._connection.say(channel, message)
            if isinstance(message, Result):
                self._unacknowledged[number] = CommandId(message.command)
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
        """Say what is wrong, aloud only when it is new."""
        if self._may_connect.is_set():
            self.state = state
            (self._log.info if text == self._trouble else self._log.warning)(text)
            self._trouble = text

    async def _pause(self, failures: int) -> None:
        """Wait, at random up to a bound that doubles, so that a fleet does not come as one."""
        longest_s = self._settings.reconnect_first_s * 2.0 ** min(failures, 16)
        wait_s = self._jitter.uniform(0, min(longest_s, self._settings.reconnect_max_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()

    async def _session(self) -> None:
        """One connection, from its attempt to its end."""
        self._unacknowledged.clear()
        self.bank, will = firmware.connecting(self.bank)
        connection = Connection(
            self._identity,
            self._address,
            self._settings,
            will=will,
            hears=self._hear,
            acknowledged=self._acknowledge,
        )
        self._connection = connection
        try:
            if await connection.open():
                self.state, self._trouble = LinkState.CONNECTED, ""
                self._log.info("connected", conn=will.conn)
                self.touch(firmware.connected)
                await connection.end()
        finally:
            self._hang_up()

    def _hear(self, channel: Channel, payload: bytes) -> None:
        self._log.info(f"hears {channel}", payload=payload[:200].decode(errors="replace"))
        self.touch(lambda bank: firmware.hear(bank, channel, payload))

    def _acknowledge(self, number: int) -> None:
        command = self._unacknowledged.pop(number, None)
        if command is not None:
            self.bank = firmware.acknowledged(self.bank, command)

    def _hang_up(self) -> None:
        """End the connection without a farewell."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.sever()
        self.bank = firmware.disconnected(self.bank)
        if self.state is LinkState.CONNECTED:
            self.state = LinkState.CONNECTING
            self._log.info("connection ended")


def _told(message: firmware.Message) -> dict[str, object]:
    """What of a message is worth a line in the log."""
    if isinstance(message, State):
        keys = {"seq", "battery", "lock", "output", "plugged", "sessions", "on_s", "faults"}
        return message.model_dump(mode="json", include=keys)
    return message.model_dump(mode="json", exclude_none=True, exclude={"up_ms", "online"})
