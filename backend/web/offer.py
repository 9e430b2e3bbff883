"""What a scanned label leads to, as its page tells it: values in, phrases out, no clock.

Prices come from the one pricing function, and the
rule from the tariff's own disclosure, so that the page cannot promise anything else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backend.api import words as api_words
from backend.domain import money, tariff
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.web.words import WORDS, Words

_KM_M: Final = 1_000
_IMPLIED: Final = frozenset({WhyNot.NOT_WITH_MERCHANT, WhyNot.NOT_OFFERED})
"""What goes without saying of a bank that is rented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why not now, and what to do about it."""

    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What renting costs: three figures, and the whole rule."""

    hour: str
    day: str
    deposit: str
    rule: tuple[str, ...]


def reasons(why_not: tuple[WhyNot, ...], lang: Lang) -> list[Reason]:
    """Say why not; what only follows from its being rented is left out."""
    told = [why for why in why_not if WhyNot.RESERVED not in why_not or why not in _IMPLIED]
    titles = api_words.names(told, lang)
    return [
        Reason(title=title[:1].upper() + title[1:], advice=WORDS[lang].advice[why])
        for why, title in zip(told, titles, strict=True)
    ]


def costs(terms: tariff.Terms, lang: Lang, *, now: datetime) -> Costs:
    """Price an hour and a day from now, and tell the rule."""

    def shown(span: timedelta) -> str:
        quote = tariff.price(terms, start=now, end=now + span)
        return money.show(quote.total_minor, terms.currency)

    return Costs(
        hour=shown(timedelta(hours=1)),
        day=shown(timedelta(days=1)),
        deposit=money.show(terms.deposit_minor, terms.currency),
        rule=tuple(tariff.disclosure(terms, lang).splitlines()),
    )


def reach(radius_m: int, words: Words) -> str:
    """Say how far a merchant delivers: ``within 2.5 km``."""
    if radius_m < _KM_M:
        return words.within_m.format(n=radius_m)
    return words.within_km.format(n=f"{radius_m / _KM_M:.3g}")
