"""Places come and go in the datum that is asked for, and are WGS-84 inside."""

import json
from typing import Any

import pytest
from sqlmodel import select

from backend.db.tables.dispatch import StaffPositionRow
from backend.db.tables.market import MerchantRow
from backend.db.tables.platform import IdempotencyRecord, Notification
from backend.db.tables.rentals import JobRow, RentalRow
from backend.ids import new_id
from tests.integration.rentals.conftest import HOME, Person, World, at_work

TRUE = {"lat": 31.1774276, "lng": 121.5272106}
ON_MAP = {"lat": 31.175304, "lng": 121.5315419}
"""The same, GCJ-02."""
MERCHANT = {
    "name": "阿明",
    "timezone": "Asia/Shanghai",
    "currency": "CNY",
    "service_radius_m": 9000,
}
BACK = {"lat": 31.1776, "lng": 121.5274}


@pytest.fixture
def world(tmp_path: Any, database_url: str) -> Any:
    with at_work(tmp_path, database_url) as world:
        yield world


def is_at(told: Any, place: dict[str, float]) -> bool:
    return all(abs(told[name] - place[name]) < 2e-7 for name in ("lat", "lng"))


def mapped(person: Person, path: str, body: dict[str, Any]) -> Any:
    answer = person.post(f"{path}?datum=gcj02", body)
    assert answer.is_success, answer.text
    return answer.json()


def moved(world: World) -> str:
    """A merchant that told where it is off a map."""
    merchant = world.market()
    mapped(world.people["owner"], f"/merchants/{merchant}", {**ON_MAP, "address": "張江路 1 號"})
    return merchant


def one(world: World, table: Any) -> Any:
    with world.database.reading() as session:
        return session.exec(select(table)).one()


def test_a_merchant_off_a_map_is_stored_wgs84_and_shown_as_asked(world: World) -> None:
    merchant = moved(world)
    row = one(world, MerchantRow)
    assert is_at({"lat": row.lat, "lng": row.lng}, TRUE)
    owner = world.people["owner"]
    assert is_at(owner.sees(f"/merchants/{merchant}"), TRUE)
    assert is_at(owner.sees(f"/merchants/{merchant}", datum="wgs84"), TRUE)
    assert is_at(owner.sees(f"/merchants/{merchant}", datum="gcj02"), ON_MAP)
    assert is_at(owner.sees("/merchants/mine", datum="gcj02")["items"][0], ON_MAP)


def test_a_whole_rental_off_a_map_is_stored_wgs84(world: World) -> None:
    moved(world)
    renter, staff = world.people["renter"], world.people["staff"]
    token = world.tokens["LW-0001"]
    asked = mapped(renter, "/rentals", {"qr_token": token, **ON_MAP, "address": "張江路 2 號"})
    assert is_at(asked["place"], ON_MAP)
    assert is_at(asked["merchant"], ON_MAP)
    world.staff_does("accept")
    world.staff_does("set-out", qr_token=token)
    mapped(staff, "/staff/position", ON_MAP)
    position = one(world, StaffPositionRow)
    assert is_at({"lat": position.lat, "lng": position.lng}, TRUE)
    path = f"/rentals/{asked['id']}/delivery"
    assert is_at(renter.sees(path)["position"], TRUE)
    assert is_at(renter.sees(path, datum="gcj02")["position"], ON_MAP)
    assert is_at(staff.sees("/staff/tour", datum="gcj02")["stops"][0]["place"], ON_MAP)
    assert is_at(staff.sees("/staff/jobs", datum="gcj02")["items"][0]["place"], ON_MAP)
    job = one(world, JobRow)
    assert is_at({"lat": job.lat, "lng": job.lng}, TRUE)
    world.bank_is("LW-0001")
    world.staff_does("hand-over", qr_token=token)
    back = mapped(renter, f"/rentals/{asked['id']}/return", {**ON_MAP, "address": "張江路 3 號"})
    assert is_at(back["return_place"], ON_MAP)
    rental = one(world, RentalRow)
    assert is_at({"lat": rental.return_lat, "lng": rental.return_lng}, TRUE)


def test_what_is_told_and_kept_is_wgs84_whatever_was_asked_for(world: World) -> None:
    moved(world)
    body = {"qr_token": world.tokens["LW-0001"], **ON_MAP, "address": "x"}
    mapped(world.people["renter"], "/rentals", body)
    with world.database.reading() as session:
        news = [json.loads(text) for text in session.exec(select(Notification.data))]
        kept = [json.loads(text) for text in session.exec(select(IdempotencyRecord.body)) if text]
    places = [each["place"] for each in news + kept if "place" in each]
    assert places
    assert all(is_at(place, TRUE) for place in places)


def test_a_repeat_is_answered_in_its_datum(world: World) -> None:
    moved(world)
    renter, key = world.people["renter"], new_id()
    body = {"qr_token": world.tokens["LW-0001"], **ON_MAP, "address": "x"}
    first = renter.post("/rentals?datum=gcj02", body, key=key)
    again = renter.post("/rentals?datum=gcj02", body, key=key)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = renter.post("/rentals", body, key=key)
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_place_in_the_query_is_moved_too(world: World) -> None:
    merchant = moved(world)
    world.people["owner"].did(f"/merchants/{merchant}", {"service_radius_m": 200})
    look, here = f"/qr/{world.tokens['LW-0001']}", world.people["renter"]
    reasons = [
        [why["code"] for why in here.sees(look, **ON_MAP, **datum)["why_not"]]
        for datum in ({}, {"datum": "gcj02"})
    ]
    assert reasons == [["out_of_area"], []], "on the map they stand at its door"


def test_a_datum_that_is_not_known_is_refused_and_not_taken_for_another(world: World) -> None:
    renter = world.people["renter"]
    answer = renter.post("/rentals?datum=bd09", {"qr_token": "x" * 43, **HOME})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "query.datum"


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"lat":"31","lng":null}', b'{"lat":1e999,"lng":NaN}', b""]
)
def test_a_body_that_is_none_is_refused_as_ever(world: World, body: bytes) -> None:
    headers = {
        "authorization": f"Bearer {world.people['staff'].token}",
        "content-type": "application/json",
        "idempotency-key": new_id(),
    }
    path = "/api/v1/staff/position"
    plain = world.client.post(path, content=body, headers=headers)
    on_map = world.client.post(f"{path}?datum=gcj02", content=body, headers=headers)
    assert 400 <= on_map.status_code < 500
    assert on_map.status_code == plain.status_code


def test_a_body_over_the_limit_is_refused_as_ever(world: World) -> None:
    headers = {
        "authorization": f"Bearer {world.people['staff'].token}",
        "content-type": "application/json",
        "idempotency-key": new_id(),
    }
    parts = (b" " * 65_536 for _ in range(200))
    answer = world.client.post("/api/v1/staff/position?datum=gcj02", content=parts, headers=headers)
    assert answer.status_code == 413


def test_every_route_with_a_place_says_so_and_no_other(world: World) -> None:
    doc = world.client.app.openapi()  # type: ignore[attr-defined]
    told = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in doc["paths"].items()
        for method, operation in operations.items()
        if "datum" in [each["name"] for each in operation.get("parameters", [])]
    }
    assert {
        "GET /stream",
        "GET /qr/{qr_token}",
        "POST /rentals",
        "POST /rentals/{rental_id}/return",
        "POST /rentals/{rental_id}/swap",
        "POST /rentals/{rental_id}/claim-returned",
        "GET /rentals/{rental_id}/delivery",
        "POST /staff/position",
        "GET /staff/tour",
        "GET /staff/jobs",
        "POST /merchants",
        "GET /merchants/{merchant_id}/orders",
        "GET /operator/rentals",
    } <= told
    assert not {"GET /me", "POST /auth/codes", "GET /payments/{payment_id}"} & told
