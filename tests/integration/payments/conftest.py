"""The sandbox provider on a real port, a receiver for its notices, and a clock to turn."""

import base64
import socket
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.payments.port import Capture, ProviderPayment
from backend.payments.provider_app import ProviderSettings, create_provider_app
from backend.payments.sandbox import SandboxProvider

PATIENCE_S = 10


@dataclass
class HandClock:
    """A clock that stands still until it is turned."""

    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(frozen=True)
class Heard:
    """One request that the receiver got."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """The payee's end: hears notices, and answers with what it is told to."""

    def __init__(self) -> None:
        self.answers: deque[int] = deque()
        self.on_hearing: Callable[[], None] = lambda: None
        self._heard: list[Heard] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.hear(Heard(dict(self.headers), body)))
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/sandbox"

    def hear(self, message: Heard) -> int:
        self.on_hearing()
        with self._changed:
            self._heard.append(message)
            self._changed.notify_all()
            return self.answers.popleft() if self.answers else 204

    def wait(self, enough: Callable[[list[Heard]], bool]) -> list[Heard]:
        """What was heard, once it is enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self._heard), PATIENCE_S), self._heard
            return list(self._heard)

    def wait_for_kind(self, kind: str) -> Heard:
        def told(message: Heard) -> bool:
            return f'"type": "{kind}"'.encode() in message.body

        return next(filter(told, self.wait(lambda heard: any(map(told, heard)))))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        self._server.server_close()


def until(condition: Callable[[], bool]) -> None:
    """Look again and again, for a bounded time."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it did not come true")


def listening() -> socket.socket:
    """A socket on a free loopback port: who connects early waits in its queue."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    return listener


@contextmanager
def served(app: Any, listener: socket.socket) -> Iterator[None]:
    """An ASGI application on real HTTP, in a thread of its own."""
    config = uvicorn.Config(app, ws="none", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
        assert not thread.is_alive()


@dataclass
class SandboxWorld:
    """Everything a contract test needs of one provider, and how its payer is played."""

    settings: ProviderSettings
    clock: HandClock
    receiver: Receiver
    provider: SandboxProvider
    url: str
    stop: Callable[[], None]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        return self.clock()

    def pay(self, payment: ProviderPayment) -> None:
        self.provider.simulate(payment.ref, "pay")

    def decline(self, payment: ProviderPayment) -> None:
        self.provider.simulate(payment.ref, "decline")

    def ask(self, capture: Capture = Capture.AUTOMATIC, **changes: Any) -> ProviderPayment:
        """A new payment of 99 yuan."""
        number = next(self._numbers)
        wish: dict[str, Any] = {
            "key": f"key-{number}",
            "reference": f"order-{number}",
            "amount_minor": 9900,
            "currency": "CNY",
            "capture": capture,
            "description": "充電寶租借",
            "return_url": "http://127.0.0.1:1/back",
        }
        return self.provider.create(**wish | changes)

    def held(self) -> ProviderPayment:
        payment = self.ask(Capture.MANUAL)
        self.pay(payment)
        return payment

    def paid(self) -> ProviderPayment:
        payment = self.ask()
        self.pay(payment)
        return payment

    def wait_until_nothing_is_due(self) -> None:
        """Until every notice was delivered, dropped or given up."""
        due = "SELECT 1 FROM notice WHERE due_us IS NOT NULL"
        with closing(sqlite3.connect(self.settings.database)) as rows:
            until(lambda: rows.execute(due).fetchone() is None)

    def raw(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request past the client, with the account's key."""
        headers = {"authorization": f"Bearer {self.settings.api_key}"} | kwargs.pop("headers", {})
        return httpx.request(
            method, self.url + path, headers=headers, timeout=PATIENCE_S, trust_env=False, **kwargs
        )


@contextmanager
def sandbox_world(
    settings: ProviderSettings, clock: HandClock, receiver: Receiver
) -> Iterator[SandboxWorld]:
    """The provider, started on a free port with these settings."""
    listener = listening()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = replace(settings, public_url=url)
    server = served(create_provider_app(settings, clock=clock), listener)
    server.__enter__()
    stopped = threading.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            server.__exit__(None, None, None)

    client = SandboxProvider(
        base_url=url,
        api_key=settings.api_key,
        webhook_secret=settings.webhook_secret,
        timeout_s=PATIENCE_S,
    )
    try:
        with client:
            yield SandboxWorld(settings, clock, receiver, client, url, stop)
    finally:
        stop()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    return until


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver) -> ProviderSettings:
    return ProviderSettings(
        database=tmp_path / "provider.sqlite",
        public_url="http://replaced.example",
        api_key="sk_test_lendwatt",
        webhook_url=receiver.url,
        webhook_secret="whsec_" + base64.b64encode(b"a secret of the right length").decode(),
        webhook_retry_base_s=0,
        tick_s=0.01,
    )


@pytest.fixture
def sandbox(
    settings: ProviderSettings, clock: HandClock, receiver: Receiver
) -> Iterator[SandboxWorld]:
    with sandbox_world(settings, clock, receiver) as world:
        yield world


@pytest.fixture
def start(clock: HandClock, receiver: Receiver) -> Callable[[ProviderSettings], Any]:
    """Starts a provider with settings of the test's own."""
    return lambda settings: sandbox_world(settings, clock, receiver)
