"""Money: whole minor units of a named currency, and how to divide them.

There are no fractions and no floats: an amount is an integer count of the currency's
smallest unit. Dividing therefore leaves a remainder, and a remainder that is dropped is money
made or lost. :func:`split` gives it out by the largest-remainder rule, so that the parts
always sum to the whole and none is off its exact share by as much as one unit.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NewType, Self

from backend.domain.errors import Code, Refusal

Minor = NewType("Minor", int)
"""An amount in a currency's smallest unit."""

ZERO: Final = Minor(0)


class Currency(StrEnum):
    """A currency by its ISO 4217 code."""

    CNY = "CNY"
    HKD = "HKD"
    MOP = "MOP"
    TWD = "TWD"
    SGD = "SGD"
    USD = "USD"
    EUR = "EUR"
    GBP = "GBP"
    JPY = "JPY"
    KRW = "KRW"
    KWD = "KWD"

    @property
    def exponent(self) -> int:
        """How many decimal digits the minor unit is below the major one (ISO 4217)."""
        return _EXPONENTS.get(self, 2)

    @property
    def symbol(self) -> str:
        """What stands before an amount; no two are alike."""
        return _SYMBOLS[self]

    @classmethod
    def of(cls, code: str) -> Self:
        """Give the currency of this code.

        Raises:
            Refusal: UNKNOWN_CURRENCY.
        """
        try:
            return cls(code)
        except ValueError:
            raise Refusal(Code.UNKNOWN_CURRENCY, currency=code) from None


_EXPONENTS: Final = {Currency.JPY: 0, Currency.KRW: 0, Currency.KWD: 3}
_SYMBOLS: Final = {
    Currency.CNY: "¥",
    Currency.HKD: "HK$",
    Currency.MOP: "MOP$",
    Currency.TWD: "NT$",
    Currency.SGD: "S$",
    Currency.USD: "US$",
    Currency.EUR: "€",
    Currency.GBP: "£",
    Currency.JPY: "JP¥",
    Currency.KRW: "₩",
    Currency.KWD: "KD ",
}


def show(amount: Minor, currency: Currency) -> str:
    """Write an amount as people do: ``¥3.00``, ``-JP¥120``."""
    digits = str(abs(amount)).zfill(currency.exponent + 1)
    whole = len(digits) - currency.exponent
    sign = "-" if amount < 0 else ""
    fraction = f".{digits[whole:]}" if currency.exponent else ""
    return f"{sign}{currency.symbol}{digits[:whole]}{fraction}"


def split(amount: Minor, weights: Sequence[int]) -> tuple[Minor, ...]:
    """Divide an amount by weights, exactly, by the largest remainder.

    Args:
        amount: what to divide; a negative one is divided as its opposite would be.
        weights: one per part, none negative, not all zero. Of equal remainders, the part
            that comes first gets the unit.

    Returns:
        One part per weight. They sum to the amount, and each is less than one unit away
        from its exact share.
    """
    total = sum(weights)
    if min(weights, default=0) < 0 or total <= 0:
        msg = f"weights must not be negative, nor all zero: {list(weights)}"
        raise ValueError(msg)
    sign = -1 if amount < 0 else 1
    shares = [divmod(abs(amount) * weight, total) for weight in weights]
    left = abs(amount) - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(shares)), key=lambda part: -shares[part][1])
    lucky = frozenset(by_remainder[:left])
    return tuple(Minor(sign * (share + (part in lucky))) for part, (share, _) in enumerate(shares))
