"""A market with one of everything, in which each request finds it all as it was before.

The database is a file with all that happened so far; before a request that could change
something it is put back. So what a request meets does not depend on those before it, and a
failure shows itself again when it is repeated.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from sqlmodel import select

from backend.api.errors import MEDIA_TYPE
from backend.api.examples import example_of
from backend.api.words import EdgeCode
from backend.db.tables.rentals import JobRow
from backend.domain.errors import Code
from backend.ids import new_id
from backend.services.hooks import publish
from gateway.tables import DeadLetter
from tests.databases import Databases
from tests.integration.rentals.conftest import World, at_work

API = "/api/v1"
BRANCHES = {"operator": "operator", "merchants": "owner", "staff": "owner"}
"""Whose a branch of the API is, by the first part of its path; all else is the renter's."""
AT_THE_EDGE = frozenset(
    {EdgeCode.MALFORMED, EdgeCode.METHOD_NOT_ALLOWED, Code.INVALID_REQUEST, Code.NOT_FOUND}
)
"""Codes of refusals before anything is changed."""
Operation = dict[str, Any]


@dataclass
class Stage:
    """The app at work, and the ids of what is there."""

    world: World
    doc: dict[str, Any]
    ids: dict[str, list[str]]
    tokens: dict[str, str]
    put_back: Callable[[], None] | None = None
    _is_as_it_was: bool = field(default=False, init=False)

    def operations(self) -> Iterator[tuple[str, str, Operation]]:
        """Each method, path and operation that ends."""
        for path, operations in self.doc["paths"].items():
            for method, operation in operations.items():
                if not path.endswith("/stream"):
                    yield method.upper(), path, operation

    def bodies(self) -> Iterator[tuple[str, Operation, dict[str, Any]]]:
        """Each path that takes JSON, its operation, and the schema of what it takes."""
        for method, path, operation in self.operations():
            content = operation.get("requestBody", {}).get("content", {})
            if method == "POST" and "application/json" in content:
                yield path, operation, content["application/json"]["schema"]

    def example(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A body that would do, of things that are there."""
        body: dict[str, Any] = example_of(self.doc, schema)
        body.update({name: self.ids[name][0] for name in self.ids.keys() & body.keys()})
        if "bank_ids" in body:
            body["bank_ids"] = self.ids["bank_id"][:1]
        if {"qr_token", "code"} <= body.keys():
            del body["code"]  # a handover has one proof
        return body

    def at(self, path: str) -> str:
        """The path with ids of things that are there."""
        return path.format_map({name: known[0] for name, known in self.ids.items()})

    def json_of(self, operation: Operation) -> dict[str, Any]:
        """The same, as an argument; none, if the operation takes no JSON."""
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return {}
        return {"json": self.example(content["application/json"]["schema"])}

    def headers(self, path: str, **more: str) -> dict[str, str]:
        """Signed in as whose branch this is, with a key that is new."""
        who = who_asks(path)
        return {
            "authorization": f"Bearer {self.tokens[who]}",
            "idempotency-key": new_id(),
            "accept-language": "en",
            **more,
        }

    def ask(self, method: str, path: str, **how: Any) -> Response:
        """Call, after everything was put back."""
        if self.put_back is not None and not self._is_as_it_was:
            self.put_back()
        answer = self.world.client.request(method, path, **how)
        self._is_as_it_was = method == "GET" or code_of(answer) in AT_THE_EDGE
        return answer

    def send(self, path: str, content: bytes, **headers: str) -> Response:
        """Post these bytes where a path of the document leads."""
        told = self.headers(path, **{"content-type": "application/json", **headers})
        return self.ask("POST", self.at(path), content=content, headers=told)

    def post(self, path: str, body: Any) -> Response:
        """Post JSON where a path of the document leads."""
        return self.send(path, json.dumps(body).encode())


def code_of(answer: Response) -> str:
    """The code of a problem; empty, if the answer is none."""
    if answer.headers.get("content-type") != MEDIA_TYPE:
        return ""
    return str(answer.json()["code"])


def who_asks(path: str) -> str:
    """Whose branch of the API a path is in."""
    return BRANCHES.get(path.removeprefix(f"{API}/").partition("/")[0], "renter")


@pytest.fixture(scope="module")
def stage(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One market for all tests of a module."""
    folder = tmp_path_factory.mktemp("fuzz")
    with databases.with_tables("sqlite", folder) as url, at_work(folder, url) as world:
        stage = _set(world)
        stage.put_back = _keep(world, folder / "lendwatt.db")
        yield stage


@pytest.fixture
def either_stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A market on either database, for this test alone; nothing is put back."""
    with at_work(tmp_path, database_url) as world:
        yield _set(world)


def _keep(world: World, file: Path) -> Callable[[], None]:
    """Keep the database as it is now; give what puts it back."""
    kept = file.with_suffix(".kept")
    world.database.engine.dispose()  # the last connection takes SQLite's log with it
    shutil.copyfile(file, kept)

    def put_back() -> None:
        world.database.engine.dispose()
        shutil.copyfile(kept, file)

    return put_back


def _set(world: World) -> Stage:
    """A merchant with all that one can have, and rentals that are over, begun and asked for."""
    merchant = world.market(banks=("LW-0001", "LW-0002", "LW-0003"))
    owner, renter = world.people["owner"], world.people["renter"]
    over, ref = world.bill_asked()
    payment = renter.sees(f"/rentals/{over}")["payments"][0]["id"]
    world.notice(world.provider.agree(ref))
    complaint = {"disputed_minor": 100, "reason": "it was slow"}
    dispute = renter.did(f"/rentals/{over}/disputes", complaint)
    for bank in ("LW-0002", "LW-0003"):
        world.bank_is(bank)
    asked = world.ask("LW-0002")
    hook = owner.did(f"/merchants/{merchant}/webhooks", {"url": "https://shop.example/hook"})
    owner.did(f"/merchants/{merchant}/payout-account", {"account": "sandbox:shop"})
    owner.did("/staff/shifts", {"merchant_id": merchant})
    with world.database.writing() as session:
        publish(session, merchant_id=merchant, kind="x", data={}, now=world.clock.now())
        letter = {"topic": "t", "payload": b"\xff\x00", "reason": "bad_field", "detail": ""}
        session.add(DeadLetter(id="d" * 64, received_at_ms=1, **letter))
    messages = owner.sees(f"/merchants/{merchant}/webhooks/{hook['id']}/messages")["items"]
    with world.database.reading() as session:
        jobs = session.exec(select(JobRow.id).where(JobRow.rental_id == asked)).all()
    staff = owner.sees(f"/merchants/{merchant}/staff")["items"][0]
    ids = {
        "merchant_id": [merchant],
        "rental_id": [asked, over],
        "bank_id": ["LW-0003", "LW-0002", "LW-0001"],
        "job_id": [*jobs],
        "payment_id": [payment],
        "qr_token": [world.tokens["LW-0003"], world.tokens["LW-0002"]],
        "staff_id": [staff["id"]],
        "webhook_id": [hook["id"]],
        "message_id": [messages[0]["id"]],
        "dispute_id": [dispute["id"]],
        "withdrawal_id": [new_id()],
        "person_id": [world.id_of("renter")],
        "letter_id": ["d" * 64],
        "kind": ["missing"],
        "act": ["sell"],
        "item_id": [over],
        "provider": ["fake"],
    }
    tokens = {who: world.people[who].token for who in ("renter", "owner", "operator")}
    doc = world.client.app.openapi()  # type: ignore[attr-defined]
    return Stage(world=world, doc=doc, ids=ids, tokens=tokens)
