"""What a market asks of every price in it, beyond what makes a tariff a tariff.

A market is where lenders have agreed on what a price may look like. The rules here are minima:
a merchant may be kinder. They are agreements of the trade, not laws; see to it that they still
hold before lending there.

Source: the pact of Beijing's lenders of power banks, drawn up by the city's consumers'
association, August 2025: blocks of at most 15 minutes, the first one charged after 5 minutes,
from the second on an incomplete one is free. The pact of Chengdu's, 30 October 2025: at least
5 free minutes, blocks of at most 15 minutes, handed out at 50 % charge or more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.money import Currency


class Market(StrEnum):
    """A market that prices are made for."""

    PLAIN = "plain"
    BEIJING = "beijing"
    CHENGDU = "chengdu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a market asks for. The defaults ask for nothing."""

    currency: Currency | None = None
    """None: any."""
    block_most_s: int | None = None
    """The longest block; None: any."""
    free_least_s: int = 0
    are_later_parts_free: bool = False
    """Whether a later block costs nothing until it is over."""
    battery_least_pct: int = 0
    """The charge that a bank must have at the handover, at the least."""


RULES: Final[Mapping[Market, Rules]] = MappingProxyType(
    {
        Market.PLAIN: Rules(),
        Market.BEIJING: Rules(
            currency=Currency.CNY, block_most_s=900, free_least_s=300, are_later_parts_free=True
        ),
        Market.CHENGDU: Rules(
            currency=Currency.CNY, block_most_s=900, free_least_s=300, battery_least_pct=50
        ),
    }
)
