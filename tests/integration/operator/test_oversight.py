"""The operator manages people, merchants, banks and rentals; each change leaves its trace (A1)."""

import pytest
from sqlmodel import select, update

from backend.db.tables.audit import AuditRow
from backend.db.tables.market import BankRow
from backend.services import oversight

WHY = {"reason": "looked into"}


def audit(world, **query):
    return world.people["operator"].sees("/operator/audit", **query)["items"]


def test_a_suspended_renter_is_told_why_not_and_goes_on_with_what_is_open(world):
    world.market(banks=("LW-0001", "LW-0002"))
    rental = world.renting()
    renter_id = world.id_of("renter")
    operator = world.people["operator"]
    assert operator.did(f"/operator/people/{renter_id}/suspend", WHY)["suspended_at"]
    look = world.people["renter"].sees(f"/qr/{world.tokens['LW-0002']}")
    assert "account_suspended" in [why["code"] for why in look["why_not"]]
    body = {"qr_token": world.tokens["LW-0002"], "lat": 31.23, "lng": 121.47, "address": "x"}
    assert world.people["renter"].post("/rentals", body).json()["code"] == "bank_unavailable"
    place = {"lat": 31.23, "lng": 121.47, "address": "x"}
    assert world.people["renter"].did(f"/rentals/{rental}/return", place)["state"] == "returning"
    assert "account.suspended" in world.people["renter"].news()


def test_when_a_bank_was_back_is_told_with_its_zone_or_not_at_all(world):
    world.market()
    rental = world.renting()
    world.clock.turn(hours=2)
    path = f"/operator/rentals/{rental}/close"
    operator = world.people["operator"]
    naive = operator.post(path, WHY | {"back_at": "2026-11-22T12:30:00"})
    assert (naive.status_code, naive.json()["code"]) == (422, "invalid_request")
    closed = operator.did(path, WHY | {"back_at": "2026-11-22T21:00:02+08:00"})
    assert closed["amount_minor"] == 900, "one hour, and the delivery"


def test_a_suspension_is_taken_back(world):
    world.market()
    renter_id = world.id_of("renter")
    operator = world.people["operator"]
    operator.did(f"/operator/people/{renter_id}/suspend", WHY)
    again = operator.post(f"/operator/people/{renter_id}/suspend", WHY)
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    assert operator.did(f"/operator/people/{renter_id}/resume", WHY)["suspended_at"] is None
    world.ask()
    changes = audit(world, subject_id=renter_id)
    assert [(each["action"], each["before"], each["after"]) for each in changes] == [
        ("person.resume", {"account": "suspended"}, {"account": "active"}),
        ("person.suspend", {"account": "active"}, {"account": "suspended"}),
    ]


def test_people_are_found_by_phone_and_by_page(world):
    world.market()
    renter_id = world.id_of("renter")
    operator = world.people["operator"]
    [found] = operator.sees("/operator/people", phone="+86 138 0000 0003")["items"]
    assert found["id"] == renter_id
    first = operator.sees("/operator/people", limit=2)
    rest = operator.sees("/operator/people", limit=100, after=first["next"])
    everybody = [person["id"] for person in first["items"] + rest["items"]]
    assert sorted(everybody) == everybody
    assert renter_id in everybody


def test_a_suspended_merchant_lends_nothing_until_it_is_resumed(world):
    merchant = world.market()
    operator = world.people["operator"]
    operator.did(f"/operator/merchants/{merchant}/suspend", WHY)
    look = world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")
    assert [why["code"] for why in look["why_not"]] == ["not_approved"]
    assert operator.post(f"/operator/merchants/{merchant}/suspend", WHY).status_code == 409
    operator.did(f"/operator/merchants/{merchant}/resume", WHY)
    assert world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")["rentable"]
    assert {"merchant.suspended", "merchant.approved"} <= set(world.people["owner"].news())


def test_a_merchants_record_is_put_right_with_before_and_after(world):
    merchant = world.market()
    body = {**WHY, "commission_bp": 500, "name": "阿明充電"}
    assert (
        world.people["operator"].did(f"/operator/merchants/{merchant}/correct", body)[
            "commission_bp"
        ]
        == 500
    )
    [change] = audit(world, subject_id=merchant, subject="merchant")[:1]
    assert change["before"] == {"commission_bp": "1000", "name": "阿明"}
    assert change["after"] == {"commission_bp": "500", "name": "阿明充電"}
    assert change["why"] == "looked into"


def test_a_correction_of_nothing_leaves_no_trace_and_tells_nobody(world):
    merchant = world.market()
    path = f"/operator/merchants/{merchant}/correct"
    for _ in range(2):
        corrected = world.people["operator"].did(path, {**WHY, "commission_bp": 900})
        assert corrected["commission_bp"] == 900
    assert len(audit(world, subject_id=merchant, subject="merchant")) == 2, "approved, corrected"
    assert world.people["owner"].news().count("merchant.corrected") == 1


def test_a_batch_is_recalled_and_who_has_one_hears_of_it(world):
    merchant = world.market()
    world.people["owner"].did(
        f"/merchants/{merchant}/banks", {"bank_id": "LW-0002", "model": "m", "batch": "B7"}
    )
    operator = world.people["operator"]
    recall = operator.did("/operator/banks/recall", {**WHY, "batch": "B7", "bank_ids": ["LW-0001"]})
    assert recall["bank_ids"] == ["LW-0001", "LW-0002"]
    assert world.people["owner"].news().count("bank.recalled") == 2
    look = world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")
    assert "recalled" in [why["code"] for why in look["why_not"]]
    again = operator.did("/operator/banks/recall", {**WHY, "batch": "B7"})
    assert again["bank_ids"] == []
    listed = operator.sees("/operator/banks", recalled=True)["items"]
    assert [bank["id"] for bank in listed] == ["LW-0001", "LW-0002"]


def test_a_recall_of_too_many_at_once_says_what_to_do(world, monkeypatch):
    world.market(banks=("LW-0001", "LW-0002", "LW-0003"))
    with world.database.writing() as session:
        session.exec(update(BankRow).values(batch="B7"))
    monkeypatch.setattr(oversight, "RECALLED_AT_ONCE_MAX", 2)
    operator = world.people["operator"]
    answer = operator.post("/operator/banks/recall", {**WHY, "batch": "B7"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_banks")
    assert "by bank_ids" in answer.json()["detail"]
    assert operator.sees("/operator/banks", recalled=True)["items"] == []
    named = {**WHY, "bank_ids": ["LW-0001", "LW-0002"]}
    assert len(operator.did("/operator/banks/recall", named)["bank_ids"]) == 2
    rest = operator.did("/operator/banks/recall", {**WHY, "batch": "B7"})
    assert rest["bank_ids"] == ["LW-0003"]


def test_after_a_recall_the_merchant_inspects_first(world):
    merchant = world.market()
    operator = world.people["operator"]
    operator.did("/operator/banks/recall", {**WHY, "bank_ids": ["LW-0001"]})
    operator.did("/operator/banks/LW-0001/end-recall", WHY)
    assert not world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")["rentable"]
    owner = world.people["owner"]
    owner.did(f"/merchants/{merchant}/banks/LW-0001/inspected")
    owner.did(f"/merchants/{merchant}/banks/LW-0001/offer")
    assert world.people["renter"].sees(f"/qr/{world.tokens['LW-0001']}")["rentable"]
    assert operator.post("/operator/banks/LW-0001/end-recall", WHY).status_code == 409


@pytest.mark.parametrize("body", [{"bank_ids": ["LW-9999"]}, {"batch": "none"}])
def test_a_recall_of_nothing_says_so(world, body):
    world.market()
    answer = world.people["operator"].post("/operator/banks/recall", {**WHY, **body})
    assert answer.status_code == 404


def test_a_recall_names_what_it_is_about(world):
    world.market()
    assert world.people["operator"].post("/operator/banks/recall", WHY).status_code == 422


def test_rentals_are_found_by_what_they_are(world):
    merchant = world.market()
    rental = world.delivered()
    operator = world.people["operator"]
    for query in ({"state": "delivered"}, {"merchant_id": merchant}, {"bank_id": "LW-0001"}, {}):
        assert [each["id"] for each in operator.sees("/operator/rentals", **query)["items"]] == [
            rental
        ]
    for query in ({"state": "completed"}, {"renter_id": merchant}, {"abnormal": True}):
        assert operator.sees("/operator/rentals", **query)["items"] == []
    assert operator.sees(f"/operator/rentals/{rental}")["code"] is None, "it is the renter's"


def test_a_bill_is_taken_back_in_part_and_the_books_say_who_gave(world):
    world.market()
    rental = world.payment_due()
    operator = world.people["operator"]
    note = operator.did(
        f"/operator/rentals/{rental}/credit", {"amount_minor": 200, "reason": "slow to start"}
    )
    assert (note["amount_minor"], note["kind"]) == (200, "goodwill")
    too_much = {"amount_minor": 100_000, "reason": "slow to start"}
    refusal = operator.post(f"/operator/rentals/{rental}/credit", too_much)
    assert refusal.json()["code"] == "more_than_billed"
    assert audit(world, subject_id=rental)[0]["after"] == {"credited_minor": "200"}


def test_every_change_is_kept_and_cannot_be_changed(world):
    merchant = world.market()
    world.people["operator"].did(f"/operator/merchants/{merchant}/suspend", WHY)
    with world.database.reading() as session:
        rows = session.exec(select(AuditRow)).all()
    assert {row.by_id for row in rows} == {world.id_of("operator")}
    assert all(row.why for row in rows)


@pytest.mark.parametrize("name", ["owner", "staff", "renter"])
@pytest.mark.parametrize(
    "path",
    [
        "people",
        "merchants",
        "banks",
        "rentals",
        "stuck",
        "audit",
        "dead-letters",
        "payments",
        "disputes",
    ],
)
def test_nobody_else_may_look(world, name, path):
    world.market()
    assert world.people[name].get(f"/operator/{path}").status_code == 403
