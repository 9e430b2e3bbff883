"""From silence to a word."""

from gateway.presence import Presence, PresenceRules, judge

RULES = PresenceRules(report_s=60)
T0 = 1_800_000_000_000
MINUTE = 60_000


def presence(
    minutes: float, *, will_s: float | None = None, listening: int = T0,
    current: Presence = Presence.ONLINE,
) -> Presence:  # fmt: skip
    """Presence that many minutes after the bank was last heard at T0."""
    now = round(T0 + minutes * MINUTE)
    will = None if will_s is None else round(now - will_s * 1000)
    return judge(
        current=current, heard_at_ms=T0, will_at_ms=will, listening_since_ms=listening,
        now_ms=now, rules=RULES,
    )  # fmt: skip


def test_three_periods_of_silence_degrade_and_six_are_offline() -> None:
    assert presence(2.9) is Presence.ONLINE
    assert presence(3) is Presence.DEGRADED
    assert presence(5.9) is Presence.DEGRADED
    assert presence(6) is Presence.OFFLINE


def test_a_will_shortens_detection_only_once_its_grace_is_over() -> None:
    assert presence(0.5, will_s=9) is Presence.ONLINE
    assert presence(0.5, will_s=10) is Presence.OFFLINE


def test_while_the_gateway_was_deaf_nobody_is_declared_away() -> None:
    restarted = T0 + 60 * MINUTE
    assert presence(61, listening=restarted) is Presence.ONLINE
    assert presence(66, listening=restarted) is Presence.OFFLINE


def test_silence_alone_never_makes_it_better() -> None:
    assert presence(4, current=Presence.OFFLINE) is Presence.OFFLINE
    assert presence(1, current=Presence.DEGRADED) is Presence.DEGRADED
