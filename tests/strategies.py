"""Hypothesis strategies for what is on the wire. Every value they make is valid."""

from typing import Any

from hypothesis import strategies as st

from gateway.protocol import (
    BankId,
    Birth,
    Channel,
    Command,
    CommandKind,
    Config,
    Fault,
    Lock,
    Outcome,
    Output,
    Refused,
    Result,
    State,
    UpdateArgs,
    Will,
)

ASCII = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')
ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

uint32 = st.integers(0, 2**32 - 1)
uint53 = st.integers(0, 2**53 - 1)
percent = st.integers(0, 100)
words = st.text(ALPHANUMERIC + "._+-", min_size=1, max_size=32)
command_ids = st.text(ALPHANUMERIC + "_-", min_size=1, max_size=40)
bank_ids = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=4, max_size=32).map(BankId)

births = st.builds(
    Birth,
    online=st.just(True),
    boot=uint32,
    conn=uint32,
    protocol=uint32,
    model=words,
    hw=words,
    fw=words,
)
wills = st.builds(Will, online=st.just(False), boot=uint32, conn=uint32)

_SENSORS = {
    "temp_c": st.floats(-60, 150),
    "voltage_mv": st.integers(0, 60_000),
    "current_ma": st.integers(-60_000, 60_000),
    "cycles": uint32,
    "rssi_dbm": st.integers(-150, 20),
    "lat": st.floats(-90, 90),
    "lng": st.floats(-180, 180),
    "config_version": uint32,
}


@st.composite
def states(draw: st.DrawFn, **given: st.SearchStrategy[Any]) -> State:
    """A state, with any of the sensors.

    Args:
        draw: Hypothesis's.
        given: strategies for the fields that the test is about.
    """
    up_ms = draw(given.pop("up_ms", uint53))
    since = st.integers(0, up_ms)
    fields = {
        "boot": uint32,
        "seq": uint32,
        "battery": percent,
        "lock": st.sampled_from(Lock),
        "lock_ms": since,
        "output": st.sampled_from(Output),
        "output_ms": since,
        "plugged": st.booleans(),
        "plugged_ms": since,
        "sessions": uint32,
        "on_s": uint53,
        "energy_mwh": uint53,
        "last_command": st.none() | command_ids,
        "faults": st.lists(st.sampled_from(Fault), unique=True).map(tuple),
    }
    sensors = {name: st.none() | _SENSORS[name] for name in _SENSORS}
    return State(up_ms=up_ms, **draw(st.fixed_dictionaries(fields | given, optional=sensors)))


_no = st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.DONE])
_sent = {"boot": uint32, "seq": uint32, "up_ms": uint53, "command": command_ids}
results = st.builds(Result, status=st.just(Outcome.DONE), **_sent) | st.builds(
    Result, status=_no, reason=st.sampled_from(Refused), **_sent
)

update_args = st.builds(
    UpdateArgs,
    url=st.text(ASCII, min_size=1, max_size=500).map(lambda path: f"https://{path}"),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    version=words,
)
_scalars = st.booleans() | uint53 | st.text(ASCII + " ", max_size=512)
commands = st.builds(
    Command,
    id=command_ids,
    kind=st.sampled_from(CommandKind),
    boot=uint32,
    not_after_ms=uint53,
    args=st.dictionaries(words, _scalars, max_size=6),
)
configs = st.builds(
    Config,
    version=uint32,
    report_s=st.integers(1, 86_400),
    low_battery=percent,
    min_output_battery=percent,
)

messages = st.one_of(
    st.tuples(st.just(Channel.STATUS), births | wills),
    st.tuples(st.just(Channel.STATE), states()),
    st.tuples(st.just(Channel.RESULT), results),
    st.tuples(st.just(Channel.COMMAND), commands),
    st.tuples(st.just(Channel.CONFIG), configs),
)
"""A channel and a message that belongs on it."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
"""Any JSON: what a newer bank, a broken one or a liar may put anywhere."""
