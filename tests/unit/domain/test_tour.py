"""Tours: never worse than what was given, and nothing brought before it is fetched."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain.geo import Point
from backend.domain.tour import STOPS_MAX, Stop, is_in_order, length_m, plan
from backend.services import tours

POINTS = st.builds(
    Point,
    lat=st.floats(min_value=31.0, max_value=31.3),
    lng=st.floats(min_value=121.3, max_value=121.6),
)


@st.composite
def days(draw: st.DrawFn) -> list[Stop]:
    """Some errands: single stops, and pairs of which one comes first; in an allowed order."""
    stops: list[Stop] = []
    for number in range(draw(st.integers(min_value=0, max_value=6))):
        first = Stop(id=f"{number}a", point=draw(POINTS))
        stops.append(first)
        if draw(st.booleans()):
            stops.append(Stop(id=f"{number}b", point=draw(POINTS), after=first.id))
    return stops


@settings(max_examples=60, deadline=None)
@given(start=POINTS, stops=days())
def test_a_tour_has_every_stop_once_in_an_allowed_order_and_is_never_longer(
    start: Point, stops: list[Stop]
) -> None:
    order = plan(start, stops)
    assert sorted(stop.id for stop in order) == sorted(stop.id for stop in stops)
    assert is_in_order(order)
    assert length_m(start, order) <= length_m(start, stops)


@settings(max_examples=40, deadline=None)
@given(start=POINTS, stops=days())
def test_with_vroom_it_is_as_good_or_better(start: Point, stops: list[Stop]) -> None:
    order = tours.plan(start, stops)
    assert sorted(stop.id for stop in order) == sorted(stop.id for stop in stops)
    assert is_in_order(order)
    assert length_m(start, order) <= length_m(start, plan(start, stops))


def test_a_zigzag_is_straightened() -> None:
    start = Point(lat=31.0, lng=121.0)
    line = [Stop(id=str(n), point=Point(lat=31.0, lng=121.0 + n / 100)) for n in range(1, 8)]
    zigzag = line[::2] + line[1::2]
    assert plan(start, zigzag) == tuple(line)


def test_a_bank_that_lies_beyond_its_renter_is_fetched_first() -> None:
    start, shop, door = (Point(lat=31.0, lng=121.0 + each / 100) for each in (0, 2, 1))
    stops = [Stop(id="shop", point=shop), Stop(id="door", point=door, after="shop")]
    assert [stop.id for stop in plan(start, stops)] == ["shop", "door"]


def test_more_stops_than_are_ordered_stay_as_they_are() -> None:
    start = Point(lat=31.0, lng=121.0)
    many = [
        Stop(id=str(n), point=Point(lat=31.0, lng=121.0 + n % 7 / 100))
        for n in range(STOPS_MAX + 1)
    ]
    assert plan(start, many) == tuple(many)
    assert tours.plan(start, many) == tuple(many)
