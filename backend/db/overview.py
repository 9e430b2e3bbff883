"""Queries of the operator's first page: the city as it is now, and as it was of late.

All are bounded, whatever the platform's size: of what there is more, the newest is shown. Moments
are not indexed, so what is looked at for a chart is the newest rows by their id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import case, func, text
from sqlmodel import Session, col, select

from backend.db.tables.dispatch import ShiftRow, StaffPositionRow
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus, StaffRow
from backend.db.tables.money import AccountRow, PostingRow, TransferRow
from backend.db.tables.people import Person
from backend.db.tables.rentals import OCCUPYING, JobRow, RentalRow
from backend.db.tables.rules import some_of
from backend.db.tables.scores import MerchantScoreRow
from backend.domain.custody import Holder
from backend.domain.ledger import PROVIDER_HOLDS
from backend.domain.rental import RentalState

_IS_OPEN: Final = text(some_of("state", OCCUPYING))
"""The words of the index on rentals that need their bank."""
_GOES_ON: Final = text("state NOT IN ('done', 'cancelled')")
"""The words of the index on jobs that are not over."""
_BEFORE_THE_DOOR: Final = (RentalState.REQUESTED, RentalState.ACCEPTED, RentalState.DELIVERING)

# -- the city now ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """A merchant on the map."""

    merchant: MerchantRow
    banks: int
    """All of them but those that are sold or lost."""
    at_home: int


def lenders(session: Session, *, limit: int) -> Sequence[Lender]:
    """Merchants that lend or wait to be let, the newest first."""
    theirs = col(BankRow.holder).not_in((Holder.SOLD, Holder.LOST))
    counted = (
        select(
            BankRow.merchant_id,
            func.count().label("banks"),
            func.sum(case((col(BankRow.holder) == Holder.MERCHANT, 1), else_=0)).label("at_home"),
        )
        .where(theirs)
        .group_by(col(BankRow.merchant_id))
        .subquery()
    )
    found = (
        select(MerchantRow, func.coalesce(counted.c.banks, 0), func.coalesce(counted.c.at_home, 0))
        .join(counted, counted.c.merchant_id == MerchantRow.id, isouter=True)
        .where(MerchantRow.status != MerchantStatus.SUSPENDED)
        .order_by(col(MerchantRow.id).desc())
        .limit(limit)
    )
    return [
        Lender(merchant=merchant, banks=int(banks), at_home=int(at_home))
        for merchant, banks, at_home in session.exec(found)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Somebody on shift who told where they are."""

    person_id: str
    name: str
    lat: float
    lng: float
    told_at: datetime


def hands(session: Session, *, limit: int) -> Sequence[Hand]:
    """Who is on shift, and where; each person once."""
    found = (
        sa.select(
            col(StaffPositionRow.person_id),
            func.max(func.coalesce(StaffRow.name, Person.name)),
            col(StaffPositionRow.lat),
            col(StaffPositionRow.lng),
            col(StaffPositionRow.told_at),
        )
        .join(ShiftRow, col(ShiftRow.person_id) == col(StaffPositionRow.person_id))
        .join(Person, col(Person.id) == col(StaffPositionRow.person_id))
        .join(
            StaffRow,
            (col(StaffRow.person_id) == col(ShiftRow.person_id))
            & (col(StaffRow.merchant_id) == col(ShiftRow.merchant_id))
            & col(StaffRow.left_at).is_(None),
            isouter=True,
        )
        .where(col(ShiftRow.ended_at).is_(None))
        .group_by(
            col(StaffPositionRow.person_id),
            col(StaffPositionRow.lat),
            col(StaffPositionRow.lng),
            col(StaffPositionRow.told_at),
        )
        .order_by(col(StaffPositionRow.told_at).desc())
        .limit(limit)
    )
    return [
        Hand(person_id=person_id, name=name, lat=lat, lng=lng, told_at=told_at)
        for person_id, name, lat, lng, told_at in session.execute(found)
    ]


def jobs(session: Session, *, limit: int) -> Sequence[JobRow]:
    """Deliveries and collections that are not over, the newest first."""
    found = select(JobRow).where(_GOES_ON)
    return session.exec(found.order_by(col(JobRow.id).desc()).limit(limit)).all()


def out(session: Session, *, limit: int) -> Sequence[RentalRow]:
    """Rentals whose renter has the bank, the newest first."""
    with_renter = select(BankRow.id).where(BankRow.holder == Holder.RENTER)
    found = select(RentalRow).where(_IS_OPEN, col(RentalRow.bank_id).in_(with_renter))
    return session.exec(found.order_by(col(RentalRow.id).desc()).limit(limit)).all()


# -- how much there is -----------------------------------------------------------------------


def open_rentals(session: Session) -> dict[RentalState, int]:
    """How many rentals need their bank now, by state."""
    found = select(RentalRow.state, func.count()).where(_IS_OPEN).group_by(col(RentalRow.state))
    return {RentalState(state): count for state, count in session.exec(found)}


def late_rentals(session: Session) -> int:
    """How many rentals on their way are abnormal: late, or begun again."""
    found = select(func.count()).select_from(RentalRow)
    return session.exec(
        found.where(
            _IS_OPEN,
            col(RentalRow.state).in_(_BEFORE_THE_DOOR),
            col(RentalRow.abnormal_at).is_not(None),
        )
    ).one()


def banks_by_holder(session: Session) -> dict[Holder, int]:
    """How many banks are in whose hands."""
    found = select(BankRow.holder, func.count()).group_by(col(BankRow.holder))
    return {Holder(holder): count for holder, count in session.exec(found)}


def merchants_by_status(session: Session) -> dict[MerchantStatus, int]:
    """How many merchants there are, by whether they may lend."""
    found = select(MerchantRow.status, func.count()).group_by(col(MerchantRow.status))
    return {MerchantStatus(status): count for status, count in session.exec(found)}


def punctuality(session: Session) -> tuple[int, int]:
    """Deliveries that count, and how many of them were on time, as merchants are scored."""
    found = select(
        func.coalesce(func.sum(MerchantScoreRow.deliveries), 0),
        func.coalesce(func.sum(MerchantScoreRow.on_time), 0),
    )
    deliveries, on_time = session.exec(found).one()
    return int(deliveries), int(on_time)


def balances(session: Session, codes: Sequence[str]) -> Sequence[AccountRow]:
    """These accounts as they stand, in each currency that they have."""
    found = select(AccountRow).where(col(AccountRow.code).in_(codes))
    return session.exec(found.order_by(col(AccountRow.currency), col(AccountRow.code))).all()


def owed(session: Session, kind: str) -> dict[str, int]:
    """What all accounts of a kind together come to, by currency."""
    found = (
        select(AccountRow.currency, func.sum(AccountRow.balance_minor))
        .where(col(AccountRow.code) >= f"{kind}:", col(AccountRow.code) < f"{kind};")
        .group_by(col(AccountRow.currency))
    )
    return {currency: int(total) for currency, total in session.exec(found)}


# -- of late -----------------------------------------------------------------------------------


def asked(session: Session, *, since: datetime, limit: int) -> Sequence[datetime]:
    """When the newest rentals were asked for, since then."""
    newest = select(RentalRow.requested_at).order_by(col(RentalRow.id).desc()).limit(limit)
    return [moment for moment in session.exec(newest) if moment >= since]


def rented(
    session: Session, *, since: datetime, limit: int
) -> Sequence[tuple[datetime, datetime | None]]:
    """From when till when the newest rentals' renters had the bank, if any of it is since then."""
    begun, ended = (
        col(RentalRow.handed_over_at),
        func.coalesce(RentalRow.collected_at, RentalRow.bought_out_at, RentalRow.closed_at),
    )
    newest = select(RentalRow.id).order_by(col(RentalRow.id).desc()).limit(limit)
    found = sa.select(begun, ended).where(
        col(RentalRow.id).in_(newest), begun.is_not(None), ended.is_(None) | (ended >= since)
    )
    return [(from_, until) for from_, until in session.execute(found)]


def reported(session: Session, *, since: datetime) -> dict[datetime, int]:
    """How many banks were reported since then, by moment."""
    found = select(BankRow.created_at, func.count()).where(col(BankRow.created_at) > since)
    return dict(session.exec(found.group_by(col(BankRow.created_at))).all())


def held(session: Session, *, currency: str, limit: int) -> Sequence[tuple[datetime, int]]:
    """What the newest postings made of the sum that is set aside at providers, newest first."""
    newest = (
        select(TransferRow.at, PostingRow.balance_minor)
        .join(PostingRow, col(PostingRow.transfer_id) == col(TransferRow.id))
        .where(PostingRow.account == PROVIDER_HOLDS, PostingRow.currency == currency)
        .order_by(col(PostingRow.number).desc())
        .limit(limit)
    )
    return session.exec(newest).all()
