"""A thread that works until there is nothing left, then waits to be woken.

It also looks by itself every ``poll_s``: a lost wake-up costs latency only. While the
database is away, or the work fails, it keeps trying, at that pace: a thread that ended would
take money and rentals with it unseen. ``is_well`` tells of it.
"""

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

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
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_well(self) -> bool:
        """Whether the thread runs, and its last piece of work did not fail."""
        return self.is_alive and not self._has_failed

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is work. From any thread; never blocks."""
        self._wake.set()

    def begin_stop(self) -> None:
        """Say that the piece in hand is the last. From any thread; never blocks."""
        self._stopping.set()
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Let the piece in hand end, then end the thread."""
        self.begin_stop()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if self._do() == 0:
                self._wake.wait(self._poll_s)

    def _do(self) -> int:
        try:
            did = self._work()
        except (OperationalError, PoolTimeoutError) as away:
            _log.warning("database_away", worker=self._name, error=str(away))
        except Exception:  # noqa: BLE001 - this thread's one top-level catch
            _log.exception("work_failed", worker=self._name)
        else:
            self._has_failed = False
            return did
        self._has_failed = True
        return 0
