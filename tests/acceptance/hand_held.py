"""A bank played by hand: any MQTT client, the contract's page, and one credential."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.acceptance.city import Bank, City, Shop
from tests.acceptance.processes import BOUND_S, until

BIRTH = {
    "online": True, "boot": 7, "conn": 3, "protocol": 1,
    "model": "LW-10K-A", "hw": "C", "fw": "1.4.2",
}  # fmt: skip
WILL = {"online": False, "boot": 7, "conn": 3}


def a_state(**given: Any) -> dict[str, Any]:
    """A whole state, as the contract's page shows it: charged, locked, idle."""
    return {
        "boot": 7, "seq": 1, "up_ms": 1_000, "battery": 83, "lock": "locked", "lock_ms": 0,
        "output": "off", "output_ms": 0, "plugged": False, "plugged_ms": 0, "sessions": 0,
        "on_s": 0, "energy_mwh": 0, "last_command": None, "faults": [], **given,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a bank heard on its command topic."""

    topic: str
    payload: dict[str, Any]
    qos: int
    is_retained: bool
    at_s: float
    """Of ``time.monotonic``."""


@dataclass
class HandHeldBank:
    """A paho client with a bank's credential. It does nothing that a test does not tell it."""

    bank: Bank
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._booted_s = time.monotonic() - 60
        self._seqs = itertools.count(1)
        self._so: dict[str, Any] = {}
        self._news = threading.Condition()
        self._listens = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.bank.id,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.username_pw_set(self.bank.id, self.bank.secret)
        self._client.will_set(self._topic("status"), json.dumps(WILL), qos=1, retain=True)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic("command"), 1)
        self._client.on_subscribe = lambda *_: self._listens.set()
        self._client.on_message = self._hear

    @property
    def up_ms(self) -> int:
        """Milliseconds since boot, by its own clock."""
        return int((time.monotonic() - self._booted_s) * 1000)

    def begin(self) -> None:
        """Connect, and say who it is and how it is."""
        self._client.connect(self.bank.host, self.bank.port)
        self._client.loop_start()
        assert self._listens.wait(BOUND_S), f"{self.bank.id} was not let in"
        self.say("status", BIRTH, retain=True)
        self.tell()

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, channel: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        sent = self._client.publish(self._topic(channel), json.dumps(payload), 1, retain=retain)
        sent.wait_for_publish(BOUND_S)

    def tell(self, **changes: Any) -> None:
        """Say its next state; what changes has done so now, and stays so."""
        up_ms = self.up_ms
        since = {
            f"{name}_ms": up_ms
            for name in ("lock", "output", "plugged")
            if name in changes and f"{name}_ms" not in changes
        }
        self._so = {**self._so, **since, **changes}
        self.say("state", a_state(**{**self._so, "seq": next(self._seqs), "up_ms": up_ms}))

    def answer(self, order: Order, status: str, reason: str | None = None) -> None:
        """Say a command's result."""
        result = {
            "boot": 7, "seq": next(self._seqs), "up_ms": self.up_ms,
            "command": order.payload["id"], "status": status,
        }  # fmt: skip
        self.say("result", result if reason is None else {**result, "reason": reason})

    def obey(self, order: Order) -> None:
        """Do as it was told, say so, and show it."""
        is_start = order.payload["kind"] == "charge_start"
        self.answer(order, "done")
        self.tell(
            output="on" if is_start else "off",
            lock="unlocked" if is_start else "locked",
            last_command=order.payload["id"],
        )

    def hears(self, kind: str) -> Order:
        """The first command of this kind, waited for with a bound."""

        def found() -> Order | None:
            return next((each for each in self.orders if each.payload["kind"] == kind), None)

        with self._news:
            self._news.wait_for(found, BOUND_S)
            order = found()
        assert order is not None, f"no {kind} within {BOUND_S} s; heard: {self.orders}"
        return order

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        order = Order(
            topic=message.topic,
            payload=json.loads(message.payload),
            qos=message.qos,
            is_retained=message.retain,
            at_s=time.monotonic(),
        )
        with self._news:
            self.orders.append(order)
            self._news.notify_all()

    def _topic(self, channel: str) -> str:
        return f"lw/v1/{self.bank.id}/{channel}"


@contextmanager
def hand_held(city: City, shop: Shop) -> Iterator[HandHeldBank]:
    """Be a new bank of this shop, connected and for rent, until the end of the block."""
    held = HandHeldBank(shop.report(city.new_bank_id()))
    held.begin()
    try:
        until(lambda: city.offer(held.bank)["rentable"], what=f"{held.bank.id} is for rent")
        yield held
    finally:
        held.end()
