"""Batch, fold, one transaction, acknowledge.

What has arrived is decoded; the shadows of the banks named are read; each bank's messages are
folded through the pure ``shadow.apply``; shadows, events, history, results and dead letters are
written with one bulk statement each; the transaction commits; and only then is the broker told.
Killed anywhere, the broker sends again, and ``(boot, seq)`` makes the second time do nothing.

While the database is away the batch in hand is tried again, without end and with growing
pauses: nothing is acknowledged, so the broker and TCP hold back what comes. A message that the
database refuses for itself (which would be a bug of ours) is found by storing the batch one by
one, kept as a dead letter, and stops nobody.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from gateway.events import Event
from gateway.inbox import Batch, Inbox, Incoming
from gateway.protocol import (
    FROM_BANK,
    MAX_PAYLOAD_BYTES,
    BankId,
    Channel,
    FromBank,
    ProtocolError,
    Reason,
    Result,
    decode,
    parse_topic,
)
from gateway.settings import GatewaySettings
from gateway.shadow import Shadow, apply
from gateway.store import Letter, Store

log = structlog.get_logger("gateway.ingest")


@dataclass(slots=True)
class Tally:
    """What has gone through, for the metrics."""

    messages: int = 0
    batches: int = 0
    events: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    store_retries: int = 0


@dataclass(slots=True)
class _Work:
    """A batch on its way into the database."""

    said: list[tuple[BankId, FromBank, Incoming]] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What came of storing messages."""

    has_news: bool
    """Whether there is something for the backend, or about a command."""
    letters: tuple[Letter, ...] = ()
    """Those that were not believed, as they are kept."""


@dataclass(slots=True)
class _Folded:
    """What a batch made of the shadows."""

    shadows: dict[BankId, Shadow]
    said: dict[BankId, str] = field(default_factory=dict)
    samples: dict[BankId, Shadow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Ingest:
    """Moves what banks say into the store.

    Args:
        store: where it goes.
        settings: bounds.
        executor: one worker, in which the database work runs.
        on_news: called after each commit that holds something for others: events, or a word on
            a command. Called from the loop's thread.
    """

    def __init__(
        self, store: Store, settings: GatewaySettings, executor: Executor,
        on_news: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._settings = settings
        self._executor = executor
        self._on_news = on_news
        self.tally = Tally()
        self.behind_since_ms: int | None = None
        """When the oldest message came that is not stored yet; None when all are."""

    async def run(self, inbox: Inbox) -> None:
        """Work off batches, for ever."""
        async for batch in inbox.batches():
            self.behind_since_ms = batch.messages[0].received_at_ms
            await self._safely(batch)
            self.behind_since_ms = None
            batch.ack()

    async def _safely(self, batch: Batch) -> None:
        """Store a batch; when this returns, its effects are safe."""
        loop = asyncio.get_running_loop()
        delay_s = 0.05
        while True:
            try:
                stored = await loop.run_in_executor(self._executor, self.store, batch.messages)
            except (OperationalError, InterfaceError) as error:
                self.tally.store_retries += 1
                log.warning("store_away", why=str(error.orig), waiting=len(batch.messages))
                await asyncio.sleep(delay_s * (0.5 + random.random()))  # noqa: S311
                delay_s = min(delay_s * 2, self._settings.store_retry_max_s)
            else:
                if stored.has_news:
                    self._on_news()
                return

    def store(self, messages: Sequence[Incoming]) -> Stored:
        """Store messages in one transaction; one by one if the database refuses one of them.

        Raises:
            OperationalError: the database is away; nothing was stored.
        """
        try:
            return self._store_together(messages)
        except (OperationalError, InterfaceError):
            raise
        except DBAPIError as error:
            if len(messages) > 1:
                each = [self.store([message]) for message in messages]
                return Stored(
                    has_news=any(stored.has_news for stored in each),
                    letters=tuple(letter for stored in each for letter in stored.letters),
                )
            return self._store_letter(messages[0], str(error.orig))

    def _store_together(self, messages: Sequence[Incoming]) -> Stored:
        work = self._decode(messages)
        results = [(bank, said) for bank, said, _ in work.said if isinstance(said, Result)]
        with self._store.transaction() as connection:
            before = self._store.shadows(connection, (bank for bank, _, _ in work.said))
            folded = self._fold(before, work)
            self._store.save_shadows(connection, folded.shadows.values(), folded.said)
            self._store.add_events(connection, folded.events)
            self._store.add_samples(connection, folded.samples.values())
            self._store.note_results(connection, results)
            self._store.add_dead_letters(connection, work.letters)
        self._count(messages, folded.events, work.letters)
        acted = any(
            shadow.last_command != before[bank].last_command
            for bank, shadow in folded.shadows.items()
        )
        has_news = bool(folded.events or results or acted)
        return Stored(has_news=has_news, letters=tuple(work.letters))

    def _fold(self, before: dict[BankId, Shadow], work: _Work) -> _Folded:
        folded = _Folded(shadows=dict(before))
        shadows, low_pct = folded.shadows, self._settings.low_battery_pct
        for bank, said, incoming in work.said:
            applied = apply(
                shadows[bank],
                said,
                incoming.received_at_ms,
                retained=incoming.retained,
                low_battery_pct=low_pct,
            )
            shadows[bank] = applied.shadow
            if applied.obeyed:
                folded.said[bank] = incoming.payload.decode()
            if applied.events:
                folded.events.extend(applied.events)
            if applied.sampled:
                folded.samples[bank] = applied.shadow
            if applied.quarantined is not None:
                work.letters.append(_letter(incoming, Reason.IMPLAUSIBLE, applied.quarantined))
        return folded

    def _decode(self, messages: Sequence[Incoming]) -> _Work:
        work = _Work()
        for incoming in messages:
            try:
                bank, channel = parse_topic(incoming.topic)
                _refuse_what_no_bank_says(channel, retained=incoming.retained)
                work.said.append((bank, decode(channel, incoming.payload), incoming))
            except ProtocolError as error:
                work.letters.append(_letter(incoming, error.reason, error.detail))
                log.warning(
                    "dead_letter",
                    reason=error.reason.value,
                    detail=error.detail,
                    topic=incoming.topic[:80],
                    payload=repr(incoming.payload[:80]),
                )
        return work

    def _store_letter(self, incoming: Incoming, why: str) -> Stored:
        letter = _letter(incoming, Reason.INTERNAL, why[:200])
        log.error("could_not_store", topic=incoming.topic[:80], why=why)
        with self._store.transaction() as connection:
            self._store.add_dead_letters(connection, [letter])
        self._count([incoming], [], [letter])
        return Stored(has_news=False, letters=(letter,))

    def _count(
        self, messages: Sequence[Incoming], events: Sequence[Event], letters: Sequence[Letter]
    ) -> None:
        self.tally.messages += len(messages)
        self.tally.batches += 1
        self.tally.events += len(events)
        self.tally.dead_letters.update(letter.reason for letter in letters)


def _refuse_what_no_bank_says(channel: Channel, *, retained: bool) -> None:
    if channel not in FROM_BANK:
        raise ProtocolError(
            Reason.BAD_TOPIC, f"a {channel} goes to a bank, and never comes from one"
        )
    if retained and channel is not Channel.STATUS:
        raise ProtocolError(Reason.RETAINED, f"a {channel} is never retained: it would grow old")


def _letter(incoming: Incoming, reason: Reason, detail: str) -> Letter:
    return Letter(
        topic=incoming.topic[:256].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        payload=incoming.payload[:MAX_PAYLOAD_BYTES],
        reason=reason.value,
        detail=detail,
        received_at_ms=incoming.received_at_ms,
    )
