"""Deliveries that go wrong after somebody took them: noticed, told, and given to somebody else."""

from backend.domain.dispatch import ATTEMPTS_MAX, REMINDERS_MAX
from tests.integration.dispatch.conftest import Shop, Town


def test_who_does_not_set_out_is_relieved_and_everybody_hears(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    slow = near.staff[0]
    town.does(slow, "accept")
    job = town.job(slow)["id"]
    town.minutes(14)
    assert town.world.state(rental) == "accepted"
    town.minutes(2)
    assert town.world.state(rental) == "requested"
    assert town.delivery(rental)["is_abnormal"]
    for person in (town.renter, near.owner, slow, town.world.people["operator"]):
        [told] = town.told(person, "rental.abnormal")
        assert told["why"] == "not_set_out"
    assert town.jobs(slow) == []
    answer = slow.post(f"/staff/jobs/{job}/set-out", {"qr_token": town.world.tokens[near.banks[0]]})
    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")
    asked = [person for person in (*near.team, *far.team) if town.jobs(person)]
    assert asked
    assert slow not in asked


def test_a_late_delivery_sends_a_substitute_out_and_the_first_bank_is_tracked_home(
    town: Town,
) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    late = near.staff[0]
    town.takes_along(late)
    town.minutes(20)
    assert town.row(rental).merchant_id == far.id
    [moved] = town.told(town.renter, "rental.reassigned")
    assert moved["attempt"] == 2
    [told] = town.told(town.renter, "rental.abnormal")
    assert told["why"] == "late"
    # The first one comes to the door after all: too late.
    job = town.job(late)
    assert (job["state"], job["has_bank"]) == ("cancelled", True)
    answer = late.post(
        f"/staff/jobs/{job['id']}/hand-over", {"qr_token": town.world.tokens[near.banks[0]]}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")
    # The substitute arrives, and costs no delivery.
    town.takes_along(far.staff[0])
    town.hands_over(far.staff[0])
    assert town.world.state(rental) == "delivered"
    assert town.holder(far.banks[0]) == "renter"
    # The first bank goes home.
    assert town.holder(near.banks[0]) == "staff"
    town.minutes(40)
    assert town.told(late, "bank.bring_home")
    assert town.told(near.owner, "bank.bring_home")
    town.does(late, "check-in", qr_token=town.world.tokens[near.banks[0]])
    assert town.holder(near.banks[0]) == "merchant"
    reminded = len(town.told(late, "bank.bring_home"))
    town.minutes(70)
    assert len(town.told(late, "bank.bring_home")) == reminded


def test_a_bank_that_is_not_brought_home_comes_to_the_operators(town: Town) -> None:
    near, _ = town.shop(500), town.shop(1_000)
    town.ask(near)
    town.takes_along(near.staff[0])
    town.does(near.staff[0], "give-back", reason="a flat tyre")
    for _ in range(REMINDERS_MAX):
        town.turn(minutes=30)
    assert town.told(town.world.people["operator"], "bank.bring_home")
    assert len(town.told(near.staff[0], "bank.bring_home")) == REMINDERS_MAX
    town.turn(hours=3)
    assert len(town.told(near.staff[0], "bank.bring_home")) == REMINDERS_MAX


def test_who_is_nearly_there_by_their_position_goes_on(town: Town) -> None:
    near, _ = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    slow = near.staff[0]
    town.does(slow, "accept")
    town.turn(minutes=14)
    town.sets_out(slow)
    town.minutes(5)
    town.is_at(slow, 100)
    town.turn(minutes=1)
    assert town.delivery(rental)["is_abnormal"]
    assert town.world.state(rental) == "delivering"
    town.hands_over(slow)
    assert town.world.state(rental) == "delivered"


def test_who_stalls_on_the_way_is_relieved(town: Town) -> None:
    near, far = town.shop(2_000), town.shop(2_500)
    rental = town.ask(near)
    lost = near.staff[0]
    town.takes_along(lost)
    town.minutes(2)
    town.is_at(lost, 1_500)
    town.minutes(9)
    town.is_at(lost, 1_490)
    assert town.world.state(rental) == "delivering"
    town.minutes(2)
    assert town.world.state(rental) == "requested"
    assert town.row(rental).merchant_id == far.id
    [told] = town.told(town.renter, "rental.abnormal")
    assert told["why"] == "stalled"


def test_while_there_is_nobody_else_a_late_delivery_goes_on_and_costs_no_fee(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    town.minutes(25)
    assert town.world.state(rental) == "delivering"
    shown = town.delivery(rental)
    assert (shown["is_late"], shown["is_abnormal"]) == (True, True)
    assert len(town.told(town.renter, "rental.abnormal")) == 1
    town.hands_over(shop.owner)
    assert town.world.rental(rental)["is_delivery_free"]


def test_a_delivery_in_time_costs_its_fee(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.takes_along(shop.staff[0])
    town.turn(minutes=8)
    town.hands_over(shop.staff[0])
    assert not town.world.rental(rental)["is_delivery_free"]


def test_a_delivery_that_never_comes_is_given_up_in_the_end(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.takes_along(shop.owner)
    for _ in range(13):
        town.turn(minutes=5)
    assert town.world.state(rental) == "undeliverable"
    assert town.told(town.renter, "rental.undeliverable")
    town.does(shop.owner, "check-in", qr_token=town.world.tokens[shop.banks[0]])
    assert town.holder(shop.banks[0]) == "merchant"


def test_a_missed_promise_is_marked_at_its_minute_whoever_has_taken_over(town: Town) -> None:
    first, second = town.shop(500, staff=0), town.shop(1_000, staff=0)
    rental = town.ask(first)
    town.turn(seconds=40)
    town.does(first.owner, "decline")
    town.takes_along(second.owner)
    promised = town.promised(rental)
    assert town.row(rental).deliver_by - town.now > promised
    town.turn(seconds=promised.total_seconds() - 1)
    assert not town.delivery(rental)["is_abnormal"]
    town.turn(seconds=1)
    assert town.delivery(rental)["is_abnormal"]
    assert town.world.state(rental) == "delivering"


def test_who_waits_at_the_door_has_not_stalled(town: Town) -> None:
    shop, _ = town.shop(500), town.shop(1_000)
    rental = town.ask(shop)
    quick = shop.staff[0]
    town.takes_along(quick)
    town.turn(minutes=4)
    town.is_at(quick, 10)
    for _ in range(12):
        town.turn(minutes=1)
        town.is_at(quick, 10)
    assert town.world.state(rental) == "delivering"
    assert town.told(town.renter, "rental.abnormal") == []


def test_going_off_shift_again_and_again_comes_to_an_end(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.does(shop.owner, "decline")
    undecided = shop.staff[0]
    for _ in range(ATTEMPTS_MAX - 1):
        town.does(undecided, "accept")
        undecided.did("/staff/shifts/end", {"merchant_id": shop.id})
        assert town.world.state(rental) == "requested"
        undecided.did("/staff/shifts", {"merchant_id": shop.id})
    town.does(undecided, "accept")
    undecided.did("/staff/shifts/end", {"merchant_id": shop.id})
    assert town.world.state(rental) == "undeliverable"


def test_losing_one_bank_after_another_comes_to_an_end(town: Town) -> None:
    shop = town.shop(banks=ATTEMPTS_MAX + 1)
    rental = town.ask(shop)
    for _ in range(ATTEMPTS_MAX):
        assert town.world.state(rental) == "requested"
        bank = town.row(rental).bank_id
        shop.owner.did(f"/merchants/{shop.id}/banks/{bank}/lost", {"reason": "left on the bus"})
    assert town.world.state(rental) == "undeliverable"


def test_the_systems_of_a_merchant_hear_that_a_rental_left_it(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    hook, other_hook = town.hears(near), town.hears(far)
    town.ask(near)
    town.takes_along(near.staff[0])
    town.does(near.staff[0], "give-back", reason="a flat tyre")
    assert town.messages(near, hook).count("rental.reassigned") == 1
    assert "rental.requested" in town.messages(far, other_hook)


# -- giving back ---------------------------------------------------------------------------


def test_a_job_given_back_before_the_pickup_goes_to_a_colleague(town: Town) -> None:
    shop = town.shop(staff=2)
    rental = town.ask(shop)
    first, second = shop.staff
    town.does(first, "accept")
    town.does(first, "give-back", reason="a flat tyre")
    assert town.jobs(first) == []
    [told] = town.told(shop.owner, "job.given_back")
    assert told["reason"] == "a flat tyre"
    town.takes_along(second)
    town.hands_over(second)
    assert town.world.state(rental) == "delivered"


def test_a_job_given_back_with_nobody_else_waits_for_whoever_comes(town: Town) -> None:
    shop = town.shop(staff=1)
    rental = town.ask(shop)
    town.does(shop.owner, "decline")
    town.does(shop.staff[0], "accept")
    town.does(shop.staff[0], "give-back", reason="a flat tyre")
    assert town.world.state(rental) == "requested"
    town.minutes(5)
    newcomer = town.hire(shop)
    town.does(newcomer, "accept")
    assert town.world.state(rental) == "accepted"


def test_and_if_nobody_comes_it_is_given_up_ten_minutes_later(town: Town) -> None:
    shop = town.shop(staff=0)
    rental = town.ask(shop)
    town.does(shop.owner, "accept")
    town.minutes(5)
    town.does(shop.owner, "give-back", reason="a flat tyre")
    town.minutes(9)
    assert town.world.state(rental) == "requested"
    town.minutes(1)
    assert town.world.state(rental) == "undeliverable"


def test_given_back_with_the_bank_in_hand_another_bank_goes_out(town: Town) -> None:
    near, far = town.shop(500), town.shop(1_000)
    rental = town.ask(near)
    town.takes_along(near.staff[0])
    town.does(near.staff[0], "give-back", reason="a flat tyre")
    assert town.row(rental).bank_id == far.banks[0]
    assert town.job(near.staff[0])["has_bank"]
    town.takes_along(far.owner)
    town.hands_over(far.owner)
    assert town.world.state(rental) == "delivered"


def test_given_back_with_the_only_bank_in_hand_it_is_given_up_at_once(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    town.takes_along(shop.staff[0])
    town.does(shop.staff[0], "give-back", reason="a flat tyre")
    assert town.world.state(rental) == "undeliverable"


def test_what_is_done_cannot_be_given_back(town: Town) -> None:
    shop = town.shop()
    town.ask(shop)
    job = town.job(shop.staff[0])["id"]
    town.takes_along(shop.staff[0])
    town.hands_over(shop.staff[0])
    answer = shop.staff[0].post(f"/staff/jobs/{job}/give-back", {"reason": "too late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


# -- a bank that is gone -------------------------------------------------------------------


def test_a_bank_lost_before_the_handover_is_replaced(town: Town) -> None:
    shop = town.shop(banks=2)
    rental = town.ask(shop)
    town.takes_along(shop.staff[0])
    _is_lost(shop)
    assert town.row(rental).bank_id == shop.banks[1]
    town.takes_along(shop.owner)
    town.hands_over(shop.owner)
    assert town.world.state(rental) == "delivered"


def test_the_only_bank_lost_is_honestly_given_up(town: Town) -> None:
    shop = town.shop()
    rental = town.ask(shop)
    _is_lost(shop)
    assert town.world.state(rental) == "undeliverable"
    assert town.jobs(shop.staff[0]) == []


def _is_lost(shop: Shop) -> None:
    path = f"/merchants/{shop.id}/banks/{shop.banks[0]}/lost"
    shop.owner.did(path, {"reason": "left on the bus"})
