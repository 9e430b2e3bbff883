"""Who is at a door, since when, and until when they wait."""

from datetime import UTC, datetime

from backend.domain.door import ABSENT_AFTER, AT_THE_DOOR_M, GONE_M, at_door_since, waits_until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + ABSENT_AFTER / 2


def test_who_comes_near_enough_has_arrived() -> None:
    assert at_door_since(None, left_m=AT_THE_DOOR_M + 1, now=NOW) is None
    assert at_door_since(None, left_m=AT_THE_DOOR_M, now=NOW) == NOW


def test_noise_in_a_position_takes_nobody_away() -> None:
    assert at_door_since(NOW, left_m=0, now=LATER) == NOW
    assert at_door_since(NOW, left_m=GONE_M, now=LATER) == NOW
    assert at_door_since(NOW, left_m=GONE_M + 1, now=LATER) is None


def test_they_wait_so_long_from_their_arrival() -> None:
    assert waits_until(NOW) == NOW + ABSENT_AFTER
