"""Sends notices until they are answered, and lets time run out on payments.

A notice is sent when it is due, by itself or because :meth:`Sender.wake` was called, and
again after a pause that doubles up to a cap, with jitter, so that notices which failed
together do not come back together. After the last attempt it is given up: the payee asks
then, as it must be able to anyway. What is in the air when the process dies is sent again.
A fault may strike a notice the first time that it is due.
"""

import asyncio
import base64
import logging
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import httpx

from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.faults import IN_NOTICE, At, Fault, Faults, Struck
from backend.payments.provider_app.memory import Memory
from backend.payments.provider_app.rows import Notice, Outcome
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.signer import signed_headers

log = logging.getLogger(__name__)
_CHANCE: Final = secrets.SystemRandom()
_OTHERS_SECRET: Final = "whsec_" + base64.b64encode(b"not the secret of this account").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fate:
    """What became of a notice that was due."""

    outcome: Outcome | None = None
    """How it ended; None: it goes on."""
    wait: timedelta | None = None
    """Until it is due again; None: the usual pause."""
    is_behind: bool = False
    """It also goes once the next notice about the same has gone."""


_HEARD: Final = _Fate(outcome=Outcome.DELIVERED)
_UNHEARD: Final = _Fate()


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
        faults: Faults,
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._clock = clock
        self._faults = faults
        self._woken = asyncio.Event()
        self._rested = asyncio.Condition()
        self._begun = 0
        self._quiet_in = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """There may be something to send: from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self, sweep: Callable[[], object]) -> None:
        """Work until cancelled: let time run out on what is due by ``sweep``, and send."""
        self._loop = asyncio.get_running_loop()
        timeout_s = self._settings.webhook_timeout_s
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as http:
            while True:
                self._woken.clear()
                try:
                    more = await self._work(sweep, http)
                except sqlite3.OperationalError:  # a full disk, a busy file: it may pass
                    log.exception("the sandbox provider's memory does not answer")
                    more = False
                if not more:
                    await self._nap()

    async def until_quiet(self, within_s: float) -> None:
        """Wait until a round that began after now found nothing due, or the time is over."""
        wanted = self._begun + 1
        self._woken.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._rested:
                await self._rested.wait_for(lambda: self._quiet_in >= wanted)

    async def _work(self, sweep: Callable[[], object], http: httpx.AsyncClient) -> bool:
        """One round; whether there may be more to do at once."""
        self._begun += 1
        await asyncio.to_thread(sweep)
        batch = await asyncio.to_thread(self._due)
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(self._deliver(notice, http)) for notice in batch]
        await asyncio.to_thread(self._record, batch, [task.result() for task in sent])
        if not batch:
            async with self._rested:
                self._quiet_in = self._begun
                self._rested.notify_all()
        return bool(batch)

    async def _nap(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.tick_s):
                await self._woken.wait()

    async def _deliver(self, notice: Notice, http: httpx.AsyncClient) -> _Fate:
        struck = None
        if notice.attempts == 0:
            struck = self._faults.strike(At.NOTICE, notice.reference, among=IN_NOTICE)
        if struck is not None:
            return await self._deliver_badly(notice, struck, http)
        return _HEARD if await self._post(notice, http) else _UNHEARD

    async def _deliver_badly(
        self, notice: Notice, struck: Struck, http: httpx.AsyncClient
    ) -> _Fate:
        wait = timedelta(seconds=struck.for_s)
        match struck.fault:
            case Fault.NOTICE_DOUBLED:
                heard = [await self._post(notice, http) for _ in range(2)]
                return _HEARD if any(heard) else _UNHEARD
            case Fault.NOTICE_DELAYED:
                return _Fate(wait=wait)
            case Fault.NOTICE_REORDERED:
                return _Fate(wait=wait, is_behind=True)
            case Fault.NOTICE_FORGED:
                await self._post(notice, http, secret=_OTHERS_SECRET)
                return _UNHEARD
            case Fault.NOTICE_UNREADABLE:
                cut = replace(notice, body=notice.body[: len(notice.body) // 2])
                return _HEARD if await self._post(cut, http) else _UNHEARD
            case _:
                return _Fate(outcome=Outcome.DROPPED)

    async def _post(
        self, notice: Notice, http: httpx.AsyncClient, *, secret: str | None = None
    ) -> bool:
        """Whether the receiver said that it has it."""
        body = notice.body.encode()
        headers = signed_headers(
            secret or self._settings.webhook_secret,
            notice_id=notice.id,
            now=self._clock(),
            body=body,
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

    def _record(self, batch: list[Notice], fates: list[_Fate]) -> None:
        with self._memory.transaction() as rows:
            for notice, fate in zip(batch, fates, strict=True):
                now = self._clock()
                outcome = fate.outcome or self._given_up(notice)
                if outcome is not None:
                    rows.settle_notice(notice, outcome, now=now)
                    continue
                wait = fate.wait or pause(notice.attempts + 1, self._settings)
                rows.postpone_notice(notice.id, due=now + wait, is_behind=fate.is_behind)

    def _given_up(self, notice: Notice) -> Outcome | None:
        if notice.attempts + 1 < self._settings.webhook_attempts:
            return None
        log.warning("notice %s is given up after %d attempts", notice.id, notice.attempts + 1)
        return Outcome.GIVEN_UP
