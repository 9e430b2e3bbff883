"""The whole contract by hand: ``mosquitto_pub`` and ``mosquitto_sub``, and one credential."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.city import Bank, City, Shop
from tests.acceptance.hand_held import BIRTH, WILL, a_state
from tests.acceptance.processes import Process, until

pytestmark = pytest.mark.mosquitto


def credential(bank: Bank) -> list[str]:
    """How Mosquitto's tools are told who they are."""
    where = ["-h", bank.host, "-p", str(bank.port), "-V", "mqttv311", "-q", "1"]
    return [*where, "-i", bank.id, "-u", bank.id, "-P", bank.secret]


def publish(bank: Bank, channel: str, payload: Any, *, to: str = "", retain: bool = False) -> bool:
    """``mosquitto_pub`` with this bank's credential; whether the broker took it.

    Args:
        bank: who speaks.
        channel: on which of its topics.
        payload: JSON, or text as it is.
        to: on another bank's topic.
        retain: have it kept.
    """
    text = payload if isinstance(payload, str) else json.dumps(payload)
    topic = f"lw/v1/{to or bank.id}/{channel}"
    args = ["mosquitto_pub", *credential(bank), "-t", topic, "-s", *(["-r"] if retain else [])]
    done = subprocess.run(args, input=text.encode(), capture_output=True, timeout=20, check=False)
    return done.returncode == 0


def say(bank: Bank, channel: str, payload: Any, *, retain: bool = False) -> None:
    """Publish on the bank's own topic, which the broker takes."""
    assert publish(bank, channel, payload, retain=retain)


class Subscriber:
    """``mosquitto_sub`` on a bank's command topic. Each ``mosquitto_pub`` takes its place at
    the broker, since both are the bank; so it connects again, and says that it has."""

    def __init__(self, bank: Bank, folder: Path) -> None:
        topic = f"lw/v1/{bank.id}/command"
        tool = ["stdbuf", "-oL", "mosquitto_sub"]  # it would keep what it says until it ends
        args = [*tool, *credential(bank), "-d", "-t", topic, "-F", "heard %t %q %r %p"]
        self.process = Process(f"sub-{bank.id}", args, folder)

    def listens(self) -> None:
        """Wait until it is subscribed, whatever took its place before."""
        until(self._is_in, what="mosquitto_sub is subscribed")

    def _is_in(self) -> bool:
        last = re.findall(r"sending CONNECT|Subscribed \(", self.process.out)[-1:]
        return last == ["Subscribed ("]

    def hears(self) -> tuple[str, str, str, dict[str, Any]]:
        """The first command: topic, QoS, whether retained, payload."""
        _, topic, qos, retained, payload = self.process.says("heard ").split(" ", 4)
        return topic, qos, retained, json.loads(payload)


@contextmanager
def listening(bank: Bank, folder: Path) -> Iterator[Subscriber]:
    subscriber = Subscriber(bank, folder)
    try:
        subscriber.listens()
        yield subscriber
    finally:
        subscriber.process.kill()


@pytest.fixture
def shop(each_city: City) -> Shop:
    return each_city.shop()


@pytest.fixture
def bank(each_city: City, shop: Shop) -> Bank:
    return born(each_city, shop)


def born(city: City, shop: Shop) -> Bank:
    """A bank that has said by hand who and how it is."""
    bank = shop.report(city.new_bank_id())
    until(lambda: publish(bank, "status", BIRTH, retain=True), what="the broker lets it in")
    say(bank, "state", a_state())
    shows(shop, bank, battery_pct=83, presence="online")
    return bank


def shows(shop: Shop, bank: Bank, **state: Any) -> None:
    """Wait until the merchant's page shows this of a bank."""

    def is_so() -> bool:
        return state.items() <= (shop.stock(bank)["state"] or {}).items()

    until(is_so, what=f"{bank.id} shows {state}")


def dead_letters(city: City, bank: Bank) -> list[tuple[str, str]]:
    """What was not believed of a bank: channel and reason. No route shows them yet."""
    found = "SELECT topic, reason FROM dead_letter WHERE topic LIKE :ours ORDER BY received_at_ms"
    rows = city.platform.rows(found, ours=f"lw/v1/{bank.id}/%")
    return [(topic.rpartition("/")[2], reason) for topic, reason in rows]


def test_birth_state_command_and_result_make_a_rental(
    each_city: City, shop: Shop, bank: Bank, tmp_path: Path
) -> None:
    rental = each_city.rental(shop, bank).bring()
    page = rental.accept_notice()
    with listening(bank, tmp_path) as subscriber:
        each_city.answer(page)
        topic, qos, retained, order = subscriber.hears()
    assert (topic, qos, retained) == (f"lw/v1/{bank.id}/command", "1", "0")
    assert (order["kind"], order["boot"]) == ("charge_start", 7)
    result = {"boot": 7, "seq": 2, "up_ms": 9_000, "command": order["id"], "status": "done"}
    say(bank, "result", result)
    feeding = {"output": "on", "output_ms": 9_000, "lock": "unlocked", "lock_ms": 9_000}
    say(bank, "state", a_state(seq=3, up_ms=9_100, last_command=order["id"], **feeding))
    rental.reaches("renting")
    assert dead_letters(each_city, bank) == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{boot: 7", "not_json"),
        ('{"boot":7,"pad":"' + "x" * 5_000 + '"}', "too_large"),
        (json.dumps(a_state(seq=2, temp_c=float("nan"))), "not_finite"),
    ],
    ids=["wrong JSON", "5 KB", "NaN"],
)
def test_what_does_not_validate_is_kept_with_its_reason_and_stops_nothing(
    each_city: City, shop: Shop, bank: Bank, payload: str, reason: str
) -> None:
    say(bank, "state", payload)
    say(bank, "state", a_state(seq=3, up_ms=2_000, battery=79))
    shows(shop, bank, battery_pct=79)
    assert dead_letters(each_city, bank) == [("state", reason)]


def test_what_is_said_in_another_banks_name_is_not_heard(
    each_city: City, shop: Shop, bank: Bank
) -> None:
    victim = born(each_city, shop)
    publish(bank, "state", a_state(seq=50, up_ms=5_000, battery=3), to=victim.id)
    say(victim, "state", a_state(seq=2, up_ms=2_000, battery=88))  # would be older than 50
    shows(shop, victim, battery_pct=88)
    say(bank, "state", a_state(seq=2, up_ms=2_000, battery=82))
    shows(shop, bank, battery_pct=82)


def test_a_stale_will_says_nothing_and_the_newest_ones_says_offline(
    each_city: City, shop: Shop, bank: Bank
) -> None:
    other = born(each_city, shop)
    say(bank, "status", {**BIRTH, "conn": 4}, retain=True)
    say(bank, "status", WILL, retain=True)  # of connection 3
    say(other, "status", WILL, retain=True)
    shows(shop, other, presence="offline")
    assert shop.stock(bank)["state"]["presence"] == "online"


def test_a_doubled_and_an_old_state_change_nothing(each_city: City, shop: Shop, bank: Bank) -> None:
    with shop.owner.listening() as owner:
        newest = a_state(seq=5, up_ms=5_000, battery=15, lock="unlocked", lock_ms=5_000)
        for told in (newest, newest, a_state(seq=3, up_ms=3_000, battery=77), newest):
            say(bank, "state", told)
        say(bank, "state", {**newest, "seq": 6, "up_ms": 6_000, "battery": 14})
        shows(shop, bank, battery_pct=14, lock="unlocked")
        for kind in ("bank.battery_low", "bank.unlocked"):
            owner.hears(kind, bank_id=bank.id)
        kinds = owner.kinds()
    assert kinds.count("bank.battery_low") == kinds.count("bank.unlocked") == 1
    assert kinds.count("bank.battery_recovered") == 0
    assert dead_letters(each_city, bank) == []
