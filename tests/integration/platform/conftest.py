"""The backend's platform on a database of either kind: within reach, and on a real port."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from backend import main, server
from backend.api.deps import DbSession, Now, Parts, RenterPrincipal
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import In, Out
from backend.db.engine import Database, keep_despite_refusal, make_engine
from backend.db.notifications import notify
from backend.domain.errors import Code, Refusal
from backend.principal import Standing
from backend.settings import Settings

PHONE = "+8613800138000"
OPERATOR = "+8613900139000"
PATIENCE_S = 10


@dataclass
class HandClock:
    """A clock that stands still until it is turned."""

    time: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def turn(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclass
class Phones:
    """Everybody's phone: remembers the codes that were sent."""

    codes: dict[str, str] = field(default_factory=dict)

    def send(self, *, phone: str, code: str) -> None:
        self.codes[phone] = code

    def read(self, phone: str) -> str:
        """Wait for the code: it is sent after the answer."""
        wait_for(lambda: phone in self.codes)
        return self.codes[phone]


class NoteIn(In):
    text: str = "hello"


class NoteOut(Out):
    at: datetime
    text: str


notes = APIRouter(prefix="/notes", route_class=IdempotentRoute)
"""A router as the others write theirs: each POST tells its person something."""


@notes.post("/bare", status_code=204)
def write_nothing(session: DbSession, who: RenterPrincipal, now: Now) -> None:
    notify(session, person_ids=[who.person_id], kind="note", data={}, now=now)


@notes.post("", status_code=201)
def write(body: NoteIn, session: DbSession, who: RenterPrincipal, now: Now) -> NoteOut:
    notify(session, person_ids=[who.person_id], kind="note", data={"text": body.text}, now=now)
    if body.text == "refuse":
        raise Refusal(Code.NOT_FOUND)
    if body.text == "refuse, but keep":
        keep_despite_refusal(session)
        raise Refusal(Code.BAD_CODE, tries_left=3)
    if body.text == "break":
        msg = "secret insides"
        raise RuntimeError(msg)
    if body.text == "clash":
        session.execute(text("INSERT INTO signin_quota VALUES ('me', '2026-11-22 12:00:00', 1)"))
    return NoteOut(at=now, text=body.text)


@notes.get("/{count}")
def read(count: int, session: DbSession, _: RenterPrincipal, now: Now) -> NoteOut:
    if count < 0:
        session.execute(text("UPDATE person SET notified_seq = 9"))
    return NoteOut(at=now, text=str(count))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def phones() -> Phones:
    return Phones()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        demo=True,
        operator_phones=frozenset({OPERATOR}),
        stream_poll_s=0.05,
        stream_recheck_s=0.1,
        body_bytes_max=2_000,
        shutdown_grace_s=1,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    engine = make_engine(settings.url_of_database())
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def parts(settings: Settings, database: Database, clock: HandClock, phones: Phones) -> Parts:
    return main.make_parts(
        settings,
        database=database,
        clock=clock,
        code_sender=phones,
        standing_of=lambda _session, _person_id: Standing(merchant_ids=frozenset({"m1"})),
    )


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    app = main.create_app(parts)
    app.include_router(notes, prefix=main.API)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://test/api/v1", raise_server_exceptions=False) as client:
        yield client


def sign_in(client: Any, phones: Phones, phone: str = PHONE) -> dict[str, Any]:
    """Sign a phone in, and have the client act for it from now on."""
    assert client.post("auth/codes", json={"phone": phone}).status_code == 202
    answer = client.post("auth/tokens", json={"phone": phone, "code": phones.read(phone)})
    del phones.codes[phone]
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    client.headers["authorization"] = f"Bearer {tokens['access_token']}"
    return tokens


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


@contextmanager
def serving(app: FastAPI, parts: Parts) -> Iterator[tuple[str, server.Server]]:
    """Serve an app on a free port of loopback, from a thread with a loop of its own."""
    listening = server.listen("127.0.0.1", 0)
    http = server.make_server(app, settings=parts.settings, hub=parts.hub)
    thread = threading.Thread(target=lambda: asyncio.run(http.serve([listening])))
    thread.start()
    try:
        wait_for(lambda: http.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1", http
    finally:
        http.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def live(app: FastAPI, parts: Parts) -> Iterator[httpx.Client]:
    """The app on a real port."""
    with serving(app, parts) as (url, _), httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        yield client
