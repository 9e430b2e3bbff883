"""A bank that is recalled while somebody waits for it."""

import pytest
from sqlalchemy import text

from tests.integration.dispatch.conftest import Shop, Town

WHY = {"reason": "fire hazard"}


def recall(town: Town, *banks: str) -> None:
    town.world.people["operator"].did("/operator/banks/recall", {**WHY, "bank_ids": list(banks)})


@pytest.mark.parametrize("so_far", ["asked", "accepted", "on_the_way"])
def test_who_waits_for_a_bank_that_is_recalled_gets_another(town: Town, so_far: str) -> None:
    shop = town.shop(banks=2)
    rental = town.ask(shop)
    _goes(town, shop, so_far)

    recall(town, shop.banks[0])

    assert town.row(rental).bank_id == shop.banks[1]
    town.takes_along(shop.owner)
    town.hands_over(shop.owner)
    assert town.world.state(rental) == "delivered"


def _goes(town: Town, shop: Shop, so_far: str) -> None:
    if so_far != "asked":
        town.does(shop.staff[0], "accept")
    if so_far == "on_the_way":
        town.sets_out(shop.staff[0])


def test_without_another_it_is_honestly_given_up(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    recall(town, shop.banks[0])
    assert town.world.state(rental) == "undeliverable"


def test_of_all_that_are_recalled_none_is_sent_instead(town: Town) -> None:
    shop = town.shop(banks=2)
    rental = town.ask(shop)
    recall(town, *shop.banks)
    assert town.world.state(rental) == "undeliverable"


@pytest.mark.parametrize("banks", [1, 2])
def test_it_counts_against_nobody(town: Town, banks: int) -> None:
    shop = town.shop(banks=banks)
    rental = town.ask(shop)
    town.does(shop.staff[0], "accept")
    recall(town, shop.banks[0])

    score = shop.owner.sees(f"/merchants/{shop.id}/score")
    assert score["deliveries"] == 0
    if banks > 1:  # and who had it may bring the other
        assert town.job(shop.staff[0])["rental_id"] == rental


def test_a_recalled_bank_in_hand_is_brought_home_and_stays_there(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    _goes(town, shop, "on_the_way")
    recall(town, shop.banks[0])
    town.does(shop.staff[0], "check-in", qr_token=town.world.tokens[shop.banks[0]])
    assert town.holder(shop.banks[0]) == "merchant"
    bank = shop.owner.sees(f"/merchants/{shop.id}/banks/{shop.banks[0]}")
    assert not bank["is_offered"]


def test_a_recalled_bank_is_not_picked_up(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    town.does(shop.staff[0], "accept")
    with town.world.database.writing() as session:  # as one that came in the same moment would
        session.execute(text("UPDATE bank SET is_recalled = :yes"), {"yes": True})
    job = town.job(shop.staff[0])
    answer = shop.staff[0].post(
        f"/staff/jobs/{job['id']}/set-out", {"qr_token": town.world.tokens[shop.banks[0]]}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "bank_recalled")
    assert town.holder(shop.banks[0]) == "merchant"
