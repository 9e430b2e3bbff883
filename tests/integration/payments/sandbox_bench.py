"""The sandbox provider on the bench: on a real port, heard by a receiver, under a hand's clock."""

import base64
import json
import socket
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment, ProviderPayout
from backend.payments.provider_app import ProviderSettings, create_provider_app
from backend.payments.provider_app.signer import signed_headers
from backend.payments.sandbox import SandboxProvider
from tests.integration.payments.contract import Bench, Heard

PATIENCE_S = 10


@dataclass
class HandClock:
    """A clock that stands still until it is turned."""

    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **span: float) -> None:
        self.now += timedelta(**span)


class Receiver:
    """The payee's end: hears notices, and answers with what it is told to, or passes them on."""

    def __init__(self) -> None:
        self.answers: deque[int] = deque()
        self.on_hearing: Callable[[], None] = lambda: None
        self.passes_on: Callable[[Heard], int] | None = None
        self._heard: list[Heard] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.hear(Heard(headers=dict(self.headers), body=body)))
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/sandbox"

    def hear(self, message: Heard) -> int:
        self.on_hearing()
        answer = self.passes_on(message) if self.passes_on else None
        with self._changed:
            self._heard.append(message)
            self._changed.notify_all()
            return answer or (self.answers.popleft() if self.answers else 204)

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
class SandboxBench(Bench):
    """The sandbox and its client, and every hand that can be laid on them."""

    currencies = ("CNY", "JPY", "KWD")

    settings: ProviderSettings
    clock: Callable[[], datetime]
    receiver: Receiver
    provider: SandboxProvider
    url: str
    stop: Callable[[], None]

    def now(self) -> datetime:
        return self.clock()

    def payer_agrees(self, payment: ProviderPayment) -> None:
        self.provider.simulate(payment.ref, "pay")

    def payer_declines(self, payment: ProviderPayment) -> None:
        self.provider.simulate(payment.ref, "decline")

    def time_passes(self, span: timedelta) -> None:
        assert isinstance(self.clock, HandClock)
        self.clock.now += span

    def heard(self, reference: str, status: PaymentStatus | PayoutStatus) -> Heard:
        def tells(message: Heard) -> bool:
            told = json.loads(message.body)["data"]
            return bool(told["reference"] == reference and told["status"] == status)

        return next(filter(tells, self.receiver.wait(lambda heard: any(map(tells, heard)))))

    def signed(self, body: bytes) -> Heard:
        headers = signed_headers(
            self.settings.webhook_secret, notice_id="msg_by_hand", now=self.now(), body=body
        )
        return Heard(headers=headers, body=body)

    def goes_away(self) -> None:
        self.stop()

    def loses_next_answer(self) -> None:
        self.arm("no_answer", at=["create", "capture", "cancel", "refund", "pay_out"], for_s=0)

    def account(self, *, is_good: bool) -> str:
        return "sandbox:shop" if is_good else "sandbox:closed"

    def payout_ends(self, payout: ProviderPayout) -> None:
        assert payout.status is PayoutStatus.PENDING
        self.time_passes(timedelta(seconds=self.settings.payout_s))

    # -- faults

    def arm(self, fault: str, **more: Any) -> None:
        """Have a fault strike: see the sandbox's ``faults.py``."""
        self.raw("POST", "/sandbox/faults", json={"fault": fault, **more}).raise_for_status()

    def leave_to_chance(self, seed: int, per_mille: Mapping[str, int], **for_s: float) -> None:
        """Have these faults strike so many times in a thousand."""
        body = {"seed": seed, "per_mille": per_mille, "for_s": for_s}
        self.raw("PUT", "/sandbox/faults/chance", json=body).raise_for_status()

    def calm(self) -> None:
        """Have it behave."""
        self.raw("DELETE", "/sandbox/faults").raise_for_status()

    def struck(self) -> list[dict[str, Any]]:
        """What struck so far."""
        listing = self.raw("GET", "/sandbox/faults").raise_for_status()
        return list(listing.json()["struck"])

    def wait_until_struck(self, fault: str) -> None:
        """Until this fault has struck."""
        until(lambda: any(each["fault"] == fault for each in self.struck()))

    def wait_until_nothing_is_due(self) -> None:
        """Until every notice that is due by now was delivered, dropped, put off or given up."""
        due = "SELECT 1 FROM notice WHERE due_us <= ?"
        with closing(sqlite3.connect(self.settings.database)) as rows:
            until(lambda: rows.execute(due, (_us(self.now()),)).fetchone() is None)

    def raw(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request past the client, with the account's key."""
        headers = {"authorization": f"Bearer {self.settings.api_key}"} | kwargs.pop("headers", {})
        return httpx.request(
            method, self.url + path, headers=headers, timeout=PATIENCE_S, trust_env=False, **kwargs
        )


def _us(when: datetime) -> int:
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def sandbox_settings(folder: Path, receiver: Receiver) -> ProviderSettings:
    """An account of a test: quick retries, and faults may be armed."""
    return ProviderSettings(
        database=folder / "provider.sqlite",
        public_url="http://replaced.example",
        api_key="sk_test_lendwatt",
        webhook_url=receiver.url,
        webhook_secret="whsec_" + base64.b64encode(b"a secret of the right length").decode(),
        webhook_retry_base_s=0,
        tick_s=0.01,
        may_misbehave=True,
    )


@contextmanager
def sandbox_running(
    settings: ProviderSettings,
    clock: Callable[[], datetime],
    receiver: Receiver,
    *,
    timeout_s: float = PATIENCE_S,
) -> Iterator[SandboxBench]:
    """The provider, started on a free port with these settings, and its client."""
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
        timeout_s=timeout_s,
    )
    try:
        with client:
            yield SandboxBench(settings, clock, receiver, client, url, stop)
    finally:
        stop()


@pytest.fixture
def sandbox_bench(tmp_path: Path) -> Iterator[SandboxBench]:
    with closing(Receiver()) as receiver:
        settings = sandbox_settings(tmp_path, receiver)
        with sandbox_running(settings, HandClock(), receiver) as bench:
            yield bench
