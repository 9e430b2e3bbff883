"""How amounts are written and typed."""

from datetime import UTC, datetime

import pytest

from backend.domain.lang import Lang
from backend.web.reader import Reader

READER = Reader(lang=Lang.EN, zone=UTC, is_zone_known=True, now=datetime(2026, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("amount_minor", "currency", "typed", "digits"),
    [
        (150, "CNY", "1.50", 2),
        (5, "CNY", "0.05", 2),
        (500, "JPY", "500", 0),
        (1_234, "KWD", "1.234", 3),
        (0, "EUR", "0.00", 2),
    ],
)
def test_an_amount_is_typed_with_its_currencys_decimals(amount_minor, currency, typed, digits):
    assert READER.as_typed(amount_minor, currency) == typed
    assert READER.digits(currency) == digits
