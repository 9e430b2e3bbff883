"""An operator sees what merchants earn and take out, and where providers do not agree (A1)."""

from collections.abc import Iterator

import pytest

from backend import sweeps
from backend.limits import ReconcileLimits
from tests.integration.books.conftest import Books
from tests.integration.rentals.conftest import World

WHY = {"reason": "looked into"}


@pytest.fixture
def books(world: World) -> Iterator[Books]:
    """A merchant with a rental that is paid and settled, and a withdrawal that was asked for."""
    books = Books(world=world, merchant=world.market())
    books.settled()
    books.with_account()
    return books


def test_withdrawals_of_all_are_listed_with_whose_they_are(books: Books) -> None:
    asked = books.asked(300)
    operator = books.world.people["operator"]
    [seen] = operator.sees("/operator/withdrawals")["items"]
    assert (seen["id"], seen["merchant_id"], seen["state"]) == (asked, books.merchant, "requested")
    assert seen["account"].endswith("cdef")
    assert "acct_" not in seen["account"], "masked here, too"
    books.send()
    books.told(asked, "paid")
    assert operator.sees("/operator/withdrawals", state="requested")["items"] == []
    [paid] = operator.sees("/operator/withdrawals", state="paid", merchant_id=books.merchant)[
        "items"
    ]
    assert paid["provider_ref"]


def test_withdrawals_come_by_page_newest_first(books: Books) -> None:
    first, second = books.asked(100), books.asked(100)
    operator = books.world.people["operator"]
    page = operator.sees("/operator/withdrawals", limit=1)
    rest = operator.sees("/operator/withdrawals", limit=1, before=page["next"])
    assert [item["id"] for item in page["items"] + rest["items"]] == [second, first]


def test_a_merchants_earnings_are_seen_as_the_merchant_sees_them(books: Books) -> None:
    books.asked(300)
    operator, path = books.world.people["operator"], f"/operator/merchants/{books.merchant}"
    assert operator.sees(f"{path}/settlement") == books.settlement()
    for of in ("pending", "withdrawable", "in_payout"):
        assert operator.sees(f"{path}/ledger", of=of)["items"] == books.lines(of)


@pytest.mark.parametrize("what", ["settlement", "ledger"])
def test_of_a_merchant_that_is_not_there_nothing_is_seen(world: World, what: str) -> None:
    path = f"/operator/merchants/01J9ZV3C8R0000000000000000/{what}"
    assert world.people["operator"].get(path).json()["code"] == "not_found"


def reconcile(world: World) -> None:
    world.clock.turn(days=1)
    sweeps.reconcile(
        world.database, {"fake": world.provider}, limits=ReconcileLimits(), now=world.clock.now()
    )


def test_what_a_provider_says_otherwise_is_reported_until_it_is_put_aside(books: Books) -> None:
    world, operator = books.world, books.world.people["operator"]
    assert operator.sees("/operator/breaks")["newest_look"] is None
    world.provider.change(next(iter(world.provider.payments)), amount_minor=1)
    reconcile(world)
    report = operator.sees("/operator/breaks")
    assert report["newest_look"]["breaks"] == len(report["items"]) > 0
    [found] = [each for each in report["items"] if each["kind"] == "amount_differs"]
    assert (found["subject"], found["resolved_at"]) == ("payment", None)

    stuck = operator.sees("/operator/stuck")["items"]
    [item] = [each for each in stuck if each["id"] == found["id"]]
    assert (item["kind"], item["acts"]) == ("break", ["put_aside"])
    path = f"/operator/stuck/break/{found['id']}/put_aside"
    operator.did(path, WHY)
    assert found["id"] not in [each["id"] for each in operator.sees("/operator/breaks")["items"]]
    assert found["id"] not in [each["id"] for each in operator.sees("/operator/stuck")["items"]]
    [over] = operator.sees("/operator/breaks", resolved=True)["items"]
    assert over["id"] == found["id"]
    [trace] = operator.sees("/operator/audit", subject="break")["items"]
    assert (trace["subject_id"], trace["why"]) == (found["id"], WHY["reason"])
    assert operator.post(path, WHY).status_code == 404, "it is off the list"
    reconcile(world)
    again = [each["kind"] for each in operator.sees("/operator/breaks")["items"]]
    assert "amount_differs" in again, "it is still so, and so it is back"
