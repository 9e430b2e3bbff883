"""Who is asked, who wins, who is asked next, and when it is honestly given up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from backend import sweeps
from backend.db import scores
from backend.domain.dispatch import ATTEMPTS_MAX, OFFER_FOR, OFFERS_AT_ONCE_MAX
from backend.domain.scoring import Record
from tests.integration.dispatch.conftest import Town
from tests.integration.rentals.conftest import Person


def test_a_delivery_is_offered_to_staff_and_owner_with_a_countdown(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    for person in shop.team:
        job = town.job(person)
        assert job["offer_state"] == "open"
        assert job["offer_seconds_left"] == OFFER_FOR.total_seconds()
        assert not job["is_from_another"]
        assert job["terms"]["delivery_fee_minor"] == 500
        [told] = town.told(person, "job.offered")
        assert told["rental_id"] == rental
        assert told["place"]["address"] == "人民大道 200 號"


def test_the_countdown_runs_and_a_lapsed_offer_may_still_be_taken(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.turn(seconds=15)
    assert town.job(shop.staff[0])["offer_seconds_left"] == 30
    town.turn(seconds=30)
    job = town.job(shop.staff[0])
    assert (job["offer_state"], job["offer_seconds_left"]) == ("lapsed", None)
    assert len(town.told(shop.staff[0], "job.offered")) == 1
    town.does(shop.staff[0], "accept")
    assert town.world.state(rental) == "accepted"


def test_who_declined_never_sees_the_job_again(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    person = shop.staff[0]
    job = town.job(person)["id"]
    town.does(person, "decline")
    assert town.jobs(person) == []
    assert person.post(f"/staff/jobs/{job}/accept").status_code == 404
    assert person.post(f"/staff/jobs/{job}/decline").is_success
    town.minutes(3)
    assert town.jobs(person) == []


def test_a_stranger_finds_no_job(town: Town) -> None:
    shop, other = town.shop(), town.shop(800)
    town.ask(shop)
    job = town.job(shop.owner)["id"]
    for person in (other.owner, other.staff[0], town.renter):
        for verb in ("accept", "decline", "give-back", "set-out", "hand-over"):
            body = {"give-back": {"reason": "x"}, "set-out": {}, "hand-over": {"code": "0000"}}
            answer = person.post(f"/staff/jobs/{job}/{verb}", body.get(verb))
            assert answer.status_code == 404, answer.text


def test_of_two_who_accept_at_once_one_wins_and_the_other_hears_taken(town: Town) -> None:
    shop = town.shop(staff=4)
    rental = town.ask(shop)
    job = town.job(shop.owner)["id"]
    together = Barrier(len(shop.team))

    def accept(person: Person) -> tuple[int, str]:
        together.wait(timeout=10)
        answer = person.post(f"/staff/jobs/{job}/accept")
        return answer.status_code, answer.json().get("code", "")

    with ThreadPoolExecutor(len(shop.team)) as pool:
        answers = sorted(pool.map(accept, shop.team))
    assert answers == [(200, ""), *[(409, "already_taken")] * 4]
    assert town.world.state(rental) == "accepted"
    assert sum(len(town.told(person, "job.taken")) for person in shop.team) == 4
    assert sum(bool(town.jobs(person)) for person in shop.team) == 1


def test_no_more_than_five_are_asked_at_once_and_then_the_rest(town: Town) -> None:
    shop = town.shop(staff=6)
    town.ask(shop)
    asked = [person for person in shop.team if town.jobs(person)]
    assert len(asked) == OFFERS_AT_ONCE_MAX
    assert shop.owner in asked
    town.turn(seconds=45)
    assert all(town.jobs(person) for person in shop.team)


def test_when_all_decline_the_next_merchant_is_asked_at_once(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    town.all_decline(near)
    for person in far.team:
        job = town.job(person)
        assert job["bank_id"] == far.banks[0]
        assert job["is_from_another"]
    assert town.world.state(rental) == "requested"
    shown = town.world.rental(rental)
    assert shown["merchant"]["id"] == far.id
    assert shown["bank"]["id"] == far.banks[0]
    [told] = town.told(town.renter, "rental.reassigned")
    assert (told["why"], told["attempt"]) == ("nobody", 2)
    assert town.told(near.owner, "rental.reassigned")
    assert [step["event"] for step in shown["steps"]] == ["reassign"]


def test_when_nobody_answers_the_next_merchant_is_asked_by_the_sweep(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    town.turn(seconds=44)
    assert town.jobs(far.owner) == []
    town.turn(seconds=1)
    assert town.jobs(near.owner) == []
    town.does(far.owner, "accept")
    assert town.world.state(rental) == "accepted"


def test_the_renter_keeps_the_terms_they_were_shown(town: Town) -> None:
    near = town.shop(500)
    far = town.shop(1_000, terms={"delivery_fee_minor": 900})
    rental = town.ask(near)
    town.all_decline(near)
    assert town.world.rental(rental)["tariff"]["delivery_fee_minor"] == 500
    assert town.job(far.owner)["terms"]["delivery_fee_minor"] == 500


def test_the_first_merchant_s_bank_is_free_again(town: Town) -> None:
    near, _ = town.shop(500), town.shop(1_000)
    town.ask(near)
    town.all_decline(near)
    town.world.ask(near.banks[0], who="other")


def test_a_late_yes_after_it_moved_on_is_refused_politely(town: Town) -> None:
    near, _ = town.shop(500), town.shop(1_000)
    town.ask(near)
    job = town.job(near.owner)["id"]
    town.turn(seconds=45)
    answer = near.owner.post(f"/staff/jobs/{job}/accept")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")


def test_the_choice_can_explain_itself(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    town.all_decline(near)
    operator = town.world.people["operator"]
    first, second = operator.sees(f"/operator/rentals/{rental}/jobs")["items"]
    assert (first["choice"], first["ended_why"]) == (None, "nobody"), "the renter chose"
    assert [offer["state"] for offer in first["offers"]] == ["declined", "declined"]
    why = second["choice"]
    assert why["bank_id"] == far.banks[0]
    assert why["distance_m"] == 1_000
    assert [part["name"] for part in why["parts"]] == ["eta", "on_time", "charge", "load"]
    assert why["score"] == sum(part["weight"] * part["value"] for part in why["parts"])


def test_one_late_delivery_says_less_than_many(town: Town) -> None:
    first, unlucky, often_late = town.shop(200), town.shop(500), town.shop(500)
    now = town.world.clock.now()
    with town.world.database.writing() as session:
        for shop, deliveries, on_time in ((unlucky, 1, 0), (often_late, 20, 10)):
            record = Record(deliveries=deliveries, on_time=on_time, average_charge_pct=90)
            row = scores.row_of(shop.id, record, counted_at=now, due_at=now + timedelta(hours=1))
            scores.keep(session, row)
    rental = town.ask(first)
    town.all_decline(first)
    assert town.row(rental).bank_id == unlucky.banks[0]


def test_the_nearer_and_fuller_bank_is_sent(town: Town) -> None:
    first, far = town.shop(200), town.shop(2_000)
    near = town.shop(600, banks=2)
    town.world.bank_is(near.banks[0], battery=60)
    rental = town.ask(first)
    town.all_decline(first)
    assert town.row(rental).bank_id == near.banks[1]
    assert town.jobs(far.owner) == []


@pytest.mark.parametrize("unfit", [{"currency": "USD"}, {"service_radius_m": 700}])
def test_who_cannot_come_is_not_asked(town: Town, unfit: dict[str, object]) -> None:
    near, other = town.shop(500), town.shop(800, **unfit)
    rental = town.ask(near)
    town.all_decline(near)
    assert town.jobs(other.owner) == []
    assert town.row(rental).merchant_id == near.id


def test_who_is_closed_by_their_own_hours_is_not_asked(town: Town) -> None:
    near, other = town.shop(500), town.shop(800)
    hours = {"mon": [["03:00", "04:00"]]}
    other.owner.did(f"/merchants/{other.id}", {"hours": hours})
    town.ask(near)
    town.all_decline(near)
    assert town.jobs(other.owner) == []


@pytest.mark.parametrize(
    "state", [{"battery": 49}, {"presence": "offline"}, {"faults": "overheat"}, {"lock": "jammed"}]
)
def test_a_bank_that_is_not_fit_is_not_sent(town: Town, state: dict[str, object]) -> None:
    near, other = town.shop(500), town.shop(800)
    town.world.bank_is(other.banks[0], **state)
    rental = town.ask(near)
    town.all_decline(near)
    assert town.row(rental).bank_id == near.banks[0]


def test_a_bank_that_another_renter_waits_for_is_not_sent(town: Town) -> None:
    near, other = town.shop(500), town.shop(800)
    town.world.ask(other.banks[0], who="other")
    rental = town.ask(near)
    town.all_decline(near)
    assert town.row(rental).bank_id == near.banks[0]


def test_it_is_given_up_when_patience_is_over_and_everything_is_let_go(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.minutes(9)
    assert town.world.state(rental) == "requested"
    town.minutes(1)
    assert town.world.state(rental) == "undeliverable"
    assert town.told(town.renter, "rental.undeliverable")
    assert town.jobs(shop.staff[0]) == []
    assert town.row(rental).due_at is None
    town.world.ask(shop.banks[0], who="other")


def test_when_everybody_declined_a_newcomer_on_shift_may_still_take_it(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.all_decline(shop)
    town.minutes(2)
    newcomer = town.hire(shop)
    town.does(newcomer, "accept")
    assert town.world.state(rental) == "accepted"


def test_a_merchant_that_opens_meanwhile_is_found(town: Town) -> None:
    near = town.shop(500)
    rental = town.ask(near)
    town.all_decline(near)
    late = town.shop(900)
    town.turn(seconds=45)
    town.does(late.owner, "accept")
    assert town.world.state(rental) == "accepted"


def test_attempts_are_bounded(town: Town) -> None:
    shops = [town.shop(300 + 100 * n, staff=0) for n in range(ATTEMPTS_MAX + 1)]
    rental = town.ask(shops[0])
    asked = set()
    for _ in range(ATTEMPTS_MAX + 1):
        for shop in shops:
            if town.jobs(shop.owner):
                asked.add(shop.id)
                town.does(shop.owner, "decline")
    assert len(asked) == ATTEMPTS_MAX
    town.minutes(10)
    assert town.world.state(rental) == "undeliverable"


def test_a_sweep_that_runs_twice_asks_once(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    town.ask(near)
    town.turn(seconds=45)
    assert town.watch() == 0
    assert len(town.told(far.owner, "job.offered")) == 1


def test_a_cancelled_request_is_offered_to_nobody(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    job = town.job(shop.owner)["id"]
    town.renter.did(f"/rentals/{rental}/cancel")
    assert town.jobs(shop.owner) == []
    assert shop.owner.post(f"/staff/jobs/{job}/accept").status_code == 404
    town.minutes(12)
    assert town.world.state(rental) == "cancelled"


def test_the_promise_is_kept_with_room_to_spare(town: Town) -> None:
    near, far = town.shop(500), town.shop(2_900)
    rental = town.ask(near)
    assert town.promised(rental) == timedelta(minutes=20)
    town.renter.did(f"/rentals/{rental}/cancel")
    assert town.promised(town.ask(far)) == timedelta(minutes=30)


def test_two_sweeps_at_once_ask_once_and_send_each_bank_to_one_renter(town: Town) -> None:
    first, second = town.shop(500, staff=0), town.shop(550, staff=0)
    others = [town.shop(900, staff=0), town.shop(1_000, staff=0)]
    rentals = [town.ask(first), town.world.ask(second.banks[0], who="other")]
    town.world.clock.turn(seconds=45)
    together = Barrier(2)

    def watch(_: int) -> int:
        together.wait(timeout=10)
        return sweeps.watch(town.world.database, now=town.now)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(watch, range(2))) == 2
    banks = [town.row(rental).bank_id for rental in rentals]
    assert len(set(banks)) == 2
    offered = sum(len(town.told(shop.owner, "job.offered")) for shop in (first, second, *others))
    assert offered == 4
