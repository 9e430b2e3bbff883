"""How many messages of banks are taken in per second, where this process takes them in."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Final

from backend.clock import Clock

BEAT_S: Final = 5
KEPT: Final = 720
"""An hour of beats; older ones are forgotten."""


class Pulse:
    """A counter, looked at again and again.

    Args:
        count: what was taken in since the process began.
        clock: when it is looked at.
    """

    def __init__(self, count: Callable[[], int], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._seen: deque[tuple[datetime, int]] = deque(maxlen=KEPT)

    def note(self) -> None:
        """Look at the counter."""
        self._seen.append((self._clock.now(), self._count()))

    def per_second(self) -> list[tuple[datetime, float]]:
        """Tell how many came per second up to each look but the first, oldest first."""
        return [
            (at, (count - before) / seconds)
            for (last, before), (at, count) in pairwise(list(self._seen))
            if (seconds := (at - last).total_seconds()) > 0
        ]

    async def beat(self) -> None:
        """Look at it for as long as the process serves."""
        while True:
            self.note()
            await asyncio.sleep(BEAT_S)
