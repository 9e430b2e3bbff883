"""The machine's clock: the one place here that reads it."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
