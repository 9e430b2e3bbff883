"""The backend's only reader of the clock.

Everything else gets ``now`` as an argument, so that a whole world can run under a virtual
clock. Times are aware UTC datetimes; the gateway's milliseconds are converted at the seam.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the time in UTC, aware."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time in UTC, aware."""
        return datetime.now(UTC)


class DemoClock:
    """The machine's clock, turned forward by hand: what takes days can be seen in minutes.

    How far it was turned is kept in a file, so that time does not go back at the next start.
    Whoever else tells the time of the same world is turned with it.

    Args:
        file: where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.forward = timedelta(seconds=float(file.read_text()) if file.exists() else 0)

    def now(self) -> datetime:
        """Return the time in UTC, aware."""
        return datetime.now(UTC) + self.forward

    def turn(self, by: timedelta) -> None:
        """Turn it forward."""
        self.forward += by
        self._file.write_text(str(self.forward.total_seconds()))
