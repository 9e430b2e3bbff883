"""A person's live events, as an app hears them: Server-Sent Events over one open response."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.acceptance.processes import BOUND_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One event, and when it was heard."""

    id: str
    kind: str
    data: dict[str, Any]
    at_s: float
    """Of ``time.monotonic``."""


class Stream:
    """What was heard so far; a thread goes on listening."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self._news = threading.Condition()
        self._heard: list[Heard] = []
        self._is_over = False

    @property
    def heard(self) -> list[Heard]:
        with self._news:
            return list(self._heard)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.heard]

    def hears(self, kind: str, *, within_s: float = BOUND_S, **data: object) -> Heard:
        """The first event of this kind with these data, waited for with a bound."""

        def found() -> Heard | None:
            fits = (e for e in self._heard if e.kind == kind and data.items() <= e.data.items())
            return next(fits, None)

        with self._news:
            self._news.wait_for(lambda: found() or self._is_over, within_s)
            event = found()
            told = [(event.kind, event.data) for event in self._heard]
        assert event is not None, f"no {kind} {data} within {within_s} s; heard: {told}"
        return event

    def listen(self) -> None:
        """Read until the response ends."""
        fields: dict[str, str] = {}
        try:
            for line in self._lines:
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "event" in fields:
                    self._take(fields)
                    fields = {}
        except (httpx.ReadError, httpx.RemoteProtocolError, httpx.StreamClosed):
            pass  # cut off: by us, or because the platform was killed
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _take(self, fields: dict[str, str]) -> None:
        event = Heard(
            id=fields["id"],
            kind=fields["event"],
            data=json.loads(fields["data"]),
            at_s=time.monotonic(),
        )
        with self._news:
            self._heard.append(event)
            self._news.notify_all()


@contextmanager
def listening(http: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[Stream]:
    """Open a stream, and have it open before anything else happens."""
    timeout = httpx.Timeout(BOUND_S, read=None)
    with http.stream("GET", url, headers=headers, timeout=timeout) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        thread = threading.Thread(target=stream.listen)
        thread.start()
        try:
            stream.hears("hello")
            yield stream
        finally:
            with suppress(OSError):  # it is closed: the platform was killed
                network = response.extensions["network_stream"]
                network.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            thread.join(BOUND_S)
