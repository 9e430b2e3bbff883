from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.lang import Lang
from backend.domain.markets import Market
from backend.domain.money import Minor
from backend.domain.presets import PRESETS
from backend.domain.quotes import SPANS_S, in_words, quotes
from backend.domain.tariff import price

BEIJING = PRESETS[Market.BEIJING]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("market", Market)
def test_a_quote_is_what_the_bill_would_be(market):
    terms = PRESETS[market]
    for quote in quotes(terms):
        end = NOON + timedelta(seconds=quote.span_s)
        assert quote.price == price(terms, start=NOON, end=end)
        late = price(terms, start=NOON, end=end, delivery_late=True)
        assert quote.late_minor == late.total_minor


def test_quotes_name_the_very_second_that_buys_the_bank():
    told = [quote for quote in quotes(BEIJING) if quote.is_bought]
    bought = told[0]

    assert bought.span_s not in SPANS_S
    assert bought.price.total_minor == BEIJING.cap_total_minor
    before = NOON + timedelta(seconds=bought.span_s - 1)
    assert price(BEIJING, start=NOON, end=before).total_minor < BEIJING.cap_total_minor


def test_terms_that_never_reach_their_cap_are_quoted_without_it():
    free = replace(BEIJING, block_price_minor=Minor(0))
    assert [quote.span_s for quote in quotes(free)] == list(SPANS_S)


def test_a_quote_is_said_in_both_languages():
    hour = next(quote for quote in quotes(BEIJING) if quote.span_s == 3_600)
    english = "1 h: ¥7.25, or ¥2.25 if the delivery is late"
    assert in_words(hour, BEIJING, Lang.EN) == english
    assert in_words(hour, BEIJING, Lang.ZH) == "1小時：¥7.25，配送超時則為¥2.25"
    bought = next(quote for quote in quotes(BEIJING) if quote.is_bought)
    assert in_words(bought, BEIJING, Lang.EN).endswith("; the power bank is the renter's")
