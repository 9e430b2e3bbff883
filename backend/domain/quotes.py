"""What a tariff comes to, for spans that people think in: shown to a merchant who makes one.

Each figure is of the very function that bills, so a preview cannot promise what a bill does
not keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang
from backend.domain.money import Minor, show
from backend.domain.tariff import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    RENT_AGAIN_S,
    Price,
    Terms,
    price,
    reaches_cap_at,
    seconds_between,
    span,
)

SPANS_S: Final = (
    5 * MINUTE_S,
    RENT_AGAIN_S,
    HOUR_S // 2,
    HOUR_S,
    3 * HOUR_S,
    12 * HOUR_S,
    DAY_S,
    3 * DAY_S,
    7 * DAY_S,
)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a span costs."""

    span_s: int
    price: Price
    """With the delivery fee."""
    late_minor: Minor
    """What it costs if the delivery was late."""
    is_bought: bool
    """Whether the total cap is reached, and the bank with it."""


def quotes(terms: Terms) -> tuple[Quote, ...]:
    """Price the example spans, and the one that reaches the total cap if one does.

    Args:
        terms: without a problem.
    """
    bought_at = reaches_cap_at(terms, start=_START)
    bought = () if bought_at is None else (seconds_between(_START, bought_at),)
    return tuple(_quote(terms, span_s) for span_s in sorted({*SPANS_S, *bought}))


def _quote(terms: Terms, span_s: int) -> Quote:
    end = _START + timedelta(seconds=span_s)
    priced = price(terms, start=_START, end=end)
    late = price(terms, start=_START, end=end, delivery_late=True)
    return Quote(
        span_s=span_s,
        price=priced,
        late_minor=late.total_minor,
        is_bought=priced.total_minor == terms.cap_total_minor,
    )


_WORDS: Final[Mapping[Lang, tuple[str, str, str]]] = MappingProxyType(
    {
        Lang.EN: (
            "{span}: {amount}",
            ", or {late} if the delivery is late",
            "; the power bank is the renter's",
        ),
        Lang.ZH: ("{span}：{amount}", "，配送超時則為{late}", "，充電寶歸租用人所有"),
    }
)


def in_words(quote: Quote, terms: Terms, lang: Lang) -> str:
    """Say what a span costs."""
    plain, late, bought = _WORDS[lang]
    amount = quote.price.total_minor
    told = plain + (late if quote.late_minor != amount else "")
    return (told + (bought if quote.is_bought else "")).format(
        span=span(quote.span_s, lang),
        amount=show(amount, terms.currency),
        late=show(quote.late_minor, terms.currency),
    )
