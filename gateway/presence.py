"""Whether a bank is there: from times to a word.

Presence is the time of the last valid message from the bank, and nothing else. A Last Will
only shortens detection: a takeover makes one fire between two births, so it counts only
when the bank has stayed silent for a grace period after it. While the gateway itself was
deaf nobody is declared away: silence is counted from when it began to listen.
"""

from dataclasses import dataclass
from enum import StrEnum


class Presence(StrEnum):
    """How long ago a bank was heard, in words."""

    ONLINE = "online"
    DEGRADED = "degraded"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceRules:
    """Thresholds. A period is the bank's ``report_s``."""

    report_s: int = 60
    degraded_periods: int = 3
    offline_periods: int = 6
    will_grace_ms: int = 10_000

    @property
    def degraded_after_ms(self) -> int:
        """Silence after which a bank is degraded."""
        return self.degraded_periods * self.report_s * 1000

    @property
    def offline_after_ms(self) -> int:
        """Silence after which a bank is offline."""
        return self.offline_periods * self.report_s * 1000


def judge(
    *,
    current: Presence,
    heard_at_ms: int,
    will_at_ms: int | None,
    listening_since_ms: int,
    now_ms: int,
    rules: PresenceRules,
) -> Presence:
    """What a bank's silence makes of its presence.

    It only ever gets worse here: what makes it better is a message (``shadow.apply``).

    Args:
        current: what it was.
        heard_at_ms: when a valid message last came from the bank.
        will_at_ms: when its newest connection's Last Will came, unless it spoke since.
        listening_since_ms: since when the gateway has been able to hear.
        now_ms: the time.
        rules: the thresholds.
    """
    silent_ms = now_ms - max(heard_at_ms, listening_since_ms)
    if silent_ms >= rules.offline_after_ms:
        return Presence.OFFLINE
    if will_at_ms is not None and now_ms - will_at_ms >= rules.will_grace_ms:
        return Presence.OFFLINE
    if silent_ms >= rules.degraded_after_ms and current is Presence.ONLINE:
        return Presence.DEGRADED
    return current
