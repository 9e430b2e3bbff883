"""Banks on the wire: what they say becomes facts, what they are told reaches them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.acceptance import contract
from tests.acceptance.city import City, moment
from tests.acceptance.hand_held import BIRTH, WILL, a_state, hand_held
from tests.acceptance.processes import BOUND_S, Process, until
from tests.acceptance.system import free_port, simulated_bank

# -- B1: what a bank says ---------------------------------------------------------------


@pytest.mark.row("B1")
def test_level_and_lock_that_a_bank_reports_show_in_the_api_and_live(each_city: City) -> None:
    city = each_city
    shop = city.shop()
    with shop.owner.listening() as owner, hand_held(city, shop) as held:
        bank = held.bank
        owner.hears("bank.online", bank_id=bank.id, merchant_id=shop.id)
        for told, kind, shown in (
            ({"battery": 17}, "bank.battery_low", {"battery_pct": 17}),
            ({"battery": 60}, "bank.battery_recovered", {"battery_pct": 60}),
            ({"lock": "unlocked"}, "bank.unlocked", {"lock": "unlocked"}),
            ({"lock": "jammed"}, "bank.lock_jammed", {"lock": "jammed"}),
        ):
            held.tell(**told)
            owner.hears(kind, bank_id=bank.id)
            state = shop.stock(bank)["state"]
            assert shown.items() <= state.items()
            assert state["age_s"] <= BOUND_S
    assert [why["code"] for why in city.offer(bank)["why_not"]] == ["faulty"]


@pytest.mark.row("B1")
def test_a_simulated_banks_battery_and_jammed_lock_become_events(city: City) -> None:
    shop = city.shop()
    bank = city.bank(shop)
    with shop.owner.listening() as owner:
        city.simulator.do(bank.id, "drain", to_pct=12)
        assert owner.hears("bank.battery_low", bank_id=bank.id).data["battery_pct"] == 12
        city.simulator.do(bank.id, "jam")
        owner.hears("bank.lock_jammed", bank_id=bank.id)
        assert shop.stock(bank)["state"]["lock"] == "jammed"
        assert {why["code"] for why in shop.stock(bank)["why_not"]} == {"faulty", "low"}
        city.simulator.do(bank.id, "unjam")
        owner.hears("bank.fault_cleared", bank_id=bank.id, fault="lock_jammed")
        assert shop.stock(bank)["state"]["lock"] == "locked"


@pytest.mark.row("B1")
def test_an_event_tells_when_it_was_so_and_not_when_it_was_heard(city: City) -> None:
    shop = city.shop()
    with shop.owner.listening() as owner, hand_held(city, shop) as held:
        held.tell(lock="unlocked", lock_ms=held.up_ms - 30_000)
        told = owner.hears("bank.unlocked", bank_id=held.bank.id).data
    late = moment(told, "at") - moment(told, "occurred_at")
    assert timedelta(seconds=29) < late < timedelta(seconds=30 + BOUND_S)


# -- B2: what a bank is told ------------------------------------------------------------


@pytest.mark.row("B2")
def test_commands_reach_the_bank_charge_start_first_and_as_published(each_city: City) -> None:
    city = each_city
    shop = city.shop()
    with hand_held(city, shop) as held:
        rental = city.rental(shop, held.bank).bring()
        city.answer(rental.accept_notice())
        start = held.hears("charge_start")
        held.obey(start)
        rental.reaches("renting")
        rental.ask_return()
        stop = held.hears("charge_stop")
        held.obey(stop)
        for order in (start, stop):
            contract.fits("command", order.payload)
            assert order.topic == f"lw/v1/{held.bank.id}/command"
            assert (order.qos, order.is_retained) == contract.binding("platformSendsCommand")
            assert order.payload["boot"] == BIRTH["boot"]
            assert 0 < order.payload["not_after_ms"] - held.up_ms < 120_000
        heard = {order.payload["id"]: order.payload["kind"] for order in held.orders}
        assert list(heard.values()) == ["charge_start", "charge_stop"]  # each maybe more than once
    until(lambda: rental.now()["bank"]["state"]["lock"] == "locked", what="it is locked again")


@pytest.mark.row("B2")
def test_a_command_is_believed_when_the_state_says_so_and_not_before(city: City) -> None:
    shop = city.shop()
    with hand_held(city, shop) as held:
        rental = city.rental(shop, held.bank).bring()
        city.answer(rental.accept_notice())
        order = held.hears("charge_start")
        held.answer(order, "done")
        held.tell(battery=81)  # heard after the result, so that was heard too
        until(lambda: shop.stock(held.bank)["state"]["battery_pct"] == 81, what="the level is told")
        assert rental.now()["state"] == "starting"
        held.tell(output="on", lock="unlocked", last_command=order.payload["id"])
        rental.reaches("renting")


# -- B3: a simulated bank is like a real one --------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message, as an observer of the whole wire sees it."""

    channel: str
    payload: dict[str, Any]
    qos: int
    is_retained: bool
    """As it was published."""

    @property
    def kind(self) -> str:
        if self.channel != "status":
            return self.channel
        return "birth" if self.payload["online"] else "will"


@dataclass
class Observer:
    """Hears all of a broker, and speaks to one bank as the gateway does."""

    port: int
    bank: str
    said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mqtt = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        listens = threading.Event()
        self.mqtt.on_subscribe = lambda *_: listens.set()
        self.mqtt.on_message = self._hear
        self.mqtt.connect("127.0.0.1", self.port)
        self.mqtt.loop_start()
        self.mqtt.subscribe("#", options=SubscribeOptions(qos=2, retainAsPublished=True))
        assert listens.wait(BOUND_S)

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        root, version, bank, channel = message.topic.split("/")
        assert (root, version, bank) == ("lw", "v1", self.bank)
        payload = json.loads(message.payload)
        self.said.append(
            Said(channel=channel, payload=payload, qos=message.qos, is_retained=message.retain)
        )

    def tells(self, channel: str, payload: dict[str, Any]) -> None:
        topic = f"lw/v1/{self.bank}/{channel}"
        self.mqtt.publish(topic, json.dumps(payload), 1).wait_for_publish(BOUND_S)

    def hears(self, kind: str, **holds: object) -> Said:
        """The first such message, waited for with a bound."""

        def found() -> Said | None:
            fits = (s for s in self.said if s.kind == kind and holds.items() <= s.payload.items())
            return next(fits, None)

        said = until(found, what=f"{self.bank} says a {kind} with {holds}")
        assert said is not None
        return said

    def of(self, kind: str) -> list[Said]:
        return [said for said in self.said if said.kind == kind]


@pytest.fixture
def observer(needs_mosquitto: str, tmp_path: Path) -> Iterator[Observer]:
    """A broker of the test's own, and somebody who hears all that is said on it."""
    conf = tmp_path / "mosquitto.conf"
    port = free_port()
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type all\n")
    broker = Process("mosquitto", [needs_mosquitto, "-c", str(conf)], tmp_path)
    until(lambda: "running" in broker.err, what="mosquitto runs")
    observer = Observer(port, "SIM-0001")
    try:
        yield observer
    finally:
        observer.mqtt.disconnect()
        observer.mqtt.loop_stop()
        broker.kill()


def a_command(kind: str, number: int, **more: object) -> dict[str, Any]:
    order = {"id": f"c{number}", "kind": kind, "boot": 1, "not_after_ms": 10**7, "args": {}}
    return {**order, **more}


@pytest.mark.row("B3")
@pytest.mark.mosquitto
def test_all_that_a_simulated_bank_says_is_as_published(observer: Observer, tmp_path: Path) -> None:
    bank, control = simulated_bank(observer.bank, observer.port, tmp_path)
    try:
        _live(observer, control)
    finally:
        bank.kill()  # so the broker speaks its will
    observer.hears("will")
    observer.mqtt.disconnect()

    orders = {"command", "config"}
    said = [each for each in observer.said if each.channel not in orders]
    assert {each.kind for each in said} == {"birth", "will", "state", "result"}
    for each in said:
        contract.fits(each.kind, each.payload)
        assert contract.required(each.kind) <= each.payload.keys()
        operation = f"bankSends{each.channel.capitalize()}"
        assert (each.qos, each.is_retained) == contract.binding(operation)
    assert [birth.payload["boot"] for birth in observer.of("birth")] == [1, 2]
    for boot in (1, 2):
        seqs = [each.payload["seq"] for each in said if each.payload["boot"] == boot
                and "seq" in each.payload]  # fmt: skip
        assert seqs == list(range(1, len(seqs) + 1))
    told = [(each.payload["status"], each.payload.get("reason")) for each in observer.of("result")]
    assert set(told) == {("done", None), ("expired", "wrong_boot"), ("expired", "too_late")}


def _live(observer: Observer, control: str) -> None:
    """A bank's whole life in a few seconds, its owner's hands and the platform's words."""
    observer.hears("state", battery=80, lock="locked", output="off", plugged=False)
    observer.tells("command", a_command("charge_start", 1))
    observer.hears("result", command="c1", status="done")
    observer.hears("state", output="on", lock="unlocked", last_command="c1")
    httpx.post(f"{control}/plug").raise_for_status()
    observer.hears("state", plugged=True, sessions=1)
    observer.tells("command", a_command("charge_start", 1))  # a repeat: its first answer again
    until(lambda: len(observer.of("result")) == 2, what="the first answer is said again")
    observer.tells("command", a_command("charge_stop", 2))
    observer.hears("state", output="off", lock="locked", plugged=False, last_command="c2")
    observer.tells("command", a_command("locate", 3, boot=9))
    observer.hears("result", command="c3", reason="wrong_boot")
    observer.tells("command", a_command("locate", 4, not_after_ms=1))
    observer.hears("result", command="c4", reason="too_late")
    observer.tells("config", {"version": 12, "report_s": 1})
    observer.hears("state", config_version=12)
    httpx.post(f"{control}/reboot").raise_for_status()
    observer.hears("state", boot=2)


@pytest.mark.row("B3")
def test_what_is_made_by_hand_from_the_contracts_page_is_as_published() -> None:
    for kind, payload in (("birth", BIRTH), ("will", WILL), ("state", a_state())):
        contract.fits(kind, payload)
        assert contract.required(kind) <= payload.keys()


@pytest.mark.row("B3")
def test_an_app_sees_no_difference_between_a_simulated_bank_and_one_made_by_hand(
    city: City,
) -> None:
    shop = city.shop()
    simulated = city.rental(shop).start()
    with hand_held(city, shop) as held:
        by_hand = city.rental(shop, held.bank).bring()
        city.answer(by_hand.accept_notice())
        held.obey(held.hears("charge_start"))
        by_hand.reaches("renting")
        ones, others = simulated.now(), by_hand.now()
    assert ones.keys() == others.keys()
    for told in (ones, others):
        del told["bank"]["id"], told["bank"]["state"]["told_at"], told["bank"]["state"]["age_s"]
        del told["bank"]["state"]["battery_pct"]
    assert ones["bank"] == others["bank"]
    steps = [[(step["event"], step["state"]) for step in told["steps"]] for told in (ones, others)]
    assert steps[0] == steps[1]
