"""Who may do what: every route of the API, every kind of person, their own things and others'.

The table below is written apart from the handlers. A route that is not in it fails the test. A
stranger's id and one that is nobody's are answered alike, so that nobody learns what exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlmodel import select

from backend.api.examples import example_of
from backend.db.tables.credits import CreditNoteRow
from backend.db.tables.rentals import JobRow
from backend.ids import new_id
from backend.services.hooks import publish
from gateway.tables import DeadLetter
from tests.integration.rentals.conftest import HOME, Person, World

EVERYBODY = frozenset({"anonymous", "renter", "stranger", "owner", "rival", "staff", "operator"})
SIGNED_IN = EVERYBODY - {"anonymous"}
RENTER, OWNER, OPERATOR = frozenset({"renter"}), frozenset({"owner"}), frozenset({"operator"})
TEAM = frozenset({"owner", "staff"})

WHO: dict[str, frozenset[str]] = {
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "POST /auth/codes": EVERYBODY,
    "POST /auth/tokens": EVERYBODY,
    "POST /auth/refresh": EVERYBODY,
    "POST /auth/logout": EVERYBODY,
    "GET /me": SIGNED_IN,
    "POST /me/erase": SIGNED_IN,
    "GET /stream": SIGNED_IN,
    "GET /qr/{qr_token}": EVERYBODY,
    "POST /rentals": SIGNED_IN,
    "GET /rentals": SIGNED_IN,
    "GET /tariff-presets": EVERYBODY,
    "POST /merchants": SIGNED_IN,
    "GET /merchants/mine": SIGNED_IN,
    "GET /staff/jobs": SIGNED_IN,
    "GET /staff/shifts": SIGNED_IN,
    "GET /staff/tour": SIGNED_IN,
    "POST /staff/shifts": TEAM,
    "POST /staff/shifts/end": TEAM,
    "POST /staff/position": SIGNED_IN,
    "POST /webhooks/{provider}": EVERYBODY,
    "GET /payments/{payment_id}": RENTER,
}
BY_PREFIX = (
    ("/rentals/{rental_id}", RENTER),
    ("/merchants/{merchant_id}", OWNER),
    ("/staff/jobs/{job_id}", TEAM),
    ("/operator/", OPERATOR),
)
"""Where a whole branch belongs to one kind of person."""


def who_may(route: str) -> frozenset[str]:
    """Who may call a route, by the table above."""
    if route in WHO:
        return WHO[route]
    _, path = route.split(" ")
    allowed = [who for prefix, who in BY_PREFIX if path.startswith(prefix)]
    assert len(allowed) == 1, f"{route} is not in the table: say who may call it"
    return allowed[0]


@dataclass
class Cast:
    """Everybody, and the ids of what there is."""

    world: World
    doc: dict[str, Any]
    ids: dict[str, str]

    def routes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, operations in self.doc["paths"].items():
            for method, operation in operations.items():
                yield f"{method.upper()} {path.removeprefix('/api/v1')}", operation

    def ask(
        self, route: str, operation: dict[str, Any], name: str, *, missing: bool = False
    ) -> Any:
        """Call a route with its example, as this person."""
        method, path = route.split(" ")
        ids = {key: _unknown(key, value) for key, value in self.ids.items()}
        url = path.format(**(ids if missing else self.ids))
        prefix = "" if path in {"/healthz", "/readyz"} else "/api/v1"
        headers = {"idempotency-key": new_id(), "accept-language": "en"}
        if name != "anonymous":
            headers["authorization"] = f"Bearer {self.world.people[name].token}"
        how: dict[str, Any] = {"headers": headers}
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            how["json"] = self._body(content["application/json"]["schema"])
        elif content:
            kind = next(iter(content))
            how["content"], headers["content-type"] = b"bank_id,model,batch\n", kind
        return self.world.client.request(method, f"{prefix}{url}", params=_query(operation), **how)

    def _body(self, schema: dict[str, Any]) -> Any:
        body = example_of(self.doc, schema)
        if isinstance(body, dict):
            known = {name: self.ids[name] for name in ("merchant_id", "qr_token")}
            known["bank_ids"] = [self.ids["bank_id"]]  # type: ignore[assignment]
            body |= {name: value for name, value in known.items() if name in body}
            if {"qr_token", "code"} <= body.keys():
                del body["code"]  # a handover has one proof
        return body


def _unknown(key: str, value: str) -> str:
    """An id of the same shape that is nobody's; words of a path stay."""
    return value if key in {"kind", "act", "provider"} else value[:-4] + "0000"


def _query(operation: dict[str, Any]) -> dict[str, Any]:
    needed = [each for each in operation.get("parameters", []) if each.get("required")]
    asked = {
        each["name"]: (each["schema"].get("enum") or each["schema"].get("examples") or ["1"])[0]
        for each in needed
        if each["in"] == "query"
    }
    if any(each["name"] == "list" for each in operation.get("parameters", [])):
        asked["list"] = "completed"
    return asked


@pytest.fixture
def cast(world: World) -> Cast:
    """A merchant with all that one can have, a rival, a renter in the middle of it, a stranger."""
    merchant = world.market()
    owner, renter = world.people["owner"], world.people["renter"]
    world.people["stranger"] = world.person("+8613800000005")
    rival: Person = world.person("+8613800000006")
    world.people["rival"] = rival
    theirs = {"name": "rival", "timezone": "Asia/Shanghai", "currency": "CNY"}
    rival.did("/merchants", {**theirs, "service_radius_m": 3000, **HOME})
    rental, ref = world.bill_asked()
    payment = renter.sees(f"/rentals/{rental}")["payments"][0]["id"]
    world.notice(world.provider.agree(ref))
    dispute = renter.did(
        f"/rentals/{rental}/disputes", {"disputed_minor": 100, "reason": "it was slow"}
    )
    hook = owner.did(f"/merchants/{merchant}/webhooks", {"url": "https://shop.example/hook"})
    owner.did(f"/merchants/{merchant}/payout-account", {"account": "sandbox:shop"})
    with world.database.writing() as session:
        publish(session, merchant_id=merchant, kind="x", data={}, now=world.clock.now())
        session.add(
            DeadLetter(
                id="d" * 64, topic="t", payload=b"", reason="bad_field", detail="", received_at_ms=1
            )
        )
    messages = owner.sees(f"/merchants/{merchant}/webhooks/{hook['id']}/messages")["items"]
    with world.database.reading() as session:
        job = session.exec(select(JobRow.id).where(JobRow.rental_id == rental)).first()
        assert session.exec(select(CreditNoteRow)).all() == []
    staff = owner.sees(f"/merchants/{merchant}/staff")["items"][0]
    ids = {
        "merchant_id": merchant,
        "rental_id": rental,
        "bank_id": "LW-0001",
        "job_id": str(job),
        "payment_id": payment,
        "qr_token": world.tokens["LW-0001"],
        "staff_id": staff["id"],
        "webhook_id": hook["id"],
        "message_id": messages[0]["id"],
        "dispute_id": dispute["id"],
        "withdrawal_id": new_id(),
        "person_id": world.id_of("renter"),
        "letter_id": "d" * 64,
        "kind": "missing",
        "item_id": rental,
        "act": "sell",
        "provider": "fake",
    }
    doc = world.client.app.openapi()  # type: ignore[attr-defined]
    return Cast(world=world, doc=doc, ids=ids)


def test_nobody_gets_where_they_may_not_be(cast: Cast) -> None:
    leaks = []
    for route, operation in cast.routes():
        allowed = who_may(route)
        for name in sorted(EVERYBODY - allowed):
            answer = cast.ask(route, operation, name)
            expected = {401} if name == "anonymous" else {403, 404}
            if answer.status_code not in expected:
                leaks.append((route, name, answer.status_code, answer.text[:200]))
    assert leaks == []


def test_whoever_may_is_let_in(cast: Cast) -> None:
    kept_out = []
    for route, operation in cast.routes():
        if route in {"GET /stream", "GET /readyz"} or "/auth/" in route or "{provider}" in route:
            continue  # never ends; wants migrations; is how one comes in; is signed otherwise
        if "{withdrawal_id}" in route:
            continue  # there is none yet
        if route == "POST /me/erase":
            continue  # and who asked would be nobody
        for name in sorted(who_may(route) - {"anonymous"}):
            answer = cast.ask(route, operation, name)
            is_about_a_job = "{job_id}" in route and name == "owner"  # somebody else has it
            is_absent = answer.status_code == 404 and not is_about_a_job
            if answer.status_code in {401, 403} or answer.status_code >= 500 or is_absent:
                kept_out.append((route, name, answer.status_code, answer.text[:200]))
    assert kept_out == []


def test_what_is_anothers_and_what_is_nobodys_are_answered_alike(cast: Cast) -> None:
    told = []
    for route, operation in cast.routes():
        if "{" not in route or who_may(route) == EVERYBODY:
            continue
        for name in sorted(SIGNED_IN - who_may(route)):
            anothers = cast.ask(route, operation, name)
            nobodys = cast.ask(route, operation, name, missing=True)
            shown = [
                {key: value for key, value in answer.json().items() if key != "instance"}
                for answer in (anothers, nobodys)
            ]
            if shown[0] != shown[1]:
                told.append((route, name, shown))
    assert told == []
