"""What is shown on a map: dots, each of a kind, with a label and perhaps a page behind it."""

from typing import Any, Protocol

from backend.api.shapes import PlaceOut
from backend.db.tables.rentals import RentalRow


class Located(Protocol):
    """Something that is somewhere."""

    @property
    def lat(self) -> float:
        """Degrees, WGS-84."""
        ...

    @property
    def lng(self) -> float:
        """Degrees, WGS-84."""
        ...


def point(kind: str, where: Located, label: str = "", *, href: str = "") -> dict[str, Any]:
    """Describe one dot, as ``map.js`` reads it."""
    return {"kind": kind, "lat": where.lat, "lng": where.lng, "label": label, "href": href}


def place_of(rental: RentalRow) -> PlaceOut:
    """Tell where a rented bank is: where it is to be fetched, or was brought."""
    if rental.return_lat is None or rental.return_lng is None:
        return PlaceOut(lat=rental.lat, lng=rental.lng, address=rental.address)
    return PlaceOut(
        lat=rental.return_lat, lng=rental.return_lng, address=rental.return_address or ""
    )
