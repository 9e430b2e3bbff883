"""A price to begin with for each market: it keeps the market's rules, and a merchant changes it.

The amounts are of the order that is usual for power banks in Chinese cities, plus a delivery
fee, which cabinets do not have. Beijing's pact counts its first block from the scan and charges
it once five minutes are over. Here blocks are counted from the end of the free minutes, so a
renter never pays more than the pact would have them pay.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from backend.domain.markets import Market
from backend.domain.money import Currency, Minor
from backend.domain.tariff import BillingStart, Rounding, Terms

_PLAIN: Final = Terms(
    currency=Currency.CNY,
    free_s=300,
    block_s=1_800,
    block_price_minor=Minor(150),
    cap_24h_minor=Minor(3_000),
    cap_total_minor=Minor(9_900),
    delivery_fee_minor=Minor(500),
    deposit_minor=Minor(9_900),
    billing_start=BillingStart.PLUGGED,
    rounding=Rounding.CEIL,
    cancel_accepted_minor=Minor(0),
    cancel_delivering_minor=Minor(300),
    min_battery_pct=50,
)
_BY_QUARTERS: Final = replace(_PLAIN, block_s=900, block_price_minor=Minor(75))

PRESETS: Final[Mapping[Market, Terms]] = MappingProxyType(
    {
        Market.PLAIN: _PLAIN,
        Market.BEIJING: replace(_BY_QUARTERS, rounding=Rounding.FLOOR_AFTER_FIRST),
        Market.CHENGDU: _BY_QUARTERS,
    }
)
"""Every market has one."""
