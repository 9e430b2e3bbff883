"""A thread that works until there is nothing left, then waits to be woken.

It also looks by itself every ``poll_s``: a lost wake-up costs latency only. While the
database is away it keeps trying, at that pace.
"""

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import OperationalError

_log = structlog.get_logger(__name__)


class Worker:
    """Runs one kind of work in a thread of its own.

    Args:
        name: for the thread and the log.
        work: does a bounded piece, and says how much it did; 0 is "nothing left".
        poll_s: how long to wait for a wake-up.
    """

    def __init__(self, name: str, work: Callable[[], int], *, poll_s: float) -> None:
        self._name = name
        self._work = work
        self._poll_s = poll_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs: a dead worker is a process to restart."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is work. From any thread; never blocks."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Let the piece in hand end, then end the thread."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                did = self._work()
            except OperationalError as away:
                _log.warning("database_away", worker=self._name, error=str(away.orig))
                did = 0
            if did == 0:
                self._wake.wait(self._poll_s)
