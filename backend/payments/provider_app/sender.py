"""Sends notices until they are answered, and lets time run out on payments.

A notice is sent when it is due, by itself or because :meth:`Sender.wake` was called, and
again after a pause that doubles up to a cap, with jitter, so that notices which failed
together do not come back together. After the last attempt it is given up: the payee asks
then, as it must be able to anyway. What is in the air when the process dies is sent again.
"""

import asyncio
import logging
import secrets
import sqlite3
from contextlib import suppress
from datetime import timedelta
from typing import Final

import httpx

from backend.payments.provider_app.behaviour import COPIES, Behaviour
from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.desk import Desk
from backend.payments.provider_app.memory import Memory, Notice, Outcome
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.signer import signed_headers

log = logging.getLogger(__name__)
_CHANCE: Final = secrets.SystemRandom()


def pause(attempts: int, settings: ProviderSettings) -> timedelta:
    """How long to wait after the ``attempts``-th failure: half to all of what it doubled to."""
    doubled_s: float = settings.webhook_retry_base_s * 2 ** (attempts - 1)
    return timedelta(seconds=_CHANCE.uniform(0.5, 1) * min(doubled_s, settings.webhook_retry_cap_s))


class Sender:
    """The provider's background work: one task, for as long as the application runs."""

    def __init__(
        self,
        *,
        memory: Memory,
        settings: ProviderSettings,
        clock: Clock,
        behaviour: Behaviour,
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._clock = clock
        self._behaviour = behaviour
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """There may be something to send: from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self, desk: Desk) -> None:
        """Work until cancelled."""
        self._loop = asyncio.get_running_loop()
        timeout_s = self._settings.webhook_timeout_s
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as http:
            while True:
                self._woken.clear()
                try:
                    more = await self._work(desk, http)
                except sqlite3.OperationalError:  # a full disk, a busy file: it may pass
                    log.exception("the sandbox provider's memory does not answer")
                    more = False
                if not more:
                    await self._nap()

    async def _work(self, desk: Desk, http: httpx.AsyncClient) -> bool:
        """One round; whether there is more to do at once."""
        await asyncio.to_thread(desk.sweep)
        batch = await asyncio.to_thread(self._due)
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(self._deliver(notice, http)) for notice in batch]
        await asyncio.to_thread(self._record, batch, [task.result() for task in sent])
        return len(batch) == self._settings.webhook_batch

    async def _nap(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.tick_s):
                await self._woken.wait()

    async def _deliver(self, notice: Notice, http: httpx.AsyncClient) -> list[bool]:
        """For each copy that the behaviour asks for, whether it was heard."""
        copies = COPIES[self._behaviour.webhooks]
        return [await self._post(notice, http) for _ in range(copies)]

    async def _post(self, notice: Notice, http: httpx.AsyncClient) -> bool:
        """Whether the receiver said that it has it."""
        body = notice.body.encode()
        headers = signed_headers(
            self._settings.webhook_secret, notice_id=notice.id, now=self._clock(), body=body
        )
        headers["content-type"] = "application/json"
        try:
            async with http.stream(
                "POST", self._settings.webhook_url, content=body, headers=headers
            ) as answer:  # its body is nothing to us, and may be endless
                return answer.is_success
        except (httpx.RequestError, httpx.InvalidURL) as error:
            log.info("notice %s was not heard: %s", notice.id, type(error).__name__)
            return False

    def _due(self) -> list[Notice]:
        with self._memory.transaction() as rows:
            return rows.due_notices(self._clock(), limit=self._settings.webhook_batch)

    def _record(self, batch: list[Notice], heard: list[list[bool]]) -> None:
        with self._memory.transaction() as rows:
            for notice, copies in zip(batch, heard, strict=True):
                outcome = self._outcome(notice, copies)
                if outcome is not None:
                    rows.settle_notice(notice.id, outcome)
                else:
                    later = pause(notice.attempts + 1, self._settings)
                    rows.postpone_notice(notice.id, due=self._clock() + later)

    def _outcome(self, notice: Notice, copies: list[bool]) -> Outcome | None:
        """How it ended; None: it goes on."""
        if not copies:
            return Outcome.DROPPED
        if any(copies):
            return Outcome.DELIVERED
        if notice.attempts + 1 < self._settings.webhook_attempts:
            return None
        log.warning("notice %s is given up after %d attempts", notice.id, notice.attempts + 1)
        return Outcome.GIVEN_UP
