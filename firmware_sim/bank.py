"""The firmware of a power bank, as the device contract wants it.

The theory
----------
A bank is a value. Whatever happens to it, time included, is a function from a bank to a bank
and the messages it says meanwhile; the shell (:mod:`firmware_sim.link`) only carries them.

What a bank is made of is in :mod:`firmware_sim.anatomy`. Each function here ends in the same two
steps, *settle* and *speak* (:mod:`firmware_sim.senses`): what is so is read off the parts, and a
state is sent where anything that is news has changed. Commands are in
:mod:`firmware_sim.orders`.

What must always hold:

- The counters on the wire never shrink: a number is in flash before it is said.
- ``seq`` is +1 for each state and result; since-times are never after ``up_ms``.
- A command id is acted on at most once, in its own boot and before its deadline. It is in flash
  before the bolt moves, so a loss of power in between can't make it happen twice: afterwards the
  answer is ``failed``, ``internal``, and the state says what is so.
- Under ``min_output_battery`` the output is off, and stays off until commanded on again.

Decisions where the contract is silent:

- ``plugged`` says that a load *draws current*, so it is false while the output is off, even
  with a cable in. A renter who plugs in first and scans then starts a session all the same.
- After a power-up the bolt stands where it stood, and the output feeds again if it did before:
  a watchdog's reset must not leave a renter with a dead bank. A load that is found at power-up
  is no new session.
- Counters go to flash before each state, at each change, every 10 s of feeding, and before a
  reboot that the firmware itself does. A sudden loss of power loses what was fed since: at most
  10 s, milliseconds included, and none of it was ever said.
- Nothing is queued while the bank is off the air: the next state heals. Results alone are owed
  until the broker has acknowledged them: they are said again, afresh, after the next state. A
  loss of power forgets them (but for the command it interrupted); a repeat of the command asks.
- ``wrong_boot`` and ``too_late`` are ``expired``; a command that began and could not be brought
  to its end is ``failed``; every other no is ``rejected``. Every answer is remembered, a no too.
- A config older than the one in force is ignored.

What it ignores: the radio, the time a boot takes, the download behind an ``update``.
"""

from dataclasses import replace
from typing import Final

from firmware_sim import battery as cells
from firmware_sim.anatomy import Bank, Flash, Model, Ram, World
from firmware_sim.orders import finish_due, obey, remembered, result_of
from firmware_sim.senses import checkpoint, forget_told, lock_of, settle, speak
from gateway.protocol import (
    Birth,
    Channel,
    Command,
    CommandId,
    Config,
    Fault,
    Outcome,
    Output,
    ProtocolError,
    Refused,
    Result,
    State,
    Will,
    decode,
)

Message = Birth | State | Result
Spoken = tuple[Bank, tuple[Message, ...]]
"""A bank, and what it said on the way."""

CHECKPOINT_MS: Final = 10_000
"""The longest feeding that a sudden loss of power can lose."""
IDLE_SLICE_MS: Final = 60_000
WAKE_PCT: Final = 2
"""An empty bank on a charger comes back to life at this level."""


# -- power -------------------------------------------------------------------------------


def new_bank(model: Model, *, battery_pct: int = 80, config: Config | None = None) -> Bank:
    """A bank from the factory, powered up for the first time: boot 1, locked, nothing plugged.

    Args:
        model: what the maker built.
        battery_pct: charge level, 0 to 100.
        config: the factory's settings; None for the contract's own.
    """
    world = World(battery=cells.new_battery(model.pack, level_pct=battery_pct, temp_c=22.0))
    flash = Flash(fw=model.fw, config=config or Config(version=0))
    return power_up(flash, model=model, world=world)


def power_up(flash: Flash, *, model: Model, world: World) -> Bank:
    """A bank that starts from what its flash kept: the next boot, not yet on the air."""
    interrupted = tuple(answer.command for answer in flash.answers if answer.status is None)
    output = Output.ON if flash.output_is_on and model.restores_output else Output.OFF
    flash = replace(
        flash,
        boot=flash.boot + 1,
        answers=tuple(
            replace(answer, status=Outcome.FAILED, reason=Refused.INTERNAL)
            if answer.status is None
            else answer
            for answer in flash.answers
        ),
    )
    ram = Ram(
        fw=flash.fw,
        counters=flash.counters,
        lock=lock_of(world),
        output=output,
        plugged=output is Output.ON and world.load_mw > 0,
        is_powered=world.battery.stored_uj > 0,
        owed=interrupted,
    )
    return settle(Bank(model=model, flash=flash, ram=ram, world=world))


def lose_power(bank: Bank) -> Bank:
    """The power goes for a moment, and comes back: all that RAM knew is lost."""
    if bank.world.battery.stored_uj == 0:
        return bank
    return power_up(bank.flash, model=bank.model, world=bank.world)


# -- time --------------------------------------------------------------------------------


def wake_in_ms(bank: Bank) -> int:
    """In how many milliseconds, at least 1, :func:`tick` next has something to do."""
    ram = bank.ram
    if not ram.is_powered:
        return IDLE_SLICE_MS
    due_ms = [ram.up_ms + (CHECKPOINT_MS if ram.output is Output.ON else IDLE_SLICE_MS)]
    if ram.job is not None:
        due_ms.append(ram.job.ends_ms)
    if ram.reboot_at_ms is not None:
        due_ms.append(ram.reboot_at_ms)
    if ram.is_online:
        due_ms.append(_report_due_ms(bank))
    return max(1, min(due_ms) - ram.up_ms)


def tick(bank: Bank, dt_ms: int, *, battery_speed: float = 1.0) -> Spoken:
    """Let time pass: cells drain, jobs end, reports fall due, a reboot happens.

    After a reboot ``bank.flash.boot`` is higher and the bank is off the air.

    Args:
        bank: the bank now.
        dt_ms: how much time, milliseconds, at least 0.
        battery_speed: lets the cells, and so the counted energy, live faster than the clock.
    """
    said: list[Message] = []
    while dt_ms > 0:
        slice_ms = min(dt_ms, wake_in_ms(bank))
        dt_ms -= slice_ms
        bank = _live(bank, slice_ms, battery_speed=battery_speed)
        bank, messages = _do_what_is_due(bank)
        said += messages
    return bank, tuple(said)


def _live(bank: Bank, dt_ms: int, *, battery_speed: float) -> Bank:
    """Nothing but the time itself: cells, counters, ``up_ms``."""
    ram, world = bank.ram, bank.world
    before = world.battery
    after = cells.step(
        before,
        dt_ms=round(dt_ms * battery_speed),
        load_mw=world.load_mw if ram.output is Output.ON else 0,
        charge_mw=world.charge_mw,
        ambient_c=world.ambient_c,
    )
    bank = replace(bank, world=replace(world, battery=after))
    if not ram.is_powered:
        return lose_power(bank) if cells.level_pct(after) >= WAKE_PCT else bank
    if after.stored_uj == 0:
        off = replace(ram, is_powered=False, is_online=False, output=Output.OFF, job=None)
        return replace(bank, ram=off)
    counters = replace(
        ram.counters,
        on_ms=ram.counters.on_ms + (dt_ms if ram.output is Output.ON else 0),
        energy_uj=ram.counters.energy_uj + after.delivered_uj - before.delivered_uj,
    )
    return replace(bank, ram=replace(ram, up_ms=ram.up_ms + dt_ms, counters=counters))


def _do_what_is_due(bank: Bank) -> Spoken:
    bank, results = finish_due(settle(bank))
    ram = bank.ram
    if ram.output is Output.ON and ram.up_ms - ram.saved_ms >= CHECKPOINT_MS:
        bank = checkpoint(bank)
    if ram.is_online and ram.up_ms >= _report_due_ms(bank):
        bank = forget_told(bank)
    bank, states = speak(settle(bank))
    if ram.reboot_at_ms is not None and ram.up_ms >= ram.reboot_at_ms:
        bank = lose_power(checkpoint(bank))
    return bank, (*results, *states)


def _report_due_ms(bank: Bank) -> int:
    return bank.ram.reported_ms + 1_000 * bank.flash.config.report_s


# -- on the air --------------------------------------------------------------------------


def connecting(bank: Bank) -> tuple[Bank, Will]:
    """The bank begins a connection, with the will to leave with the broker.

    Each attempt has its own ``conn``: of an attempt that failed nobody knows whether the
    broker heard it, and its will must not be taken for the next one's.
    """
    ram = replace(bank.ram, conn=bank.ram.conn + 1, is_online=False)
    return replace(bank, ram=ram), Will(boot=bank.flash.boot, conn=ram.conn)


def connected(bank: Bank) -> Spoken:
    """The broker took the bank in: birth, the whole state, and the results it still owes."""
    birth = Birth(
        boot=bank.flash.boot,
        conn=bank.ram.conn,
        model=bank.model.name,
        hw=bank.model.hw,
        fw=bank.ram.fw,
    )
    bank = forget_told(replace(bank, ram=replace(bank.ram, is_online=True)))
    bank, said = speak(settle(bank))
    messages: list[Message] = [birth, *said]
    for command in bank.ram.owed:
        answer = remembered(bank, command)
        if answer is not None and answer.status is not None:
            bank, result = result_of(bank, answer)
            messages.append(result)
    return bank, tuple(messages)


def disconnected(bank: Bank) -> Bank:
    """The connection is gone."""
    return replace(bank, ram=replace(bank.ram, is_online=False))


def acknowledged(bank: Bank, command: CommandId) -> Bank:
    """The broker has the result of a command: it is no longer owed."""
    owed = tuple(other for other in bank.ram.owed if other != command)
    return replace(bank, ram=replace(bank.ram, owed=owed))


# -- what it is told ---------------------------------------------------------------------


def hear(bank: Bank, channel: Channel, payload: bytes) -> Spoken:
    """Take what came on one of the bank's own topics; what is malformed is ignored."""
    try:
        message = decode(channel, payload)
    except ProtocolError:
        return bank, ()
    return handle(bank, message) if isinstance(message, Command | Config) else (bank, ())


def handle(bank: Bank, message: Command | Config) -> Spoken:
    """Carry a command out, or refuse it; apply a config."""
    if not bank.ram.is_powered:
        return bank, ()
    if isinstance(message, Config):
        return speak(settle(_configured(bank, message)))
    bank, answers = obey(bank, message)
    bank, results = finish_due(bank)
    bank, states = speak(settle(bank))
    return bank, (*answers, *results, *states)


def _configured(bank: Bank, config: Config) -> Bank:
    if config.version < bank.flash.config.version:
        return bank
    return replace(bank, flash=replace(bank.flash, config=config))


# -- hands -------------------------------------------------------------------------------


def plug(bank: Bank, *, load_mw: int) -> Spoken:
    """Somebody attaches a load that would draw this much."""
    return _touched(bank, replace(bank.world, load_mw=load_mw))


def unplug(bank: Bank) -> Spoken:
    """Somebody takes the load away."""
    return _touched(bank, replace(bank.world, load_mw=0))


def put_on_charger(bank: Bank, *, charge_mw: int) -> Spoken:
    """Somebody puts the bank on a charger that offers this much; 0 takes it off."""
    return _touched(bank, replace(bank.world, charge_mw=charge_mw))


def drain(bank: Bank, *, to_pct: int) -> Spoken:
    """Somebody empties the cells down to a level; never fills them."""
    battery = cells.drained(bank.world.battery, to_pct=to_pct)
    return _touched(bank, replace(bank.world, battery=battery))


def jam(bank: Bank) -> Spoken:
    """The bolt gets stuck where it stands."""
    return _touched(bank, replace(bank.world, is_jammed=True))


def unjam(bank: Bank) -> Spoken:
    """The bolt is freed; it stands where it stood."""
    return _touched(bank, replace(bank.world, is_jammed=False))


def break_part(bank: Bank, fault: Fault) -> Spoken:
    """Something breaks, and stays broken."""
    return _touched(bank, replace(bank.world, broken=bank.world.broken | {fault}))


def mend_part(bank: Bank, fault: Fault) -> Spoken:
    """It is mended."""
    return _touched(bank, replace(bank.world, broken=bank.world.broken - {fault}))


def _touched(bank: Bank, world: World) -> Spoken:
    return speak(settle(replace(bank, world=world)))
