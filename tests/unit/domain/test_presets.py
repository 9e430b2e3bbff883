from dataclasses import replace

import pytest

from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang
from backend.domain.markets import RULES, Market
from backend.domain.money import Currency, Minor
from backend.domain.presets import PRESETS
from backend.domain.tariff import Rounding, check, disclosure, lint


@pytest.mark.parametrize("market", Market)
def test_every_market_has_rules_and_a_price_that_keeps_them(market):
    assert market in RULES
    assert lint(PRESETS[market], market) == ()


@pytest.mark.parametrize("lang", Lang)
def test_every_preset_is_told_in_words(lang):
    told = {disclosure(terms, lang) for terms in PRESETS.values()}
    assert len(told) == len(Market)


@pytest.mark.parametrize(
    ("market", "change", "code"),
    [
        (Market.BEIJING, {"block_s": 901}, Code.TARIFF_MARKET_BLOCK),
        (Market.BEIJING, {"free_s": 299}, Code.TARIFF_MARKET_FREE),
        (Market.BEIJING, {"rounding": Rounding.CEIL}, Code.TARIFF_MARKET_ROUNDING),
        (Market.BEIJING, {"currency": Currency.EUR}, Code.TARIFF_MARKET_CURRENCY),
        (Market.CHENGDU, {"block_s": 901}, Code.TARIFF_MARKET_BLOCK),
        (Market.CHENGDU, {"free_s": 299}, Code.TARIFF_MARKET_FREE),
        (Market.CHENGDU, {"min_battery_pct": 49}, Code.TARIFF_MARKET_BATTERY),
        (Market.CHENGDU, {"currency": Currency.EUR}, Code.TARIFF_MARKET_CURRENCY),
    ],
)
def test_what_a_market_does_not_allow_is_named_and_may_be_used_elsewhere(market, change, code):
    terms = replace(PRESETS[market], **change)
    (problem,) = lint(terms, market)

    assert problem.code is code
    assert problem.fields == tuple(change)
    assert lint(terms) == ()
    with pytest.raises(Refusal, match=code):
        check(terms, market)


@pytest.mark.parametrize(
    ("market", "change"),
    [
        (Market.BEIJING, {"min_battery_pct": 0, "free_s": 3_600, "block_s": 60}),
        (Market.CHENGDU, {"rounding": Rounding.FLOOR_AFTER_FIRST, "min_battery_pct": 100}),
        (Market.PLAIN, {"free_s": 0, "block_s": 86_400, "currency": Currency.JPY}),
    ],
)
def test_a_market_lets_a_merchant_be_kinder(market, change):
    assert lint(replace(PRESETS[market], **change), market) == ()


def test_a_market_hides_no_problem_that_any_tariff_may_have():
    terms = replace(PRESETS[Market.BEIJING], deposit_minor=Minor(0), block_s=1_800)
    codes = {problem.code for problem in lint(terms, Market.BEIJING)}
    assert codes == {Code.TARIFF_NO_DEPOSIT, Code.TARIFF_MARKET_BLOCK}
