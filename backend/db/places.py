"""Places as cells of a map: what a search by nearness is indexed by.

H3 cells of resolution 8 have edges of about half a kilometre. The cells around a place, ring by
ring, come nearest first, to within a cell.
"""

from collections.abc import Iterator
from typing import Final

import h3  # type: ignore[import-untyped]  # it ships no types

from backend.domain.geo import Point

RESOLUTION: Final = 8
RINGS: Final = (0, 1, 2, 4, 7, 11)
"""Up to which ring each widening reaches; the last is some 10 km away. Further nobody is asked."""


def cell_of(point: Point) -> str:
    """Name the cell that a place lies in."""
    return str(h3.latlng_to_cell(point.lat, point.lng, RESOLUTION))


def rings_around(point: Point) -> Iterator[list[str]]:
    """Give the cells around a place, in widening rings, each cell once."""
    centre, begin = cell_of(point), 0
    for end in RINGS:
        yield sorted(cell for k in range(begin, end + 1) for cell in h3.grid_ring(centre, k))
        begin = end + 1
