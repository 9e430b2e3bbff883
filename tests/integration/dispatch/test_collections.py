"""Fetching a bank: its own merchant's people are asked, reminded, and asked again."""

from typing import Any

import pytest

from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind
from backend.domain.dispatch import REMINDERS_MAX
from tests.integration.dispatch.conftest import Shop, Town
from tests.integration.rentals.conftest import HOME


def to_fetch(town: Town, shop: Shop) -> str:
    """A delivered bank that its renter wants to be fetched."""
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    town.hands_over(shop.owner)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    return rental


def collects(town: Town, shop: Shop) -> None:
    town.does(shop.owner, "accept")
    town.does(shop.owner, "collect", qr_token=town.world.tokens[shop.banks[0]])


def test_a_collection_is_offered_to_the_bank_s_own_people_only(town: Town) -> None:
    shop, other = town.shop(), town.shop(800)
    to_fetch(town, shop)
    assert [town.job(person)["kind"] for person in shop.team] == ["collection"] * 2
    town.minutes(5)
    assert town.jobs(other.owner) == []


def test_who_has_no_time_now_may_fetch_their_own_bank_later(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = to_fetch(town, shop)
    town.does(shop.owner, "decline")
    assert town.job(shop.owner)["kind"] == "collection"
    town.turn(hours=1)
    collects(town, shop)
    assert town.world.state(rental) in {"cancelled", "completed"}


def test_staff_who_declined_do_not_see_it_again(town: Town) -> None:
    shop = town.shop()
    to_fetch(town, shop)
    town.does(shop.staff[0], "decline")
    town.minutes(3)
    assert town.jobs(shop.staff[0]) == []
    collects(town, shop)


def test_a_collection_that_nobody_takes_is_reminded_of_then_told_to_the_operators(
    town: Town,
) -> None:
    shop = town.shop()
    rental = to_fetch(town, shop)
    town.turn(seconds=45)
    assert len(town.told(shop.owner, "collection.waiting")) == 1
    for _ in range(REMINDERS_MAX):
        town.turn(minutes=30)
    assert len(town.told(shop.owner, "collection.waiting")) == REMINDERS_MAX
    assert town.told(town.world.people["operator"], "collection.waiting")
    assert town.row(rental, JobKind.COLLECTION).due_at is None
    collects(town, shop)


def test_who_accepts_and_does_not_fetch_is_relieved_after_an_hour(town: Town) -> None:
    shop = town.shop(staff=2)
    to_fetch(town, shop)
    slow = shop.staff[0]
    town.does(slow, "accept")
    town.turn(minutes=60)
    assert town.jobs(slow) == []
    collects(town, shop)


def test_a_collection_given_back_goes_to_the_others(town: Town) -> None:
    shop = town.shop()
    to_fetch(town, shop)
    town.does(shop.staff[0], "accept")
    town.does(shop.staff[0], "give-back", reason="nobody at home")
    assert town.jobs(shop.staff[0]) == []
    collects(town, shop)


def test_a_collected_bank_is_reminded_of_until_it_is_home(town: Town) -> None:
    shop = town.shop(staff=0)
    to_fetch(town, shop)
    collects(town, shop)
    town.turn(minutes=30)
    assert len(town.told(shop.owner, "bank.bring_home")) == 1
    town.does(shop.owner, "check-in", qr_token=town.world.tokens[shop.banks[0]])
    town.turn(minutes=30)
    assert len(town.told(shop.owner, "bank.bring_home")) == 1


@pytest.mark.parametrize(
    ("state", "is_to_inspect", "is_offered"),
    [
        ({}, False, True),
        ({"faults": "overheat"}, False, False),
        ({"lock": "jammed"}, False, False),
        ({}, True, False),
    ],
)
def test_a_bank_that_its_merchant_has_to_look_into_is_not_offered_again(
    town: Town, state: dict[str, Any], *, is_to_inspect: bool, is_offered: bool
) -> None:
    shop = town.shop(staff=0)
    to_fetch(town, shop)
    collects(town, shop)
    bank = shop.banks[0]
    with town.world.database.writing() as session:
        session.get_one(BankRow, bank).is_to_inspect = is_to_inspect
    town.world.bank_is(bank, **state)
    town.does(shop.owner, "check-in", qr_token=town.world.tokens[bank])
    with town.world.database.reading() as session:
        row = session.get_one(BankRow, bank)
    assert (row.holder, row.is_offered) == ("merchant", is_offered)


def test_a_no_show_is_relieved_however_often_it_was_reminded_of_before(town: Town) -> None:
    shop = town.shop(staff=2)
    rental = to_fetch(town, shop)
    town.turn(seconds=46)
    assert town.told(shop.owner, "collection.waiting")
    slow = shop.staff[0]
    town.does(slow, "accept")
    town.turn(minutes=60)
    assert town.jobs(slow) == []
    assert town.row(rental, JobKind.COLLECTION).staff_id is None
    collects(town, shop)
