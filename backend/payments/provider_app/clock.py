"""The provider's clock: the only place that reads it. Tests pass their own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is: aware UTC."""


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)
