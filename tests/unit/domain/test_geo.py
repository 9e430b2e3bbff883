import pytest

from backend.domain.geo import Point, distance_m


@pytest.mark.parametrize(
    ("here", "there", "metres"),
    [
        (Point(lat=39.9042, lng=116.4074), Point(lat=39.9042, lng=116.4074), 0),
        (Point(lat=0, lng=0), Point(lat=0, lng=180), 20_015_115),
        (Point(lat=0, lng=179.995), Point(lat=0, lng=-179.995), 1_112),
        # Beijing to Shanghai, as the map services tell it.
        (Point(lat=39.9042, lng=116.4074), Point(lat=31.2304, lng=121.4737), 1_067_000),
    ],
)
def test_a_distance_is_good_to_half_a_per_cent(here, there, metres):
    assert distance_m(here, there) == pytest.approx(metres, rel=0.005)
    assert distance_m(there, here) == distance_m(here, there)
