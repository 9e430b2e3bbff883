"""Wake-ups for the event streams of this process.

A seat belongs to one open stream. Waking a seat that is awake changes nothing, so what waits
for a slow reader is one flag, never a queue: what it has missed is in the database.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from backend.domain.errors import Code, Refusal

RETRY_AFTER_S = 5
"""What a client is told to wait when there is no seat."""


class Seat:
    """One stream's place: what it listens for, and how far it has come."""

    def __init__(self, *, person_id: str, topics: frozenset[str]) -> None:
        self.person_id = person_id
        self.topics = topics
        self.seq = 0
        """The last notification that was sent on this stream."""
        self.is_over = False
        """Set when the server is about to stop."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Sleep until woken, or for ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def wake(self) -> None:
        """Wake the stream; from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)


class Hub:
    """Every open stream of this process, and who is to be woken."""

    def __init__(self, *, seats_max: int, seats_per_person_max: int) -> None:
        self._seats_max = seats_max
        self._per_person_max = seats_per_person_max
        self._lock = threading.Lock()
        self._seats: set[Seat] = set()
        self._per_person: Counter[str] = Counter()
        self.is_closing = False
        """No new streams, and the open ones end: the server is about to stop."""

    @contextmanager
    def seat(self, *, person_id: str, topics: frozenset[str]) -> Iterator[Seat]:
        """Take a seat for as long as a stream is open.

        Raises:
            Refusal: there is none left, for this person or at all.
        """
        seat = Seat(person_id=person_id, topics=topics)
        with self._lock:
            if self.is_closing or len(self._seats) >= self._seats_max:
                raise Refusal(Code.TRY_AGAIN, retry_after_s=RETRY_AFTER_S)
            if self._per_person[person_id] >= self._per_person_max:
                raise Refusal(Code.TOO_MANY_REQUESTS, retry_after_s=RETRY_AFTER_S)
            self._seats.add(seat)
            self._per_person[person_id] += 1
        try:
            yield seat
        finally:
            with self._lock:
                self._seats.discard(seat)
                self._per_person[person_id] -= 1
                self._per_person += Counter()  # drops zeros

    def wake(self, topics: frozenset[str]) -> None:
        """Wake who listens for any of these topics; from any thread. Fits ``Database.listen``."""
        with self._lock:
            for seat in self._seats:
                if not seat.topics.isdisjoint(topics):
                    seat.wake()

    def behind(self, newest: dict[str, int]) -> None:
        """Wake the streams that have not come as far as their person's newest number."""
        with self._lock:
            for seat in self._seats:
                if newest.get(seat.person_id, 0) > seat.seq:
                    seat.wake()

    def people(self) -> set[str]:
        """Tell whose streams are open."""
        with self._lock:
            return set(self._per_person)

    def count(self) -> int:
        """Tell how many streams are open."""
        with self._lock:
            return len(self._seats)

    def close(self) -> None:
        """End every stream, and take no more."""
        with self._lock:
            self.is_closing = True
            for seat in self._seats:
                seat.is_over = True
                seat.wake()
