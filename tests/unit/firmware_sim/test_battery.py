from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.battery import (
    OCV_MV,
    Battery,
    Pack,
    capacity_uj,
    cycles,
    drained,
    level_pct,
    new_battery,
    step,
    voltage_mv,
)

HOUR_MS = 3_600_000
IDEAL = Pack(standby_mw=0, leak_permille_month=0)


def battery(level: int = 80, pack: Pack = IDEAL) -> Battery:
    return new_battery(pack, level_pct=level, temp_c=22.0)


def an_hour(now: Battery, *, load_mw: int = 0, charge_mw: int = 0, hours: int = 1) -> Battery:
    return step(now, dt_ms=hours * HOUR_MS, load_mw=load_mw, charge_mw=charge_mw, ambient_c=22.0)


def test_ten_watts_for_an_hour_deliver_ten_watt_hours() -> None:
    assert an_hour(battery(), load_mw=10_000).delivered_uj == 10_000 * HOUR_MS


def test_the_cells_give_more_than_the_load_gets() -> None:
    after = an_hour(battery(), load_mw=9_000)
    assert after.drawn_uj == 10_000 * HOUR_MS


def test_a_load_on_an_empty_pack_gets_nothing() -> None:
    after = an_hour(battery(0), load_mw=10_000)
    assert (after.delivered_uj, after.stored_uj) == (0, 0)


def test_a_full_pack_takes_no_more() -> None:
    after = an_hour(battery(100), charge_mw=10_000)
    assert (after.absorbed_uj, level_pct(after)) == (0, 100)


def test_a_bank_in_a_drawer_loses_a_few_percent_a_month() -> None:
    after = an_hour(battery(80, Pack()), hours=30 * 24)
    assert level_pct(after) in range(70, 79)


def test_a_pack_warms_up_under_load_and_cools_down_after_it() -> None:
    warm = an_hour(battery(), load_mw=20_000)
    cool = an_hour(warm, hours=4)
    assert warm.temp_c == pytest.approx(22 + 13.3, abs=1)
    assert cool.temp_c == pytest.approx(22, abs=0.1)


def test_five_hundred_cycles_take_a_fifth_of_the_capacity() -> None:
    new = battery()
    old = replace(new, drawn_uj=500 * capacity_uj(new))
    assert cycles(old) == 500
    assert capacity_uj(old) * 5 == capacity_uj(new) * 4


def test_a_resting_pack_has_the_voltage_of_the_table() -> None:
    assert [voltage_mv(battery(pct), load_mw=0) for pct, _ in OCV_MV] == [mv for _, mv in OCV_MV]


def test_a_load_pulls_the_voltage_down() -> None:
    assert voltage_mv(battery(50), load_mw=18_000) == pytest.approx(3_700 - 30 * 20 / 3.53, abs=10)


def test_a_load_beyond_the_cells_halves_the_voltage() -> None:
    assert voltage_mv(battery(50), load_mw=10**9) == 1_850


def test_draining_never_fills() -> None:
    assert level_pct(drained(battery(40), to_pct=15)) == 15
    assert drained(battery(40), to_pct=60) == battery(40)


powers = st.integers(0, 30_000)
steps = st.lists(st.tuples(st.integers(0, 2 * HOUR_MS), powers, powers), max_size=20)


@given(level=st.integers(0, 100), steps=steps)
def test_energy_is_neither_made_nor_lost(level: int, steps: list[tuple[int, int, int]]) -> None:
    first = now = battery(level, Pack())
    for dt_ms, load_mw, charge_mw in steps:
        now = step(now, dt_ms=dt_ms, load_mw=load_mw, charge_mw=charge_mw, ambient_c=22.0)
    assert first.stored_uj + now.absorbed_uj == now.stored_uj + now.drawn_uj + now.leaked_uj
    assert now.stored_uj >= 0


@given(level=st.integers(0, 100), steps=steps)
def test_what_is_drawn_is_what_is_delivered_over_the_efficiency(
    level: int, steps: list[tuple[int, int, int]]
) -> None:
    now = battery(level, Pack())
    for dt_ms, load_mw, charge_mw in steps:
        now = step(now, dt_ms=dt_ms, load_mw=load_mw, charge_mw=charge_mw, ambient_c=22.0)
    lost_to_rounding_uj = now.drawn_uj * now.pack.output_permille // 1_000 - now.delivered_uj
    assert 0 <= lost_to_rounding_uj <= 2 * len(steps)


@given(
    level=st.integers(0, 100),
    dt_ms=st.integers(0, HOUR_MS),
    at=st.floats(0, 1),
    load_mw=powers,
    charge_mw=powers,
)
def test_two_short_steps_are_one_long_one(
    level: int, dt_ms: int, at: float, load_mw: int, charge_mw: int
) -> None:
    first_ms = int(dt_ms * at)

    def go(now: Battery, ms: int) -> Battery:
        return step(now, dt_ms=ms, load_mw=load_mw, charge_mw=charge_mw, ambient_c=10.0)

    long = go(battery(level), dt_ms)
    short = go(go(battery(level), first_ms), dt_ms - first_ms)
    # apart from rounding, and from the aging within the step itself
    assert short.stored_uj == pytest.approx(long.stored_uj, rel=1e-3, abs=10)
