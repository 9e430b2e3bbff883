"""The search for a bank near a place: who could lend one, and which of theirs is fit to go.

Two narrow questions instead of one wide one. Merchants are found by cells of the map and
measured; of the nearest, each is asked for its one best bank. So the work is bounded by how many
are looked at, not by how many there are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ScalarSelect, bindparam, exists, select, text
from sqlmodel import Session, col

from backend.db.seam import to_ms
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus, TariffRow
from backend.db.tables.rentals import OCCUPYING, RentalRow
from backend.db.tables.rules import some_of
from backend.domain.geo import Point
from backend.domain.precheck import MAX_BATTERY_AGE_S
from gateway.tables import BankShadow

BANKS_LOOKED_AT: Final = 100
"""Of one merchant; who has more at home has a fit one among them, or is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """A merchant who may lend now, as far as its own hours allow."""

    id: str
    owner_id: str
    point: Point
    service_radius_m: int
    hours: str | None
    timezone: str


_LENDERS: Final = select(
    col(MerchantRow.id),
    col(MerchantRow.owner_id),
    col(MerchantRow.lat),
    col(MerchantRow.lng),
    col(MerchantRow.service_radius_m),
    col(MerchantRow.hours),
    col(MerchantRow.timezone),
).where(
    col(MerchantRow.cell).in_(bindparam("cells", expanding=True)),
    col(MerchantRow.status) == MerchantStatus.APPROVED,
    col(MerchantRow.is_open).is_(True),
    col(MerchantRow.currency) == bindparam("currency"),
    exists().where(col(TariffRow.merchant_id) == col(MerchantRow.id)),
)
"""Built once: it is asked for each ring."""


def lenders_in(session: Session, cells: Sequence[str], *, currency: str) -> list[Lender]:
    """The merchants in these cells that are approved, take rentals and have a price."""
    found = session.execute(_LENDERS, {"cells": cells, "currency": currency})
    return [
        Lender(
            id=id_,
            owner_id=owner_id,
            point=Point(lat=lat, lng=lng),
            service_radius_m=radius_m,
            hours=hours,
            timezone=timezone,
        )
        for id_, owner_id, lat, lng, radius_m, hours, timezone in found
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitBank:
    """A bank that could go out now."""

    bank_id: str
    merchant_id: str
    battery_pct: int


def best_banks(
    session: Session,
    merchant_ids: Collection[str],
    *,
    min_battery_pct: int,
    for_rental: str | None,
    not_banks: Collection[str],
    now: datetime,
) -> list[FitBank]:
    """The best charged bank of each of these merchants; none of who has no fit one.

    Args:
        session: a transaction.
        merchant_ids: the merchants.
        min_battery_pct: what the renter was promised.
        for_rental: the rental that looks: a bank that is reserved for it is free.
        not_banks: banks that will not do.
        now: the time.
    """
    asked = {
        "merchant_ids": list(merchant_ids),
        "min_battery_pct": min_battery_pct,
        "rental_id": for_rental or "",
        "not_banks": list(not_banks),
        "heard_since_ms": to_ms(now - timedelta(seconds=MAX_BATTERY_AGE_S)),
    }
    return [
        FitBank(bank_id=bank_id, merchant_id=merchant_id, battery_pct=battery_pct or 0)
        for bank_id, merchant_id, battery_pct in session.execute(_BEST_BANKS, asked)
    ]


def _best_bank() -> ScalarSelect[str]:
    """The id of the best bank of the merchant in the outer query."""
    at_home = (
        select(col(BankRow.id))
        .where(
            col(BankRow.merchant_id) == col(MerchantRow.id),
            col(BankRow.is_offered).is_(True),
            col(BankRow.is_recalled).is_(False),
            col(BankRow.is_to_inspect).is_(False),
            col(BankRow.id).not_in(bindparam("not_banks", expanding=True)),
        )
        .correlate(MerchantRow)
        .limit(BANKS_LOOKED_AT)
        .subquery("at_home")
    )
    is_needed = exists().where(
        col(RentalRow.bank_id) == at_home.c.id,
        text(some_of("rental.state", OCCUPYING)),
        col(RentalRow.id) != bindparam("rental_id"),
    )
    return (
        select(at_home.c.id)
        .join(BankShadow, col(BankShadow.bank_id) == at_home.c.id)
        .where(
            col(BankShadow.presence) != "offline",
            col(BankShadow.battery) >= bindparam("min_battery_pct"),
            col(BankShadow.state_at_ms) >= bindparam("heard_since_ms"),
            col(BankShadow.faults) == "",
            col(BankShadow.lock) != "jammed",
            ~is_needed,
        )
        .order_by(col(BankShadow.battery).desc(), at_home.c.id)
        .limit(1)
        .scalar_subquery()
    )


_BEST_BANKS: Final = (
    select(col(BankRow.id), col(BankRow.merchant_id), col(BankShadow.battery))
    .select_from(MerchantRow)
    .join(BankRow, col(BankRow.id) == _best_bank())
    .join(BankShadow, col(BankShadow.bank_id) == col(BankRow.id))
    .where(col(MerchantRow.id).in_(bindparam("merchant_ids", expanding=True)))
)
"""Built once. The index on open rentals is used only if its own words are said again."""
