"""In which order somebody goes to the places of a day's work.

The theory
----------
A tour begins where the person is and ends at its last stop. A stop may have to come *after*
another: a bank is picked up before it is delivered, and collected before it is brought home.
Places are visited once each; what counts is the way alone.

:func:`plan` builds a tour by *cheapest insertion* (the stop that costs least to put in, where it
costs least) and then mends it by *2-opt* (a piece turned round, where that is shorter) and by
moving single stops, until nothing helps or :data:`ROUNDS_MAX` is reached. It is a heuristic: good,
not best.

What must always hold: every stop once, none before what it comes after, and never longer than
the order that was given.

Not modelled: opening hours, promised times, how many banks fit in a bag.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from backend.domain.geo import Point, distance_m

STOPS_MAX: Final = 30
"""More are left in the order that they were given."""
ROUNDS_MAX: Final = 20
"""How often a whole tour is gone through for something to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A place to go to."""

    id: str
    point: Point
    after: str | None = None
    """The stop that has to come before it."""


Tour: TypeAlias = tuple[Stop, ...]


def length_m(start: Point, stops: Sequence[Stop]) -> int:
    """How long a tour is, as the crow flies."""
    points = [start, *(stop.point for stop in stops)]
    return sum(distance_m(here, there) for here, there in pairwise(points))


def is_in_order(stops: Sequence[Stop]) -> bool:
    """Whether no stop comes before the one it has to come after."""
    place = {stop.id: number for number, stop in enumerate(stops)}
    return all(stop.after is None or place.get(stop.after, -1) < place[stop.id] for stop in stops)


def plan(start: Point, stops: Sequence[Stop]) -> Tour:
    """Order the stops into a short tour.

    Args:
        start: where the person is.
        stops: in an order that is allowed.
    """
    given = tuple(stops)
    if len(given) > STOPS_MAX:
        return given
    way = _Way(start, given)
    order = _mend(way, _insert_all(way, given))
    return min((given, order), key=way.length)


class _Way:
    """Distances between the places of one tour, measured once."""

    def __init__(self, start: Point, stops: Sequence[Stop]) -> None:
        points = [start, *(stop.point for stop in stops)]
        self._m: Mapping[tuple[int, int], int] = {
            (i, j): distance_m(here, there)
            for i, here in enumerate(points)
            for j, there in enumerate(points)
        }
        self._number = {stop.id: number for number, stop in enumerate(stops, start=1)}

    def length(self, order: Sequence[Stop]) -> int:
        """How long a tour is."""
        numbers = [0, *(self._number[stop.id] for stop in order)]
        return sum(self._m[leg] for leg in pairwise(numbers))


def _insert_all(way: _Way, stops: Tour) -> Tour:
    """Put in the stop that costs least, where it costs least, until all are in."""
    order: Tour = ()
    waiting = list(stops)
    while waiting:
        chosen = {stop.id for stop in order}
        ready = [stop for stop in waiting if stop.after is None or stop.after in chosen]
        order = min((longer for stop in ready for longer in _with(order, stop)), key=way.length)
        waiting = [stop for stop in waiting if stop not in order]
    return order


def _with(order: Tour, stop: Stop) -> list[Tour]:
    """Every tour that has this stop put in, after what it has to come after."""
    first = next((n + 1 for n, each in enumerate(order) if each.id == stop.after), 0)
    return [(*order[:n], stop, *order[n:]) for n in range(first, len(order) + 1)]


def _mend(way: _Way, order: Tour) -> Tour:
    for _ in range(ROUNDS_MAX):
        better = _better(way, order)
        if better is None:
            break
        order = better
    return order


def _better(way: _Way, order: Tour) -> Tour | None:
    """The shortest of all tours that are one move away; None if none is shorter."""
    changed = (each for each in (*_turned(order), *_moved(order)) if is_in_order(each))
    best = min(changed, key=way.length, default=order)
    return best if way.length(best) < way.length(order) else None


def _turned(order: Tour) -> list[Tour]:
    return [
        (*order[:i], *reversed(order[i:j]), *order[j:])
        for i in range(len(order) - 1)
        for j in range(i + 2, len(order) + 1)
    ]


def _moved(order: Tour) -> list[Tour]:
    return [
        other
        for n, stop in enumerate(order)
        for other in _with((*order[:n], *order[n + 1 :]), stop)
    ]
