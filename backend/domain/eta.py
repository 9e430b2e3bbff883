"""When a bank is promised, and when it is expected, from the distance alone.

The theory
----------
Staff ride e-bikes. A city's streets are longer than the crow's way by a :data:`DETOUR_PCT`
that hardly varies, so the ride's time is a straight line in the distance. What comes before it
(reading the offer, taking the bank off its charger) and after it (finding the door) takes
fixed spans.

A *promise* is made once, when a rental is asked for; it is kept with room to spare: rounded up,
and never under :data:`PROMISE_LEAST`. An *estimate* is made again whenever something is heard of
the delivery; the renter is told when it shifts by more than :data:`SHIFT`.

What must always hold: further away is never sooner; no estimate lies before now.

Not modelled: traffic, weather, hills, lifts.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

SPEED_KMH: Final = 15
"""The average of a ride with its lights and corners. E-bikes are built to go no faster than 25:
Source: GB 17761-2018."""
DETOUR_PCT: Final = 135
"""Way by road per way of the crow. Source: circuity of urban street networks, 1.2 to 1.4."""
PREPARE: Final = timedelta(minutes=10)
"""All that a delivery takes besides the ride."""
SET_OUT: Final = timedelta(minutes=3)
"""From accepting to setting out."""
HANDOVER: Final = timedelta(minutes=2)
"""From the street to the hand."""
PROMISE_LEAST: Final = timedelta(minutes=20)
PROMISE_STEP: Final = timedelta(minutes=5)
"""Promises are made in whole steps, rounded up."""
SHIFT: Final = timedelta(minutes=3)
"""By more than this, an estimate is worth telling anew."""


class Stage(StrEnum):
    """How far a delivery is; each stage has less before it than the one before."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    UNDER_WAY = "under_way"


_BEFORE: Final = {
    Stage.ASKED: PREPARE - HANDOVER,
    Stage.ACCEPTED: SET_OUT,
    Stage.UNDER_WAY: timedelta(0),
}


def travel(distance_m: int) -> timedelta:
    """How long the ride takes, in whole seconds, rounded up.

    Args:
        distance_m: as the crow flies.
    """
    way_dm = distance_m * DETOUR_PCT // 10
    return timedelta(seconds=-(-way_dm * 36 // (SPEED_KMH * 100)))


def promise(distance_m: int) -> timedelta:
    """How long from now a delivery over this distance is promised for."""
    needed = PREPARE + travel(distance_m)
    return max(PROMISE_LEAST, -(-needed // PROMISE_STEP) * PROMISE_STEP)


def estimate(stage: Stage, *, distance_m: int, now: datetime) -> datetime:
    """When the bank will be in the renter's hand.

    Args:
        stage: how far the delivery is.
        distance_m: from where the bank is to the renter, as the crow flies.
        now: aware.
    """
    return now + _BEFORE[stage] + travel(distance_m) + HANDOVER


def set_out_by(*, accepted_at: datetime, deliver_by: datetime, distance_m: int) -> datetime:
    """Until when staff may set out: the promise can still be kept, or they had their minutes."""
    return max(accepted_at + PREPARE / 2, deliver_by - travel(distance_m) - HANDOVER)


def has_shifted(*, told: datetime | None, new: datetime) -> bool:
    """Whether an estimate is worth telling.

    Args:
        told: what was told last; None: nothing.
        new: the estimate now.
    """
    return told is None or abs(new - told) > SHIFT


def minutes_left(expected_at: datetime, *, now: datetime) -> int:
    """Whole minutes until then, rounded up; 0 if that is past."""
    return max(0, -(-(expected_at - now) // timedelta(minutes=1)))
