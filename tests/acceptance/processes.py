"""Child processes whose words are kept, and which are ended by their own id only."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

BOUND_S: Final = 40.0
"""How long anything may take here before it counts as not happening."""
_LOOK_EVERY_S: Final = 0.02

T = TypeVar("T")


def until(holds: Callable[[], T], *, what: str, within_s: float = BOUND_S) -> T:
    """Wait until something is so, with a bound; what it answered."""
    deadline = time.monotonic() + within_s
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > deadline:
            msg = f"not within {within_s:.0f} s: {what}"
            raise AssertionError(msg)
        time.sleep(_LOOK_EVERY_S)


def _env() -> dict[str, str]:
    """Ours, without what would change the programs or make each start compile all anew."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LENDWATT_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


class Process:
    """A program that runs. What it says goes to files, so that it never waits for us."""

    alive: Final[list["Process"]] = []
    """Those that run now, for what is shown when a test fails."""

    def __init__(
        self,
        name: str,
        args: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> None:
        self.name = name
        self._out, self._err = folder / f"{name}.stdout", folder / f"{name}.stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                args, stdin=subprocess.PIPE, stdout=out, stderr=err, env={**_env(), **(env or {})}
            )
        assert self._child.stdin is not None
        self._child.stdin.write(stdin.encode())
        self._child.stdin.close()
        Process.alive.append(self)

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def says(self, text: str, *, within_s: float = BOUND_S) -> str:
        """Wait for a whole line on its standard output that holds a text."""

        def line() -> str | None:
            lines = self.out.splitlines(keepends=True)
            found = next((line for line in lines if text in line and line.endswith("\n")), None)
            if found is None and self._child.poll() is not None:
                msg = f"{self.name} ended with {self._child.returncode}: {self.err or self.out}"
                raise AssertionError(msg)
            return found

        return str(until(line, what=f"{self.name} says {text!r}", within_s=within_s)).strip()

    def ends(self, *, within_s: float = BOUND_S) -> int:
        """Wait for its end; its exit code."""
        try:
            return self._child.wait(within_s)
        finally:
            self.kill()

    def stop(self) -> int:
        """Ask it to end, and see that it does."""
        self._child.send_signal(signal.SIGTERM)
        return self.ends()

    def kill(self) -> None:
        """End it in the middle of whatever it does: kill -9. Nothing, if it has ended."""
        self._child.kill()
        self._child.wait(BOUND_S)
        if self in Process.alive:
            Process.alive.remove(self)
