"""What is shown on a map: dots, each of a kind, with a label and perhaps a page behind it."""

from typing import Any, Protocol


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
