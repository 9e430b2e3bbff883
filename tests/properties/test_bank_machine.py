"""A bank under everything that people, time, the network and the platform do to it."""

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware_sim import bank as firmware
from firmware_sim.anatomy import MODELS
from gateway.protocol import (
    Birth,
    Channel,
    Command,
    CommandId,
    CommandKind,
    Config,
    Fault,
    Outcome,
    Output,
    Result,
    State,
    Will,
    decode,
    encode,
)

CHANNELS = {Birth: Channel.STATUS, State: Channel.STATE, Result: Channel.RESULT}
UPDATE = {"url": "https://maker.example/2.bin", "sha256": "0" * 64, "version": "2.0.0"}


class BankMachine(RuleBasedStateMachine):
    """Rules are what happens to a bank; invariants are the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = firmware.new_bank(MODELS["LW-10K-A"])
        self.first_uj = self.bank.world.battery.stored_uj
        self.said: list[firmware.Message] = []
        self.given: dict[str, Command] = {}
        self.first_answers: dict[str, tuple[Outcome, str | None]] = {}
        self.last_state: State | None = None
        self.last_order = (0, 0)

    @initialize(level=st.integers(0, 100), speed=st.sampled_from([1.0, 60.0]))
    def begin(self, level: int, speed: float) -> None:
        self.bank = firmware.new_bank(MODELS["LW-10K-A"], battery_pct=level)
        self.first_uj = self.bank.world.battery.stored_uj
        self.speed = speed

    def take(self, spoken: firmware.Spoken) -> None:
        self.bank, messages = spoken
        for message in messages:
            assert decode(CHANNELS[type(message)], encode(message)) == message
            if isinstance(message, Birth):
                continue
            self.check_order(message)
            if isinstance(message, Result):
                self.check_answer(message)
            else:
                self.check_state(message)

    def check_order(self, message: State | Result) -> None:
        boot, seq = self.last_order
        assert (message.boot, message.seq) == (boot, seq + 1) or (
            message.boot > boot and message.seq == 1
        )
        self.last_order = (message.boot, message.seq)

    def check_answer(self, result: Result) -> None:
        answer = (result.status, result.reason)
        assert self.first_answers.setdefault(result.command, answer) == answer
        assert result.command in self.given

    def check_state(self, state: State) -> None:
        assert max(state.lock_ms, state.output_ms, state.plugged_ms) <= state.up_ms
        if state.output is Output.ON:
            assert state.battery >= self.bank.flash.config.min_output_battery
        assert not (state.plugged and state.output is Output.OFF)
        last = self.last_state
        if last is not None:
            assert (state.sessions, state.on_s, state.energy_mwh) >= (0, last.on_s, 0)
            assert state.sessions >= last.sessions
            assert state.energy_mwh >= last.energy_mwh
        self.last_state = state

    # -- time and power

    @rule(ms=st.sampled_from([0, 1, 299, 300, 500, 3_000, 9_999, 60_000, 3_600_000]))
    def wait(self, ms: int) -> None:
        self.take(firmware.tick(self.bank, ms, battery_speed=self.speed))

    @rule()
    def lose_power(self) -> None:
        boot = self.bank.flash.boot
        was_powered = self.bank.world.battery.stored_uj > 0
        self.bank = firmware.lose_power(self.bank)
        assert self.bank.flash.boot == boot + was_powered

    # -- the network

    @precondition(lambda self: self.bank.ram.is_powered)
    @rule()
    def connect(self) -> None:
        conn = self.bank.ram.conn
        self.bank, will = firmware.connecting(self.bank)
        assert decode(Channel.STATUS, encode(will)) == will
        assert will == Will(boot=self.bank.flash.boot, conn=conn + 1)
        self.take(firmware.connected(self.bank))
        assert self.last_state is not None
        assert self.last_state.up_ms == self.bank.ram.up_ms

    @rule()
    def drop(self) -> None:
        self.bank = firmware.disconnected(self.bank)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def broker_acknowledges(self, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from(sorted(self.given)))
        self.bank = firmware.acknowledged(self.bank, CommandId(command))

    # -- the platform

    @rule(
        kind=st.sampled_from(CommandKind),
        boots_ago=st.sampled_from([0, 0, 0, 1]),
        for_ms=st.sampled_from([-1, 0, 10_000, 10_000_000]),
        has_args=st.booleans(),
    )
    def command(self, *, kind: CommandKind, boots_ago: int, for_ms: int, has_args: bool) -> None:
        command = Command(
            id=f"c{len(self.given)}",
            kind=kind,
            boot=self.bank.flash.boot - boots_ago,
            not_after_ms=max(0, self.bank.ram.up_ms + for_ms),
            args=dict(UPDATE) if has_args else {},
        )
        self.given[command.id] = command
        self.take(firmware.hear(self.bank, Channel.COMMAND, encode(command)))

    @rule(load_mw=st.sampled_from([0, 10_000]))
    def rent(self, load_mw: int) -> None:
        self.plug(load_mw)
        self.command(kind=CommandKind.CHARGE_START, boots_ago=0, for_ms=10_000, has_args=False)
        self.wait(3_000)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), back=st.integers(1, 32))
    def repeat(self, data: st.DataObject, back: int) -> None:
        recent = list(self.given.values())[-back:]
        self.take(firmware.handle(self.bank, data.draw(st.sampled_from(recent))))

    @rule(
        version=st.integers(0, 5), report_s=st.sampled_from([1, 60]), least=st.sampled_from([0, 50])
    )
    def configure(self, version: int, report_s: int, least: int) -> None:
        config = Config(version=version, report_s=report_s, min_output_battery=least)
        self.take(firmware.handle(self.bank, config))

    @rule(channel=st.sampled_from(Channel), payload=st.binary(max_size=60))
    def nonsense(self, channel: Channel, payload: bytes) -> None:
        self.take(firmware.hear(self.bank, channel, payload))

    # -- people

    @rule(load_mw=st.sampled_from([5_000, 20_000, 60_000]))
    def plug(self, load_mw: int) -> None:
        self.take(firmware.plug(self.bank, load_mw=load_mw))

    @rule()
    def unplug(self) -> None:
        self.take(firmware.unplug(self.bank))

    @rule(charge_mw=st.sampled_from([0, 15_000]))
    def put_on_charger(self, charge_mw: int) -> None:
        self.take(firmware.put_on_charger(self.bank, charge_mw=charge_mw))

    @rule(to_pct=st.integers(0, 100))
    def drain(self, to_pct: int) -> None:
        self.take(firmware.drain(self.bank, to_pct=to_pct))

    @rule(jammed=st.booleans())
    def jam(self, *, jammed: bool) -> None:
        self.take((firmware.jam if jammed else firmware.unjam)(self.bank))

    @rule(fault=st.sampled_from(Fault), broken=st.booleans())
    def break_or_mend(self, fault: Fault, *, broken: bool) -> None:
        self.take((firmware.break_part if broken else firmware.mend_part)(self.bank, fault))

    @rule(ambient_c=st.sampled_from([-10.0, 22.0, 65.0]))
    def weather(self, ambient_c: float) -> None:
        self.bank = replace(self.bank, world=replace(self.bank.world, ambient_c=ambient_c))

    # -- what always holds

    @invariant()
    def energy_is_neither_made_nor_lost(self) -> None:
        now = self.bank.world.battery
        gone_uj = now.drawn_uj + now.leaked_uj
        assert self.first_uj + now.absorbed_uj == now.stored_uj + gone_uj

    @invariant()
    def a_command_is_acted_on_once_in_its_boot_and_in_time(self) -> None:
        acts = self.bank.world.acts
        assert max(Counter(act.command for act in acts).values(), default=1) == 1
        for act in acts:
            command = self.given[act.command]
            assert act.boot == command.boot
            assert act.up_ms <= command.not_after_ms

    @invariant()
    def no_more_is_remembered_than_fits(self) -> None:
        assert len(self.bank.flash.answers) <= 32
        assert len(self.bank.ram.owed) <= 32

    @invariant()
    def what_was_said_is_in_flash(self) -> None:
        if self.last_state is not None:
            kept = self.bank.flash.counters
            assert kept.sessions >= self.last_state.sessions
            assert kept.on_ms >= 1_000 * self.last_state.on_s


BankMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_a_bank_keeps_the_contract_whatever_happens = BankMachine.TestCase
