"""Onto a Chinese map and back is the same place; outside China nothing moves."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.domain.gcj02 import is_in_china, to_gcj02, to_wgs84
from backend.domain.geo import Point, distance_m

CENTIMETRE = 1e-7
"""In degrees."""

# EvilTransform's own test points: WGS-84, GCJ-02.
KNOWN = {
    "Shanghai": (31.1774276, 121.5272106, 31.17530398364597, 121.531541859215),
    "Shenzhen": (22.543847, 113.912316, 22.540796131694766, 113.9171764808363),
    "Beijing": (39.911954, 116.377817, 39.91334545536069, 116.38404722455657),
}
ELSEWHERE = {
    "Taipei": (25.0330, 121.5654),
    "Seoul": (37.5665, 126.9780),
    "Pyongyang": (39.0392, 125.7625),
    "Tokyo": (35.6812, 139.7671),
    "Hanoi": (21.0285, 105.8542),
    "Ulaanbaatar": (47.9185, 106.9177),
    "Vladivostok": (43.1155, 131.8855),
    "Manila": (14.5995, 120.9842),
    "Denver": (39.7392, -104.9903),
    "Brisbane": (-27.4698, 153.0251),
    "null island": (0.0, 0.0),
}
INSIDE = {
    "Hong Kong": (22.3193, 114.1694),
    "Macau": (22.1987, 113.5439),
    "Chengdu": (30.5728, 104.0668),
    "Lhasa": (29.6520, 91.1721),
    "Ürümqi": (43.8256, 87.6168),
    "Harbin": (45.8038, 126.5349),
    "Sanya": (18.2528, 109.5119),
}

points = st.builds(Point, lat=st.floats(-90, 90), lng=st.floats(-180, 180))
in_china = st.builds(Point, lat=st.floats(17.9, 54.1), lng=st.floats(73.2, 135.0)).filter(
    lambda at: not is_near_border(at)
)


def is_near_border(at: Point) -> bool:
    """Whether a step or two lead out of China, or it is outside."""
    steps = (-0.02, 0.0, 0.02)
    around = [Point(lat=at.lat + north, lng=at.lng + east) for north in steps for east in steps]
    return not all(is_in_china(each) for each in around)


def near(here: Point, there: Point) -> bool:
    return abs(here.lat - there.lat) < CENTIMETRE and abs(here.lng - there.lng) < CENTIMETRE


@pytest.mark.parametrize("city", KNOWN)
def test_known_places_are_where_the_maps_have_them(city: str) -> None:
    lat, lng, map_lat, map_lng = KNOWN[city]
    assert near(to_gcj02(Point(lat=lat, lng=lng)), Point(lat=map_lat, lng=map_lng))
    assert near(to_wgs84(Point(lat=map_lat, lng=map_lng)), Point(lat=lat, lng=lng))


@pytest.mark.parametrize("city", ELSEWHERE)
def test_elsewhere_nothing_moves(city: str) -> None:
    at = Point(lat=ELSEWHERE[city][0], lng=ELSEWHERE[city][1])
    assert to_gcj02(at) == at
    assert to_wgs84(at) == at


@pytest.mark.parametrize("city", INSIDE)
def test_in_china_a_place_moves_by_some_hundred_metres(city: str) -> None:
    at = Point(lat=INSIDE[city][0], lng=INSIDE[city][1])
    assert 50 < distance_m(at, to_gcj02(at)) < 1000


@given(in_china)
def test_there_and_back_is_the_same_place(at: Point) -> None:
    assert near(to_wgs84(to_gcj02(at)), at)


@given(in_china)
def test_back_and_there_is_the_same_place(on_map: Point) -> None:
    assert near(to_gcj02(to_wgs84(on_map)), on_map)


@given(points)
def test_no_place_on_earth_moves_by_a_mile(at: Point) -> None:
    assert distance_m(at, to_gcj02(at)) < 1600


@given(points)
def test_wherever_it_is_it_comes_off_a_map_within_a_mile(on_map: Point) -> None:
    assert distance_m(on_map, to_wgs84(on_map)) < 1600


@given(points)
def test_what_is_not_in_china_stays(at: Point) -> None:
    assume(not is_in_china(at))
    assert to_gcj02(at) == at
