"""The gateway: one link, one store, and the loops between them.

- ``ingest`` moves what banks say into the store;
- ``sender`` moves commands out, and decides what became of them;
- the presence sweep says who has gone silent;
- the pruner drops old history;
- dead letters that an operator wants replayed are taken in again.

All run on one asyncio loop; the database work runs in worker threads, one for ingest and one
for the rest, so that a slow sweep never holds up a batch.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from gateway import letters, presence, sender
from gateway.broker_url import BrokerUrl
from gateway.clock import now_ms
from gateway.events import BankDegraded, BankOffline, Event
from gateway.ingest import Ingest
from gateway.link import Link
from gateway.presence import Presence
from gateway.settings import GatewaySettings
from gateway.shadow import Shadow
from gateway.store import Store

log = structlog.get_logger("gateway")

_PRUNE_EVERY_S = 600.0
_DAY_MS = 86_400_000

T = TypeVar("T")


def _nothing() -> None:
    """Nobody to tell."""


class Gateway:
    """One gateway process, or the gateway's part of one.

    Args:
        engine: the migrated database.
        address: the broker.
        settings: bounds and thresholds.
        on_events: called, on the loop's thread, after a commit that holds new events.
    """

    def __init__(
        self,
        engine: Engine,
        address: BrokerUrl,
        settings: GatewaySettings,
        on_events: Callable[[], None] = _nothing,
    ) -> None:
        self.settings = settings
        self.store = Store(engine)
        self.link = Link(address, settings)
        self.on_events = on_events
        self._sender = sender.Sender(self.store, settings)
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batches = ThreadPoolExecutor(1, thread_name_prefix="gateway-ingest")
        self._sweeps = ThreadPoolExecutor(1, thread_name_prefix="gateway-sweep")
        self.ingest = Ingest(self.store, settings, self._batches, self._news)

    @property
    def is_ready(self) -> bool:
        """Whether it hears the banks: subscribed, and not cut off since."""
        return self.link.is_ready.is_set()

    def wake_sender(self) -> None:
        """There is a new command. Safe from any thread; a lost call costs only time."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StartError: the database has not been migrated.
        """
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._sweeps, self.store.check)
        gc.freeze()  # or the collector walks every imported module once in a few batches
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.link.run(), name="link")
                tasks.create_task(self.ingest.run(self.link), name="ingest")
                tasks.create_task(self._send(), name="sender")
                tasks.create_task(self._judge_presence(), name="presence")
                tasks.create_task(self._prune(), name="prune")
                tasks.create_task(self._replay(), name="replay")
        finally:
            self._batches.shutdown()
            self._sweeps.shutdown()

    # -- loops ------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            await self._woken_or_after(self.settings.sweep_every_s)
            sweep = partial(self._sender.sweep, can_send=self.is_ready)
            swept = await self._tried(sweep, now_ms())
            if swept is not None:
                outgoing, news = swept
                sender.publish(self.link, outgoing)
                if news:
                    self.on_events()

    async def _judge_presence(self) -> None:
        while True:
            await asyncio.sleep(self.settings.sweep_every_s)
            at_ms = self.ingest.behind_since_ms or now_ms()  # of later words nothing is known yet
            if self.is_ready and await self._tried(self.sweep_presence, at_ms):
                self.on_events()

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            await self._tried(self._prune_now, now_ms())

    async def _replay(self) -> None:
        while True:
            await asyncio.sleep(self.settings.sweep_every_s)
            if await self._tried(self._replay_now, now_ms(), executor=self._batches):
                self.on_events()

    def _replay_now(self, at_ms: int) -> bool:
        return letters.replay(
            self.store,
            lambda incoming: self.ingest.store([incoming]),
            now_ms=at_ms,
            limit=self.settings.sweep_max,
        )

    def sweep_presence(self, at_ms: int) -> bool:
        """Judge the banks that have been silent; tells whether any of them moved."""
        rules = self.settings.presence_rules
        told: list[Event] = []
        with self.store.transaction() as connection:
            silent = self.store.silent(
                connection,
                before_ms=at_ms - rules.degraded_after_ms,
                limit=self.settings.sweep_max,
            )
            for shadow in sorted(silent):  # in id order, as ingest locks them
                judged = presence.judge(
                    current=Presence(shadow.presence),
                    heard_at_ms=shadow.heard_at_ms,
                    will_at_ms=shadow.will_at_ms,
                    listening_since_ms=self.link.listening_since_ms,
                    now_ms=at_ms,
                    rules=rules,
                )
                if judged != shadow.presence and self.store.set_presence(
                    connection, shadow, judged
                ):
                    told.append(_went(shadow, judged, at_ms))
            self.store.add_events(connection, told)
        return bool(told)

    def _prune_now(self, at_ms: int) -> None:
        with self.store.transaction() as connection:
            self.store.prune(
                connection,
                samples_before_ms=at_ms - self.settings.samples_kept_days * _DAY_MS,
                letters_max=self.settings.dead_letters_max,
            )

    # -- helpers ----------------------------------------------------------------------

    def _news(self) -> None:
        """A commit held events, or a word on a command."""
        self._wake.set()
        self.on_events()

    async def _woken_or_after(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _tried(
        self, work: Callable[[int], T], at_ms: int, *, executor: Executor | None = None
    ) -> T | None:
        """Do a sweep's database work; None when the database is away: the next sweep is soon."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(executor or self._sweeps, work, at_ms)
        except (OperationalError, InterfaceError) as error:
            log.warning("store_away", why=str(error.orig))
            return None


def _went(shadow: Shadow, judged: Presence, at_ms: int) -> Event:
    kind = BankOffline if judged is Presence.OFFLINE else BankDegraded
    return kind(
        bank=shadow.bank_id,
        key=str(shadow.heard_at_ms),
        occurred_at_ms=at_ms,
        received_at_ms=at_ms,
    )
