"""The gateway's one reader of the clock."""

import time

_forward_ms = 0


def now_ms() -> int:
    """UTC, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000 + _forward_ms


def set_forward(forward_ms: int) -> None:
    """Have the clock of this process go ahead of the machine's: for demonstrations only."""
    global _forward_ms  # noqa: PLW0603 - a process has one clock
    _forward_ms = forward_ms
