"""Keeps a broker's copy of the live credentials in step with the database.

It looks once a second, and at once when poked. A change takes effect in about a second
whatever happens to the poke, so a lost poke costs latency only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from gateway.credentials import fingerprint, live_hashes
from gateway.protocol import BankId

LOOK_EVERY_S = 1.0
SETTLE_S = 0.1
"""After a change, changes gather for this long: a fleet registered at once is one reload."""

Apply = Callable[[Mapping[BankId, str]], Awaitable[None]]

_log = logging.getLogger(__name__)


class CredentialWatch:
    """One broker's eye on ``bank_credential``."""

    def __init__(self, engine: Engine, apply: Apply) -> None:
        self._engine = engine
        self._apply = apply
        self._seen: tuple[int, int] | None = None
        self._poked = asyncio.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Give the broker its first copy, then watch."""
        await self._look()
        self._task = asyncio.create_task(self._watch())

    def poke(self) -> None:
        """Look now; from any thread."""
        if not self._closing:
            self._loop.call_soon_threadsafe(self._poked.set)

    async def close(self) -> None:
        """Stop, after what is under way has ended: a thread cannot be cancelled."""
        self._closing = True
        self._poked.set()
        if self._task is not None:
            await self._task

    async def _watch(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._poked.wait()
            self._poked.clear()
            if not self._closing:
                await self._look_or_wait()

    async def _look_or_wait(self) -> None:
        try:
            changed = await self._look()
        except DBAPIError as error:
            _log.warning("credentials cannot be read, the last copy stays in force: %s", error.orig)
            return
        if changed:
            await asyncio.sleep(SETTLE_S)

    async def _look(self) -> bool:
        seen = await asyncio.to_thread(fingerprint, self._engine)
        if seen == self._seen:
            return False
        await self._apply(await asyncio.to_thread(live_hashes, self._engine))
        self._seen = seen  # taken before the copy: a change in between is looked at again
        return True
