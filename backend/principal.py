"""Who asks: what services and queries are given to decide what a person may see and do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a person may act as. Everybody who signed in may rent."""

    RENTER = "renter"
    MERCHANT = "merchant"
    STAFF = "staff"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A person's place in the trade: the merchants they own, and those they work for."""

    merchant_ids: frozenset[str] = frozenset()
    staff_of: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A signed-in person, with the standing they had when this request began."""

    person_id: str
    sign_in_id: str
    """The signed-in device; it can be signed out."""
    scopes: frozenset[Scope]
    merchant_ids: frozenset[str] = frozenset()
    """Merchants that this person owns."""
    staff_of: frozenset[str] = frozenset()
    """Merchants that this person delivers and collects for."""
    expires_at: datetime
    """When the access token ends."""
