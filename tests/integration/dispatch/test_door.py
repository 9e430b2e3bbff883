"""Who stands at a renter's door in vain may leave, and nobody who came in time is blamed."""

from datetime import datetime

from backend.domain.door import ABSENT_AFTER
from tests.integration.dispatch.conftest import Shop, Town
from tests.integration.rentals.conftest import Person

FEES = {"cancel_accepted_minor": 100, "cancel_delivering_minor": 300}
WHY = {"reason": "rang three times"}


def arrived(town: Town, shop: Shop, *, after_minutes: float = 5) -> str:
    """A delivery whose staff are at the door, so many minutes after the request."""
    rental = town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    town.turn(minutes=after_minutes)
    town.is_at(person, 20)
    return rental


def waits(town: Town, person: Person, *, seconds: float) -> None:
    """They wait at the door; their phone tells so now and then."""
    while seconds > 0:
        town.turn(seconds=min(60, seconds))
        town.is_at(person, 20)
        seconds -= 60


def says_absent(town: Town, person: Person) -> tuple[int, str]:
    answer = person.post(f"/staff/jobs/{town.job(person)['id']}/renter-absent", WHY)
    return answer.status_code, answer.json().get("code", "")


def test_the_renter_hears_once_that_somebody_is_at_the_door(town: Town) -> None:
    shop = town.shop(terms=FEES)
    rental = arrived(town, shop)
    until = (town.now + ABSENT_AFTER).isoformat()
    waits(town, shop.staff[0], seconds=120)
    [told] = town.told(town.renter, "rental.at_door")
    assert (told["rental_id"], told["waits_until"]) == (rental, until)
    shown = town.delivery(rental)["waits_until"]
    assert datetime.fromisoformat(shown) == datetime.fromisoformat(until)
    town.hands_over(shop.staff[0])
    assert town.delivery(rental)["waits_until"] is None


def test_who_waited_in_vain_leaves_and_the_renter_pays_what_calling_off_costs(
    town: Town,
) -> None:
    shop, other = town.shop(terms=FEES), town.shop(1_000)
    rental = arrived(town, shop)
    person = shop.staff[0]
    waits(town, person, seconds=ABSENT_AFTER.total_seconds() - 1)
    assert says_absent(town, person) == (409, "renter_may_come")
    town.turn(seconds=1)
    assert says_absent(town, person) == (200, "")
    told = town.world.rental(rental)
    assert (told["state"], told["amount_minor"]) == ("payment_due", 300)
    [news] = town.told(town.renter, "rental.renter_absent")
    assert news["fee_minor"] == 300
    assert town.jobs(other.owner) == []
    job = town.job(person)
    assert (job["state"], job["has_bank"]) == ("cancelled", True)
    town.does(person, "check-in", qr_token=town.world.tokens[shop.banks[0]])
    assert town.holder(shop.banks[0]) == "merchant"
    score = shop.owner.sees(f"/merchants/{shop.id}/score")
    assert score["deliveries"] == 0


def test_without_a_fee_in_the_tariff_it_costs_nothing(town: Town) -> None:
    shop = town.shop()
    rental = arrived(town, shop)
    waits(town, shop.staff[0], seconds=ABSENT_AFTER.total_seconds())
    assert says_absent(town, shop.staff[0]) == (200, "")
    assert town.world.state(rental) == "cancelled"


def test_who_came_in_time_is_not_late_because_nobody_opened(town: Town) -> None:
    shop = town.shop(terms=FEES)
    rental = arrived(town, shop, after_minutes=19)
    person = shop.staff[0]
    waits(town, person, seconds=ABSENT_AFTER.total_seconds())
    assert town.delivery(rental)["is_abnormal"]
    assert says_absent(town, person) == (200, "")
    assert town.world.rental(rental)["amount_minor"] == 300
    assert shop.owner.sees(f"/merchants/{shop.id}/score")["deliveries"] == 0


def test_who_came_late_was_awaited_long_enough_and_it_counts_against_them(town: Town) -> None:
    shop = town.shop(terms=FEES)
    rental = arrived(town, shop, after_minutes=21)
    person = shop.staff[0]
    waits(town, person, seconds=ABSENT_AFTER.total_seconds())
    assert says_absent(town, person) == (200, "")
    assert town.world.state(rental) == "cancelled"
    score = shop.owner.sees(f"/merchants/{shop.id}/score")
    assert (score["deliveries"], score["on_time"]) == (1, 0)


def test_who_is_not_known_to_be_at_the_door_cannot_say_so(town: Town) -> None:
    shop = town.shop(terms=FEES)
    rental = town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    assert says_absent(town, person) == (409, "not_at_door")
    town.turn(minutes=4)
    town.is_at(person, 20)
    waits(town, person, seconds=240)
    town.turn(minutes=4)
    assert says_absent(town, person) == (409, "not_at_door"), "their phone fell silent"
    town.is_at(person, 400)
    town.is_at(person, 20)
    assert says_absent(town, person) == (409, "renter_may_come"), "they were away meanwhile"
    assert town.world.state(rental) == "delivering"
    assert len(town.told(town.renter, "rental.at_door")) == 2


def test_nobody_else_says_so(town: Town) -> None:
    shop = town.shop(staff=2, terms=FEES)
    arrived(town, shop)
    job = town.job(shop.staff[0])["id"]
    waits(town, shop.staff[0], seconds=ABSENT_AFTER.total_seconds())
    for person in (shop.staff[1], shop.owner, town.renter):
        answer = person.post(f"/staff/jobs/{job}/renter-absent", WHY)
        assert answer.status_code in {404, 409}, answer.text
    assert town.told(town.renter, "rental.renter_absent") == []
