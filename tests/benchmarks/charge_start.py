"""From a deposit's payment to the bank hearing ``charge_start``, beside a bare MQTT round trip.

The whole platform runs as ``lendwatt up`` with Mosquitto, the payment is made on the sandbox
provider's own page, its signed webhook comes over HTTP, and the bank is a plain MQTT client
with its own credential. The clock runs from the payer's press of the button to the command in
the bank's hands: provider, webhook, one transaction, gateway, broker.
"""

import json
import os
import queue
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.benchmarks.servers import mosquitto, wait_for

RENTALS = 40
ROUND_TRIPS = 500
OPERATOR = "+8613800000000"
PLACE = {"lat": 22.2819, "lng": 114.1581, "address": "12 Queen's Road"}
TERMS = {
    "free_s": 300, "block_s": 900, "block_price_minor": 100, "cap_24h_minor": 3000,
    "cap_total_minor": 9900, "delivery_fee_minor": 500, "deposit_minor": 9900,
    "billing_start": "unlocked", "rounding": "ceil",
}  # fmt: skip


@contextmanager
def platform(folder: Path) -> Iterator[dict[str, str]]:
    """``lendwatt up`` on free ports; where its parts are."""
    ports = [word for name in ("", "bank-", "provider-") for word in (f"--{name}port", "0")]
    command = [sys.executable, "-m", "backend", "up", "--json", "--broker", "mosquitto", *ports]
    environment = os.environ | {
        "LENDWATT_DEMO": "true",
        "LENDWATT_SIGNIN_SENDS_PER_ADDRESS_MAX": "1000",
        "LENDWATT_SIGNINS_PER_MINUTE_MAX": "1000",
        "LENDWATT_OPERATOR_PHONES": json.dumps([OPERATOR]),
    }
    with (folder / "platform.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "platform")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                sys.exit((folder / "platform.log").read_text())
            yield json.loads(line)
        finally:
            process.terminate()
            process.communicate(timeout=30)


class Person:
    """Somebody signed in."""

    def __init__(self, api: str, phone: str) -> None:
        self._http = httpx.Client(base_url=api, timeout=20)
        code = self._http.post("/auth/codes", json={"phone": phone}).json()["demo_code"]
        signed_in = self._http.post("/auth/tokens", json={"phone": phone, "code": code}).json()
        self._http.headers["authorization"] = f"Bearer {signed_in['access_token']}"

    def get(self, path: str) -> Any:
        """What is there."""
        return self._http.get(path).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Do something, once."""
        key = {"idempotency-key": secrets.token_hex(16)}
        answer = self._http.post(path, json=body or {}, headers=key)
        if answer.is_error:
            sys.exit(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json()


class Bank:
    """A bank by hand: it says a state, and notes when it hears a command."""

    def __init__(self, made: dict[str, Any]) -> None:
        self.id = made["bank"]["id"]
        self.qr_token = made["qr_token"]
        self.heard: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        self._seq = 0
        self._born = time.monotonic() - 600
        ready = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=self.id, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.username_pw_set(self.id, made["secret"])
        self._client.on_message = self._hear
        self._client.on_connect = lambda c, *_: c.subscribe(f"lw/v1/{self.id}/command", 1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect(made["mqtt"]["host"], made["mqtt"]["port"])
        self._client.loop_start()
        if not ready.wait(20):
            sys.exit(f"bank {self.id} could not connect")
        self.say()

    def say(self, **given: Any) -> None:
        """The whole state."""
        self._seq += 1
        state = {
            "boot": 1, "seq": self._seq, "up_ms": round((time.monotonic() - self._born) * 1000),
            "battery": 90, "lock": "locked", "lock_ms": 0, "output": "off", "output_ms": 0,
            "plugged": False, "plugged_ms": 0, "sessions": 0, "on_s": 0, "energy_mwh": 0,
            "last_command": None, "faults": [],
        }  # fmt: skip
        self._client.publish(f"lw/v1/{self.id}/state", json.dumps(state | given), qos=1)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: Any, message: Any) -> None:
        self.heard.put((time.perf_counter(), json.loads(message.payload)))


def one_start(owner: Person, renter: Person, bank: Bank) -> float:
    """A rental up to its start; milliseconds from the press of the button to the bank."""
    wait_for(lambda: renter.get(f"/qr/{bank.qr_token}")["rentable"], f"{bank.id} can be rented")
    rental = renter.post("/rentals", {"qr_token": bank.qr_token, **PLACE})
    [job] = [job for job in owner.get("/staff/jobs")["items"] if job["rental_id"] == rental["id"]]
    owner.post(f"/staff/jobs/{job['id']}/accept")
    owner.post(f"/staff/jobs/{job['id']}/set-out", {"qr_token": bank.qr_token})
    owner.post(f"/staff/jobs/{job['id']}/hand-over", {"qr_token": bank.qr_token})
    renter.post(f"/rentals/{rental['id']}/scan", {"qr_token": bank.qr_token})
    payment = renter.post(f"/rentals/{rental['id']}/deposit", {"accepted_disclosure": True})
    path = f"/payments/{payment['id']}"
    wait_for(lambda: bool(renter.get(path)["pay_url"]), "a page to pay on")
    url = renter.get(path)["pay_url"]
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(url).text
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        began = time.perf_counter()
        browser.post(url, data={**fields, "action": "pay"}).raise_for_status()
    heard_at, command = bank.heard.get(timeout=20)
    assert command["kind"] == "charge_start", command
    return (heard_at - began) * 1000


def round_trips(port: int) -> list[float]:
    """Milliseconds from a client to the broker to another client and back, QoS 1."""
    came = threading.Semaphore(0)

    def client(topic: str, on_message: Callable[..., None]) -> Client:
        ready = threading.Event()
        made = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        made.on_message = on_message
        made.on_socket_open = lambda _c, _d, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        made.on_subscribe = lambda *_: ready.set()
        made.connect("127.0.0.1", port)
        made.loop_start()
        made.subscribe(topic, 1)
        ready.wait(10)
        return made

    echo = client("there", lambda c, _d, _m: c.publish("back", b"x", 1))
    asker = client("back", lambda *_: came.release())
    took = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        asker.publish("there", b"x", 1)
        came.acquire(timeout=10)
        took.append((time.perf_counter() - began) * 1000)
    for one in (echo, asker):
        one.disconnect()
        one.loop_stop()
    return took


def report(folder: Path) -> None:
    """Measure both, and print them."""
    with mosquitto(folder) as port:
        bare = sorted(round_trips(port))
    with platform(folder) as where:
        owner = Person(where["api"], "+8613800000001")
        merchant = owner.post(
            "/merchants",
            {
                "name": "Bench", "timezone": "Asia/Hong_Kong", "currency": "HKD",
                "service_radius_m": 5000, **PLACE,
            },
        )["id"]  # fmt: skip
        operator = Person(where["api"], OPERATOR)
        operator.post(f"/operator/merchants/{merchant}/approve", {"reason": "bench"})
        owner.post(f"/merchants/{merchant}/tariffs", TERMS)
        owner.post(f"/merchants/{merchant}/staff", {"phone": "+8613800000001", "name": "Ah Ming"})
        took = []
        for number in range(RENTALS):
            made = owner.post(
                f"/merchants/{merchant}/banks",
                {"bank_id": f"LW-{number:05}", "model": "LW-10K-A"},
            )
            bank = Bank(made)
            renter = Person(where["api"], f"+85291{number:06}")
            took.append(one_start(owner, renter, bank))
            bank.close()
        took.sort()
    print(f"from the press of Pay to the bank hearing charge_start, {RENTALS} rentals")
    print(f"  p50 {_at(took, 50):.1f} ms   p99 {_at(took, 99):.1f} ms")
    print(f"a bare MQTT round trip between two clients, {ROUND_TRIPS} times")
    print(f"  p50 {_at(bare, 50):.2f} ms   p99 {_at(bare, 99):.2f} ms")
    print(f"ratio of the medians {_at(took, 50) / _at(bare, 50):.0f}")


def _at(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
