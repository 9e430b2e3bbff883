"""The fold: order, repeats, clock, plausibility, edges."""

import json

import pytest

from gateway import events
from gateway.protocol import BankId, Birth, Fault, Lock, Outcome, Output, Result, State, Will
from gateway.shadow import BELIEVED_AFTER_MS, DRIFT, Applied, Shadow, apply, unheard

BANK = BankId("LW-0001")
T0 = 1_800_000_000_000
"""UTC of the bank's power-up in boot 7, in these tests."""


def state(seq: int = 1, up_ms: int | None = None, **given: object) -> State:
    up_ms = seq * 60_000 if up_ms is None else up_ms
    said = {
        "boot": 7,
        "battery": 80,
        "lock": Lock.LOCKED,
        "lock_ms": 0,
        "output": Output.OFF,
        "output_ms": 0,
        "plugged": False,
        "plugged_ms": 0,
        "sessions": 4,
        "on_s": 3600,
        "energy_mwh": 12_000,
        "last_command": None,
        "faults": (),
    }
    return State(seq=seq, up_ms=up_ms, **(said | given))


def heard(*states: State, delay_ms: int = 0) -> Shadow:
    """A bank that has sent these states, each as it was read."""
    shadow = unheard(BANK)
    for said in states:
        shadow = apply(shadow, said, T0 + said.up_ms + delay_ms).shadow
    return shadow


def kinds(applied: Applied) -> list[str]:
    return [event.kind for event in applied.events]


def test_the_newest_state_is_the_shadow() -> None:
    shadow = heard(state(1), state(2, battery=70))
    assert (shadow.boot, shadow.seq, shadow.battery) == (7, 2, 70)
    assert shadow.presence == "online"


def test_a_repeat_changes_nothing_and_tells_nothing() -> None:
    shadow = heard(state(1), state(2))
    again = apply(shadow, state(2), shadow.heard_at_ms)
    assert again.shadow == shadow
    assert again.events == ()


def test_an_older_state_never_overwrites_a_newer_one_but_is_evidence() -> None:
    shadow = heard(state(1), state(5, output=Output.OFF, output_ms=290_000))
    late = apply(
        shadow,
        state(3, output=Output.ON, output_ms=120_000),
        shadow.heard_at_ms - 1,
        retained=False,
    )
    assert late.shadow.seq == 5
    assert late.shadow.output == "off"
    assert kinds(late) == ["output_on"]
    [told] = late.events
    assert told.occurred_at_ms == T0 + 120_000
    assert told.is_late


def test_news_that_is_hours_old_on_arrival_is_flagged_late() -> None:
    shadow = heard(state(1))
    two_hours = 7_200_000
    told = apply(
        shadow, state(2, output=Output.ON, output_ms=100_000), T0 + 120_000 + two_hours
    ).events
    [on] = [event for event in told if event.kind == "output_on"]
    assert on.occurred_at_ms == pytest.approx(T0 + 100_000, abs=60_000 // DRIFT)
    assert on.is_late


def test_a_report_with_nothing_new_is_no_event() -> None:
    shadow = heard(state(1))
    assert apply(shadow, state(2, battery=79), T0 + 120_000).events == ()


def test_the_first_state_tells_that_the_bank_is_there_and_all_that_is_so() -> None:
    first = apply(unheard(BANK), state(1), T0 + 60_000)
    assert kinds(first) == [
        "bank_online",
        "bank_rebooted",
        "bank_locked",
        "output_off",
        "load_unplugged",
    ]


def test_a_since_fact_has_one_id_whichever_message_tells_it() -> None:
    on = {"output": Output.ON, "output_ms": 61_000}
    first = apply(heard(state(1)), state(2, **on), T0 + 120_000)
    second = apply(heard(state(1)), state(9, **on), T0 + 540_000)
    assert [e.id for e in first.events] == [e.id for e in second.events]


def test_the_clock_map_keeps_the_promptest_message() -> None:
    shadow = heard(state(1), delay_ms=5_000)
    assert shadow.boot_at_ms() == T0 + 5_000
    shadow = apply(shadow, state(2), T0 + 120_000 + 20).shadow
    assert shadow.boot_at_ms() == pytest.approx(T0 + 20, abs=1)
    shadow = apply(shadow, state(3), T0 + 180_000 + 90_000).shadow
    assert shadow.boot_at_ms() - (T0 + 20) <= 60_000 // DRIFT


def test_the_clock_map_follows_a_slow_crystal() -> None:
    day_ms, loses = 86_400_000, 10_000  # 100 ppm
    shadow = heard(state(1, up_ms=1_000))
    lost = day_ms // loses
    shadow = apply(shadow, state(1_400, up_ms=day_ms - lost), T0 + day_ms).shadow
    assert shadow.boot_at_ms() == pytest.approx(T0 + lost, abs=2)


def test_a_new_boot_is_told_once_and_its_clock_starts_anew() -> None:
    shadow = heard(state(1))
    reboot_at = T0 + 3_600_000
    applied = apply(shadow, state(1, boot=8, up_ms=2_000), reboot_at + 2_000)
    assert "bank_rebooted" in kinds(applied)
    assert applied.shadow.boot_at_ms() == reboot_at


@pytest.mark.parametrize(
    ("leap", "why"),
    [
        ({"seq": 2**32 - 1}, "seq_leapt"),
        ({"boot": 2**32 - 1, "seq": 1}, "boot_leapt"),
        ({"boot": 8, "seq": 2**32 - 1}, "seq_leapt"),
    ],
)
def test_a_leap_is_quarantined_and_does_not_mute_the_bank(leap: dict[str, int], why: str) -> None:
    shadow = heard(state(1))
    leapt = apply(shadow, state(**({"seq": 2, "up_ms": 119_000} | leap)), T0 + 119_000)
    assert leapt.quarantined == why
    assert kinds(leapt) == ["bank_implausible"]
    after = apply(leapt.shadow, state(2, battery=71), T0 + 120_000)
    assert after.obeyed
    assert (after.shadow.seq, after.shadow.battery) == (2, 71)


def test_a_leap_that_was_obeyed_mutes_the_bank_for_two_minutes_at_most() -> None:
    shadow = unheard(BANK)._replace(boot=7, seq=2**31, up_ms=60_000, clock_bound=T0 * DRIFT)
    at = T0 + 60_000
    for seq in range(2, 6):
        at += 60_000
        shadow = apply(shadow, state(seq), at).shadow
    assert shadow.seq == 5


def test_counters_that_went_back_for_good_are_believed_after_two_minutes() -> None:
    shadow = heard(*[state(seq) for seq in range(1, 50)])
    swapped_at, events_told = shadow.heard_at_ms + 60_000, []
    for seq in range(1, 5):
        said = state(seq, boot=1, up_ms=seq * 60_000)
        applied = apply(shadow, said, swapped_at + seq * 60_000)
        shadow, events_told = applied.shadow, events_told + kinds(applied)
    assert shadow.boot == 1
    assert "bank_implausible" in events_told
    assert "bank_counters_reset" in events_told


def test_a_backlog_of_an_old_boot_never_turns_the_shadow_back() -> None:
    shadow = heard(state(1, boot=8))
    at = shadow.heard_at_ms
    for seq in range(1, 30):  # they come as fast as the network can carry them
        at += 20
        shadow = apply(shadow, state(seq, boot=7), at).shadow
    assert shadow.boot == 8


def test_what_a_broker_sends_again_is_no_alarm() -> None:
    shadow = heard(state(1), state(2), state(3))
    again_at, told = shadow.heard_at_ms + 5_000, []
    for seq in (1, 2, 3):
        applied = apply(shadow, state(seq), again_at)
        shadow, told = applied.shadow, told + kinds(applied)
    assert told == []


def test_a_line_is_not_believed_before_its_time() -> None:
    shadow = heard(*[state(seq) for seq in range(1, 50)])
    at = shadow.heard_at_ms
    for seq in range(1, 100):
        shadow = apply(shadow, state(seq, boot=1, up_ms=seq * 1_000), at + seq * 1_000).shadow
    assert shadow.boot == 7
    assert BELIEVED_AFTER_MS > 99_000


def test_two_devices_with_one_credential_are_noticed() -> None:
    shadow = heard(state(1), state(2))
    assert kinds(apply(shadow, state(2, up_ms=999), shadow.heard_at_ms)) == ["two_connections"]


def test_counters_that_shrink_are_told() -> None:
    assert "counters_shrank" in kinds(apply(heard(state(1)), state(2, on_s=1), T0 + 120_000))


def test_the_battery_mark_is_told_when_it_is_crossed() -> None:
    shadow = heard(state(1, battery=21))
    low = apply(shadow, state(2, battery=20), T0 + 120_000)
    assert kinds(low) == ["battery_low"]
    still = apply(low.shadow, state(3, battery=19), T0 + 180_000)
    assert kinds(still) == []
    back = apply(still.shadow, state(4, battery=26), T0 + 240_000)
    assert kinds(back) == ["battery_recovered"]


def test_faults_are_told_as_they_come_and_go() -> None:
    raised = apply(heard(state(1)), state(2, faults=(Fault.TAMPER,)), T0 + 120_000)
    assert kinds(raised) == ["fault_raised"]
    cleared = apply(raised.shadow, state(3), T0 + 180_000)
    assert kinds(cleared) == ["fault_cleared"]


def test_a_retained_birth_tells_who_the_bank_is_and_not_that_it_is_there() -> None:
    birth = Birth(boot=7, conn=3, model="LW-10K-A", hw="C", fw="1.4.2")
    applied = apply(unheard(BANK), birth, T0, retained=True)
    assert applied.events == ()
    assert applied.shadow.model == "LW-10K-A"
    assert applied.shadow.presence == "offline"
    assert applied.shadow.heard_at_ms == 0


def test_a_stale_will_is_ignored_and_the_newest_is_not() -> None:
    birth = Birth(boot=7, conn=3, model="LW-10K-A", hw="C", fw="1.4.2")
    shadow = apply(unheard(BANK), birth, T0).shadow
    assert apply(shadow, Will(boot=7, conn=2), T0 + 5).shadow == shadow
    assert apply(shadow, Will(boot=7, conn=3), T0 + 5, retained=True).shadow == shadow
    left = apply(shadow, Will(boot=7, conn=3), T0 + 5).shadow
    assert left.will_at_ms == T0 + 5
    assert left.presence == "online"


def test_a_bank_that_speaks_takes_its_will_back() -> None:
    shadow = apply(heard(state(1)), Will(boot=7, conn=1), T0 + 61_000).shadow
    assert apply(shadow, state(2), T0 + 120_000).shadow.will_at_ms is None


def test_a_result_says_that_the_bank_is_there_and_sharpens_the_clock() -> None:
    shadow = heard(state(1), delay_ms=3_000)
    result = Result(boot=7, seq=2, up_ms=61_000, command="c1", status=Outcome.DONE)
    after = apply(shadow, result, T0 + 61_100).shadow
    assert after.heard_at_ms >= shadow.heard_at_ms - 3_000
    assert after.boot_at_ms() <= T0 + 101
    assert after.seq == 1


def test_history_is_sampled_every_two_percent_or_five_minutes() -> None:
    shadow, sampled = unheard(BANK), 0
    for seq in range(1, 61):  # an hour, losing 1 % in ten minutes
        applied = apply(shadow, state(seq, battery=80 - seq // 10), T0 + seq * 60_000)
        shadow, sampled = applied.shadow, sampled + applied.sampled
    assert sampled == 12


def test_every_event_survives_its_row() -> None:
    told = apply(unheard(BANK), state(1, faults=(Fault.TAMPER,), battery=3), T0 + 60_000).events
    assert {"fault_raised", "battery_low"} <= {event.kind for event in told}
    for event in told:
        row = events.to_row(event)
        assert events.from_row(row) == event
        assert json.loads(row.data) is not None
