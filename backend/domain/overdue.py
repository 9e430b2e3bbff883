"""A bank that is out for long: when to remind, when it counts as bought, when it is missing.

The theory
----------
As long as a bank is with its renter, somebody looks after it now and then (:func:`look`), and
says when to look again, so that nothing is out and forgotten:

- every :data:`REMIND_EVERY` the renter is reminded; or, once they asked for it to be fetched,
  its merchant is;
- a bank that was handed over and never started is fetched after :data:`FETCH_AFTER`, and so is
  one that feeds while nothing starts its billing, because nothing was ever plugged in: its renter
  does not want it, nobody else can have it, and no price of keeping it ever reaches a cap;
- at the moment at which the price of keeping it reaches the total cap, it counts as bought,
  whether or not it still feeds: a flat bank in a drawer has not come back. That moment follows
  from the terms alone, so it does not matter when somebody looked;
- a bank that said nothing for :data:`MISSING_AFTER` is missing. That is not stored: it is so
  until it is heard again. Its merchant is told once for each silence, and as soon as it is heard
  it is told to show itself.

What was bought may come back within :data:`FOUND_WITHIN`, and what was taken for the bank
itself is given back. After that it stays sold.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backend.domain.custody import HOLDINGS, Holder
from backend.domain.rental import RentalState

REMIND_EVERY: Final = timedelta(hours=24)
FETCH_AFTER: Final = timedelta(hours=24)
MISSING_AFTER: Final = timedelta(hours=24)
FOUND_WITHIN: Final = timedelta(days=30)

OUT: Final = frozenset(state for state, hands in HOLDINGS.items() if hands == {Holder.RENTER})
"""States in which the bank is with its renter."""
_UNSTARTED: Final = frozenset({RentalState.DELIVERED, RentalState.DEPOSIT_DUE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outing:
    """What is known of a bank that is out. None: it did not happen."""

    state: RentalState
    since: datetime
    """When it was handed over."""
    told_at: datetime | None
    """When somebody was last reminded."""
    started_at: datetime | None
    """When billing started."""
    capped_at: datetime | None
    """When the price reaches its cap; None: it never does, or billing has not started."""
    heard_at: datetime | None
    """When the bank last said anything."""
    missing_told_at: datetime | None
    """When its merchant was last told that it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do now, and when to look again."""

    bought_at: datetime | None = None
    """Since when it counts as bought."""
    is_to_be_fetched: bool = False
    reminds: bool = False
    tells_missing: bool = False
    next_at: datetime


def look(outing: Outing, *, now: datetime) -> Verdict:
    """Look after a bank that is out."""
    capped_at = outing.capped_at
    if outing.state is RentalState.RENTING and capped_at is not None and capped_at <= now:
        return Verdict(bought_at=capped_at, next_at=now)
    last = outing.told_at or outing.since
    reminds = now >= last + REMIND_EVERY
    missing = is_missing(outing.heard_at, now=now)
    due = [now + REMIND_EVERY if reminds else last + REMIND_EVERY]
    due += [capped_at] if capped_at is not None and capped_at > now else []
    due += [outing.heard_at + MISSING_AFTER] if outing.heard_at and not missing else []
    return Verdict(
        is_to_be_fetched=_is_unused(outing) and now >= outing.since + FETCH_AFTER,
        reminds=reminds,
        tells_missing=missing and not _was_told(outing),
        next_at=min(due),
    )


def _is_unused(outing: Outing) -> bool:
    is_unbilled = outing.state is RentalState.RENTING and outing.started_at is None
    return outing.state in _UNSTARTED or is_unbilled


def is_missing(heard_at: datetime | None, *, now: datetime) -> bool:
    """Whether a bank that is out was silent for too long."""
    return heard_at is not None and now >= heard_at + MISSING_AFTER


def _was_told(outing: Outing) -> bool:
    told_at, heard_at = outing.missing_told_at, outing.heard_at
    return told_at is not None and (heard_at is None or told_at > heard_at)


def may_come_back(*, bought_at: datetime, now: datetime) -> bool:
    """Whether what was taken for a bank is still given back when it is found."""
    return now < bought_at + FOUND_WITHIN
