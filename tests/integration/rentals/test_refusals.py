"""What is refused, with which code, and that a refusal changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select, update

from backend.db import rentals
from backend.db.tables.audit import AuditRow
from backend.db.tables.market import MerchantRow
from backend.db.tables.people import Person
from backend.db.tables.rentals import RentalRow

HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# -- the precheck ---------------------------------------------------------------------------


def _why(world: Any, who: str = "renter", **query: Any) -> list[str]:
    offer = world.people[who].sees(f"/qr/{world.tokens['LW-0001']}", **query)
    assert offer["rentable"] is not bool(offer["why_not"])
    assert all(reason["text"] != reason["code"] for reason in offer["why_not"])
    return [reason["code"] for reason in offer["why_not"]]


def test_a_label_says_what_the_bank_costs_and_that_it_can_be_rented(world: Any) -> None:
    world.market()
    path = f"/api/v1/qr/{world.tokens['LW-0001']}"
    offer = world.client.get(path, headers={"accept-language": "zh-TW"}).json()
    assert offer["rentable"] is True
    assert offer["tariff"]["deposit_minor"] == 9900
    assert "押金" in offer["tariff"]["disclosure"]
    assert offer["bank"]["state"]["battery_pct"] == 90
    assert offer["bank"]["state"]["age_s"] == 0


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"presence": "offline"}, "offline"),
        ({"battery": 49}, "low"),
        ({"faults": "over_temperature"}, "faulty"),
        ({"lock": "jammed"}, "faulty"),
    ],
)
def test_a_bank_in_a_bad_state_is_not_for_rent(world: Any, state: dict[str, Any], why: str) -> None:
    world.market()
    world.bank_is("LW-0001", **state)
    assert _why(world) == [why]
    answer = world.people["renter"].post("/rentals", {"qr_token": world.tokens["LW-0001"], **HOME})
    assert _code(answer) == (409, "bank_unavailable")
    assert answer.json()["facts"] == {"why": why}


def test_a_level_told_too_long_ago_is_no_level(world: Any) -> None:
    world.market()
    world.clock.turn(seconds=301)
    assert _why(world) == ["offline"]


def _row(world: Any, table: Any, id_: str, **changes: Any) -> None:
    with world.database.writing() as session:
        session.exec(update(table).where(col(table.id) == id_).values(**changes))


def test_a_bank_is_not_for_rent_while_its_merchant_sleeps(world: Any) -> None:
    merchant = world.market()  # it is 20:00 in Shanghai
    _row(world, MerchantRow, merchant, hours='{"sun": [["09:00", "20:00"]]}')
    assert _why(world) == ["closed"]
    world.clock.turn(seconds=-1)
    assert _why(world) == []


def test_how_full_a_bank_must_be_is_in_its_merchants_terms(world: Any) -> None:
    world.market(min_battery_pct=80)
    world.bank_is("LW-0001", battery=79)
    assert _why(world) == ["low"]
    world.bank_is("LW-0001", battery=80)
    assert _why(world) == []


def test_who_is_suspended_rents_nothing_and_what_is_open_goes_on(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.ask("LW-0002")
    _row(world, Person, world.id_of("renter"), suspended_at=world.clock.now())
    assert _why(world) == ["account_suspended"]
    assert _why(world, who="other") == []
    answer = world.people["renter"].post("/rentals", {"qr_token": world.tokens["LW-0001"], **HOME})
    assert _code(answer) == (409, "bank_unavailable")
    assert world.people["renter"].post(f"/rentals/{rental}/cancel").is_success


def test_a_renter_has_three_banks_at_once_and_not_more(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002", "LW-0003", "LW-0004"))
    first, *_ = [world.ask(bank) for bank in ("LW-0002", "LW-0003", "LW-0004")]
    assert _why(world) == ["too_many_rentals"]
    answer = world.people["renter"].post("/rentals", {"qr_token": world.tokens["LW-0001"], **HOME})
    assert _code(answer) == (409, "bank_unavailable")
    assert answer.json()["facts"] == {"why": "too_many_rentals"}
    world.people["renter"].did(f"/rentals/{first}/cancel")
    assert _why(world) == []


def test_a_bank_is_not_for_rent_too_far_from_its_merchant(world: Any) -> None:
    world.market()
    assert _why(world, lat=31.2, lng=121.6) == ["out_of_area"]
    assert _why(world, lat=31.2304, lng=121.48) == []


def test_who_owes_for_an_earlier_rental_cannot_have_another(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    world.payment_due()
    world.bank_is("LW-0002")
    other = world.people["renter"].post("/rentals", {"qr_token": world.tokens["LW-0002"], **HOME})
    assert other.json()["facts"] == {"why": "unpaid_bill"}


def test_an_unknown_label_is_not_found(world: Any) -> None:
    world.market()
    answer = world.people["renter"].get("/qr/0123456789abcdef0123456789")
    assert _code(answer) == (404, "not_found")


def test_a_scanned_url_is_as_good_as_its_token(world: Any) -> None:
    world.market()
    url = f"http://127.0.0.1:8000/b/{world.tokens['LW-0001']}"
    assert world.people["renter"].post("/rentals", {"qr_token": url, **HOME}).status_code == 201


# -- one bank, one renter ---------------------------------------------------------------------


def test_the_second_renter_of_a_bank_is_told_that_it_is_reserved(world: Any) -> None:
    world.market()
    world.ask()
    answer = world.people["other"].post("/rentals", {"qr_token": world.tokens["LW-0001"], **HOME})
    assert _code(answer) == (409, "bank_unavailable")
    assert answer.json()["facts"] == {"why": "reserved"}


def test_the_database_itself_lets_one_rental_have_a_bank(world: Any) -> None:
    world.market()
    rental = world.ask()
    with world.database.reading() as session:
        values = rentals.read(session, rental).model_dump()
    with (
        pytest.raises(IntegrityError, match=r"rental\.bank_id|uq_rental_one_per_bank"),
        world.database.writing() as session,
    ):
        session.add(RentalRow(**{**values, "id": "another"}))


def test_of_renters_who_ask_at_once_one_has_the_bank(world: Any) -> None:
    world.market()
    body = {"qr_token": world.tokens["LW-0001"], **HOME}
    people = [world.people[name] for name in ("renter", "other", "staff", "operator")]
    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(lambda person: person.post("/rentals", body), people))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


def test_a_repeated_request_with_one_key_is_one_rental(world: Any) -> None:
    world.market()
    body = {"qr_token": world.tokens["LW-0001"], **HOME}
    first = world.people["renter"].post("/rentals", body, key="k1")
    again = world.people["renter"].post("/rentals", body, key="k1")
    assert first.content == again.content
    assert len(world.people["renter"].sees("/rentals")["items"]) == 1


# -- strangers --------------------------------------------------------------------------------


def test_a_stranger_finds_nothing(world: Any) -> None:
    merchant = world.market()
    rental, _ref = world.deposit_asked()
    payment = world.rental(rental)["payments"][0]["id"]
    stranger = world.people["other"]
    scan = {"qr_token": world.tokens["LW-0001"]}
    answers = [
        stranger.get(f"/rentals/{rental}"),
        stranger.get(f"/payments/{payment}"),
        stranger.post(f"/rentals/{rental}/scan", scan),
        stranger.post(f"/rentals/{rental}/deposit", {"accepted_disclosure": True}),
        stranger.post(f"/rentals/{rental}/return", HOME),
        stranger.post(f"/rentals/{rental}/payment"),
        stranger.post(f"/rentals/{rental}/cancel"),
        stranger.post(f"/rentals/{rental}/code"),
        stranger.get(f"/merchants/{merchant}/banks"),
        stranger.get(f"/merchants/{merchant}/rentals"),
        stranger.get(f"/merchants/{merchant}/rentals/{rental}"),
        stranger.get(f"/merchants/{merchant}/tariffs"),
        stranger.get(f"/merchants/{merchant}/staff"),
        stranger.post(f"/merchants/{merchant}/banks/LW-0001/secret"),
        stranger.post(f"/merchants/{merchant}/banks/LW-0001/receive", {"reason": "mine"}),
    ]
    assert {_code(answer) for answer in answers} == {(404, "not_found")}
    assert stranger.sees("/rentals")["items"] == []
    assert stranger.sees("/staff/jobs")["items"] == []


def test_a_stranger_takes_no_job(world: Any) -> None:
    world.market()
    world.ask()
    job = world.job()["id"]
    answer = world.people["other"].post(f"/staff/jobs/{job}/accept")
    assert _code(answer) == (404, "not_found")


def test_only_an_operator_approves(world: Any) -> None:
    merchant = world.market()
    answer = world.people["owner"].post(f"/operator/merchants/{merchant}/approve", {"reason": "me"})
    assert _code(answer) == (403, "forbidden")


# -- merchants --------------------------------------------------------------------------------


def test_a_merchant_that_waits_for_approval_reports_no_bank(world: Any) -> None:
    world.market()
    body = {"name": "新店", "timezone": "Asia/Shanghai", "currency": "CNY", **HOME}
    other = world.people["other"]
    merchant = other.did("/merchants", {**body, "service_radius_m": 500})
    assert merchant["status"] == "pending"
    answer = other.post(f"/merchants/{merchant['id']}/banks", {"bank_id": "LW-0009", "model": "X"})
    assert _code(answer) == (409, "merchant_not_approved")


def test_a_bank_is_reported_once_by_whomever(world: Any) -> None:
    merchant = world.market()
    answer = world.people["owner"].post(
        f"/merchants/{merchant}/banks", {"bank_id": "LW-0001", "model": "X"}
    )
    assert _code(answer) == (409, "bank_already_registered")


def test_a_lost_secret_is_replaced_and_never_shown_again(world: Any) -> None:
    merchant = world.market()
    owner = world.people["owner"]
    made = owner.did(f"/merchants/{merchant}/banks", {"bank_id": "LW-0002", "model": "X"})
    new = owner.did(f"/merchants/{merchant}/banks/LW-0002/secret")
    assert new["secret"] != made["secret"]
    shown = owner.get(f"/merchants/{merchant}/banks").text
    assert made["secret"] not in shown
    assert new["secret"] not in shown


def test_approval_leaves_a_trace(world: Any) -> None:
    merchant = world.market()
    with world.database.reading() as session:
        row = session.exec(select(AuditRow)).one()
    assert (row.by_id, row.subject_id) == (world.id_of("operator"), merchant)
    assert (row.before, row.after) == ('{"status": "pending"}', '{"status": "approved"}')
    assert row.why == "papers checked"


def test_a_tariff_that_makes_no_sense_is_refused_with_every_problem(world: Any) -> None:
    merchant = world.market()
    terms = world.people["owner"].sees(f"/merchants/{merchant}/tariffs")["items"][0]["terms"]
    for shown_only in ("currency", "disclosure"):
        del terms[shown_only]
    bad = {**terms, "block_price_minor": -1, "deposit_minor": 0}
    answer = world.people["owner"].post(f"/merchants/{merchant}/tariffs", bad)
    assert _code(answer) == (422, "bad_tariff")
    assert answer.json()["facts"]["problems"] == "tariff_negative,tariff_no_deposit"


def test_a_later_price_changes_nothing_for_a_rental_that_was_asked_for(world: Any) -> None:
    merchant = world.market()
    rental = world.ask()
    terms = world.people["owner"].sees(f"/merchants/{merchant}/tariffs")["items"][0]["terms"]
    for shown_only in ("currency", "disclosure"):
        del terms[shown_only]
    newer = world.people["owner"].did(
        f"/merchants/{merchant}/tariffs", {**terms, "block_price_minor": 900}
    )
    assert newer["version"] == 2
    assert world.rental(rental)["tariff"]["block_price_minor"] == 100


def test_staff_are_hired_once(world: Any) -> None:
    merchant = world.market()
    body = {"phone": "+8613800000002", "name": "小王"}
    answer = world.people["owner"].post(f"/merchants/{merchant}/staff", body)
    assert _code(answer) == (409, "staff_already_hired")


# -- jobs and handovers -------------------------------------------------------------------------


def test_a_job_has_one_taker(world: Any) -> None:
    world.market()
    world.ask()
    job = world.job()["id"]
    world.people["owner"].did(f"/staff/jobs/{job}/accept")
    answer = world.people["staff"].post(f"/staff/jobs/{job}/accept")
    assert _code(answer) == (409, "already_taken")
    world.people["owner"].did(f"/staff/jobs/{job}/accept")


def test_staff_do_not_set_out_without_the_bank(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    world.ask()
    world.staff_does("accept")
    path = f"/staff/jobs/{world.job()['id']}/set-out"
    staff = world.people["staff"]
    assert _code(staff.post(path, {})) == (422, "proof_required")
    wrong = staff.post(path, {"qr_token": world.tokens["LW-0002"]})
    assert _code(wrong) == (409, "wrong_bank")
    assert wrong.json()["facts"] == {"expected": "LW-0001", "scanned": "LW-0002"}


def _at_the_door(world: Any, **terms: Any) -> tuple[str, str]:
    world.market(banks=("LW-0001", "LW-0002"), **terms)
    rental = world.ask()
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=world.tokens["LW-0001"])
    world.bank_is("LW-0001")
    return rental, f"/staff/jobs/{world.job()['id']}/hand-over"


def test_a_handover_by_another_banks_label_is_refused_and_says_so(world: Any) -> None:
    rental, path = _at_the_door(world)
    answer = world.people["staff"].post(path, {"qr_token": world.tokens["LW-0002"]})
    assert _code(answer) == (409, "wrong_bank")
    assert "LW-0002" in answer.json()["detail"]
    assert world.state(rental) == "delivering"


def test_a_handover_by_the_renters_code_needs_no_scan(world: Any) -> None:
    rental, path = _at_the_door(world)
    world.people["staff"].did(path, {"code": world.rental(rental)["code"]})
    assert world.state(rental) == "delivered"
    assert world.rental(rental)["code"] is None
    assert world.rental(rental)["steps"][-1]["proof"] == "code"


def test_five_wrong_codes_lock_it_until_the_renter_makes_a_new_one(world: Any) -> None:
    rental, path = _at_the_door(world)
    staff = world.people["staff"]
    right = world.rental(rental)["code"]
    wrong = {"code": "0000" if right != "0000" else "1111"}
    answers = [_code(staff.post(path, wrong)) for _ in range(5)]
    assert answers == [(422, "bad_code")] * 4 + [(409, "code_locked")]
    assert _code(staff.post(path, {"code": right})) == (409, "code_locked")
    new = world.people["renter"].did(f"/rentals/{rental}/code")["code"]
    staff.did(path, {"code": new})
    assert world.state(rental) == "delivered"


def test_a_bank_that_is_not_charged_enough_is_not_handed_over(world: Any) -> None:
    _rental, path = _at_the_door(world)
    world.bank_is("LW-0001", battery=49)
    answer = world.people["staff"].post(path, {"qr_token": world.tokens["LW-0001"]})
    assert answer.json()["facts"] == {"why": "low"}


def test_scanning_another_bank_to_charge_is_refused_and_says_so(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.delivered()
    answer = world.people["renter"].post(
        f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0002"]}
    )
    assert _code(answer) == (409, "wrong_bank")
    assert world.state(rental) == "delivered"


def test_scanning_again_shows_the_notice_again(world: Any) -> None:
    world.market()
    rental = world.delivered()
    path, body = f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]}
    first = world.people["renter"].did(path, body)
    assert world.people["renter"].did(path, body) == first
    assert first["amount_minor"] == 9900


def test_no_deposit_without_accepting_what_was_disclosed(world: Any) -> None:
    world.market()
    rental = world.delivered()
    renter = world.people["renter"]
    too_early = renter.post(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    assert _code(too_early) == (409, "wrong_state")
    renter.did(f"/rentals/{rental}/scan", {"qr_token": world.tokens["LW-0001"]})
    no = renter.post(f"/rentals/{rental}/deposit", {"accepted_disclosure": False})
    assert _code(no) == (422, "disclosure_not_accepted")


def test_what_was_accepted_is_kept_word_for_word(world: Any) -> None:
    world.market()
    rental, _ref = world.deposit_asked()
    with world.database.reading() as session:
        row = rentals.read(session, rental)
    assert row.disclosed_at == world.clock.now()
    assert row.disclosure == world.rental(rental)["tariff"]["disclosure"]
    assert len(row.disclosure_sha256 or "") == 64


def test_collecting_with_another_banks_label_is_refused(world: Any) -> None:
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.renting()
    world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.staff_does("accept")
    answer = world.people["staff"].post(
        f"/staff/jobs/{world.job()['id']}/collect", {"qr_token": world.tokens["LW-0002"]}
    )
    assert _code(answer) == (409, "wrong_bank")
    assert world.state(rental) == "returning"


def test_asking_for_the_return_again_changes_nothing(world: Any) -> None:
    world.market()
    rental = world.renting()
    first = world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    world.clock.turn(minutes=1)
    again = world.people["renter"].did(f"/rentals/{rental}/return", HOME)
    assert first["return_requested_at"] == again["return_requested_at"]
    assert world.job()["kind"] == "collection"


def test_a_handed_over_rental_is_not_cancelled(world: Any) -> None:
    world.market()
    rental = world.delivered()
    answer = world.people["renter"].post(f"/rentals/{rental}/cancel")
    assert _code(answer) == (409, "wrong_state")


def test_a_body_with_anything_extra_is_refused(world: Any) -> None:
    world.market()
    body = {"qr_token": world.tokens["LW-0001"], **HOME, "state": "completed"}
    assert world.people["renter"].post("/rentals", body).status_code == 422
