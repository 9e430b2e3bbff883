"""The gateway's one reader of the clock."""

import time


def now_ms() -> int:
    """UTC, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
