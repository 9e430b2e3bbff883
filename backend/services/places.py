"""Where somebody is to come to."""

from dataclasses import dataclass

from backend.domain.geo import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to bring a bank, or to fetch it: WGS-84, and in words."""

    lat: float
    lng: float
    address: str

    @property
    def point(self) -> Point:
        """The same without words."""
        return Point(lat=self.lat, lng=self.lng)
