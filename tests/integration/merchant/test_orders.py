"""A merchant's orders, by what they wait for: exactly the fields that each list is for (M2)."""

import pytest

from tests.integration.merchant.conftest import Shop, code_of
from tests.integration.rentals.conftest import HOME, World

ACTS = {"id", "bank_id", "job_id"}
EMPTY = {"to_fulfil": 0, "in_progress": 0, "to_collect": 0, "completed": 0, "closed": 0}


def listed(shop: Shop, name: str, **query: object) -> dict[str, object]:
    page: dict[str, object] = shop.sees("/orders", list=name, **query)
    assert page["name"] == name
    return page


def only(shop: Shop, name: str) -> dict[str, object]:
    page = listed(shop, name)
    assert page["counts"] == {**EMPTY, name: 1}
    (item,) = page["items"]  # type: ignore[misc]
    return dict(item)


def test_an_order_to_fulfil_has_number_time_and_place(world: World, shop: Shop) -> None:
    rental = world.ask()
    item = only(shop, "to_fulfil")

    assert set(item) == ACTS | {"requested_at", "place"}
    assert item["id"] == rental
    assert item["requested_at"] == world.rental(rental)["requested_at"]
    assert item["place"] == HOME
    assert item["job_id"] == world.job()["id"]


def test_an_order_in_progress_has_billing_start_expected_amount_and_tariff(
    world: World, shop: Shop
) -> None:
    rental = world.renting()
    world.clock.turn(minutes=20)
    item = only(shop, "in_progress")
    told = world.rental(rental)

    fields = {"requested_at", "billing_start_at", "expected_amount_minor", "currency", "tariff"}
    assert set(item) == ACTS | fields
    assert item["billing_start_at"] == told["billing_start_at"] is not None
    assert item["expected_amount_minor"] == told["amount_minor"] == 700
    assert item["tariff"] == told["tariff"]
    assert item["job_id"] is None


def test_an_order_to_collect_has_duration_and_return_place(world: World, shop: Shop) -> None:
    rental = world.renting()
    world.clock.turn(minutes=20)
    there = {"lat": 31.23, "lng": 121.47, "address": "外灘 1 號"}
    world.people["renter"].did(f"/rentals/{rental}/return", there)
    item = only(shop, "to_collect")

    assert set(item) == ACTS | {"duration_s", "return_place"}
    assert item["duration_s"] == world.rental(rental)["duration_s"] > 0
    assert item["return_place"] == there
    assert item["job_id"] == world.job()["id"]


def test_a_completed_order_has_all_of_its_bill(world: World, shop: Shop) -> None:
    rental, ref = world.bill_asked()
    assert world.notice(world.provider.agree(ref)).is_success
    item = only(shop, "completed")
    told = world.rental(rental)

    fields = {"requested_at", "place", "billing_start_at", "returned_at", "tariff"}
    assert set(item) == ACTS | fields | {"amount_minor", "currency"}
    for name in ("requested_at", "place", "billing_start_at", "returned_at", "amount_minor"):
        assert item[name] == told[name] is not None
    assert item["tariff"] == told["tariff"]


def test_an_order_that_came_to_nothing_says_how(world: World, shop: Shop) -> None:
    rental = world.ask()
    world.people["renter"].did(f"/rentals/{rental}/cancel")
    item = only(shop, "closed")

    fields = {"requested_at", "state", "cancelled_at", "closed_at", "amount_minor", "currency"}
    assert set(item) == ACTS | fields
    assert (item["state"], item["amount_minor"], item["job_id"]) == ("cancelled", 0, None)


def test_an_order_called_off_for_a_fee_is_shown_as_that_until_and_after_it_is_paid(
    world: World,
) -> None:
    shop = Shop(
        world=world, id=world.market(cancel_accepted_minor=200, cancel_delivering_minor=200)
    )
    renter, rental = world.people["renter"], world.ask()
    world.staff_does("accept")
    told = renter.did(f"/rentals/{rental}/cancel", {"fee_minor": 200})
    assert (told["state"], told["stage"]) == ("payment_due", "closed")
    item = only(shop, "closed")
    assert (item["state"], item["amount_minor"], item["closed_at"]) == ("payment_due", 200, None)
    assert listed(shop, "in_progress")["items"] == []
    assert renter.sees("/rentals", stage="renting")["items"] == []
    assert [each["id"] for each in renter.sees("/rentals", stage="closed")["items"]] == [rental]

    payment = renter.did(f"/rentals/{rental}/payment")
    world.send()
    world.notice(world.provider.agree(world.ref(payment["id"])))
    item = only(shop, "closed")
    assert (item["state"], bool(item["closed_at"])) == ("completed", True)
    at_shop = shop.sees("/rentals", state="closed")["items"]
    assert [(each["id"], each["stage"]) for each in at_shop] == [(rental, "closed")]
    assert shop.sees("/rentals", state="completed")["items"] == []


def test_lists_are_paged_newest_first_and_counted_whole(world: World) -> None:
    shop = Shop(world=world, id=world.market())
    asked = []
    for _ in range(5):
        asked.append(world.ask())
        world.people["renter"].did(f"/rentals/{asked[-1]}/cancel")

    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = listed(shop, "closed", limit=2, **before)
        assert page["counts"] == {**EMPTY, "closed": 5}
        seen += [item["id"] for item in page["items"]]  # type: ignore[attr-defined]
        if page["next"] is None:
            break
        before = {"before": str(page["next"])}
    assert seen == asked[::-1]


def test_an_empty_shop_has_empty_lists(shop: Shop) -> None:
    for name in EMPTY:
        page = listed(shop, name)
        assert (page["items"], page["counts"], page["next"]) == ([], EMPTY, None)


@pytest.mark.parametrize("who", ["other", "staff", "renter"])
def test_only_the_owner_sees_them(world: World, shop: Shop, who: str) -> None:
    answer = world.people[who].get(shop.path("/orders"), list="to_fulfil")
    assert code_of(answer) == (404, "not_found")


def test_a_list_that_there_is_not_is_refused(shop: Shop) -> None:
    assert code_of(shop.owner.get(shop.path("/orders"), list="all")) == (422, "invalid_request")
