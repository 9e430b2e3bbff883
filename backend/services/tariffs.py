"""A merchant's prices: tried out, put in force, looked back on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from backend.db import market as rows
from backend.db.tables.market import TariffRow
from backend.domain import quotes, tariff
from backend.domain.markets import Market
from backend.domain.quotes import Quote
from backend.domain.tariff import Problem, Terms
from backend.ids import new_id
from backend.principal import Principal
from backend.services.market import own


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would come of terms."""

    problems: tuple[Problem, ...]
    """None: they may be put in force."""
    quotes: tuple[Quote, ...]
    """Of terms without a problem."""


def preview(
    session: Session, *, who: Principal, merchant_id: str, terms: Terms, market: Market
) -> Preview:
    """Say what is wrong with terms, or what they come to; nothing is kept.

    Raises:
        Refusal: NOT_FOUND.
    """
    own(session, who, merchant_id)
    problems = tariff.lint(terms, market)
    return Preview(problems=problems, quotes=() if problems else quotes.quotes(terms))


def put_in_force(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    terms: Terms,
    market: Market,
    now: datetime,
) -> TariffRow:
    """Put a new version of the price in force, for rentals asked for from now on.

    Raises:
        Refusal: NOT_FOUND; BAD_TARIFF with every problem the linter finds.
    """
    merchant = own(session, who, merchant_id)
    newest = rows.tariff(session, merchant.id)
    row = TariffRow(
        id=new_id(),
        merchant_id=merchant.id,
        version=1 if newest is None else newest.version + 1,
        terms=tariff.to_json(tariff.check(terms, market)),
        market=market,
        created_at=now,
        created_by=who.person_id,
    )
    session.add(row)
    return row


def versions(session: Session, *, who: Principal, merchant_id: str) -> Sequence[TariffRow]:
    """List all versions of a merchant's price, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    return rows.tariffs(session, own(session, who, merchant_id).id)
