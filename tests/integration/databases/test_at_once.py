"""Many at once, on both databases: one effect, and nobody hears an error of ours."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlmodel import col
from sqlmodel import select as find

from backend.db import money
from backend.db.notifications import notify
from backend.db.tables.money import PaymentRow, TransferRow
from backend.db.tables.rentals import OCCUPYING, RentalRow, RentalStepRow
from backend.domain import ledger
from backend.domain.money import Currency, Minor
from backend.follow import Follower
from backend.limits import OPEN_RENTALS_MAX, FollowLimits
from backend.services import availability, jobs
from gateway import events, tables
from gateway.database import open_database
from gateway.inbox import Incoming
from gateway.ingest import Ingest
from gateway.protocol import BankId
from gateway.settings import GatewaySettings
from gateway.store import Store
from tests.integration.rentals.conftest import HOME

RENTERS = 100
PATIENCE_S = 60


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Have it done by so many threads, none of which begins before all are there."""
    ready = threading.Barrier(count)

    def go(number: int) -> Any:
        ready.wait(PATIENCE_S)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(go, range(count)))


# -- people ----------------------------------------------------------------------------


def test_of_a_hundred_renters_one_has_the_bank(world: Any) -> None:
    world.market()
    renters = [world.person(f"+86137{number:08}") for number in range(RENTERS)]
    body = {"qr_token": world.tokens["LW-0001"], **HOME}

    answers = at_once(RENTERS, lambda number: renters[number].post("/rentals", body))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: RENTERS - 1}
    with world.database.reading() as session:
        is_open = col(RentalRow.state).in_(OCCUPYING)
        assert len(session.exec(find(RentalRow.id).where(is_open)).all()) == 1


def test_a_renter_who_asks_for_many_banks_at_once_has_no_more_than_one_may(world: Any) -> None:
    banks = tuple(f"LW-{number:04}" for number in range(8))
    world.market(banks=banks)
    renter = world.people["renter"]

    def ask(number: int) -> int:
        body = {"qr_token": world.tokens[banks[number]], **HOME}
        return int(renter.post("/rentals", body).status_code)

    assert Counter(at_once(len(banks), ask)) == {
        201: OPEN_RENTALS_MAX,
        409: len(banks) - OPEN_RENTALS_MAX,
    }


def test_fifty_equal_requests_with_one_key_are_one_rental(world: Any) -> None:
    world.market()
    renter = world.people["renter"]
    body = {"qr_token": world.tokens["LW-0001"], **HOME}

    answers = at_once(50, lambda _: renter.post("/rentals", body, key="k"))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(renter.sees("/rentals")["items"]) == 1
    assert world.people["owner"].news().count("rental.requested") == 1


def test_fifty_scans_and_deposits_with_keys_of_their_own_are_one_payment(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    scan = {"qr_token": world.tokens["LW-0001"]}
    renter.did(f"/rentals/{rental}/scan", scan)

    answers = at_once(
        50, lambda _: renter.post(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with world.database.reading() as session:
        assert len(session.exec(find(PaymentRow.id)).all()) == 1


def test_a_job_that_everybody_accepts_has_one_taker(world: Any) -> None:
    world.market()
    rental = world.ask()
    job = world.job()["id"]
    people = [world.people["owner"], world.people["staff"]]

    answers = at_once(20, lambda number: people[number % 2].post(f"/staff/jobs/{job}/accept"))

    takers = {number % 2 for number, answer in enumerate(answers) if answer.is_success}
    assert len(takers) == 1
    assert {answer.status_code for answer in answers} == {200, 409}
    assert steps(world, rental) == {"accept": 1}


def steps(world: Any, rental_id: str) -> Counter[str]:
    with world.database.reading() as session:
        of_it = find(RentalStepRow.event).where(RentalStepRow.rental_id == rental_id)
        return Counter(session.exec(of_it).all())


def test_a_renter_who_cancels_while_it_is_accepted_gets_one_of_the_two(world: Any) -> None:
    world.market()
    for _ in range(5):
        rental, job = world.ask(), world.job()["id"]
        cancelled, accepted = at_once(
            2,
            lambda number, rental=rental, job=job: (
                world.people["renter"].post(f"/rentals/{rental}/cancel", {"fee_minor": 0})
                if number == 0
                else world.people["staff"].post(f"/staff/jobs/{job}/accept")
            ),
        )
        assert cancelled.status_code in {200, 409}, cancelled.text
        assert accepted.status_code in {200, 404, 409}, accepted.text
        if not cancelled.is_success:  # accepted first, and then it costs something
            world.people["renter"].did(f"/rentals/{rental}/cancel", {"fee_minor": 10**6})
        assert world.state(rental) in {"cancelled", "payment_due"}


# -- a bank that goes while somebody decides by it --------------------------------------


def _gone(world: Any, merchant: str, how: str) -> Any:
    if how == "recall":
        body = {"bank_ids": ["LW-0001"], "reason": "fire hazard"}
        return world.people["operator"].post("/operator/banks/recall", body)
    path = f"/merchants/{merchant}/banks/LW-0001/{how}"
    return world.people["owner"].post(path, {"reason": "it fell"} if how == "lost" else None)


@pytest.mark.parametrize("how", ["lost", "withdraw", "recall"])
def test_a_bank_that_goes_while_it_is_asked_for_keeps_nobody_waiting(
    world: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    merchant = world.market()
    renter, _ = world.people["renter"], (world.people["owner"], world.people["operator"])
    looked, gone = threading.Event(), threading.Event()
    really = availability.look_at

    def look_at(*args: Any, **how: Any) -> Any:
        found = really(*args, **how)
        looked.set()
        gone.wait(1)  # it goes now, if nothing keeps it from going
        return found

    monkeypatch.setattr(availability, "look_at", look_at)

    def act(number: int) -> Any:
        if number == 0:
            return renter.post("/rentals", {"qr_token": world.tokens["LW-0001"], **HOME})
        looked.wait(PATIENCE_S)
        answer = _gone(world, merchant, how)
        gone.set()
        return answer

    asked, went = at_once(2, act)
    assert (asked.status_code, went.status_code) == (201, 200), (asked.text, went.text)
    assert world.state(asked.json()["id"]) == "undeliverable"


@pytest.mark.parametrize("how", ["lost", "recall"])
def test_a_bank_that_goes_at_the_door_goes_before_or_after(
    world: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    merchant = world.market()
    world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    path = f"/staff/jobs/{world.job()['id']}/hand-over"
    staff, _ = world.people["staff"], (world.people["owner"], world.people["operator"])
    at_the_door, gone = threading.Event(), threading.Event()
    really = jobs._prove

    def prove(*args: Any, **how: Any) -> Any:
        at_the_door.set()
        gone.wait(1)
        return really(*args, **how)

    monkeypatch.setattr(jobs, "_prove", prove)

    def act(number: int) -> Any:
        if number == 0:
            return staff.post(path, {"qr_token": world.tokens["LW-0001"]})
        at_the_door.wait(PATIENCE_S)
        answer = _gone(world, merchant, how)
        gone.set()
        return answer

    handed, went = at_once(2, act)
    assert handed.status_code == 200, handed.text
    assert went.status_code == (409 if how == "lost" else 200), went.text
    assert world.holder("LW-0001") == "renter"


# -- workers ---------------------------------------------------------------------------


def test_two_followers_have_one_effect(world: Any) -> None:
    world.market()
    now_ms = 1
    for number in range(30):
        world.tell(
            events.BatteryLow(
                bank=BankId("LW-0001"),
                key=f"7.{number}",
                occurred_at_ms=now_ms,
                received_at_ms=now_ms,
                battery_pct=17,
            )
        )
    followers = [Follower(world.database, world.clock, FollowLimits()) for _ in range(2)]

    def follow(number: int) -> int:
        return sum(iter(followers[number].work, 0))

    assert sum(at_once(2, follow)) == 30
    assert world.people["owner"].news().count("bank.battery_low") == 30


def test_two_outbox_workers_ask_once_for_each_key(world: Any) -> None:
    banks = ("LW-0001", "LW-0002", "LW-0003")
    world.market(banks=banks)
    renter = world.people["renter"]
    for bank in banks:
        rental = world.delivered(bank)
        renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens[bank]})
        renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})

    assert sum(at_once(4, lambda _: world.send())) == len(banks)

    assert len(world.provider.calls) == len(set(world.provider.calls)) == len(banks)


def test_a_notice_told_by_twenty_at_once_has_one_effect(world: Any) -> None:
    world.market()
    rental, ref = world.deposit_asked()
    agreed = world.provider.agree(ref)

    answers = at_once(20, lambda number: world.notice(agreed, id_=f"n{number // 2}"))

    assert {answer.status_code for answer in answers} == {204}
    assert steps(world, rental)["deposit_held"] == 1
    with world.database.reading() as session:
        held = find(TransferRow.id).where(TransferRow.kind == ledger.TransferKind.DEPOSIT_HELD)
        assert len(session.exec(held).all()) == 1


# -- rows that everybody wants ---------------------------------------------------------


def test_who_tells_the_same_people_in_another_order_waits_for_nobody(world: Any) -> None:
    people = [world.id_of(name) for name in ("owner", "staff", "renter")]
    orders = list(permutations(people))

    def tell(number: int) -> None:
        for _ in range(10):
            with world.database.writing() as session:
                for person in orders[number]:
                    notify(session, person_ids=[person], kind="x", data={}, now=world.clock.now())

    at_once(len(orders), tell)

    for name in ("owner", "staff", "renter"):
        assert world.people[name].news().count("x") == 10 * len(orders)


def test_an_account_that_many_post_to_at_once_adds_up(world: Any) -> None:
    def bill(number: int) -> None:
        with world.database.writing() as session:
            transfer = ledger.deposit_held(
                hold_id=f"P{number}",
                renter="R",
                currency=Currency.CNY,
                amount_minor=Minor(number + 1),
            )
            for _ in range(2):
                money.write(session, transfer, rental_id=None, now=world.clock.now())

    at_once(20, bill)

    assert world.balance("deposit:R") == sum(range(1, 21))
    assert world.sum_of_books() == 0


# -- the gateway -----------------------------------------------------------------------


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def state(bank: str, seq: int) -> Incoming:
    payload = (
        f'{{"boot":7,"seq":{seq},"up_ms":{seq * 1000},"battery":83,"lock":"locked","lock_ms":0,'
        '"output":"off","output_ms":0,"plugged":false,"plugged_ms":0,"sessions":0,"on_s":0,'
        '"energy_mwh":0,"last_command":null,"faults":[]}'
    )
    at_ms = 1_795_348_800_000 + seq * 1000
    return Incoming(f"lw/v1/{bank}/state", payload.encode(), at_ms, retained=False, mid=seq)


def test_two_gateways_that_hear_of_new_banks_at_once_forget_nothing(engine: Engine) -> None:
    """Each hears every other state of each bank, and the newest must win."""
    banks = [f"LW-{number:04}" for number in range(20)]
    gateways = [
        Ingest(Store(engine), GatewaySettings(), executor=None, on_news=lambda: None)  # type: ignore[arg-type]
        for _ in range(2)
    ]

    def hear(number: int) -> None:
        for bank in banks:
            gateways[number].store([state(bank, number + 1)])
        for seq in range(3 + number, 20, 2):
            gateways[number].store([state(bank, seq) for bank in reversed(banks)])

    at_once(2, hear)

    with engine.connect() as connection:
        heard = connection.execute(select(tables.SHADOW.c.bank_id, tables.SHADOW.c.seq)).all()
    assert dict(map(tuple, heard)) == dict.fromkeys(banks, 19)
