"""Banks on a real broker, a gateway on a real database."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import text

from gateway import tables
from gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import BANK, STRANGER, HandHeldBank, World, read, until

BIRTH = {
    "online": True, "boot": 7, "conn": 1, "protocol": 1, "model": "LW-10K-A", "hw": "C",
    "fw": "1.4.2",
}  # fmt: skip


async def introduced(world: World) -> HandHeldBank:
    """A bank that the gateway knows."""
    bank = await world.bank()
    bank.say("status", BIRTH, retain=True)
    bank.say("state", bank.state())
    await world.row("bank_shadow", f"seq = {bank.seq}")
    return bank


async def test_what_a_bank_says_becomes_a_shadow_and_events(world: World) -> None:
    bank = await introduced(world)
    shadow = await world.row("bank_shadow", "1=1")
    assert (shadow["bank_id"], shadow["battery"], shadow["lock"]) == (BANK, 83, "locked")
    assert (shadow["model"], shadow["presence"]) == ("LW-10K-A", "online")
    bank.say("state", bank.state(lock="jammed", lock_ms=600_000, temp_c=31.5))
    jammed = await world.row("domain_event", "kind = 'lock_jammed'")
    assert jammed["bank_id"] == BANK
    shadow = await world.row("bank_shadow", "lock = 'jammed'")
    assert json.loads(shadow["said"])["temp_c"] == 31.5
    assert world.events_told


async def test_poison_is_kept_with_its_reason_and_stops_nobody(world: World) -> None:
    bank = await introduced(world)
    good = bank.state()
    poison = {
        "not_json": b'{"boot": 7,',
        "not_finite": json.dumps({**good, "temp_c": float("nan")}).encode(),
        "duplicate_key": json.dumps(good).replace('"seq"', '"boot"').encode(),
        "too_large": json.dumps({**good, "note": "x" * 5_000}).encode(),
        "bad_field": json.dumps({**good, "battery": True}).encode(),
        "implausible": json.dumps({**good, "seq": 2**32 - 1}).encode(),
    }
    for payload in poison.values():
        bank.say("state", payload)
    bank.say("state", bank.state(battery=55))
    await world.row("bank_shadow", "battery = 55")
    letters = {row["reason"]: row for row in world.rows("dead_letter")}
    assert set(letters) == set(poison)
    assert letters["not_json"]["payload"] == poison["not_json"]
    assert len(letters["too_large"]["payload"]) == 4096
    assert all(row["topic"] == f"lw/v1/{BANK}/state" for row in letters.values())


async def test_doubled_and_old_states_and_stale_wills_change_nothing(world: World) -> None:
    bank = await introduced(world)
    old = bank.state(battery=10)
    new = bank.state(battery=60)
    for said in (new, new, old, new):
        bank.say("state", said)
    bank.say("status", {"online": False, "boot": 7, "conn": 0})
    bank.say("state", bank.state(battery=61))
    shadow = await world.row("bank_shadow", "battery = 61")
    assert shadow["will_at_ms"] is None
    assert shadow["presence"] == "online"
    assert world.rows("dead_letter") == []
    assert world.rows("domain_event", "kind = 'battery_low'") == []


async def test_a_command_is_sent_and_the_state_confirms_it(world: World) -> None:
    bank = await introduced(world)
    world.command("charge_start")
    topic, command = await until(lambda: bank.heard[:1] and bank.heard[0], what="a command")
    assert topic == f"lw/v1/{BANK}/command"
    assert (command["id"], command["kind"], command["boot"]) == ("c1", "charge_start", 7)
    assert 0 < command["not_after_ms"] - bank.state()["up_ms"] <= 30_000
    bank.say("result", {"boot": 7, "seq": 90, "up_ms": 1, "command": "c1", "status": "done"})
    await until(lambda: world.rows("command", "result IS NOT NULL"), what="the result is noted")
    assert world.rows("domain_event", "kind = 'command_done'") == []
    bank.say("state", bank.state(output="on", output_ms=600_001, last_command="c1"))
    told = await world.row("domain_event", "kind = 'command_done'")
    assert json.loads(told["data"])["command"] == "c1"
    assert (await world.row("command", "id = 'c1'"))["status"] == "done"


async def test_an_unanswered_command_is_sent_again(world: World) -> None:
    bank = await introduced(world)
    world.command("charge_start")
    await until(lambda: len(bank.heard) >= 3, what="three sendings")
    assert len({json.dumps(command) for _, command in bank.heard}) == 1


async def test_a_no_ends_a_command_and_another_banks_word_does_not(world: World) -> None:
    bank = await introduced(world)
    stranger = await world.bank(STRANGER)
    world.command("charge_start")
    await until(lambda: bank.heard, what="a command")
    no = {"boot": 7, "seq": 90, "up_ms": 1, "command": "c1", "status": "rejected"}
    stranger.say("result", no | {"reason": "faulty"})
    await world.row("bank_shadow", "bank_id = 'LW-0002'")
    assert (await world.row("command", "id = 'c1'"))["result"] is None
    bank.say("result", no | {"reason": "low_battery"})
    told = await world.row("domain_event", "kind = 'command_failed'")
    assert json.loads(told["data"])["reason"] == "low_battery"


async def test_a_command_to_a_bank_that_is_away_expires_unsent(world: World) -> None:
    world.command("charge_start", seconds=0.5)
    command = await world.row("command", "status = 'expired'")
    assert (command["reason"], command["attempts"]) == ("not_sent", 0)


async def test_a_wish_in_no_banks_words_fails_and_stops_no_other(world: World) -> None:
    bank = await introduced(world)
    world.command("update", name="c0", args='{"url": ["not", "a", "text"]}')
    failed = await world.row("command", "id = 'c0' AND status = 'failed'")
    assert (failed["reason"], failed["attempts"]) == ("bad_args", 0)
    world.command("charge_start")
    await until(lambda: bank.heard, what="the next command")


async def test_a_command_ends_also_while_the_broker_is_away(world: World) -> None:
    world.command("charge_start", seconds=0.3)
    await world.broker.close()
    await until(lambda: not world.gateway.is_ready, what="the broker is gone")
    expired = await world.row("command", "status = 'expired'")
    assert expired["reason"] == "not_sent"


async def test_silence_after_the_deadline_is_unknown_until_the_bank_speaks(world: World) -> None:
    bank = await introduced(world)
    world.command("charge_start", seconds=0.5)
    await world.row("domain_event", "kind = 'command_unknown'")
    bank.say("state", bank.state())
    told = await world.row("domain_event", "kind = 'command_expired'")
    assert json.loads(told["data"])["reason"] == "not_carried_out"


async def test_nothing_is_acknowledged_while_the_database_is_stalled(world: World) -> None:
    bank = await introduced(world)
    with world.engine.begin() as connection:
        # SQLite has one writer, and that is us now; PostgreSQL has to be told to wait.
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE bank_shadow IN EXCLUSIVE MODE"))
        bank.say("state", bank.state(battery=42))
        link: Any = world.gateway.link
        await until(lambda: link._unacked, what="the message is in hand")
        assert read(connection, "bank_shadow", "battery = 42") == []
    await world.row("bank_shadow", "battery = 42")
    await until(lambda: link._unacked == 0, what="it is acknowledged")


async def test_wishes_for_a_banks_settings_reach_it_until_it_confirms(world: World) -> None:
    bank = await introduced(world)
    with world.engine.begin() as connection:
        connection.execute(
            tables.CONFIG.insert().values(
                bank_id=BANK, version=12, report_s=30, low_battery=25, min_output_battery=10
            )
        )
    topic, config = await until(lambda: bank.heard[:1] and bank.heard[0], what="a config")
    assert topic == f"lw/v1/{BANK}/config"
    assert config == {"version": 12, "report_s": 30, "low_battery": 25, "min_output_battery": 10}
    bank.say("state", bank.state(config_version=12))
    await world.row("bank_shadow", "config_version = 12")


async def test_a_last_will_that_stands_makes_the_bank_offline_and_a_word_brings_it_back(
    world: World,
) -> None:
    bank = await introduced(world)
    bank.say("status", {"online": False, "boot": 7, "conn": 1}, retain=True)
    await world.row("domain_event", "kind = 'bank_offline'")
    assert (await world.row("bank_shadow", "1=1"))["presence"] == "offline"
    bank.say("state", bank.state())
    await until(
        lambda: len(world.rows("domain_event", "kind = 'bank_online'")) == 2, what="back online"
    )


class TestPresence:
    """With a report each second."""

    @pytest.fixture
    def settings(self) -> GatewaySettings:
        return GatewaySettings(report_s=1, degraded_periods=1, offline_periods=2, sweep_every_s=0.1)

    async def test_a_silent_bank_is_degraded_and_then_offline(self, world: World) -> None:
        await introduced(world)
        await world.row("domain_event", "kind = 'bank_degraded'")
        await world.row("domain_event", "kind = 'bank_offline'")

    async def test_a_bank_whose_words_wait_to_be_stored_is_not_silent(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bank = await introduced(world)
        ingest: Any = world.gateway.ingest
        is_slow, may_go_on, store = threading.Event(), threading.Event(), ingest.store

        def slowly(messages: Any) -> Any:
            is_slow.set()
            may_go_on.wait(15)
            return store(messages)

        monkeypatch.setattr(ingest, "store", slowly)
        bank.say("state", bank.state(battery=44))
        await until(is_slow.is_set, what="a batch is being stored")
        sweeps: list[int] = []
        sweep: Any = world.gateway.sweep_presence

        def count(at_ms: int) -> bool:
            sweeps.append(at_ms)
            return bool(sweep(at_ms))

        monkeypatch.setattr(world.gateway, "sweep_presence", count)
        await until(lambda: len(sweeps) > 15, what="a second and a half")
        assert (await world.row("bank_shadow", "1=1"))["presence"] == "online"
        may_go_on.set()
        await world.row("bank_shadow", "battery = 44")


class TestDeafness:
    """With an echo every third of a second."""

    @pytest.fixture
    def settings(self) -> GatewaySettings:
        return GatewaySettings(echo_every_s=0.3, reconnect_min_s=0.05, reconnect_max_s=0.1)

    async def test_a_gateway_whose_subscriptions_are_gone_notices_and_connects_anew(
        self, world: World
    ) -> None:
        bank = await introduced(world)
        link: Any = world.gateway.link
        link._client.unsubscribe(["lw/v1/+/state", link._echo_topic])
        link._flush()
        first = link._connection
        await until(lambda: link._connection > first and link.is_ready.is_set(), what="anew")
        bank.say("state", bank.state(battery=47))
        await world.row("bank_shadow", "battery = 47")
