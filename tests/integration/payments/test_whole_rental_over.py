"""A whole rental over Stripe, and over WeChat Pay: the deposit by notice, the bill by asking."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.payments.port import PaymentStatus
from tests.integration.payments.contract import Bench
from tests.integration.rentals.conftest import HOME, HandClock, World, at_work

pytestmark = [
    pytest.mark.parametrize("name", ["stripe", "wechat"]),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]


@pytest.fixture
def bench(request: pytest.FixtureRequest, name: str) -> Bench:
    bench = request.getfixturevalue(f"{name}_bench")
    assert isinstance(bench, Bench)
    return bench


@pytest.fixture
def world(tmp_path: Path, database_url: str, bench: Bench, name: str) -> Iterator[World]:
    providers = {name: bench.provider}
    with at_work(
        tmp_path, database_url, clock=HandClock(bench.now()), providers=providers
    ) as world:
        yield world


def hold(world: World, bench: Bench, name: str) -> tuple[str, str]:
    """The renter agrees, and the provider knocks: the rental, and the deposit's ref."""
    rental, ref = world.deposit_asked()
    asked = bench.provider.fetch(ref)
    bench.payer_agrees(asked)
    heard = bench.heard(asked.reference, PaymentStatus.AUTHORIZED)
    for _ in range(2):
        path = f"/api/v1/webhooks/{name}"
        answer = world.client.post(path, content=heard.body, headers=dict(heard.headers))
        assert answer.status_code == 204, answer.text
    return rental, ref


def bill(world: World, rental: str) -> dict[str, Any]:
    """An hour later: brought back, and asked to pay."""
    world.clock.turn(seconds=2)
    world.feeds("LW-0001")
    world.follow()
    world.clock.turn(hours=1)
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    payment = world.people["renter"].did(f"/rentals/{rental}/payment")
    world.send()
    return dict(payment)


def test_a_rental_goes_to_its_receipt_and_the_books_balance(world, bench, name):
    world.market()
    rental, deposit = hold(world, bench, name)
    assert world.state(rental) == "starting"
    payment = bill(world, rental)

    bench.payer_agrees(bench.provider.fetch(world.ref(payment["id"])))
    world.clock.turn(minutes=2)
    world.ask_in_doubt()
    assert world.state(rental) == "completed"
    world.send()

    done = world.rental(rental)
    assert done["deposit"]["state"] == "released"
    assert world.sum_of_books() == 0
    assert world.balance("provider_cash") == 4 * 100 + 500
    assert world.balance("provider_holds") == 0
    assert bench.provider.fetch(deposit).status is PaymentStatus.CANCELED


def test_who_has_not_paid_yet_can_still_after_the_provider_was_asked(world, bench, name):
    world.market()
    rental, _deposit = hold(world, bench, name)
    payment = bill(world, rental)
    path = f"/payments/{payment['id']}"
    first = world.people["renter"].sees(path)["pay_url"]

    world.clock.turn(minutes=2)
    world.ask_in_doubt()

    assert first
    assert world.people["renter"].sees(path)["pay_url"] == first
