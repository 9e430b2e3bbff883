"""First come, first served, among the writers of one process.

SQLite has one writer; the others sleep and try again, ever longer, and whoever happens to be
awake is next. Under load one of them may never be: with 20 writers, one was seen waiting for
as long as the load lasted. So threads of this process queue up here first, and only the one
at the front asks SQLite; processes still compete, two or three of them.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

AWAY: Final = "database is locked"
"""SQLite's own words for it."""


class Turns:
    """A lock that is handed from one holder to the next in the order they asked."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_taken = False
        self._queue: deque[threading.Event] = deque()

    def take(self, *, timeout_s: float) -> bool:
        """Wait for my turn; False if it does not come in time."""
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Event()
            self._queue.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._mutex:
            if mine.is_set():  # it came as the time ran out
                return True
            self._queue.remove(mine)
        return False

    def pass_on(self) -> None:
        """End my turn, and give it to who waits longest."""
        with self._mutex:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._is_taken = False


class TurnTaking(sqlite3.Connection):
    """A connection that keeps its turn from before ``BEGIN`` until the transaction has ended."""

    def __init__(self, *args: Any, turns: Turns, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._has_turn = False

    def take_turn(self, *, timeout_s: float) -> None:
        """Wait for my turn to write.

        Raises:
            sqlite3.OperationalError: it did not come in time.
        """
        if not self._turns.take(timeout_s=timeout_s):
            raise sqlite3.OperationalError(AWAY)
        self._has_turn = True

    def commit(self) -> None:
        """Commit, and let the next one write."""
        try:
            super().commit()
        finally:
            self._pass_on()

    def rollback(self) -> None:
        """Roll back, and let the next one write."""
        try:
            super().rollback()
        finally:
            self._pass_on()

    def close(self) -> None:
        """Close, and let the next one write."""
        super().close()
        if self._has_turn:
            self._has_turn = False
            self._turns.pass_on()

    def _pass_on(self) -> None:
        """A transaction that could not be ended keeps its turn."""
        if self._has_turn and not self.in_transaction:
            self._has_turn = False
            self._turns.pass_on()


def turn_taking() -> Callable[..., TurnTaking]:
    """Make a factory of connections that take turns with each other."""
    turns = Turns()

    def connect(*args: Any, **kwargs: Any) -> TurnTaking:
        return TurnTaking(*args, turns=turns, **kwargs)

    return connect
