"""Why a bank cannot be rented now, in words that a person can act on.

Availability is not a flag that somebody forgets to set back. It follows from facts: the
bank's state, presence and health, its custody, its merchant being open, a tariff existing.
:func:`precheck` lists every reason against, the most lasting first, always in the order of
:class:`WhyNot`; an empty answer is "rentable". No tariff means not for rent, never free.

What the platform cannot know speaks against: a charge level that was measured too long ago is
no charge level.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backend.domain.custody import Holder

MIN_BATTERY_PCT: Final = 50
"""The charge a bank must have to go out, unless its market says otherwise."""
MAX_BATTERY_AGE_S: Final = 300
"""How old its measurement may be."""


class WhyNot(StrEnum):
    """A reason against, in the order they are told."""

    NOT_REGISTERED = "not_registered"
    RECALLED = "recalled"
    NOT_APPROVED = "not_approved"
    NO_TARIFF = "no_tariff"
    NOT_WITH_MERCHANT = "not_with_merchant"
    NOT_OFFERED = "not_offered"
    RESERVED = "reserved"
    CLOSED = "closed"
    OUT_OF_AREA = "out_of_area"
    FAULTY = "faulty"
    OFFLINE = "offline"
    LOW = "low"
    UNPAID_BILL = "unpaid_bill"
    TOO_MANY_RENTALS = "too_many_rentals"
    SUSPENDED = "account_suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a bank, its merchant and who asks."""

    is_registered: bool = True
    is_recalled: bool
    is_approved: bool
    """Whether its merchant is."""
    has_tariff: bool
    holder: Holder
    is_offered: bool
    """The merchant's own word that it may go out."""
    is_reserved: bool
    """Whether it has an open rental."""
    is_open: bool
    """Whether its merchant takes rentals now."""
    distance_m: int | None
    """From the merchant to who asks; None: they did not say where they are."""
    service_radius_m: int
    is_online: bool
    battery_pct: int | None
    """None: it never told."""
    battery_age_s: int | None
    """How long ago it told that."""
    has_fault: bool
    """A fault is present, or the lock is jammed."""
    has_unpaid_bill: bool
    """Whether who asks still owes for an earlier rental."""
    has_too_many: bool = False
    """Whether who asks has as many rentals as one may have."""
    is_suspended: bool = False
    """Whether who asks is kept from renting by an operator."""
    min_battery_pct: int = MIN_BATTERY_PCT


def precheck(facts: Facts) -> tuple[WhyNot, ...]:
    """List every reason why this bank cannot be rented now, in the order of WhyNot."""
    if not facts.is_registered:
        return (WhyNot.NOT_REGISTERED,)
    against = {
        WhyNot.RECALLED: facts.is_recalled,
        WhyNot.NOT_APPROVED: not facts.is_approved,
        WhyNot.NO_TARIFF: not facts.has_tariff,
        WhyNot.NOT_WITH_MERCHANT: facts.holder is not Holder.MERCHANT,
        WhyNot.NOT_OFFERED: not facts.is_offered,
        WhyNot.RESERVED: facts.is_reserved,
        WhyNot.CLOSED: not facts.is_open,
        WhyNot.OUT_OF_AREA: (facts.distance_m or 0) > facts.service_radius_m,
        WhyNot.FAULTY: facts.has_fault,
        WhyNot.OFFLINE: not (facts.is_online and _is_fresh(facts)),
        WhyNot.LOW: facts.battery_pct is not None and facts.battery_pct < facts.min_battery_pct,
        WhyNot.UNPAID_BILL: facts.has_unpaid_bill,
        WhyNot.TOO_MANY_RENTALS: facts.has_too_many,
        WhyNot.SUSPENDED: facts.is_suspended,
    }
    return tuple(why for why, holds in against.items() if holds)


UNFIT: Final = frozenset({WhyNot.RECALLED, WhyNot.FAULTY, WhyNot.OFFLINE, WhyNot.LOW})
"""Reasons that also keep a bank that is already out from being told to feed."""


def _is_fresh(facts: Facts) -> bool:
    return facts.battery_age_s is not None and facts.battery_age_s <= MAX_BATTERY_AGE_S
