"""What the renter sees of a delivery under way (R4), and what hurries it on (R5)."""

from datetime import timedelta

from sqlmodel import col, func, select

from backend import sweeps
from backend.db.tables.dispatch import PositionSampleRow, StaffPositionRow
from tests.integration.dispatch.conftest import Town, metres_north
from tests.integration.rentals.conftest import HOME

# -- R4: state and time of arrival ---------------------------------------------------------


def test_the_renter_follows_a_delivery_from_request_to_door(town: Town) -> None:
    shop = town.shop(1_000)
    rental = town.ask(shop)
    asked = town.delivery(rental)
    assert (asked["state"], asked["minutes"], asked["staff"]) == ("requested", 16, None)
    assert asked["position"] is None
    person = shop.staff[0]
    town.does(person, "accept")
    accepted = town.delivery(rental)
    assert (accepted["state"], accepted["minutes"]) == ("accepted", 11)
    assert accepted["staff"] == "小王"
    town.turn(minutes=2)
    town.sets_out(person)
    town.is_at(person, 900)
    under_way = town.delivery(rental)
    assert under_way["state"] == "delivering"
    assert under_way["minutes"] == 7
    assert under_way["position"]["age_s"] == 0
    town.turn(seconds=30)
    assert town.delivery(rental)["position"]["age_s"] == 30
    town.hands_over(person)
    done = town.delivery(rental)
    assert (done["state"], done["eta_at"], done["minutes"]) == ("delivered", None, None)
    assert done["position"] is None
    assert not done["is_late"]


def test_the_owner_who_delivers_and_fetches_has_a_name_too(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.does(shop.owner, "accept")
    assert town.delivery(rental)["staff"] == "shop 0"
    town.sets_out(shop.owner)
    town.hands_over(shop.owner)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    town.does(shop.owner, "accept")
    shown = town.world.rental(rental)
    assert (shown["staff"], shown["collector"]) == ("shop 0", "shop 0")


def test_a_shift_of_more_than_three_minutes_is_pushed_and_a_smaller_one_is_not(
    town: Town,
) -> None:
    shop = town.shop(2_000)
    rental = town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    pushed = len(town.told(town.renter, "rental.eta"))
    assert pushed
    town.turn(minutes=2)
    town.is_at(person, 1_700)
    assert len(town.told(town.renter, "rental.eta")) == pushed
    town.turn(minutes=6)
    town.is_at(person, 1_700)
    told = town.told(town.renter, "rental.eta")
    assert len(told) == pushed + 1
    assert told[-1]["rental_id"] == rental
    assert told[-1]["minutes"] == town.delivery(rental)["minutes"] == 12


def test_an_estimate_is_never_in_the_past(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    town.minutes(22)
    shown = town.delivery(rental)
    assert (shown["minutes"], shown["is_late"]) == (0, True)


def test_with_two_deliveries_on_the_way_the_second_waits_for_the_first(town: Town) -> None:
    shop = town.shop(500, banks=2)
    near = town.ask(shop)
    body = {
        "qr_token": town.world.tokens[shop.banks[1]],
        **metres_north(2_500),
        "address": "the other way",
    }
    far = town.world.people["other"].did("/rentals", body)["id"]
    person = shop.staff[0]
    for job in town.jobs(person):
        person.did(f"/staff/jobs/{job['id']}/accept")
        label = town.world.tokens[job["bank_id"]]
        person.did(f"/staff/jobs/{job['id']}/set-out", {"qr_token": label})
    town.is_at(person, 500)
    first = town.delivery(near)["minutes"]
    second = town.world.people["other"].sees(f"/rentals/{far}/delivery")
    assert first == 5
    [*_, told] = town.told(town.world.people["other"], "rental.eta")
    assert second["minutes"] == told["minutes"] == 21
    assert town.row(far).left_m == 2_000


# -- R4: where they are is theirs ----------------------------------------------------------


def test_nobody_but_the_renter_of_a_delivery_under_way_sees_where_they_are(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    person = shop.staff[0]
    town.is_at(person, 400)
    assert town.delivery(rental)["position"] is None
    town.does(person, "accept")
    town.is_at(person, 450)
    assert town.delivery(rental)["position"] is None
    town.turn(seconds=5)
    town.sets_out(person)
    assert town.delivery(rental)["position"] is None
    town.turn(seconds=5)
    town.is_at(person, 300)
    assert town.delivery(rental)["position"] is not None
    for stranger in (town.world.people["other"], shop.owner, person, town.world.people["operator"]):
        assert stranger.get(f"/rentals/{rental}/delivery").status_code == 404


def test_once_they_are_relieved_the_renter_sees_them_no_more(town: Town) -> None:
    shop, _ = town.shop(500), town.shop(1_000)
    rental = town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    town.is_at(person, 300)
    town.does(person, "give-back", reason="a flat tyre")
    town.is_at(person, 200)
    assert town.delivery(rental)["position"] is None


def test_positions_are_kept_for_a_delivery_only_and_for_seven_days(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    person = shop.staff[0]
    town.is_at(person, 500)
    assert _count(town) == (0, 1)
    town.takes_along(person)
    town.is_at(person, 400)
    town.turn(seconds=5)
    town.is_at(person, 390)
    assert _count(town) == (1, 1)
    town.turn(seconds=10)
    town.is_at(person, 350)
    assert _count(town) == (2, 1)
    sweeps.forget_positions(town.world.database, now=town.now + timedelta(days=6))
    assert _count(town) == (2, 1)
    sweeps.forget_positions(town.world.database, now=town.now + timedelta(days=8))
    assert _count(town) == (0, 0)


def _count(town: Town) -> tuple[int, int]:
    with town.world.database.reading() as session:
        samples = session.exec(select(func.count(col(PositionSampleRow.id)))).one()
        latest = session.exec(select(func.count(col(StaffPositionRow.person_id)))).one()
        return samples, latest


def test_who_works_for_nobody_has_no_position_to_tell(town: Town) -> None:
    answer = town.renter.post("/staff/position", metres_north(1))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_place_that_is_not_on_earth_is_refused(town: Town) -> None:
    shop = town.shop()
    assert shop.owner.post("/staff/position", {"lat": 91, "lng": 0}).status_code == 422


# -- R5: urging ----------------------------------------------------------------------------


def test_an_urge_reaches_the_merchant_and_whoever_comes(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.does(shop.staff[0], "accept")
    urged = town.renter.did(f"/rentals/{rental}/urge")
    assert urged["urges"] == 1
    for person in shop.team:
        [told] = town.told(person, "rental.urged")
        assert (told["rental_id"], told["urges"]) == (rental, 1)
    assert town.told(town.renter, "rental.urged") == []
    assert town.job(shop.staff[0])["urges"] == 1


def test_before_anybody_came_all_who_were_asked_hear_it(town: Town) -> None:
    shop = town.shop(staff=2)
    rental = town.ask(shop)
    town.renter.did(f"/rentals/{rental}/urge")
    assert all(town.told(person, "rental.urged") for person in shop.team)


def test_urging_is_bounded(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.does(shop.staff[0], "accept")
    path = f"/rentals/{rental}/urge"
    town.renter.did(path)
    town.turn(seconds=40)
    soon = town.renter.post(path)
    assert (soon.status_code, soon.json()["code"]) == (429, "too_many_requests")
    assert soon.headers["retry-after"] == "20"
    for _ in range(4):
        town.turn(seconds=60)
        town.renter.did(path)
    town.turn(seconds=60)
    assert town.renter.post(path).status_code == 429
    assert town.delivery(rental)["urges_left"] == 0
    assert len(town.told(shop.owner, "rental.urged")) == 5


def test_urging_goes_on_an_hour_later_and_a_collection_begins_anew(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.does(shop.owner, "accept")
    path = f"/rentals/{rental}/urge"
    for _ in range(5):
        town.renter.did(path)
        town.world.clock.turn(minutes=1)
    town.world.clock.turn(minutes=9)
    assert town.renter.post(path).headers["retry-after"] == str(50 * 60)
    town.world.bank_is(shop.banks[0])
    town.sets_out(shop.owner)
    town.hands_over(shop.owner)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    assert town.renter.did(path)["urges"] == 1
    for _ in range(4):
        town.world.clock.turn(minutes=1)
        town.renter.did(path)
    town.world.clock.turn(minutes=59)
    assert town.renter.post(path).headers["retry-after"] == "60"
    town.world.clock.turn(minutes=1)
    assert town.renter.did(path)["urges"] == 6


def test_the_merchant_s_own_systems_hear_an_urge_too(town: Town) -> None:
    shop = town.shop()
    hook = town.hears(shop)
    rental = town.ask(shop)
    town.renter.did(f"/rentals/{rental}/urge")
    assert town.messages(shop, hook).count("rental.urged") == 1


def test_a_collection_may_be_urged_too(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.takes_along(shop.staff[0])
    town.hands_over(shop.staff[0])
    assert town.renter.post(f"/rentals/{rental}/urge").status_code == 409
    town.renter.did(f"/rentals/{rental}/return", HOME)
    town.renter.did(f"/rentals/{rental}/urge")
    [told] = town.told(shop.owner, "rental.urged")
    assert told["kind"] == "collection"


def test_nobody_urges_what_is_not_theirs(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    for person in (town.world.people["other"], shop.owner):
        assert person.post(f"/rentals/{rental}/urge").status_code == 404


def test_the_merchant_reminds_whoever_comes(town: Town) -> None:
    shop, other = town.shop(staff=2), town.shop(800)
    rental = town.ask(shop)
    person, colleague = shop.staff
    town.does(person, "accept")
    path = f"/merchants/{shop.id}/rentals/{rental}/remind"
    shop.owner.did(path)
    assert len(town.told(person, "delivery.reminded")) == 1
    assert town.told(colleague, "delivery.reminded") == []
    assert shop.owner.post(path).status_code == 429
    town.turn(seconds=30)
    shop.owner.did(path)
    for stranger in (other.owner, person, town.renter):
        assert stranger.post(path).status_code == 404
    foreign = f"/merchants/{other.id}/rentals/{rental}/remind"
    assert other.owner.post(foreign).status_code == 404


# -- the day's tour ------------------------------------------------------------------------


def test_a_tour_leads_by_the_shop_to_the_door_and_home(town: Town) -> None:
    shop = town.shop(1_000, banks=2)
    rental = town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    town.hands_over(person)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    town.does(person, "accept")
    body = {
        "qr_token": town.world.tokens[shop.banks[1]],
        **metres_north(500),
        "address": "half way",
    }
    town.world.people["other"].did("/rentals", body)
    delivery = next(job for job in town.jobs(person) if job["kind"] == "delivery")
    person.did(f"/staff/jobs/{delivery['id']}/accept")
    tour = person.sees("/staff/tour")
    errands = [stop["errand"] for stop in tour["stops"]]
    assert errands == ["pick_up", "deliver", "collect", "check_in"]
    assert tour["length_m"] == sum(stop["leg_m"] for stop in tour["stops"]) == 2_000
    arrivals = [stop["arrive_at"] for stop in tour["stops"]]
    assert arrivals == sorted(arrivals)


def test_who_has_nothing_to_do_has_no_tour(town: Town) -> None:
    shop = town.shop()
    assert shop.owner.sees("/staff/tour") == {"length_m": 0, "stops": []}
