"""From WGS-84 to GCJ-02, the datum of map providers in China, and back.

The theory
----------
Maps published in China are drawn in GCJ-02: WGS-84 moved by some hundred metres, differently at
each place. A phone's own position is WGS-84, and so is all that is stored; a place that comes from
such a map, or goes onto one, is moved at the edge.

The way there is a polynomial with waves on it, in the distance from 105° E, 35° N, in metres on
Krasovsky's ellipsoid of 1940. It was never published; this form of it is what everybody uses.
Source: EvilTransform, https://github.com/googollee/eviltransform (its test points are ours, too).
There is no formula for the way back: what was moved so little is found by moving the guess by the
error, which shrinks to a hundredth each time.

Where it holds: the mainland, Hong Kong and Macau; not Taiwan nor any neighbour. The border is a
handful of rectangles (:data:`_INSIDE` less :data:`_OUTSIDE`), which cut corners in the mountains
and at sea. Source: https://www.cnblogs.com/Aimeast/archive/2012/08/09/2629614.html

What must always hold: there and back is the same place, to a centimetre; outside nothing moves.

Not modelled: places within a kilometre of the border, where both answers are somebody's truth.
"""

from enum import StrEnum
from itertools import repeat
from math import cos, pi, radians, sin, sqrt
from typing import Final

from backend.domain.geo import Point


class Datum(StrEnum):
    """What a pair of degrees is measured against."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"


_AXIS_M: Final = 6_378_245.0
"""Krasovsky's ellipsoid: half its long axis."""
_ECCENTRICITY2: Final = 0.006_693_421_622_965_943
"""The square of its eccentricity."""
_ROUNDS: Final = 4
"""Of guessing the way back: each leaves a hundredth of the error, which is a micrometre then."""

_Box = tuple[float, float, float, float]
"""North, west, south, east."""
_AROUND: Final = (56.0, 72.0, 17.0, 138.0)
"""All of China, and some more: further away the formula runs wild."""
_INSIDE: Final[tuple[_Box, ...]] = (
    (49.220400, 79.446200, 42.889900, 96.330000),
    (54.141500, 109.687200, 39.374200, 135.000200),
    (42.889900, 73.124600, 29.529700, 124.143255),
    (29.529700, 82.968400, 26.718600, 97.035200),
    (29.529700, 97.025300, 20.414096, 124.367395),
    (20.414096, 107.975793, 17.871542, 111.744104),
)
_OUTSIDE: Final[tuple[_Box, ...]] = (
    (25.398623, 119.921265, 21.785006, 122.497559),
    (22.284000, 101.865200, 20.098800, 106.665000),
    (21.542200, 106.452500, 20.487800, 108.051000),
    (55.817500, 109.032300, 50.325700, 119.127000),
    (55.817500, 127.456800, 49.557400, 137.022700),
    (44.892200, 131.266200, 42.569200, 137.022700),
)


def is_in_china(at: Point) -> bool:
    """Whether maps move this place, WGS-84."""
    return any(_holds(box, at) for box in _INSIDE) and not any(_holds(box, at) for box in _OUTSIDE)


def _holds(box: _Box, at: Point) -> bool:
    north, west, south, east = box
    return south <= at.lat <= north and west <= at.lng <= east


def to_gcj02(at: Point) -> Point:
    """Move a place onto a map.

    Args:
        at: degrees WGS-84.

    Returns:
        Degrees GCJ-02; outside China, the same.
    """
    return _moved(at) if is_in_china(at) else at


def to_wgs84(at: Point) -> Point:
    """Take a place off a map.

    Args:
        at: degrees GCJ-02.

    Returns:
        Degrees WGS-84; outside China, the same.
    """
    if not _holds(_AROUND, at):
        return at
    guess = at
    for _ in repeat(None, _ROUNDS):
        there = _moved(guess)
        guess = Point(lat=guess.lat + at.lat - there.lat, lng=guess.lng + at.lng - there.lng)
    return guess if is_in_china(guess) else at


def _moved(at: Point) -> Point:
    """The formula, wherever it is."""
    x, y = at.lng - 105.0, at.lat - 35.0
    waves = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north_m = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    north_m += waves + (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north_m += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east_m = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    east_m += waves + (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east_m += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    bend = 1.0 - _ECCENTRICITY2 * sin(radians(at.lat)) ** 2
    metres_per_lat = radians(_AXIS_M * (1.0 - _ECCENTRICITY2) / (bend * sqrt(bend)))
    metres_per_lng = radians(_AXIS_M / sqrt(bend) * cos(radians(at.lat)))
    return Point(lat=at.lat + north_m / metres_per_lat, lng=at.lng + east_m / metres_per_lng)
