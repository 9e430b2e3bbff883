"""A lithium-ion pack: how much is in it, how warm it is, how much it has aged.

The theory
----------
Energy is counted, not charge: integers of microjoules, so that nothing is made or lost to
rounding. One milliwatt for one millisecond is one microjoule. At every moment

    first stored + absorbed == stored + drawn + leaked

where *drawn* is what left the cells for the load and *absorbed* is what entered them.
Between cells and ports stand converters that turn a part into heat:

    delivered == drawn * output efficiency        absorbed == taken * input efficiency

The cells leak a little (self-discharge, and the bank's own electronics), warm up with what
is lost, cool towards the air around them, and hold less with each full cycle. Their voltage
follows from how full they are, less what the load drops over their resistance.

What it ignores: the tapering of the charge current near full, the effect of cold and heat
on capacity and ageing, calendar ageing, relaxation of the voltage, and the difference
between cells. None of these can be seen on the wire of this contract.

Source: The numbers of :class:`Pack` are assumptions for a common bank of two 5,000 mAh
nickel-manganese-cobalt cells in parallel, each within what cell data sheets usually give:
4.2 V full, about 3.6 V nominal, 80 % of the capacity after 500 cycles, a few percent of
self-discharge a month, tens of milliohms, a specific heat near 1 kJ/(kg K).
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Final

UJ_PER_MWH: Final = 3_600_000
_MONTH_MS: Final = 30 * 24 * 3_600_000

OCV_MV: Final[tuple[tuple[int, int], ...]] = (
    (0, 3_000), (5, 3_350), (10, 3_470), (20, 3_560), (30, 3_610), (40, 3_650), (50, 3_700),
    (60, 3_780), (70, 3_880), (80, 3_980), (90, 4_080), (100, 4_200),
)  # fmt: skip
"""Open-circuit voltage by level, percent to millivolts. An assumption: the shape that rested
NMC cells on graphite are usually drawn with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What the maker built; it never changes."""

    design_energy_mwh: int = 37_000
    """10,000 mAh at 3.7 V."""
    output_permille: int = 900
    """Of what leaves the cells, this part reaches the load."""
    input_permille: int = 920
    """Of what the charger gives, this part reaches the cells."""
    leak_permille_month: int = 20
    """Self-discharge, in thousandths of what is stored, in 30 days."""
    standby_mw: int = 3
    """What the bank's own electronics draw on average: a modem that sleeps between reports."""
    resistance_mohm: int = 30
    heat_capacity_j_per_k: float = 220.0
    """About 0.22 kg at 1 kJ/(kg K)."""
    thermal_resistance_k_per_w: float = 6.0
    """A closed plastic case, hand-sized, in still air."""
    fade_permille_500_cycles: int = 200
    """Capacity lost in 500 full cycles, taken as a straight line, at most to a half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A pack at one moment, and its lifetime accounts."""

    pack: Pack
    stored_uj: int
    temp_c: float
    absorbed_uj: int = 0
    """Entered the cells."""
    drawn_uj: int = 0
    """Left the cells for the load."""
    delivered_uj: int = 0
    """Reached the load."""
    leaked_uj: int = 0
    """Left the cells for nothing."""


def new_battery(pack: Pack, *, level_pct: int, temp_c: float) -> Battery:
    """A pack from the factory, filled to a level of 0 to 100 percent."""
    stored_uj = pack.design_energy_mwh * UJ_PER_MWH * level_pct // 100
    return Battery(pack=pack, stored_uj=stored_uj, temp_c=temp_c)


def cycles(battery: Battery) -> int:
    """Full cycles: how often the design energy was drawn."""
    return battery.drawn_uj // (battery.pack.design_energy_mwh * UJ_PER_MWH)


def capacity_uj(battery: Battery) -> int:
    """What fits in now that it has aged."""
    design_uj = battery.pack.design_energy_mwh * UJ_PER_MWH
    lost_uj = battery.drawn_uj * battery.pack.fade_permille_500_cycles // 500_000
    return max(design_uj // 2, design_uj - lost_uj)


def level_pct(battery: Battery) -> int:
    """How full it is, 0 to 100, to the nearest percent; 0 only when all is gone."""
    if battery.stored_uj == 0:
        return 0
    full_uj = capacity_uj(battery)
    return min(100, max(1, (200 * battery.stored_uj + full_uj) // (2 * full_uj)))


def voltage_mv(battery: Battery, *, load_mw: int) -> int:
    """Voltage at the cells' terminals while a load draws from the output.

    The cells give ``P = U * I`` at ``U = OCV - R * I``; of the two solutions the higher voltage
    is the stable one. A load that the cells can't give at all pulls them to half their OCV.
    """
    ocv_v = _ocv_mv(100 * battery.stored_uj / capacity_uj(battery)) / 1_000
    cell_w = load_mw / battery.pack.output_permille
    root = ocv_v**2 - 4 * cell_w * battery.pack.resistance_mohm / 1_000
    return round(500 * (ocv_v + math.sqrt(max(0.0, root))))


def step(
    battery: Battery, *, dt_ms: int, load_mw: int, charge_mw: int, ambient_c: float
) -> Battery:
    """The pack some time later.

    Args:
        battery: the pack now.
        dt_ms: how much later, milliseconds, at least 0.
        load_mw: what is drawn from the output, at the port; it gets less once the pack is empty.
        charge_mw: what a charger offers, at the port; a full pack takes no more than it loses.
        ambient_c: the air around it, degrees Celsius.
    """
    pack = battery.pack
    offered_uj = charge_mw * dt_ms * pack.input_permille // 1_000
    wanted_uj = -(-load_mw * dt_ms * 1_000 // pack.output_permille)
    drawn_uj = min(wanted_uj, battery.stored_uj + offered_uj)
    delivered_uj = load_mw * dt_ms
    if drawn_uj < wanted_uj:
        delivered_uj = drawn_uj * pack.output_permille // 1_000
    leaked_uj = min(_leak_uj(battery, dt_ms), battery.stored_uj + offered_uj - drawn_uj)
    left_uj = battery.stored_uj - drawn_uj - leaked_uj
    absorbed_uj = min(offered_uj, max(0, capacity_uj(battery) - left_uj))
    taken_uj = absorbed_uj * 1_000 // pack.input_permille
    heat_uj = drawn_uj - delivered_uj + taken_uj - absorbed_uj
    return replace(
        battery,
        stored_uj=left_uj + absorbed_uj,
        temp_c=_temp_c(battery, dt_ms=dt_ms, heat_uj=heat_uj, ambient_c=ambient_c),
        absorbed_uj=battery.absorbed_uj + absorbed_uj,
        drawn_uj=battery.drawn_uj + drawn_uj,
        delivered_uj=battery.delivered_uj + delivered_uj,
        leaked_uj=battery.leaked_uj + leaked_uj,
    )


def drained(battery: Battery, *, to_pct: int) -> Battery:
    """The pack after somebody let energy out of it, down to a level; never up."""
    left_uj = min(battery.stored_uj, capacity_uj(battery) * to_pct // 100)
    leaked_uj = battery.leaked_uj + battery.stored_uj - left_uj
    return replace(battery, stored_uj=left_uj, leaked_uj=leaked_uj)


def _ocv_mv(pct: float) -> float:
    at = min(max(bisect_right(OCV_MV, pct, key=lambda point: point[0]), 1), len(OCV_MV) - 1)
    (low_pct, low_mv), (high_pct, high_mv) = OCV_MV[at - 1 : at + 1]
    part = (min(pct, 100.0) - low_pct) / (high_pct - low_pct)
    return low_mv + part * (high_mv - low_mv)


def _leak_uj(battery: Battery, dt_ms: int) -> int:
    pack = battery.pack
    cells_uj = battery.stored_uj * pack.leak_permille_month * dt_ms // (1_000 * _MONTH_MS)
    return cells_uj + pack.standby_mw * dt_ms


def _temp_c(battery: Battery, *, dt_ms: int, heat_uj: int, ambient_c: float) -> float:
    """Newton's law of cooling towards where the heat would settle: exact for constant power."""
    if dt_ms == 0:
        return battery.temp_c
    pack = battery.pack
    settled_c = ambient_c + heat_uj / dt_ms / 1_000 * pack.thermal_resistance_k_per_w
    tau_ms = 1_000 * pack.thermal_resistance_k_per_w * pack.heat_capacity_j_per_k
    return settled_c + (battery.temp_c - settled_c) * math.exp(-dt_ms / tau_ms)
