from dataclasses import replace

import pytest

from firmware_sim import bank as firmware
from firmware_sim.anatomy import MODELS, Bank, Model
from gateway.protocol import (
    Birth,
    Channel,
    Command,
    CommandId,
    CommandKind,
    Config,
    Fault,
    Lock,
    Outcome,
    Output,
    Refused,
    Result,
    State,
    encode,
)

MODEL = MODELS["LW-10K-A"]
UPDATE = {"url": "https://maker.example/2.bin", "sha256": "0" * 64, "version": "2.0.0"}


class Bench:
    """A bank on the test bench, and all that it said."""

    def __init__(self, *, model: Model = MODEL, battery_pct: int = 80, online: bool = True) -> None:
        self.bank = firmware.new_bank(model, battery_pct=battery_pct)
        self.said: list[firmware.Message] = []
        if online:
            self.connect()

    def _take(self, spoken: firmware.Spoken) -> tuple[firmware.Message, ...]:
        self.bank, messages = spoken
        self.said += messages
        return messages

    def connect(self) -> tuple[firmware.Message, ...]:
        self.bank, _ = firmware.connecting(self.bank)
        return self._take(firmware.connected(self.bank))

    def wait(self, ms: int) -> tuple[firmware.Message, ...]:
        return self._take(firmware.tick(self.bank, ms))

    def tell(
        self,
        kind: CommandKind,
        command_id: str = "c1",
        *,
        boot: int | None = None,
        not_after_ms: int = 10**9,
        args: dict[str, bool | int | str] | None = None,
    ) -> tuple[firmware.Message, ...]:
        return self.hear(
            Command(
                id=command_id,
                kind=kind,
                boot=self.bank.flash.boot if boot is None else boot,
                not_after_ms=not_after_ms,
                args=args or {},
            )
        )

    def hear(self, message: Command | Config) -> tuple[firmware.Message, ...]:
        return self._take(firmware.handle(self.bank, message))

    def start(self, command_id: str = "start") -> None:
        self.tell(CommandKind.CHARGE_START, command_id)
        self.wait(1_000)

    def plug(self, load_mw: int = 10_000) -> tuple[firmware.Message, ...]:
        return self._take(firmware.plug(self.bank, load_mw=load_mw))

    def unplug(self) -> tuple[firmware.Message, ...]:
        return self._take(firmware.unplug(self.bank))

    def jam(self) -> tuple[firmware.Message, ...]:
        return self._take(firmware.jam(self.bank))

    def drain(self, to_pct: int) -> tuple[firmware.Message, ...]:
        return self._take(firmware.drain(self.bank, to_pct=to_pct))

    def lose_power(self) -> None:
        self.bank = firmware.lose_power(self.bank)

    @property
    def state(self) -> State:
        return next(said for said in reversed(self.said) if isinstance(said, State))

    @property
    def results(self) -> list[tuple[str, Outcome, Refused | None]]:
        return [(r.command, r.status, r.reason) for r in self.said if isinstance(r, Result)]

    @property
    def acts(self) -> list[CommandId]:
        return [act.command for act in self.bank.world.acts]


# -- reports --------------------------------------------------------------------------


def test_a_new_bank_is_born_and_says_its_state() -> None:
    birth, state = Bench().said
    assert birth == Birth(boot=1, conn=1, model="LW-10K-A", hw="C", fw="1.4.2")
    assert isinstance(state, State)
    assert (state.boot, state.seq, state.battery) == (1, 1, 80)
    assert (state.lock, state.output, state.plugged) == (Lock.LOCKED, Output.OFF, False)


def test_the_will_names_the_connection_that_it_is_left_for() -> None:
    bank, will = firmware.connecting(Bench().bank)
    _, (birth, *_) = firmware.connected(bank)
    assert isinstance(birth, Birth)
    assert (will.boot, will.conn) == (birth.boot, birth.conn) == (1, 2)


def test_a_bank_reports_every_report_s() -> None:
    bench = Bench()
    said = bench.wait(180_000)
    assert [state.up_ms for state in said if isinstance(state, State)] == [60_000, 120_000, 180_000]
    assert [state.seq for state in said if isinstance(state, State)] == [2, 3, 4]


def test_a_change_is_said_at_once_and_moves_the_next_report() -> None:
    bench = Bench()
    bench.wait(30_000)
    (changed,) = bench.jam()
    assert isinstance(changed, State)
    assert (changed.up_ms, changed.lock_ms) == (30_000, 30_000)
    assert bench.wait(59_999) == ()
    assert len(bench.wait(1)) == 1


def test_nothing_is_said_off_the_air_and_all_of_it_after() -> None:
    bench = Bench(online=False)
    assert bench.plug() == bench.jam() == bench.wait(300_000) == ()
    bench.connect()
    assert (bench.state.lock, bench.state.seq, bench.state.up_ms) == (Lock.JAMMED, 1, 300_000)


def test_each_connection_of_a_boot_has_a_number_of_its_own() -> None:
    bench = Bench()
    bench.bank = firmware.disconnected(bench.bank)
    bench.bank, _ = firmware.connecting(bench.bank)  # nobody answers
    birth, _ = bench.connect()
    assert isinstance(birth, Birth)
    assert birth.conn == 3


def test_since_times_stay_while_nothing_changes() -> None:
    bench = Bench()
    bench.start()
    since = bench.state
    bench.plug()
    bench.wait(120_000)
    now = bench.state
    assert now.up_ms > since.up_ms
    assert (now.lock_ms, now.output_ms) == (since.lock_ms, since.output_ms)


def test_a_bank_that_connects_anew_says_nothing_before_it_is_connected() -> None:
    bench = Bench()
    bench.bank, _ = firmware.connecting(bench.bank)
    assert bench.jam() == ()


# -- feeding --------------------------------------------------------------------------


def test_charge_start_unlocks_then_feeds() -> None:
    bench = Bench()
    assert bench.tell(CommandKind.CHARGE_START) == ()  # the bolt is on its way
    result, state = bench.wait(300)
    assert isinstance(result, Result)
    assert isinstance(state, State)
    assert (result.command, result.status, result.seq) == ("c1", Outcome.DONE, 2)
    assert (state.lock, state.output, state.last_command) == (Lock.UNLOCKED, Output.ON, "c1")
    assert (state.lock_ms, state.output_ms, state.seq) == (300, 300, 3)


def test_charge_stop_cuts_the_output_at_once_and_locks() -> None:
    bench = Bench()
    bench.start()
    (cut,) = bench.tell(CommandKind.CHARGE_STOP, "stop")
    assert isinstance(cut, State)
    assert (cut.output, cut.lock) == (Output.OFF, Lock.UNLOCKED)
    bench.wait(1_000)
    assert bench.results[-1] == ("stop", Outcome.DONE, None)
    assert (bench.state.lock, bench.state.last_command) == (Lock.LOCKED, "stop")


def test_a_session_counts_when_the_load_draws() -> None:
    bench = Bench()
    bench.plug()
    assert (bench.state.plugged, bench.state.sessions) == (False, 0)
    bench.start()
    assert (bench.state.plugged, bench.state.sessions) == (True, 1)
    bench.unplug()
    bench.plug()
    assert bench.state.sessions == 2


def test_an_hour_of_feeding_is_counted() -> None:
    bench = Bench()
    bench.start()
    before = bench.state
    bench.plug(10_000)
    bench.wait(3_600_000 - bench.bank.ram.up_ms + before.output_ms)
    bench.unplug()
    assert bench.state.on_s == 3_600
    assert bench.state.energy_mwh in range(9_990, 10_001)


def test_a_low_battery_cuts_the_output_and_keeps_it_cut() -> None:
    bench = Bench()
    bench.start()
    bench.drain(to_pct=9)
    assert (bench.state.output, bench.state.lock) == (Output.OFF, Lock.UNLOCKED)
    bench.bank, _ = firmware.put_on_charger(bench.bank, charge_mw=20_000)
    bench.wait(3_600_000)
    assert bench.state.battery > 40
    assert bench.state.output is Output.OFF


@pytest.mark.parametrize(
    ("fault", "output"), [(Fault.CELL_IMBALANCE, Output.OFF), (Fault.TAMPER, Output.ON)]
)
def test_a_dangerous_fault_cuts_the_output(fault: Fault, output: Output) -> None:
    bench = Bench()
    bench.start()
    bench.bank, (state,) = firmware.break_part(bench.bank, fault)
    assert isinstance(state, State)
    assert (state.faults, state.output) == ((fault,), output)
    bench.bank, (mended,) = firmware.mend_part(bench.bank, fault)
    assert isinstance(mended, State)
    assert (mended.faults, mended.output) == ((), output)


def test_a_load_that_draws_too_much_is_cut_until_it_is_gone() -> None:
    bench = Bench()
    bench.start()
    bench.plug(60_000)
    assert (bench.state.faults, bench.state.output) == ((Fault.OVER_CURRENT,), Output.OFF)
    assert bench.tell(CommandKind.CHARGE_START, "again")
    assert bench.results[-1] == ("again", Outcome.REJECTED, Refused.FAULTY)
    bench.unplug()
    assert bench.state.faults == ()


def test_an_overload_found_at_the_start_fails_it() -> None:
    bench = Bench()
    bench.plug(60_000)
    bench.start()
    assert bench.results == [("start", Outcome.FAILED, Refused.FAULTY)]
    assert bench.state.output is Output.OFF


def test_a_hot_bank_feeds_nobody_until_it_has_cooled() -> None:
    bench = Bench()
    bench.start()
    bench.bank = replace(bench.bank, world=replace(bench.bank.world, ambient_c=70.0))
    bench.wait(3_600_000)
    assert (bench.state.faults, bench.state.output) == ((Fault.OVER_TEMPERATURE,), Output.OFF)
    bench.bank = replace(bench.bank, world=replace(bench.bank.world, ambient_c=57.0))
    bench.wait(7_200_000)
    assert bench.state.faults == (Fault.OVER_TEMPERATURE,)
    bench.bank = replace(bench.bank, world=replace(bench.bank.world, ambient_c=20.0))
    bench.wait(3_600_000)
    assert bench.state.faults == ()


def test_sagging_cells_report_low_voltage_and_refuse() -> None:
    bench = Bench(battery_pct=2)
    bench.hear(Config(version=1, min_output_battery=0))
    bench.start()
    bench.plug(20_000)
    assert (bench.state.faults, bench.state.output) == ((Fault.LOW_VOLTAGE,), Output.OFF)
    bench.tell(CommandKind.CHARGE_START, "again")
    assert bench.results[-1] == ("again", Outcome.REJECTED, Refused.LOW_BATTERY)


# -- commands -------------------------------------------------------------------------


def test_a_repeat_gets_the_first_answer_and_no_second_act() -> None:
    bench = Bench()
    bench.start("c1")
    bench.drain(to_pct=5)
    bench.tell(CommandKind.CHARGE_START, "c1")
    assert bench.results == [("c1", Outcome.DONE, None)] * 2
    assert bench.acts == ["c1"]
    assert bench.state.output is Output.OFF


def test_a_repeat_while_the_bolt_moves_is_answered_once_by_its_end() -> None:
    bench = Bench()
    bench.tell(CommandKind.CHARGE_START, "c1")
    bench.tell(CommandKind.CHARGE_START, "c1")
    bench.wait(1_000)
    assert bench.results == [("c1", Outcome.DONE, None)]


def test_a_no_is_repeated_too() -> None:
    bench = Bench(battery_pct=5)
    bench.tell(CommandKind.CHARGE_START, "c1")
    bench.bank, _ = firmware.put_on_charger(bench.bank, charge_mw=20_000)
    bench.wait(3_600_000)
    bench.tell(CommandKind.CHARGE_START, "c1")
    assert bench.results == [("c1", Outcome.REJECTED, Refused.LOW_BATTERY)] * 2


def test_a_bank_remembers_thirty_two_ids() -> None:
    bench = Bench()
    for number in range(33):
        bench.tell(CommandKind.LOCATE, f"c{number}")
    bench.tell(CommandKind.LOCATE, "c1")
    assert len(bench.acts) == 33
    bench.tell(CommandKind.LOCATE, "c0")
    assert bench.acts[-1] == "c0"


def test_a_repeat_is_known_across_a_loss_of_power() -> None:
    bench = Bench()
    bench.start("c1")
    bench.lose_power()
    bench.connect()
    bench.tell(CommandKind.CHARGE_START, "c1", boot=1)
    assert bench.results[-1] == ("c1", Outcome.DONE, None)
    assert bench.said[-1] == Result(
        boot=2, seq=2, up_ms=0, command=CommandId("c1"), status=Outcome.DONE
    )


def test_a_command_is_carried_out_at_its_deadline_and_not_after() -> None:
    bench = Bench()
    bench.wait(1_000)
    bench.tell(CommandKind.LOCATE, "in-time", not_after_ms=1_000)
    bench.tell(CommandKind.LOCATE, "late", not_after_ms=999)
    assert bench.results == [
        ("in-time", Outcome.DONE, None),
        ("late", Outcome.EXPIRED, Refused.TOO_LATE),
    ]


@pytest.mark.parametrize("boot", [0, 1, 3])
def test_a_command_for_another_boot_does_nothing(boot: int) -> None:
    bench = Bench()
    bench.lose_power()
    bench.connect()
    bench.tell(CommandKind.CHARGE_START, boot=boot)
    assert bench.results == [("c1", Outcome.EXPIRED, Refused.WRONG_BOOT)]
    assert bench.acts == []


def test_a_jammed_lock_refuses_to_start() -> None:
    bench = Bench()
    bench.jam()
    bench.tell(CommandKind.CHARGE_START)
    assert bench.results == [("c1", Outcome.REJECTED, Refused.FAULTY)]
    assert bench.state.faults == (Fault.LOCK_JAMMED,)


def test_a_lock_that_jams_on_its_way_fails_the_start() -> None:
    bench = Bench()
    bench.tell(CommandKind.CHARGE_START)
    bench.jam()
    bench.wait(1_000)
    assert bench.results == [("c1", Outcome.FAILED, Refused.FAULTY)]
    assert (bench.state.output, bench.state.last_command) == (Output.OFF, None)


def test_a_stop_with_a_jammed_lock_fails_and_cuts_the_output_all_the_same() -> None:
    bench = Bench()
    bench.start()
    bench.jam()
    bench.tell(CommandKind.CHARGE_STOP, "stop")
    bench.wait(1_000)
    assert bench.results[-1] == ("stop", Outcome.FAILED, Refused.FAULTY)
    assert (bench.state.output, bench.state.lock) == (Output.OFF, Lock.JAMMED)
    bench.bank, (freed,) = firmware.unjam(bench.bank)
    assert isinstance(freed, State)
    assert freed.lock is Lock.UNLOCKED


def test_one_job_at_a_time() -> None:
    bench = Bench()
    bench.tell(CommandKind.CHARGE_START, "c1")
    bench.tell(CommandKind.CHARGE_STOP, "c2")
    bench.tell(CommandKind.LOCATE, "c3")
    bench.wait(1_000)
    assert bench.results == [
        ("c2", Outcome.REJECTED, Refused.BUSY),
        ("c3", Outcome.DONE, None),
        ("c1", Outcome.DONE, None),
    ]


def test_a_model_says_what_it_does_not_support() -> None:
    bench = Bench(model=replace(MODEL, kinds=frozenset({CommandKind.REPORT})))
    bench.tell(CommandKind.LOCATE)
    assert bench.results == [("c1", Outcome.REJECTED, Refused.NOT_SUPPORTED)]


def test_locate_blinks_for_a_while() -> None:
    bench = Bench()
    bench.tell(CommandKind.LOCATE)
    assert bench.bank.ram.locating_until_ms == 10_000


def test_report_sends_a_state_each_time() -> None:
    bench = Bench()
    assert [type(said) for said in bench.tell(CommandKind.REPORT, "c1")] == [Result, State]
    assert [type(said) for said in bench.tell(CommandKind.REPORT, "c2")] == [Result, State]


def test_reboot_answers_first_and_then_reboots() -> None:
    bench = Bench()
    result, _ = bench.tell(CommandKind.REBOOT)
    assert isinstance(result, Result)
    assert (result.status, result.boot) == (Outcome.DONE, 1)
    bench.tell(CommandKind.LOCATE, "c2")
    assert bench.results[-1] == ("c2", Outcome.REJECTED, Refused.BUSY)
    bench.wait(500)
    assert (bench.bank.flash.boot, bench.bank.ram.is_online) == (2, False)
    bench.connect()
    assert (bench.state.boot, bench.state.seq, bench.state.last_command) == (2, 1, "c1")


def test_an_update_runs_after_the_reboot() -> None:
    bench = Bench()
    bench.tell(CommandKind.UPDATE, args=dict(UPDATE))
    bench.wait(3_000)
    assert bench.results == [("c1", Outcome.DONE, None)]
    assert bench.bank.ram.fw == "1.4.2"
    bench.wait(500)
    birth, _ = bench.connect()
    assert isinstance(birth, Birth)
    assert (birth.boot, birth.fw) == (2, "2.0.0")


@pytest.mark.parametrize(
    "args", [{}, {**UPDATE, "url": "http://plain.example"}, {**UPDATE, "sha256": 7}]
)
def test_an_update_without_sense_is_refused(args: dict[str, bool | int | str]) -> None:
    bench = Bench()
    bench.tell(CommandKind.UPDATE, args=args)
    assert bench.results == [("c1", Outcome.REJECTED, Refused.BAD_ARGS)]


def test_a_bank_without_the_capabilities_acts_late_and_twice() -> None:
    bench = Bench(model=MODELS["LW-10K-OLD"])
    bench.wait(1_000)
    for _ in range(2):
        bench.tell(CommandKind.LOCATE, boot=0, not_after_ms=0)
    assert bench.acts == ["c1", "c1"]


# -- results that were not heard ------------------------------------------------------


def test_a_result_from_off_the_air_is_said_after_the_next_state() -> None:
    bench = Bench()
    bench.tell(CommandKind.CHARGE_START)
    bench.bank = firmware.disconnected(bench.bank)
    assert bench.wait(1_000) == ()
    birth, state, result = bench.connect()
    assert isinstance(birth, Birth)
    assert isinstance(state, State)
    assert isinstance(result, Result)
    assert (state.seq, result.seq, result.status) == (2, 3, Outcome.DONE)


def test_a_result_is_owed_until_the_broker_has_it() -> None:
    bench = Bench()
    bench.start()
    assert len(bench.connect()) == 3
    bench.bank = firmware.acknowledged(bench.bank, CommandId("start"))
    assert len(bench.connect()) == 2


def test_a_command_cut_short_by_a_loss_of_power_failed_and_says_so() -> None:
    bench = Bench()
    bench.tell(CommandKind.CHARGE_START)
    bench.lose_power()
    *_, result = bench.connect()
    assert isinstance(result, Result)
    assert (result.status, result.reason) == (Outcome.FAILED, Refused.INTERNAL)
    assert bench.state.output is Output.OFF


# -- power ----------------------------------------------------------------------------


def test_a_loss_of_power_keeps_bolt_output_and_counters() -> None:
    bench = Bench()
    bench.start()
    bench.plug()
    bench.wait(60_000)
    before = bench.state
    bench.lose_power()
    bench.connect()
    after = bench.state
    assert (after.boot, after.seq, after.lock_ms, after.output_ms, after.plugged_ms) == (
        2, 1, 0, 0, 0,
    )  # fmt: skip
    assert (after.lock, after.output, after.plugged) == (Lock.UNLOCKED, Output.ON, True)
    assert (after.sessions, after.on_s) == (before.sessions, before.on_s)


def test_a_loss_of_power_loses_at_most_ten_seconds_of_feeding() -> None:
    bench = Bench()
    bench.start()
    bench.wait(27_999)
    fed_ms = bench.bank.ram.counters.on_ms
    bench.lose_power()
    assert 0 < fed_ms - bench.bank.ram.counters.on_ms < 10_000


def test_what_was_said_survives_a_loss_of_power() -> None:
    bench = Bench()
    bench.start()
    bench.plug()
    bench.wait(8_000)
    bench.tell(CommandKind.REPORT)
    said = bench.state
    bench.lose_power()
    bench.connect()
    assert (said.on_s, bench.state.on_s) == (8, 8)
    assert bench.state.energy_mwh == said.energy_mwh > 0


def test_planned_reboots_lose_no_part_of_a_second() -> None:
    bench = Bench()
    bench.start()
    for number in range(10):
        bench.wait(250)
        bench.tell(CommandKind.REBOOT, f"reboot-{number}")
        bench.wait(500)
        bench.connect()
    assert bench.state.on_s == (700 + 10 * 750) // 1_000


def test_an_empty_bank_goes_dark_and_wakes_on_a_charger() -> None:
    bench = Bench()
    bench.start()
    bench.drain(to_pct=0)
    assert (bench.state.battery, bench.state.output) == (0, Output.OFF)
    assert bench.wait(3_600_000) == ()
    assert not bench.bank.ram.is_powered
    assert bench.tell(CommandKind.REPORT) == ()
    bench.lose_power()
    assert bench.bank.flash.boot == 1
    bench.bank, _ = firmware.put_on_charger(bench.bank, charge_mw=10_000)
    bench.wait(3_600_000)
    assert (bench.bank.ram.is_powered, bench.bank.flash.boot) == (True, 2)


# -- config and nonsense --------------------------------------------------------------


def test_a_config_is_applied_and_reported() -> None:
    bench = Bench()
    (state,) = bench.hear(Config(version=12, report_s=5, min_output_battery=50))
    assert isinstance(state, State)
    assert state.config_version == 12
    assert len(bench.wait(10_000)) == 2


def test_an_older_config_is_ignored() -> None:
    bench = Bench()
    bench.hear(Config(version=12, report_s=5))
    assert bench.hear(Config(version=11, report_s=60)) == ()
    assert bench.bank.flash.config.report_s == 5


def test_a_config_can_forbid_feeding_at_this_level() -> None:
    bench = Bench()
    bench.start()
    bench.hear(Config(version=1, min_output_battery=90))
    assert bench.state.output is Output.OFF


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("payload", [b"", b"{", b'{"id":"c1"}', b"x" * 5_000, b"\xff", b"NaN"])
def test_nonsense_is_ignored(channel: Channel, payload: bytes) -> None:
    bank = Bench().bank
    assert firmware.hear(bank, channel, payload) == (bank, ())


def test_a_bank_does_not_obey_what_another_bank_says() -> None:
    bench = Bench()
    assert firmware.hear(bench.bank, Channel.STATE, encode(bench.state)) == (bench.bank, ())


def test_a_bank_hears_bytes() -> None:
    command = Command(id="c1", kind=CommandKind.LOCATE, boot=1, not_after_ms=10)
    _, (result, _) = firmware.hear(Bench().bank, Channel.COMMAND, encode(command))
    assert isinstance(result, Result)
    assert result.status is Outcome.DONE


def test_waking_is_never_in_the_past() -> None:
    bank: Bank = Bench().bank
    assert firmware.wake_in_ms(bank) == 60_000
