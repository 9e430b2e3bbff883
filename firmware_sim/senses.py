"""What every function of the firmware ends in: settle, then speak.

*Settle*: read the sensors, cut the output where it must not feed, keep the since-times, count.
*Speak*: where anything that is news differs from what the last state said, send a state.
:mod:`firmware_sim.bank` opens with the theory.
"""

from dataclasses import replace
from typing import Final

from firmware_sim import battery as cells
from firmware_sim.anatomy import Bank, World
from gateway.protocol import Fault, Lock, Output, State

HOT_C: Final = 60.0
COOLED_C: Final = 55.0
CUTOFF_MV: Final = 3_000
RESTED_MV: Final = 3_400
USB_V: Final = 5

STOPS_OUTPUT: Final = frozenset(
    {Fault.OVER_TEMPERATURE, Fault.OVER_CURRENT, Fault.CELL_IMBALANCE, Fault.LOW_VOLTAGE}
)
"""Faults that cut the output. Any fault at all refuses ``charge_start``."""


# -- settle ------------------------------------------------------------------------------


def settle(bank: Bank) -> Bank:
    """Read the sensors, cut what must be cut, keep the since-times, count a session."""
    if not bank.ram.is_powered:
        return bank
    bank = replace(bank, ram=replace(bank.ram, faults=_sensed(bank)))
    if bank.ram.output is Output.ON and _must_cut(bank):
        bank = switch(bank, Output.OFF)
    ram, world = bank.ram, bank.world
    lock, plugged = lock_of(world), ram.output is Output.ON and world.load_mw > 0
    counters = ram.counters
    if plugged and not ram.plugged:
        counters = replace(counters, sessions=counters.sessions + 1)
    edge = lock is not ram.lock or plugged is not ram.plugged
    ram = replace(
        ram,
        lock=lock,
        lock_ms=ram.lock_ms if lock is ram.lock else ram.up_ms,
        plugged=plugged,
        plugged_ms=ram.plugged_ms if plugged is ram.plugged else ram.up_ms,
        counters=counters,
    )
    bank = replace(bank, ram=ram)
    is_on = ram.output is Output.ON
    return checkpoint(bank) if edge or is_on is not bank.flash.output_is_on else bank


def _sensed(bank: Bank) -> frozenset[Fault]:
    """What is wrong, with hysteresis where a cut output would seem to cure it."""
    ram, world = bank.ram, bank.world
    is_on = ram.output is Output.ON
    load_mw = world.load_mw if is_on else 0
    hot_c = COOLED_C if Fault.OVER_TEMPERATURE in ram.faults else HOT_C
    flat_mv = RESTED_MV if Fault.LOW_VOLTAGE in ram.faults else CUTOFF_MV
    sensed = {
        Fault.LOCK_JAMMED: world.is_jammed,
        Fault.OVER_TEMPERATURE: world.battery.temp_c > hot_c,
        Fault.OVER_CURRENT: world.load_mw > bank.model.max_output_mw
        and (is_on or Fault.OVER_CURRENT in ram.faults),
        Fault.LOW_VOLTAGE: cells.voltage_mv(world.battery, load_mw=load_mw) < flat_mv,
    }
    return world.broken | {fault for fault, is_so in sensed.items() if is_so}


def _must_cut(bank: Bank) -> bool:
    low = cells.level_pct(bank.world.battery) < bank.flash.config.min_output_battery
    return low or bool(bank.ram.faults & STOPS_OUTPUT)


def switch(bank: Bank, output: Output) -> Bank:
    """Turn the output on or off."""
    if bank.ram.output is output:
        return bank
    return replace(bank, ram=replace(bank.ram, output=output, output_ms=bank.ram.up_ms))


def lock_of(world: World) -> Lock:
    """What the lock's sensor says."""
    return Lock.JAMMED if world.is_jammed else world.bolt


def checkpoint(bank: Bank) -> Bank:
    """Write to flash what a loss of power must not take back."""
    flash = replace(
        bank.flash, counters=bank.ram.counters, output_is_on=bank.ram.output is Output.ON
    )
    return replace(bank, flash=flash, ram=replace(bank.ram, saved_ms=bank.ram.up_ms))


# -- speak -------------------------------------------------------------------------------


def speak(bank: Bank) -> tuple[Bank, tuple[State, ...]]:
    """A state, where one is due: on the air, and something that is news has changed."""
    news = _news(bank)
    if not (bank.ram.is_powered and bank.ram.is_online) or news == bank.ram.told:
        return bank, ()
    bank = checkpoint(bank)
    ram = replace(bank.ram, seq=bank.ram.seq + 1, told=news, reported_ms=bank.ram.up_ms)
    bank = replace(bank, ram=ram)
    return bank, (state(bank),)


def forget_told(bank: Bank) -> Bank:
    """Make the next :func:`speak` send a state in any case."""
    return replace(bank, ram=replace(bank.ram, told=None))


def _news(bank: Bank) -> tuple[object, ...]:
    ram, flash = bank.ram, bank.flash
    level = cells.level_pct(bank.world.battery)
    config = flash.config.version
    return level, ram.lock, ram.output, ram.plugged, ram.faults, flash.last_command, config


def state(bank: Bank) -> State:
    """What is so now, and since when, under the ``seq`` of the last message."""
    flash, ram, world = bank.flash, bank.ram, bank.world
    load_mw = world.load_mw if ram.plugged else 0
    return State(
        boot=flash.boot,
        seq=ram.seq,
        up_ms=ram.up_ms,
        battery=cells.level_pct(world.battery),
        lock=ram.lock,
        lock_ms=ram.lock_ms,
        output=ram.output,
        output_ms=ram.output_ms,
        plugged=ram.plugged,
        plugged_ms=ram.plugged_ms,
        sessions=ram.counters.sessions,
        on_s=ram.counters.on_ms // 1_000,
        energy_mwh=ram.counters.energy_uj // cells.UJ_PER_MWH,
        last_command=flash.last_command,
        faults=tuple(sorted(ram.faults)),
        temp_c=round(world.battery.temp_c, 1),
        voltage_mv=cells.voltage_mv(world.battery, load_mw=load_mw),
        current_ma=(load_mw - world.charge_mw) // USB_V,
        cycles=cells.cycles(world.battery),
        rssi_dbm=world.rssi_dbm,
        config_version=flash.config.version,
    )
