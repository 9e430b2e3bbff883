"""The backend's only reader of the clock.

Everything else gets ``now`` as an argument, so that a whole world can run under a virtual
clock. Times are aware UTC datetimes; the gateway's milliseconds are converted at the seam.
"""

from datetime import UTC, datetime
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
