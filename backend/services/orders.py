"""A merchant's orders, in the lists that they work through (M2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from backend.db import orders, rentals
from backend.db.tables.rentals import RentalRow
from backend.domain.rental import MerchantList
from backend.domain.tariff import Terms
from backend.principal import Principal
from backend.services import billing
from backend.services.market import own


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A rental, as it stands in a list."""

    rental: RentalRow
    terms: Terms
    job_id: str | None
    """The delivery or collection that is to be done for it."""
    elapsed_s: int
    """Time billed so far."""
    amount_minor: int
    """The bill, or what it would be now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """A page of a list, and how many orders each list has."""

    orders: Sequence[Order]
    counts: Mapping[MerchantList, int]


def in_list(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    which: MerchantList,
    before: str | None,
    limit: int,
    now: datetime,
) -> Orders:
    """List a merchant's orders, newest first, with what all lists count.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    found = rentals.rentals_at(session, merchant.id, which=which, before=before, limit=limit)
    jobs = orders.jobs_to_do(session, [rental.id for rental in found])
    return Orders(
        orders=[_order(rental, job_id=jobs.get(rental.id), now=now) for rental in found],
        counts=orders.counts(session, merchant.id),
    )


def _order(rental: RentalRow, *, job_id: str | None, now: datetime) -> Order:
    return Order(
        rental=rental,
        terms=billing.terms_of(rental),
        job_id=job_id,
        elapsed_s=billing.price_at(rental, now=now).elapsed_s,
        amount_minor=billing.amount_of(rental, now=now),
    )
