"""The simulated banks: one child process, and hands for what it holds.

The backend does not know the simulator, so it is started as anybody would start it. Secrets go
through its standard input: an argument could be read by every user of the machine.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from backend.demo import words
from backend.demo.client import WAIT_S, App, Refused

BATTERY_SPEED: Final = 20
"""The cells live this much faster than the clock, so that a person can watch them."""
STOP_WITHIN_S: Final = 3.0


class Hands:
    """What somebody who stands beside a bank can see and do."""

    def __init__(self, app: App, control: str, process: asyncio.subprocess.Process) -> None:
        self._app = app
        self._control = control
        self._process = process

    async def look(self, bank_id: str) -> dict[str, Any]:
        """One bank, as it is now."""
        return dict(await self._ask("GET", f"/banks/{bank_id}"))

    async def look_at_all(self) -> list[dict[str, Any]]:
        """Every bank."""
        return list(await self._ask("GET", "/banks"))

    async def do(self, bank_id: str, act: str, **body: object) -> None:
        """Handle a bank: plug, unplug, charge, drain."""
        await self._ask("POST", f"/banks/{bank_id}/{act}", json=body or None)

    async def until_it_ends(self) -> int:
        """Wait for the simulator's own end, which nobody asked for; its exit code."""
        return await self._process.wait()

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self._app.ask(method, f"{self._control}{path}", **more)
        if answer.is_error:
            msg = f"{path}: {answer.json()['detail']}"
            raise Refused(msg)
        return answer.json()


@asynccontextmanager
async def simulator(
    app: App, specs: Sequence[dict[str, Any]], *, flash_dir: Path, log: TextIO | None
) -> AsyncIterator[Hands]:
    """Let these banks live for as long as this is open.

    Args:
        app: for its HTTP client and its reader's language.
        specs: what ``lendwatt-sim fleet`` takes.
        flash_dir: where the banks' flash outlives them, so that a restart is their next boot.
        log: a real file, for what the simulator has to say; stderr if not given.

    Raises:
        Refused: it did not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "firmware_sim", "fleet", "--banks", "-", "--control-port", "0"),
        *("--flash-dir", str(flash_dir), "--exit-with-parent"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env={**os.environ, "LENDWATT_SIM_BATTERY_SPEED": str(BATTERY_SPEED)},
        start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
    )
    try:
        yield Hands(app, await _control_of(app, process, specs), process)
    finally:
        await _end(process)


async def _control_of(
    app: App, process: asyncio.subprocess.Process, specs: Sequence[dict[str, Any]]
) -> str:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101
    try:
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):  # it ended already: told below
                process.stdin.write(json.dumps(list(specs)).encode())
                process.stdin.close()
                await process.stdin.wait_closed()
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise Refused(words.say("no_simulator", app.lang))
    return str(json.loads(line)["control"])


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
