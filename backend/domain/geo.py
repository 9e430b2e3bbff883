"""Distance on the ground, WGS-84, good to half a per cent: enough for a service radius."""

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Final

EARTH_RADIUS_M: Final = 6_371_009
"""Mean radius. Source: IUGG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place, in degrees WGS-84."""

    lat: float
    lng: float


def distance_m(here: Point, there: Point) -> int:
    """Great-circle distance in whole metres, by the haversine."""
    north = radians(there.lat - here.lat)
    east = radians(there.lng - here.lng)
    chord = (
        sin(north / 2) ** 2 + cos(radians(here.lat)) * cos(radians(there.lat)) * sin(east / 2) ** 2
    )
    return round(2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, chord))))
