"""Where somebody is to come to."""

from dataclasses import dataclass

from backend.db.tables.rentals import RentalRow
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


def brought_to(rental: RentalRow) -> Place:
    """Where a rental's bank was asked for, and so where it is once it was handed over."""
    return Place(lat=rental.lat, lng=rental.lng, address=rental.address)
