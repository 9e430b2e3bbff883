"""The event stream: nothing lost, nothing kept open too long."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from backend.api.deps import Parts
from backend.db import notifications
from backend.db.engine import Database
from tests.integration.platform.conftest import (
    OPERATOR,
    PATIENCE_S,
    HandClock,
    Phones,
    serving,
    sign_in,
    wait_for,
)


@dataclass(frozen=True)
class Event:
    """One event, as a client reads it."""

    id: int
    kind: str
    data: dict[str, Any]


class Listener:
    """A client that reads a stream event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> Event:
        """Wait for the next event."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                data = json.loads(fields["data"])
                return Event(id=int(fields["id"]), kind=fields["event"], data=data)
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        raise EOFError

    def is_over(self) -> bool:
        """Wait for the end, and tell that nothing came before it."""
        return not [line for line in self._lines if line and not line.startswith(":")]


@contextmanager
def listening(client: httpx.Client, path: str = "stream", **headers: str) -> Iterator[Listener]:
    with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Listener(response)


@pytest.fixture
def me(live: httpx.Client, phones: Phones) -> str:
    sign_in(live, phones)
    person_id: str = live.get("me").json()["id"]
    return person_id


Tell = Callable[..., None]


@pytest.fixture
def tell(database: Database, clock: HandClock) -> Tell:
    """Notify somebody, as a service does."""

    def tell(person_id: str, number: int) -> None:
        with database.writing() as session:
            notifications.notify(
                session,
                person_ids=[person_id, person_id, "unknown"],
                kind="rental.accepted",
                data={"number": number, "何": "充電寶"},
                now=clock.now(),
            )

    return tell


def test_a_stream_says_hello_and_then_what_happens(live: httpx.Client, me: str, tell: Tell) -> None:
    with listening(live) as stream:
        assert stream.next() == Event(id=0, kind="hello", data={})
        tell(me, 1)
        heard = stream.next()

    assert (heard.id, heard.kind) == (1, "rental.accepted")
    assert heard.data == {"number": 1, "何": "充電寶", "at": "2026-11-22T12:00:00Z"}


def test_what_happened_before_is_not_told_unless_asked_for(
    live: httpx.Client, me: str, tell: Tell
) -> None:
    tell(me, 1)

    with listening(live) as stream:
        assert stream.next().id == 1
        tell(me, 2)
        assert stream.next().data["number"] == 2


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_comes_back_misses_nothing(live: httpx.Client, me: str, tell: Tell, how: str) -> None:
    for number in range(1, 251):  # more than two pages
        tell(me, number)
    path, headers = ("stream?after=3", {}) if how == "query" else ("stream", {"last-event-id": "3"})

    with listening(live, path, **headers) as stream:
        assert stream.next().id == 3
        assert [stream.next().data["number"] for _ in range(247)] == list(range(4, 251))


def test_a_place_that_is_yet_to_come_is_not_believed(
    live: httpx.Client, me: str, tell: Tell
) -> None:
    with listening(live, "stream?after=1000") as stream:
        assert stream.next().id == 0
        tell(me, 1)
        assert stream.next().id == 1


@pytest.mark.parametrize("place", ["-1", "x", "1.5"])
@pytest.mark.usefixtures("me")
def test_a_place_that_is_none_is_refused(live: httpx.Client, place: str) -> None:
    assert live.get("stream", headers={"last-event-id": place}).status_code == 422


def test_nobody_hears_what_is_for_others(
    live: httpx.Client, me: str, tell: Tell, phones: Phones
) -> None:
    mine = live.headers["authorization"]
    sign_in(live, phones, OPERATOR)
    other = live.get("me").json()["id"]

    with listening(live, authorization=mine) as stream:
        stream.next()
        tell(other, 1)
        tell(me, 2)
        assert stream.next().data["number"] == 2


def test_many_tell_at_once_and_all_is_heard_in_order(
    live: httpx.Client, me: str, tell: Tell
) -> None:
    with listening(live) as stream, ThreadPoolExecutor(8) as tellers:
        stream.next()
        told = tellers.map(lambda number: tell(me, number), range(100))
        heard = [stream.next() for _ in range(100)]
        list(told)

    assert [event.id for event in heard] == list(range(1, 101))
    assert {event.data["number"] for event in heard} == set(range(100))


def test_what_another_process_committed_is_heard_too(
    live: httpx.Client, me: str, database: Database
) -> None:
    with listening(live) as stream:
        stream.next()
        with database.engine.begin() as elsewhere:  # nobody is told of this commit
            elsewhere.execute(text("UPDATE person SET notified_seq = 1"))
            elsewhere.execute(
                text(
                    "INSERT INTO notification VALUES (:me, 1, 'far', '{}', '2026-11-22 12:00:00')"
                ),
                {"me": me},
            )
        assert stream.next().kind == "far"


def test_a_stream_needs_a_token(live: httpx.Client) -> None:
    assert live.get("stream").status_code == 401


@pytest.mark.usefixtures("me")
def test_a_stream_ends_with_its_access_token(live: httpx.Client, clock: HandClock) -> None:
    with listening(live) as stream:
        stream.next()
        clock.turn(minutes=10)
        assert stream.is_over()


def test_a_stream_ends_when_its_device_is_signed_out(live: httpx.Client, phones: Phones) -> None:
    tokens = sign_in(live, phones)
    with listening(live) as stream:
        stream.next()
        live.post("auth/logout", json={"refresh_token": tokens["refresh_token"]})
        assert stream.is_over()


@pytest.mark.usefixtures("me")
def test_streams_per_person_are_bounded(live: httpx.Client, parts: Parts) -> None:
    with ExitStack() as streams:
        opened = [streams.enter_context(listening(live)) for _ in range(8)]
        assert [stream.next().kind for stream in opened] == ["hello"] * 8
        refused = live.get("stream")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "5"
    wait_for(lambda: parts.hub.count() == 0)
    assert parts.hub.people() == set()


def test_a_stopping_server_ends_its_streams_at_once(
    app: FastAPI, parts: Parts, phones: Phones
) -> None:
    with (
        serving(app, parts) as (url, server),
        httpx.Client(base_url=url, timeout=PATIENCE_S) as client,
    ):
        sign_in(client, phones)
        with listening(client) as stream:
            stream.next()
            began = time.monotonic()
            server.should_exit = True
            assert stream.is_over()
        assert time.monotonic() - began < 3
    assert parts.hub.is_closing


def test_a_reader_that_stalls_holds_no_other_up(
    live: httpx.Client, me: str, tell: Tell, parts: Parts
) -> None:
    url = urlsplit(str(live.base_url))
    token = live.headers["authorization"]
    with socket.create_connection((str(url.hostname), int(url.port or 0))) as stalled:
        request = f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
        stalled.sendall(request.encode())
        wait_for(lambda: parts.hub.count() == 1)
        with listening(live) as stream:
            stream.next()
            for number in range(300):
                tell(me, number)
            assert [stream.next().data["number"] for _ in range(300)] == list(range(300))
    wait_for(lambda: parts.hub.count() == 0)
