"""Tours by the better of two planners: our own, and vroom where it is installed."""

from collections.abc import Sequence

from backend.domain import tour
from backend.domain.geo import Point, distance_m
from backend.domain.tour import Stop, Tour, is_in_order, length_m

try:
    import vroom  # type: ignore[import-untyped]
except ImportError:  # the extra is not installed: our own planner will do
    vroom = None


def plan(start: Point, stops: Sequence[Stop]) -> Tour:
    """Order the stops into a short tour; never a longer one than the order given.

    Args:
        start: where the person is.
        stops: in an order that is allowed.
    """
    ours = tour.plan(start, stops)
    if vroom is None or not 2 < len(stops) <= tour.STOPS_MAX:  # noqa: PLR2004 - two have no choice
        return ours
    theirs = _by_vroom(start, stops)
    if theirs is None or length_m(start, theirs) >= length_m(start, ours):
        return ours
    return theirs


def _by_vroom(start: Point, stops: Sequence[Stop]) -> Tour | None:
    """Ask vroom; None if it leaves something out, or in the wrong order."""
    points = [start, *(stop.point for stop in stops)]
    problem = vroom.Input()
    problem.set_durations_matrix(
        profile="bike",
        matrix_input=[[distance_m(here, there) for there in points] for here in points],
    )
    problem.add_vehicle(vroom.Vehicle(0, start=0, profile="bike"))
    number = {stop.id: place for place, stop in enumerate(stops, start=1)}
    firsts = {stop.after for stop in stops}
    for stop in stops:
        here = number[stop.id]
        if stop.after is not None:
            pickup = vroom.ShipmentStep(number[stop.after], location=number[stop.after])
            problem.add_shipment(pickup, vroom.ShipmentStep(here, location=here))
        elif stop.id not in firsts:
            problem.add_job(vroom.Job(here, location=here))
    steps = problem.solve(exploration_level=5, nb_threads=1).to_dict()["routes"][0]["steps"]
    order = tuple(stops[step["id"] - 1] for step in steps if "id" in step)
    return order if len(order) == len(stops) and is_in_order(order) else None
