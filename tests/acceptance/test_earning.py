"""What a merchant earns: settled, withdrawn, scored; and the books that say so."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.city import City, Rental, Shop, away, moment, new_town
from tests.acceptance.processes import until

COMMISSION_BP = 1_000
WINDOW = timedelta(days=7)
"""How long a bill may be disputed."""
NOTHING = {
    "currency": "CNY", "settled_orders": 0, "unsettled_orders": 0, "next_settlement_at": None,
    "pending_minor": 0, "frozen_minor": 0, "withdrawable_minor": 0, "in_payout_minor": 0,
    "debt_minor": 0, "minimum_minor": 100, "payout_account": None,
}  # fmt: skip


def share(*paid: dict[str, Any]) -> int:
    """The merchant's part of bills: what is left after the platform's, which is rounded down."""
    return sum(
        told["amount_minor"] - told["amount_minor"] * COMMISSION_BP // 10_000 for told in paid
    )


def settled(city: City, shop: Shop, *rentals: Rental) -> None:
    """Let the time in which these may be disputed go by."""
    closed_at = max(moment(rental.now(), "closed_at") for rental in rentals)
    city.turn_past(closed_at + WINDOW)
    until(
        lambda: shop.settlement()["settled_orders"] == len(rentals), what="it is the merchant's own"
    )


# -- M4: settlement ---------------------------------------------------------------------


@pytest.mark.row("M4")
def test_a_settlement_counts_orders_and_says_what_is_pending_and_withdrawable(city: City) -> None:
    shop = city.shop()
    assert shop.settlement() == NOTHING
    one, other = (city.rental(shop).start().complete() for _ in range(2))
    pending = share(one.now(), other.now())
    told = shop.settlement()
    assert (told["settled_orders"], told["unsettled_orders"]) == (0, 2)
    assert (told["pending_minor"], told["withdrawable_minor"]) == (pending, 0)
    assert moment(told, "next_settlement_at") == moment(one.now(), "closed_at") + WINDOW

    settled(city, shop, one, other)
    last = city.rental(shop).start().complete()
    told = shop.settlement()
    assert (told["settled_orders"], told["unsettled_orders"]) == (2, 1)
    assert told["pending_minor"] == share(last.now())
    assert told["withdrawable_minor"] == pending

    lines = shop.owner.sees(f"/merchants/{shop.id}/ledger", of="withdrawable")["items"]
    assert {line["rental_id"] for line in lines} == {one.id, other.id}
    assert sum(line["amount_minor"] for line in lines) == lines[0]["balance_minor"] == pending
    assert city.person().get(f"/merchants/{shop.id}/settlement").status_code == 404


@pytest.mark.row("M4")
def test_what_a_renter_disputes_is_kept_back_and_only_that(city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop).start().complete()
    all_of_it = share(rental.now())
    dispute = rental.renter.does(
        f"/rentals/{rental.id}/disputes", {"disputed_minor": 200, "reason": "it was slow"}
    )
    frozen = shop.settlement()["frozen_minor"]
    assert 0 < frozen <= 200
    city.turn_past(moment(rental.now(), "closed_at") + WINDOW)
    until(lambda: shop.settlement()["withdrawable_minor"], what="the rest is the merchant's own")
    told = shop.settlement()
    assert (told["withdrawable_minor"], told["pending_minor"]) == (all_of_it - frozen, frozen)
    assert (told["settled_orders"], told["unsettled_orders"]) == (0, 1)
    city.operator.does(
        f"/operator/disputes/{dispute['id']}/decide",
        {"granted_minor": 0, "reason": "the bank says that it fed all along"},
    )
    city.turn(timedelta(minutes=1))
    until(
        lambda: shop.settlement()["withdrawable_minor"] == all_of_it, what="what was frozen is too"
    )
    assert shop.settlement()["settled_orders"] == 1


# -- M5: withdrawals --------------------------------------------------------------------


@pytest.mark.row("M5")
def test_a_withdrawal_is_paid_out_to_the_merchants_account(city: City) -> None:
    shop = city.shop()
    rental = city.rental(shop).start().complete()
    settled(city, shop, rental)
    there = shop.settlement()["withdrawable_minor"]
    path, wish = f"/merchants/{shop.id}/withdrawals", {"amount_minor": 300}
    assert shop.owner.refused(path, wish)["code"] == "no_payout_account"
    account = {"account": "sandbox:aming"}
    assert shop.owner.does(f"/merchants/{shop.id}/payout-account", account)["account"] != account
    too_much = shop.owner.refused(path, {"amount_minor": there + 1})
    assert too_much["code"] == "withdrawal_too_large"
    assert too_much["facts"]["available_minor"] == there

    with shop.owner.listening() as news:
        asked = shop.owner.does(path, wish)
        assert asked["state"] in {"requested", "sent"}
        news.hears("withdrawal.paid", withdrawal_id=asked["id"])
    told = shop.owner.sees(f"{path}/{asked['id']}")
    assert (told["state"], told["amount_minor"], told["failure"]) == ("paid", 300, "")
    after = shop.settlement()
    assert (after["withdrawable_minor"], after["in_payout_minor"]) == (there - 300, 0)
    (sent,) = at_provider(city, asked["id"])
    assert (sent["status"], sent["account"]) == ("paid", "sandbox:aming")
    assert (sent["amount_minor"], sent["currency"]) == (300, "CNY")


@pytest.mark.row("M5")
def test_what_comes_back_from_a_closed_account_is_the_merchants_again(city: City) -> None:
    shop = city.shop()
    settled(city, shop, city.rental(shop).start().complete())
    there = shop.settlement()["withdrawable_minor"]
    shop.owner.does(f"/merchants/{shop.id}/payout-account", {"account": "sandbox:closed"})
    with shop.owner.listening() as news:
        asked = shop.owner.does(f"/merchants/{shop.id}/withdrawals", {"amount_minor": there})
        assert shop.settlement()["withdrawable_minor"] == 0
        heard = news.hears("withdrawal.failed", withdrawal_id=asked["id"]).data
    assert "closed" in heard["failure"]
    (sent,) = at_provider(city, asked["id"])
    assert sent["status"] == "failed"
    assert shop.settlement()["withdrawable_minor"] == there


def at_provider(city: City, withdrawal_id: str) -> list[dict[str, Any]]:
    """What the provider's own list says of a withdrawal."""
    listed = httpx.get(
        f"{city.platform.provider}/v1/payouts",
        headers={"authorization": f"Bearer {city.platform.provider_key}"},
    )
    payouts = listed.raise_for_status().json()["data"]
    return [each for each in payouts if each["reference"] == withdrawal_id]


# -- M6: the score ----------------------------------------------------------------------


@pytest.mark.row("M6")
def test_a_merchant_is_scored_from_on_time_rate_and_average_charge_and_told_why(
    city: City,
) -> None:
    door = new_town()
    shop = city.shop(at=away(300, door))
    bank, other = city.bank(shop, battery=90), city.bank(shop, battery=60)
    new = shop.score()
    assert (new["on_time_bp"], new["deliveries"]) == (None, 0)
    assert new["average_charge_pct"] == 75
    _adds_up(new)

    rental = city.rental(shop, bank, door=door).bring()
    good = shop.score()
    assert (good["on_time_bp"], good["deliveries"], good["on_time"]) == (10_000, 1, 1)
    assert good["average_charge_pct"] == 60  # of those at home
    _adds_up(good)

    late = city.rental(shop, other, door=door).take_along()
    city.turn_past(moment(late.delivery(), "promised_at"), heard=(bank, other))
    late.staff_does("delivery", "hand-over", code=late.now()["code"])
    told = {lang: shop.score(lang) for lang in ("en", "zh")}
    bad = told["en"]
    assert (bad["on_time_bp"], bad["deliveries"], bad["on_time"]) == (5_000, 2, 1)
    assert bad["average_charge_pct"] is None
    assert _points(bad, "on_time") < _points(good, "on_time")
    _adds_up(bad)
    why = {lang: [part["why"] for part in score["parts"]] for lang, score in told.items()}
    assert "1 of 2 deliveries" in why["en"][0]
    assert all(text.isascii() for text in why["en"])
    assert not any(text.isascii() for text in why["zh"])
    assert rental.now()["state"] == "delivered"


def _points(score: dict[str, Any], kind: str) -> int:
    return int(next(part["points"] for part in score["parts"] if part["kind"] == kind))


def _adds_up(score: dict[str, Any]) -> None:
    assert 0 <= score["score"] <= 100
    assert [part["kind"] for part in score["parts"]] == ["on_time", "charge"]
    assert sum(part["weight_pct"] for part in score["parts"]) == 100
    assert abs(score["score"] - sum(part["points"] for part in score["parts"])) <= 1


# -- the books --------------------------------------------------------------------------


def test_the_books_are_verified_and_an_amount_that_a_hand_changed_is_named(
    each_city: City,
) -> None:
    city = each_city
    rental = city.rental(city.shop()).start().complete()
    until(lambda: rental.now()["deposit"]["state"] == "released", what="the deposit is free")
    code, told = city.platform.verify()
    assert (code, told["balanced"], told["breaks"]) == (0, True, [])
    assert told["rentals"] > 0
    account = f"receivable:{rental.renter.id}"
    transfer_id = city.platform.rows(
        "SELECT transfer_id FROM posting WHERE account = :account", account=account
    )[0][0]
    by_one = "UPDATE posting SET amount_minor = amount_minor {} 1 WHERE transfer_id = :id"
    with city.platform.unguarded("posting"):
        city.platform.change(by_one.format("+"), id=transfer_id)
        code, told = city.platform.verify()
        city.platform.change(by_one.format("-"), id=transfer_id)
    assert code == 1
    named = {each["row"] for each in told["breaks"]}
    assert {f"transfer {transfer_id}", f"account {account} CNY", f"rental {rental.id}"} <= named
    assert city.platform.verify()[0] == 0
