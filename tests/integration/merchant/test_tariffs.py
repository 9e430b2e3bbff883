"""A merchant's prices: presets, previews, versions."""

import pytest

from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import TERMS

QUARTERS = {
    **TERMS,
    "free_s": 300,
    "rounding": "floor_after_first",
    "cancel_accepted_minor": 100,
    "cancel_delivering_minor": 300,
    "min_battery_pct": 60,
    "market": "beijing",
}


def test_presets_come_with_their_markets_rules_and_words_in_the_readers_language(
    shop: Shop,
) -> None:
    items = shop.owner.sees("/tariff-presets")["items"]
    zh = shop.world.client.get(
        "/api/v1/tariff-presets",
        headers={"authorization": f"Bearer {shop.owner.token}", "accept-language": "zh"},
    ).json()["items"]

    assert [item["market"] for item in items] == ["plain", "beijing", "chengdu"]
    beijing = items[1]
    assert beijing["rules"]["block_most_s"] == 900
    assert beijing["terms"]["rounding"] == "floor_after_first"
    assert beijing["name"] == "Beijing"
    assert zh[1]["name"] == "北京"
    assert "押金" in zh[1]["terms"]["disclosure"]


@pytest.mark.parametrize("market", ["plain", "beijing", "chengdu"])
def test_a_preset_can_be_put_in_force_as_it_is(shop: Shop, market: str) -> None:
    preset = next(
        item for item in shop.owner.sees("/tariff-presets")["items"] if item["market"] == market
    )
    terms = dict(preset["terms"])
    del terms["currency"], terms["disclosure"]

    made = shop.does("/tariffs", {**terms, "market": market})

    assert (made["version"], made["market"]) == (2, market)
    assert made["terms"] == preset["terms"]


def test_the_new_terms_are_optional_and_have_defaults(shop: Shop) -> None:
    (tariff,) = shop.sees("/tariffs")["items"]
    terms = tariff["terms"]
    assert (terms["cancel_accepted_minor"], terms["cancel_delivering_minor"]) == (0, 0)
    assert (terms["min_battery_pct"], tariff["market"]) == (50, "plain")


def test_a_version_is_never_changed_only_followed(shop: Shop) -> None:
    (first,) = shop.sees("/tariffs")["items"]
    shop.does("/tariffs", QUARTERS)

    second, again = shop.sees("/tariffs")["items"]
    assert again == first
    assert second["version"] == 2
    told = second["terms"]["disclosure"]
    assert "Cancelling is free until staff accept; then it costs ¥1.00, and ¥3.00" in told
    assert "a charge of 60 % or more" in told


def test_a_preview_prices_in_words_and_keeps_nothing(shop: Shop) -> None:
    seen = shop.does("/tariffs/preview", QUARTERS)

    assert seen["problems"] == []
    hour = next(quote for quote in seen["quotes"] if quote["span_s"] == 3600)
    # 55 minutes after the free ones: the first block, and two more that are over.
    assert hour["amount_minor"] == 300 + 500
    assert sum(line["amount_minor"] for line in hour["lines"]) == hour["amount_minor"]
    assert hour["text"] == "1 h: ¥8.00, or ¥3.00 if the delivery is late"
    assert any(quote["is_bought"] for quote in seen["quotes"])
    assert "Cancelling" in seen["disclosure"]
    assert len(shop.sees("/tariffs")["items"]) == 1


def test_a_preview_names_every_problem_with_its_fields(shop: Shop) -> None:
    bad = {**QUARTERS, "block_s": 1800, "deposit_minor": 0, "min_battery_pct": 101}
    seen = shop.does("/tariffs/preview", bad)
    told = shop.in_chinese(
        "POST", "/tariffs/preview", json=bad, headers={"idempotency-key": "p"}
    ).json()

    assert {(each["code"], *each["fields"]) for each in seen["problems"]} == {
        ("tariff_bad_battery", "min_battery_pct"),
        ("tariff_no_deposit", "deposit_minor"),
        ("tariff_market_block", "block_s"),
    }
    assert (seen["quotes"], seen["disclosure"]) == ([], None)
    texts = {each["text"] for each in seen["problems"]}
    assert texts.isdisjoint(each["text"] for each in told["problems"])


def test_what_a_preview_finds_is_refused_when_it_is_to_be_put_in_force(shop: Shop) -> None:
    answer = shop.owner.post(shop.path("/tariffs"), {**QUARTERS, "rounding": "ceil"})

    assert code_of(answer) == (422, "bad_tariff")
    assert answer.json()["facts"] == {"problems": "tariff_market_rounding"}
    assert len(shop.sees("/tariffs")["items"]) == 1


def test_a_rental_keeps_the_terms_it_was_asked_for_under(shop: Shop) -> None:
    rental = shop.world.ask()
    shop.does("/tariffs", {**QUARTERS, "block_price_minor": 999})

    tariff = shop.world.rental(rental)["tariff"]
    assert (tariff["block_price_minor"], tariff["free_s"]) == (100, 0)


@pytest.mark.parametrize("rest", ["/tariffs", "/tariffs/preview"])
def test_nobody_elses_prices_can_be_touched(shop: Shop, rest: str) -> None:
    answer = shop.world.people["other"].post(shop.path(rest), QUARTERS)
    assert code_of(answer) == (404, "not_found")
