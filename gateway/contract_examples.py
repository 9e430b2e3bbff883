"""What each message looks like, for a reader: examples, as the models' own values.

Encoded, they are the examples in every published file, so no example can be wrong.
"""

from collections.abc import Mapping
from typing import Final

from gateway.protocol import (
    AnyMessage,
    Birth,
    Command,
    CommandKind,
    Config,
    Fault,
    Lock,
    Message,
    Outcome,
    Output,
    Refused,
    Result,
    State,
    UpdateArgs,
    Will,
)

_BOOT, _CONN, _COMMAND = 7, 3, "01JD8Z6V9Q4T7M2K5R3X0A1BCD"
_IDLE = State(
    boot=_BOOT, seq=41, up_ms=60_500, battery=87, lock=Lock.LOCKED, lock_ms=0, output=Output.OFF,
    output_ms=0, plugged=False, plugged_ms=0, sessions=118, on_s=402_310, energy_mwh=1_905_400,
    last_command=None, faults=(),
)  # fmt: skip
_FEEDING = State(
    boot=_BOOT, seq=43, up_ms=904_300, battery=86, lock=Lock.UNLOCKED, lock_ms=904_050,
    output=Output.ON, output_ms=904_110, plugged=True, plugged_ms=904_290, sessions=119,
    on_s=402_310, energy_mwh=1_905_400, last_command=_COMMAND, faults=(Fault.OVER_TEMPERATURE,),
    temp_c=46.5, voltage_mv=3_870, current_ma=2_100, cycles=212, rssi_dbm=-71, lat=22.2819,
    lng=114.1589, config_version=12,
)  # fmt: skip
EXAMPLES: Final[Mapping[type[Message], Mapping[str, AnyMessage]]] = {
    Birth: {
        "A bank has connected": Birth(
            online=True, boot=_BOOT, conn=_CONN, protocol=1, model="LW-10K-A", hw="C", fw="1.4.2"
        )
    },
    Will: {"The broker lost it": Will(online=False, boot=_BOOT, conn=_CONN)},
    State: {"Locked, waiting": _IDLE, "Feeding a phone, with every sensor": _FEEDING},
    Result: {
        "Carried out": Result(
            boot=_BOOT, seq=42, up_ms=904_120, command=_COMMAND, status=Outcome.DONE
        ),
        "Its deadline had passed": Result(
            boot=_BOOT, seq=44, up_ms=905_210, command=_COMMAND,
            status=Outcome.EXPIRED, reason=Refused.TOO_LATE,
        ),
    },
    Command: {
        "Unlock and feed": Command(
            id=_COMMAND, kind=CommandKind.CHARGE_START, boot=_BOOT, not_after_ms=905_000, args={}
        ),
        "New firmware": Command(
            id="01JD8ZB3W5N6P8Y1E7G9H2J4KF", kind=CommandKind.UPDATE, boot=_BOOT,
            not_after_ms=990_000,
            args=UpdateArgs(
                url="https://firmware.example/lw-10k-a/1.5.0.bin", sha256="9f" * 32, version="1.5.0"
            ).model_dump(),
        ),
    },
    Config: {
        "Report each minute": Config(version=12, report_s=60, low_battery=20, min_output_battery=10)
    },
}  # fmt: skip
"""By message: what it tells, and the message."""
