"""Health, figures, the port, and the moment at which an answer is true."""

import asyncio
import socket
import sqlite3
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from backend import main, server
from backend.api.deps import Parts
from backend.db.engine import Database, make_engine
from backend.db.migrate import migrate
from backend.problems import StartError
from backend.settings import SESSIONS_AT_ONCE, Settings
from tests.integration.platform.conftest import (
    PATIENCE_S,
    HandClock,
    Phones,
    serving,
    sign_in,
    wait_for,
)


def test_a_commit_that_fails_is_not_answered_with_a_yes(
    client: TestClient, phones: Phones, database: Database
) -> None:
    sign_in(client, phones)

    def fail(_connection: object) -> None:
        statement = "COMMIT"
        raise OperationalError(statement, {}, sqlite3.OperationalError("disk is full"))

    event.listen(database.engine, "commit", fail)
    answer = client.post("notes", json={}, headers={"Idempotency-Key": "k"})
    event.remove(database.engine, "commit", fail)

    assert answer.status_code == 503
    assert answer.json()["code"] == "try_again"
    assert client.get("me").json()["last_event_id"] == 0
    again = client.post("notes", json={}, headers={"Idempotency-Key": "k"})
    assert (again.status_code, "idempotency-replayed" in again.headers) == (201, False)


def test_who_sends_half_a_request_keeps_nobody_waiting(live: httpx.Client, phones: Phones) -> None:
    token = sign_in(live, phones)["access_token"]
    head = (
        f"POST {live.base_url.path}notes/bare HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {token}\r\nidempotency-key: half\r\ncontent-length: 10\r\n\r\n"
    )
    with ExitStack() as until:
        for _ in range(SESSIONS_AT_ONCE + 1):
            address = (str(live.base_url.host), live.base_url.port or 0)
            half = until.enter_context(socket.create_connection(address))
            half.sendall(head.encode())
        whole = live.post("notes/bare", headers={"idempotency-key": "whole"})
        assert whole.status_code == 204
        assert live.get("me").status_code == 200


def test_a_live_process_says_so(client: TestClient) -> None:
    assert client.get("http://test/healthz").json() == {"status": "ok"}


def test_ready_only_when_migrated(settings: Settings, empty_database_url: str) -> None:
    empty = make_engine(empty_database_url)
    parts = main.make_parts(settings, database=Database(empty), clock=HandClock())
    with TestClient(main.create_app(parts)) as client:
        not_yet = client.get("/readyz")
        migrate(empty)
        now = client.get("/readyz")
    empty.dispose()

    assert not_yet.status_code == 503
    assert not_yet.json()["checks"] == {"migrated": False, "not_stopping": True}
    assert now.status_code == 200


def test_ready_asks_each_probe(client: TestClient, parts: Parts) -> None:
    probes: Any = parts.probes
    probes["following"] = lambda: False

    assert client.get("http://test/readyz").json()["checks"]["following"] is False


def test_not_ready_when_stopping(client: TestClient, parts: Parts) -> None:
    parts.hub.close()

    assert client.get("http://test/readyz").json()["checks"]["not_stopping"] is False


def test_requests_are_counted_by_route_not_by_path(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones)
    for number in range(3):
        client.get(f"notes/{number}")
    client.get("nowhere/at/all")

    told = client.get("http://test/metrics").text
    assert 'method="GET",route="/notes/{count}",status="200"} 3.0' in told
    assert 'route="none",status="404"} 1.0' in told
    assert "nowhere" not in told


def test_a_taken_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"127.0.0.1 port {port}") as refused:
            server.listen("127.0.0.1", port, option="--provider-port")

    assert "choose another with --provider-port" in str(refused.value)


def test_a_client_that_stops_reading_is_cut_off_by_the_kernel() -> None:
    with (
        server.listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        stuck_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert stuck_ms == server.STUCK_MS


async def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    """Nagle's algorithm would hold the second half of an answer back for 40 ms."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken: socket.socket = writer.get_extra_info("socket")
        told.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(tell, sock=server.listen("127.0.0.1", 0)) as listening:
        _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        assert await told
        writer.close()
        await writer.wait_closed()


def test_openapi_tells_of_problems_tokens_and_keys(app: FastAPI) -> None:
    told = app.openapi()

    assert told["openapi"].startswith("3.1")
    assert set(told["paths"]["/api/v1/me"]["get"]["responses"]) >= {"200", "default"}
    assert told["paths"]["/api/v1/me"]["get"]["security"] == [{"HTTPBearer": []}]
    names = [one["name"] for one in told["paths"]["/api/v1/notes"]["post"]["parameters"]]
    assert "Idempotency-Key" in names


def test_a_half_sent_request_does_not_keep_the_server_from_stopping(
    app: FastAPI, parts: Parts
) -> None:
    head = b"POST /api/v1/auth/codes HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
    with serving(app, parts) as (url, running), httpx.Client(base_url=url) as client:
        address = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(address) as half:
            half.sendall(head + b"Content-Type: application/json\r\n\r\n{")
            wait_for(lambda: bool(running.server_state.tasks))
            running.should_exit = True
            half.settimeout(PATIENCE_S)
            while half.recv(1_000):
                pass
