"""Amounts as people read them: the currency's own sign and number of decimals.

An amount is an integer of the currency's minor unit; how many of them make one unit is the
currency's exponent (ISO 4217). Signs follow Unicode CLDR: a currency at home in the
reader's language goes by its short sign, another by one that cannot be mistaken for it.
"""

from dataclasses import dataclass
from typing import Final

from backend.payments.provider_app.words import Lang


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """How one currency is written."""

    exponent: int
    zh: str
    en: str


CURRENCIES: Final = {
    "CNY": Currency(exponent=2, zh="¥", en="CN¥"),
    "EUR": Currency(exponent=2, zh="€", en="€"),
    "GBP": Currency(exponent=2, zh="£", en="£"),
    "HKD": Currency(exponent=2, zh="HK$", en="HK$"),
    "JPY": Currency(exponent=0, zh="JP¥", en="¥"),
    "KRW": Currency(exponent=0, zh="₩", en="₩"),
    "KWD": Currency(exponent=3, zh="KWD\N{NO-BREAK SPACE}", en="KWD\N{NO-BREAK SPACE}"),
    "MOP": Currency(exponent=2, zh="MOP$", en="MOP$"),
    "SGD": Currency(exponent=2, zh="S$", en="S$"),
    "TWD": Currency(exponent=2, zh="NT$", en="NT$"),
    "USD": Currency(exponent=2, zh="US$", en="$"),
}
"""The currencies this provider takes."""


def written(amount_minor: int, currency: str, lang: Lang) -> str:
    """An amount of at least 0: ``¥1,234.50``, ``CN¥1,234.50``, ``JP¥1,234``."""
    kind = CURRENCIES[currency]
    sign = kind.zh if lang is Lang.ZH else kind.en
    major, minor = divmod(amount_minor, 10**kind.exponent)
    decimals = f".{minor:0{kind.exponent}d}" if kind.exponent else ""
    return f"{sign}{major:,}{decimals}"
