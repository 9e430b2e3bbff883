import pytest

from backend.domain.errors import Code, Refusal
from backend.domain.money import Currency, Minor, show, split


def test_equal_weights_give_the_spare_unit_to_the_first():
    assert split(Minor(100), (1, 1, 1)) == (34, 33, 33)


def test_the_largest_remainder_gets_the_spare_unit():
    assert split(Minor(10), (15, 85)) == (2, 8)
    assert split(Minor(99), (2000, 8000)) == (20, 79)


def test_a_weight_of_nothing_gets_nothing():
    assert split(Minor(7), (0, 1, 0)) == (0, 7, 0)


def test_a_negative_amount_is_divided_as_its_opposite():
    assert split(Minor(-100), (1, 1, 1)) == (-34, -33, -33)


@pytest.mark.parametrize("weights", [(), (0, 0), (1, -1), (3, -1)])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        split(Minor(1), weights)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (300, Currency.CNY, "¥3.00"),
        (5, Currency.CNY, "¥0.05"),
        (-1234, Currency.EUR, "-€12.34"),
        (120, Currency.JPY, "JP¥120"),
        (0, Currency.JPY, "JP¥0"),
        (1, Currency.KWD, "KD 0.001"),
    ],
)
def test_an_amount_is_written_with_its_currencys_digits(amount, currency, text):
    assert show(Minor(amount), currency) == text


def test_no_two_currencies_are_written_alike():
    assert len({currency.symbol for currency in Currency}) == len(Currency)


def test_a_currency_that_is_not_known_is_refused_by_name():
    with pytest.raises(Refusal) as refused:
        Currency.of("XXX")
    assert (refused.value.code, refused.value.detail) == (
        Code.UNKNOWN_CURRENCY,
        {"currency": "XXX"},
    )
    assert Currency.of("CNY") is Currency.CNY
