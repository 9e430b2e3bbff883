"""On shift and off."""

from backend.db import jobs
from backend.db.tables.people import Person as Someone
from tests.integration.dispatch.conftest import Shop, Town
from tests.integration.rentals.conftest import HOME, Person


def go_off(shop: Shop, person: Person) -> None:
    person.did("/staff/shifts/end", {"merchant_id": shop.id})


def go_on(shop: Shop, person: Person) -> str:
    return str(person.did("/staff/shifts", {"merchant_id": shop.id})["id"])


def test_whoever_is_hired_is_on_shift(town: Town) -> None:
    shop = town.shop()
    [shift] = shop.staff[0].sees("/staff/shifts")["items"]
    assert (shift["merchant_id"], shift["ended_at"]) == (shop.id, None)


def test_who_is_off_is_not_asked_and_going_on_pulls_what_waits(town: Town) -> None:
    shop = town.shop(staff=2)
    first, second = shop.staff
    go_off(shop, second)
    rental = town.ask(shop)
    assert town.jobs(second) == []
    town.does(shop.owner, "decline")
    town.does(first, "decline")
    go_on(shop, second)
    assert town.job(second)["offer_state"] == "open"
    assert town.jobs(first) == []
    town.does(second, "accept")
    assert town.world.state(rental) == "accepted"


def test_going_on_twice_is_one_shift(town: Town) -> None:
    shop = town.shop()
    assert go_on(shop, shop.staff[0]) == go_on(shop, shop.staff[0])


def test_who_works_elsewhere_goes_on_shift_there_only(town: Town) -> None:
    shop, other = town.shop(), town.shop(800)
    for path in ("/staff/shifts", "/staff/shifts/end"):
        answer = other.staff[0].post(path, {"merchant_id": shop.id})
        assert answer.status_code == 404


def test_going_off_with_a_bank_in_hand_is_refused_and_names_it(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    person = shop.staff[0]
    town.takes_along(person)
    answer = person.post("/staff/shifts/end", {"merchant_id": shop.id})
    assert (answer.status_code, answer.json()["code"]) == (409, "bank_in_hand")
    assert answer.json()["facts"] == {"bank": shop.banks[0]}
    assert shop.banks[0] in answer.json()["detail"]
    town.hands_over(person)
    go_off(shop, person)
    assert person.sees("/staff/shifts")["items"] == []


def test_a_job_not_begun_goes_to_a_colleague_when_its_taker_goes_off(town: Town) -> None:
    shop = town.shop(staff=2)
    rental = town.ask(shop)
    first, second = shop.staff
    town.does(first, "accept")
    go_off(shop, first)
    assert town.world.state(rental) == "requested"
    assert town.jobs(first) == []
    town.takes_along(second)
    town.hands_over(second)
    assert town.world.state(rental) == "delivered"


def test_who_comes_back_may_take_it_again(town: Town) -> None:
    shop = town.shop(staff=1)
    rental = town.ask(shop)
    town.does(shop.owner, "decline")
    town.does(shop.staff[0], "accept")
    go_off(shop, shop.staff[0])
    assert town.world.state(rental) == "requested"
    go_on(shop, shop.staff[0])
    town.does(shop.staff[0], "accept")
    assert town.world.state(rental) == "accepted"


def test_when_the_last_one_asked_goes_off_the_next_merchant_is_asked_at_once(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    town.ask(near)
    town.does(near.owner, "decline")
    go_off(near, near.staff[0])
    assert town.jobs(near.staff[0]) == []
    assert town.jobs(far.owner)


def test_who_is_let_go_loses_shift_and_job(town: Town) -> None:
    shop = town.shop(staff=2)
    rental = town.ask(shop)
    first, second = shop.staff
    town.does(first, "accept")
    workers = shop.owner.sees(f"/merchants/{shop.id}/staff")["items"]
    shop.owner.did(f"/merchants/{shop.id}/staff/{workers[0]['id']}/leave")
    assert town.world.state(rental) == "requested"
    town.does(second, "accept")
    assert town.jobs(first) == []


def test_a_suspended_person_is_not_asked(town: Town) -> None:
    shop = town.shop()
    with town.world.database.writing() as session:
        person = session.get_one(Someone, shop.staff[0].sees("/me")["id"])
        person.suspended_at = town.now
        session.add(person)
    rental = town.ask(shop)
    assert town.told(shop.owner, "job.offered")
    with town.world.database.reading() as session:
        asked = jobs.offers(session, town.row(rental).id)
    assert [each.person_id for each in asked] == [shop.owner.sees("/me")["id"]]


# -- who works no more ---------------------------------------------------------------------


def let_go(shop: Shop) -> None:
    [worker] = shop.owner.sees(f"/merchants/{shop.id}/staff")["items"]
    shop.owner.did(f"/merchants/{shop.id}/staff/{worker['id']}/leave")


def suspend(town: Town, person: Person) -> None:
    path = f"/operator/people/{person.sees('/me')['id']}/suspend"
    town.world.people["operator"].did(path, {"reason": "looked into"})


def test_who_was_let_go_cannot_take_what_they_let_lapse(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    person = shop.staff[0]
    job = town.job(person)["id"]
    town.turn(seconds=46)
    let_go(shop)
    assert town.jobs(person) == []
    assert person.post(f"/staff/jobs/{job}/accept").status_code == 404
    assert town.world.state(rental) == "requested"


def test_who_is_suspended_takes_nothing(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    person = shop.staff[0]
    job = town.job(person)["id"]
    suspend(town, person)
    answer = person.post(f"/staff/jobs/{job}/accept")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert town.world.state(rental) == "requested"


def test_who_is_suspended_is_given_no_bank(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    person = shop.staff[0]
    town.does(person, "accept")
    suspend(town, person)
    job = town.job(person)["id"]
    label = {"qr_token": town.world.tokens[shop.banks[0]]}
    assert person.post(f"/staff/jobs/{job}/set-out", label).status_code == 403
    assert town.holder(shop.banks[0]) == "merchant"


def test_who_is_suspended_on_the_way_hands_over_what_they_have(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.takes_along(shop.staff[0])
    suspend(town, shop.staff[0])
    town.hands_over(shop.staff[0])
    assert town.world.state(rental) == "delivered"


def test_a_suspended_member_of_staff_fetches_nothing_that_they_did_not_set_out_for(
    town: Town,
) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    town.hands_over(shop.owner)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    town.turn(seconds=46)
    person = shop.staff[0]
    town.does(person, "accept")
    suspend(town, person)
    job = town.job(person)["id"]
    label = {"qr_token": town.world.tokens[shop.banks[0]]}
    assert person.post(f"/staff/jobs/{job}/set-out", {}).status_code == 403
    assert person.post(f"/staff/jobs/{job}/collect", label).status_code == 403
    assert town.holder(shop.banks[0]) == "renter"


def test_a_suspended_owner_still_fetches_their_own_bank(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    town.hands_over(shop.owner)
    suspend(town, shop.owner)
    town.renter.did(f"/rentals/{rental}/return", HOME)
    town.does(shop.owner, "accept")
    town.does(shop.owner, "collect", qr_token=town.world.tokens[shop.banks[0]])
    assert town.holder(shop.banks[0]) == "staff"
