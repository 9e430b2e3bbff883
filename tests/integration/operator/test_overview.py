"""What an operator sees first: where everything is, how much there is, and how it was of late."""

import asyncio
from datetime import UTC, timedelta

import pytest

from backend.api import pulse
from backend.api.pulse import Pulse
from backend.services import overview
from tests.integration.rentals.conftest import HOME, HandClock


@pytest.fixture
def look(world):
    """What the services say, each read anew."""

    def read(what, **more):
        with world.database.reading() as session:
            return getattr(overview, what)(session, **more)

    return read


def charts(look, world):
    return look("charts", zone=UTC, now=world.clock.now())


def test_before_anything_there_is_nothing(look, world):
    figures = look("figures")
    assert (figures.open_rentals, figures.to_approve, figures.held) == (0, 0, {})
    assert (figures.utilisation, figures.punctuality) == (None, None)
    assert set(charts(look, world).punctuality) == {None}
    assert look("balances") == {}


def test_a_merchant_that_waits_is_counted_and_shown(look, world):
    world.people["owner"].did(
        "/merchants",
        {
            "name": "新店",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "service_radius_m": 3000,
            **HOME,
        },
    )
    assert look("figures").to_approve == 1
    [lender] = look("city").lenders
    assert (lender.merchant.name, lender.banks) == ("新店", 0)


def test_the_city_shows_who_is_where_with_what(look, world):
    world.market(banks=("LW-0001", "LW-0002"))
    world.ask()
    world.people["staff"].did("/staff/position", {"lat": 31.24, "lng": 121.48})
    city = look("city")
    [lender] = city.lenders
    assert (lender.banks, lender.at_home) == (2, 2)
    [job] = city.jobs
    assert job.rental_id
    [hand] = city.hands
    assert (hand.lat, hand.lng) == (31.24, 121.48)
    assert city.out == []


def test_a_rented_bank_is_out_held_for_and_counted(look, world):
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.renting()
    city, figures = look("city"), look("figures")
    assert [each.id for each in city.out] == [rental]
    assert city.seen["LW-0001"].battery_pct > 0
    assert figures.open_rentals == 1
    assert figures.utilisation == 0.5
    assert figures.held == {"CNY": 9900}
    assert (figures.deliveries, figures.punctuality) in {(0, None), (1, 1.0)}


def test_the_charts_know_when_it_was(look, world):
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.renting()
    world.clock.turn(hours=3)
    seen = charts(look, world)
    assert seen.asked[-4] == 1
    assert sum(seen.asked) == 1
    assert (seen.utilisation[-1], seen.utilisation[-2]) == (0.5, 0.5)
    assert (seen.held["CNY"][0], seen.held["CNY"][-1]) == (0, 9900)
    assert [share for share in seen.punctuality if share is not None] == [1.0]
    world.by_hand("close", rental)
    world.clock.turn(hours=1)
    assert charts(look, world).utilisation[-1] == 0


def test_a_reader_elsewhere_has_other_days(look, world):
    world.market()
    seen = charts(look, world)
    assert seen.days[-1] == world.clock.now()
    assert len(seen.days) == overview.DAYS + 1


def test_the_books_are_added_up_by_kind(look, world):
    world.market()
    world.payment_due()
    kinds = look("balances")["CNY"]
    assert kinds["provider_holds"] == 9900
    assert kinds["receivable"] > 0
    assert kinds["receivable"] == kinds["merchant_pending"] + kinds["platform_revenue"]


def test_messages_are_counted_by_the_second():
    clock, counted = HandClock(), iter((100, 150, 150, 150))
    seen = Pulse(lambda: next(counted), clock)
    assert seen.per_second() == []
    for turn in (0, 5, 0, 5):
        clock.turn(seconds=turn)
        seen.note()
    assert [rate for _, rate in seen.per_second()] == [10.0, 0.0]
    assert seen.per_second()[-1][0] - seen.per_second()[0][0] == timedelta(seconds=5)


async def test_a_pulse_beats_by_itself_until_it_is_told_to_stop(monkeypatch):
    monkeypatch.setattr(pulse, "BEAT_S", 0)
    looked = asyncio.Event()
    counted = []

    def count():
        counted.append(1)
        if len(counted) == 3:
            looked.set()
        return len(counted)

    beating = asyncio.create_task(Pulse(count, HandClock()).beat())
    async with asyncio.timeout(5):
        await looked.wait()
    beating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beating
