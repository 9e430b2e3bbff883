"""Whoever is forgotten is in no row any more; the books and the banks say what they said."""

import pytest
from sqlalchemy import LargeBinary, String
from sqlmodel import SQLModel, select

from backend.db.tables.people import Person
from backend.services.verify import verify
from tests.integration.rentals.conftest import PHONES

WHY = {"reason": "a letter of 22 November"}
DOOR = {"lat": 31.2311, "lng": 121.4744, "address": "靜安別墅 77 弄 5 號"}
BENCH = {"lat": 31.2322, "lng": 121.4755, "address": "中山公園第三張長椅"}
WORDS = "my neighbour saw it"


def everything_written(world):
    """Every text there is, with where it stands."""
    with world.database.reading() as session:
        for table in SQLModel.metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, String | LargeBinary):
                    for (value,) in session.execute(select(column)):
                        text = value.decode() if isinstance(value, bytes) else value or ""
                        yield f"{table.name}.{column.name}", text


def where_is(world, secret):
    return {where for where, text in everything_written(world) if secret in text}


def breaks(world):
    with world.database.reading() as session:
        return list(verify(session).breaks)


@pytest.fixture
def lived(world):
    """Somebody who rented a bank in all the ways in which one is talked about, and owes nothing."""
    merchant = world.market()
    owner, renter, operator = (world.people[name] for name in ("owner", "renter", "operator"))
    owner.did(f"/merchants/{merchant}/webhooks", {"url": "https://shop.example/hook"})
    asked = renter.did("/rentals", {"qr_token": world.tokens["LW-0001"], **DOOR})
    rental = asked["id"]
    world.clock.turn(seconds=30)
    world.staff_does("accept")
    world.people["staff"].did("/staff/position", {"lat": DOOR["lat"], "lng": DOOR["lng"]})
    renter.did(f"/rentals/{rental}/urge")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    world.people["staff"].did("/staff/position", {"lat": DOOR["lat"], "lng": DOOR["lng"]})
    world.bank_is("LW-0001")
    world.staff_does("hand-over", qr_token=world.tokens["LW-0001"])
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    deposit = renter.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.send()
    world.notice(world.provider.agree(world.ref(deposit["id"])))
    world.clock.turn(seconds=2)
    world.feeds("LW-0001")
    world.follow()
    world.clock.turn(hours=1)
    renter.did(f"/rentals/{rental}/return", BENCH)
    world.staff_does("accept")
    job = world.staff_does("collect", qr_token=world.tokens["LW-0001"])
    world.people["staff"].did(
        f"/staff/jobs/{job['id']}/check-in", {"qr_token": world.tokens["LW-0001"]}
    )
    bill = renter.did(f"/rentals/{rental}/payment")
    world.send()
    world.notice(world.provider.agree(world.ref(bill["id"])))
    world.send()
    dispute = renter.did(f"/rentals/{rental}/disputes", {"disputed_minor": 100, "reason": WORDS})
    renter.did(f"/rentals/{rental}/disputes/{dispute['id']}/withdraw")
    me = world.id_of("renter")
    operator.did(f"/operator/people/{me}/correct", {**WHY, "name": "王小明"})
    operator.did(f"/operator/people/{me}/suspend", WHY)
    operator.did(f"/operator/people/{me}/resume", WHY)
    assert breaks(world) == []
    return rental


def test_nothing_that_is_kept_tells_who_somebody_was(world, lived):
    secrets = (PHONES["renter"], DOOR["address"], BENCH["address"], WORDS, "王小明")
    assert all(where_is(world, secret) for secret in secrets), "else this proves nothing"
    answer = world.people["renter"].did("/me/erase")
    assert answer["erased_at"]
    for secret in secrets:
        assert where_is(world, secret) == set()
    for lat in (DOOR["lat"], BENCH["lat"]):
        assert where_is(world, str(lat)) == set()
    [shown] = world.people["operator"].sees("/operator/rentals")["items"]
    assert shown["id"] == lived
    assert shown["place"] == {"lat": 0.0, "lng": 0.0, "address": ""}
    assert shown["return_place"] is None


def test_the_books_and_the_banks_say_what_they_said(world, lived):
    before = world.people["operator"].sees(f"/operator/rentals/{lived}")
    cash = world.balance("provider_cash")
    world.people["renter"].did("/me/erase")
    after = world.people["operator"].sees(f"/operator/rentals/{lived}")
    for kept in ("state", "amount_minor", "lines", "deposit", "steps", "billing_start_at"):
        assert after[kept] == before[kept]
    assert breaks(world) == []
    assert world.sum_of_books() == 0
    assert world.balance("provider_cash") == cash
    assert world.holder("LW-0001") == "merchant"


def test_who_is_forgotten_is_signed_out_and_may_sign_up_anew_as_somebody_else(world, lived):
    renter = world.people["renter"]
    old = renter.sees("/me")["id"]
    renter.did("/me/erase")
    assert renter.get("/me").json()["code"] == "session_ended"
    anew = world.person(PHONES["renter"])
    assert anew.sees("/me")["id"] != old
    assert anew.sees("/rentals")["items"] == []
    world.bank_is("LW-0001")
    anew.did("/rentals", {"qr_token": world.tokens["LW-0001"], **DOOR})
    assert lived


@pytest.mark.parametrize(
    ("until", "open_"),
    [
        ("ask", {"open_rental"}),
        ("renting", {"open_rental", "open_deposit", "open_payment", "open_bank_in_hand"}),
        ("payment_due", {"open_bill", "open_deposit", "open_payment"}),
    ],
)
def test_nobody_is_forgotten_with_something_open_and_hears_what(world, until, open_):
    world.market()
    getattr(world, until)()
    answer = world.people["renter"].post("/me/erase")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_open")
    assert open_ <= set(answer.json()["facts"]["what"].split(","))
    assert "_" not in answer.json()["detail"], "it is told in words"
    assert world.people["renter"].sees("/me")["phone"] == PHONES["renter"]


def test_staff_are_forgotten_once_their_jobs_are_done(world):
    merchant = world.market()
    world.ask()
    world.staff_does("accept")
    staff = world.people["staff"]
    assert staff.post("/me/erase").json()["facts"]["what"] == "open_job"
    world.staff_does("give-back", reason="a flat tyre")
    staff.did("/me/erase")
    assert world.people["owner"].sees(f"/merchants/{merchant}/staff")["items"] == []
    assert where_is(world, PHONES["staff"]) == set()
    assert where_is(world, "小王") == set()


def test_an_owner_is_forgotten_once_the_merchant_has_neither_banks_nor_money(world):
    world.market()
    owner = world.people["owner"]
    answer = owner.post("/me/erase")
    assert answer.json()["facts"]["what"] == "open_merchant_banks"
    merchant = owner.sees("/merchants/mine")["items"][0]["id"]
    other = world.people["other"]
    shop = {"name": "靜安小店", "timezone": "Asia/Shanghai", "currency": "CNY"}
    theirs = other.did("/merchants", {**shop, "service_radius_m": 3000, **DOOR})["id"]
    other.did(f"/merchants/{theirs}/webhooks", {"url": "https://jingan.example/hook"})
    other.did("/me/erase")
    for secret in (PHONES["other"], DOOR["address"], "靜安小店", "jingan.example"):
        assert where_is(world, secret) == set()
    kept = {
        each["id"]: each for each in world.people["operator"].sees("/operator/merchants")["items"]
    }
    assert kept[theirs]["status"] == "suspended"
    assert kept[merchant]["status"] == "approved"


def test_an_operator_forgets_somebody_and_leaves_a_trace(world, lived):
    operator, me = world.people["operator"], world.id_of("renter")
    operator.did(f"/operator/people/{me}/erase", WHY)
    assert world.people["renter"].get("/me").json()["code"] == "session_ended"
    [change] = operator.sees("/operator/audit", subject_id=me)["items"][:1]
    assert (change["action"], change["why"]) == ("person.erase", WHY["reason"])
    assert where_is(world, PHONES["renter"]) == set()
    found = operator.sees("/operator/people", limit=100)["items"]
    [person] = [each for each in found if each["id"] == me]
    assert person["phone"] is None
    for act in ("erase", "resume"):
        again = operator.post(f"/operator/people/{me}/{act}", WHY)
        assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    renamed = operator.post(f"/operator/people/{me}/correct", {**WHY, "name": "x"})
    assert renamed.json()["code"] == "wrong_state"
    with world.database.reading() as session:
        assert session.get_one(Person, me).phone != PHONES["renter"]
    assert lived


def test_who_is_suspended_is_forgotten_by_an_operator_only(world):
    world.market()
    me = world.id_of("renter")
    world.people["operator"].did(f"/operator/people/{me}/suspend", WHY)
    answer = world.people["renter"].post("/me/erase")
    assert answer.json()["facts"]["what"] == "open_suspension"
    world.people["operator"].did(f"/operator/people/{me}/erase", WHY)


def test_what_others_did_is_not_done_twice_though_its_answer_was_forgotten(world, lived):
    operator, me = world.people["operator"], world.id_of("renter")
    path = f"/operator/people/{me}/suspend"
    told = operator.post(path, WHY, key="once").json()
    assert told["phone"] == PHONES["renter"]
    operator.did(f"/operator/people/{me}/erase", WHY)
    again = operator.post(path, WHY, key="once")
    assert (again.status_code, again.json()["code"]) == (409, "already_done")
    assert lived
