"""What a scanned label leads to, as its page tells it: values in, phrases out, no clock.

A measurement is never shown without its age. Prices come from the one pricing function, and the
rule from the tariff's own disclosure, so that the page cannot promise anything else.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backend.api import words as api_words
from backend.db.seam import Seen
from backend.domain import money, tariff
from backend.domain.lang import Lang
from backend.domain.precheck import MAX_BATTERY_AGE_S, MIN_BATTERY_PCT, WhyNot
from backend.services.rentals import Offer
from backend.web.words import WORDS, Words

_LOW_PCT: Final = 20
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_KM_M: Final = 1_000
_IMPLIED: Final = frozenset({WhyNot.NOT_WITH_MERCHANT, WhyNot.NOT_OFFERED})
"""What goes without saying of a bank that is rented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why not now, and what to do about it."""

    title: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What the bank last said, and how long ago."""

    battery_pct: int
    mood: str
    """``good``, ``fair``, ``bad``; ``still`` if it is too old to go by."""
    lock: str
    age: str
    told_at: str
    """ISO 8601."""


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


def news(seen: Seen, lang: Lang, *, now: datetime) -> News:
    """Say how full the bank is and whether it is locked, with the age of that."""
    age_s = max(0, int((now - seen.state_at).total_seconds()))
    return News(
        battery_pct=seen.battery_pct,
        mood="still" if age_s > MAX_BATTERY_AGE_S else _mood(seen.battery_pct),
        lock=WORDS[lang].locks[seen.lock],
        age=ago(age_s, WORDS[lang]),
        told_at=seen.state_at.isoformat(timespec="seconds"),
    )


def _mood(battery_pct: int) -> str:
    if battery_pct >= MIN_BATTERY_PCT:
        return "good"
    return "fair" if battery_pct >= _LOW_PCT else "bad"


def ago(age_s: int, words: Words) -> str:
    """Name an age in its largest whole unit, of which there are two at least: ``2 min ago``."""
    if age_s < _MINUTE_S:
        return words.just_now
    if age_s < 2 * _HOUR_S:
        return words.minutes_ago.format(n=age_s // _MINUTE_S)
    if age_s < 2 * _DAY_S:
        return words.hours_ago.format(n=age_s // _HOUR_S)
    return words.days_ago.format(n=age_s // _DAY_S)


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


def request_example(offer: Offer) -> str:
    """Write the body that asks the API for this bank; the place is the merchant's own."""
    merchant = offer.merchant
    body = {
        "qr_token": offer.bank.qr_token,
        "lat": merchant.lat,
        "lng": merchant.lng,
        "address": merchant.address,
    }
    return json.dumps(body, ensure_ascii=False, indent=2)
