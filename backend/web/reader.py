"""How a page says a time, an amount and a length to the person who reads it.

Times are written in the reader's own zone, which their browser tells in a cookie; a browser that
has not told it yet is shown UTC, marked as such, and puts the page's times right itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from markupsafe import Markup

from backend.domain import money
from backend.domain.lang import Lang
from backend.domain.money import Currency, Minor

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_KM_M: Final = 1_000
_WH_MWH: Final = 1_000
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905 - reads as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads a page, and when."""

    lang: Lang
    zone: tzinfo
    is_zone_known: bool
    now: datetime

    def t(self, zh: str, en: str) -> str:
        """Choose the reader's of two texts that say the same."""
        return zh if self.lang is Lang.ZH else en

    # -- times

    def ago(self, at: datetime) -> Markup:
        """Name an age in its largest whole unit: ``2 min ago``; the page keeps it true."""
        text = self._age(int((self.now - at).total_seconds()))
        return _time(at, text, kind="ago", title=self._moment(at))

    def at(self, at: datetime) -> Markup:
        """Write a moment: its time of day, and its date unless that is today's."""
        return _time(at, self._moment(at), kind="at")

    def until(self, at: datetime) -> Markup:
        """Count down to a moment: ``0:41``; the page goes on counting."""
        return _time(at, self._left(int((at - self.now).total_seconds())), kind="until")

    def span(self, seconds: int) -> str:
        """Write a duration in its two largest units: ``1 h 05 min``."""
        minutes, hours, days = seconds // _MINUTE_S, seconds // _HOUR_S, seconds // _DAY_S
        if days:
            return self.t("{} 天 {} 小時", "{} d {} h").format(days, hours % 24)
        if hours:
            return self.t("{} 小時 {:02} 分", "{} h {:02} min").format(hours, minutes % 60)
        return self.t("{} 分鐘", "{} min").format(minutes)

    def _age(self, age_s: int) -> str:
        if age_s < _MINUTE_S:
            return self.t("剛剛", "just now")
        if age_s < 2 * _HOUR_S:
            return self.t("{} 分鐘前", "{} min ago").format(age_s // _MINUTE_S)
        if age_s < 2 * _DAY_S:
            return self.t("{} 小時前", "{} h ago").format(age_s // _HOUR_S)
        return self.t("{} 天前", "{} days ago").format(age_s // _DAY_S)

    def _moment(self, at: datetime) -> str:
        here, today = at.astimezone(self.zone), self.now.astimezone(self.zone).date()
        text = f"{here:%H:%M}"
        if here.date() != today:
            month = _MONTHS[here.month - 1]
            day = self.t(f"{here.month}月{here.day}日", f"{here.day} {month}")
            year = "" if here.year == today.year else self.t(f"{here.year}年", f"{here.year} ")
            text = f"{year}{day} {text}"
        return text if self.is_zone_known else f"{text} UTC"

    @staticmethod
    def _left(left_s: int) -> str:
        minutes, seconds = divmod(max(0, left_s), _MINUTE_S)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    # -- quantities

    @staticmethod
    def money(amount_minor: int, currency: str) -> str:
        """Write an amount as its currency does."""
        return money.show(Minor(amount_minor), Currency.of(currency))

    @staticmethod
    def as_typed(amount_minor: int, currency: str) -> str:
        """Write an amount as people type it into a form: ``1.50``."""
        digits = Currency.of(currency).exponent
        whole, rest = divmod(amount_minor, 10**digits)
        return f"{whole}.{rest:0{digits}}" if digits else f"{whole}"

    @staticmethod
    def digits(currency: str) -> int:
        """Count the decimals with which amounts of a currency are typed."""
        return Currency.of(currency).exponent

    def metres(self, length_m: float) -> str:
        """Write a length: ``850 m``, ``2.5 km``."""
        if length_m < _KM_M:
            return self.t("{:.0f} 米", "{:.0f} m").format(length_m)
        return self.t("{:.3g} 公里", "{:.3g} km").format(length_m / _KM_M)

    @staticmethod
    def energy(given_mwh: int) -> str:
        """Write an energy: ``4.2 Wh``."""
        return f"{given_mwh / _WH_MWH:.1f} Wh"

    def in_minutes(self, at: datetime) -> str:
        """Say in how many minutes a moment is: ``in 6 min``."""
        minutes = -((self.now - at) // timedelta(minutes=1))
        if minutes <= 0:
            return self.t("馬上", "any moment")
        return self.t("{} 分鐘後", "in {} min").format(minutes)


def _time(at: datetime, text: str, *, kind: str, title: str = "") -> Markup:
    stamp = at.isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-time="{}" title="{}">{}</time>').format(
        stamp, kind, title, text
    )
