"""The operator's first page: where everything is, how much there is, and how it was of late.

Bounded throughout: a map of more dots than :data:`DOTS_MAX` of a kind shows the newest, a chart
knows the newest :data:`FACTS_MAX` facts. Figures count everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from sqlmodel import Session

from backend.db import overview as queries
from backend.db import scores, seam
from backend.db.overview import Hand, Lender
from backend.db.seam import Seen
from backend.db.tables.market import MerchantStatus
from backend.db.tables.rentals import JobRow, RentalRow
from backend.domain import ledger, series
from backend.domain.custody import Holder
from backend.domain.ledger import AccountKind
from backend.domain.rental import RentalState
from backend.domain.series import Share

DOTS_MAX: Final = 300
FACTS_MAX: Final = 5_000
HOURS: Final = 48
DAYS: Final = 14
_GONE: Final = (Holder.SOLD, Holder.LOST)


# -- where everything is ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What is shown on the map."""

    lenders: Sequence[Lender]
    hands: Sequence[Hand]
    jobs: Sequence[JobRow]
    out: Sequence[RentalRow]
    """Rentals whose renter has the bank."""
    seen: Mapping[str, Seen]
    """What these banks last said."""


def city(session: Session) -> City:
    """Look at the whole city."""
    out = queries.out(session, limit=DOTS_MAX)
    return City(
        lenders=queries.lenders(session, limit=DOTS_MAX),
        hands=queries.hands(session, limit=DOTS_MAX),
        jobs=queries.jobs(session, limit=DOTS_MAX),
        out=out,
        seen=seam.seen_all(session, [rental.bank_id for rental in out]),
    )


# -- how much there is -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the platform comes to, now."""

    merchants: Mapping[MerchantStatus, int]
    rentals: Mapping[RentalState, int]
    """Those that need their bank."""
    late: int
    banks: int
    """All but those sold or lost."""
    rented: int
    deliveries: int
    """Those that count, of late."""
    on_time: int
    held: Mapping[str, int]
    """Set aside for us at providers, by currency; not ours."""

    @property
    def to_approve(self) -> int:
        """Merchants that wait for an operator."""
        return self.merchants.get(MerchantStatus.PENDING, 0)

    @property
    def open_rentals(self) -> int:
        """Rentals that need their bank."""
        return sum(self.rentals.values())

    @property
    def utilisation(self) -> Share:
        """How many of all banks are with renters."""
        return self.rented / self.banks if self.banks else None

    @property
    def punctuality(self) -> Share:
        """How many deliveries were on time."""
        return self.on_time / self.deliveries if self.deliveries else None


def figures(session: Session) -> Figures:
    """Count what there is."""
    holders = queries.banks_by_holder(session)
    deliveries, on_time = queries.punctuality(session)
    return Figures(
        merchants=queries.merchants_by_status(session),
        rentals=queries.open_rentals(session),
        late=queries.late_rentals(session),
        banks=sum(count for holder, count in holders.items() if holder not in _GONE),
        rented=holders.get(Holder.RENTER, 0),
        deliveries=deliveries,
        on_time=on_time,
        held=_held(session),
    )


def _held(session: Session) -> dict[str, int]:
    rows = queries.balances(session, [ledger.PROVIDER_HOLDS])
    return {row.currency: row.balance_minor for row in rows}


# -- the money -------------------------------------------------------------------------------

_OURS: Final = (
    AccountKind.PROVIDER_HOLDS,
    AccountKind.PROVIDER_CASH,
    AccountKind.PLATFORM_REVENUE,
    AccountKind.UNCLAIMED,
)
_THEIRS: Final = (
    AccountKind.RECEIVABLE,
    AccountKind.DEPOSIT,
    AccountKind.REFUND_DUE,
    AccountKind.MERCHANT_PENDING,
    AccountKind.MERCHANT_AVAILABLE,
    AccountKind.PAYOUT_IN_FLIGHT,
    AccountKind.MERCHANT_DEBT,
)


def balances(session: Session) -> dict[str, dict[AccountKind, int]]:
    """Add up the books by kind of account: by currency, each from its natural side."""
    found: dict[str, dict[AccountKind, int]] = {}
    for row in queries.balances(session, _OURS):
        kind = AccountKind(row.code)
        found.setdefault(row.currency, {})[kind] = _natural(kind, row.balance_minor)
    for kind in _THEIRS:
        for currency, total in queries.owed(session, kind).items():
            found.setdefault(currency, {})[kind] = _natural(kind, total)
    return {
        currency: {kind: found[currency][kind] for kind in AccountKind if kind in found[currency]}
        for currency in sorted(found)
    }


def _natural(kind: AccountKind, balance_minor: int) -> int:
    return balance_minor if kind in ledger.DEBIT_KINDS else -balance_minor


# -- of late -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """How it was of late. Values fit the marks; a bucket's value stands at its beginning."""

    hours: Sequence[datetime]
    asked: Sequence[int]
    """Rentals asked for in each hour."""
    utilisation: Sequence[Share]
    """At each mark: how many of the banks there were are with renters."""
    held: Mapping[str, Sequence[int | None]]
    """At each mark, by currency."""
    days: Sequence[datetime]
    punctuality: Sequence[Share]
    """Of the deliveries that ended in each day."""


def charts(session: Session, *, zone: tzinfo, now: datetime) -> Charts:
    """Look back.

    Args:
        session: to read.
        zone: whose days.
        now: up to when.
    """
    hours = series.hours(now=now, count=HOURS)
    days = series.days(now=now, count=DAYS, zone=zone)
    ended = scores.ended(session, since=days[0], limit=FACTS_MAX)
    return Charts(
        hours=hours,
        asked=series.counts(queries.asked(session, since=hours[0], limit=FACTS_MAX), hours),
        utilisation=_utilisation(session, hours),
        held={currency: _levels(session, currency, hours) for currency in _held(session)},
        days=days,
        punctuality=series.shares(ended, days),
    )


def _utilisation(session: Session, marks: Sequence[datetime]) -> list[Share]:
    rented = series.going_on(queries.rented(session, since=marks[0], limit=FACTS_MAX), marks)
    holders = queries.banks_by_holder(session)
    today = sum(count for holder, count in holders.items() if holder not in _GONE)
    newer = queries.reported(session, since=marks[0])
    there = [today - sum(count for at, count in newer.items() if at > mark) for mark in marks]
    return [
        min(1.0, out / banks) if banks > 0 else None
        for out, banks in zip(rented, there, strict=True)
    ]


def _levels(session: Session, currency: str, marks: Sequence[datetime]) -> list[int | None]:
    steps = queries.held(session, currency=currency, limit=FACTS_MAX)
    before = 0 if len(steps) < FACTS_MAX else None
    # Newest first, and of one moment the last counts.
    return series.levels(steps[::-1], marks, before=before)
