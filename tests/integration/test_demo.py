"""``lendwatt demo``, as a person or CI starts it: a program with a terminal or without one."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BOUND_S = 60.0
ENDS_WITHIN_S = 10.0
"""5 on a machine of its own."""
ANY_PORTS = ("--port", "0", "--provider-port", "0", "--bank-port", "0")


def environment(**more: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("LENDWATT_")}
    return {**own, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **more}


def command(*args: str) -> list[str]:
    return [
        sys.executable, "-m", "backend", "demo", "--broker", "embedded", *ANY_PORTS, *args
    ]  # fmt: skip


def once(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--once", *args),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        env=environment(**env),
        check=False,
    )


def test_once_tells_one_rental_to_its_receipt() -> None:
    told = once()
    assert (told.returncode, told.stderr) == (0, "")
    assert "Traceback" not in told.stdout
    steps = [line for line in told.stdout.splitlines() if line.startswith("✓")]
    assert len(steps) == 18
    for part in ("1 x 15 min", "delivery", "total, paid", "¥4.50", "deposit ¥99.00: released"):
        assert part in told.stdout


def test_it_speaks_the_language_it_is_asked_for() -> None:
    told = once("--lang", "zh", "--banks", "3")
    assert told.returncode == 0
    assert "合計，已支付" in told.stdout


def test_a_second_demo_goes_on_with_the_data_of_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        told = once("--data-dir", str(tmp_path / "data"), "--banks", "3")
        assert (told.returncode, told.stderr) == (0, "")
    assert "3 banks" in told.stdout


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = once("--data-dir", str(tmp_path / "file" / "data"))
    assert (told.returncode, len(told.stderr.splitlines())) == (1, 1)
    assert "--data-dir" in told.stderr


def test_a_part_that_does_not_start_is_named() -> None:
    told = once(LENDWATT_SIM_KEEPALIVE_S="often")
    assert told.returncode == 1
    assert "the simulated banks did not start" in told.stderr
    assert "Traceback" not in told.stderr


class Terminal:
    """A demo on a terminal of 100 by 30."""

    def __init__(self, *args: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._child = subprocess.Popen(
            command(*args),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(),
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.text = ""

    def shows(self, text: str) -> None:
        """Wait until the screen has shown a text."""
        deadline = time.monotonic() + BOUND_S
        while text not in self.text:
            assert time.monotonic() < deadline, self.text[-3_000:]
            assert self._child.poll() is None, self.text[-3_000:]
            self._read()

    def stop(self) -> tuple[int, float]:
        """Ask it to end; its exit code, and how long that took."""
        since_s = time.monotonic()
        self._child.send_signal(signal.SIGINT)
        while self._child.poll() is None:
            assert time.monotonic() < since_s + BOUND_S
            self._read()
        return self._child.returncode, time.monotonic() - since_s

    def children(self) -> set[int]:
        path = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._ours)

    def _read(self) -> None:
        try:
            self.text += os.read(self._ours, 65_536).decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # it has closed its side
            time.sleep(0.02)


@contextmanager
def terminal(*args: str) -> Iterator[Terminal]:
    shown = Terminal(*args)
    try:
        yield shown
    finally:
        shown.close()


def test_on_a_terminal_it_is_one_screen_that_ends_cleanly_in_the_middle() -> None:
    with terminal("--pace", "0.2") as shown:
        shown.shows("hears charge_start")
        children = shown.children()
        code, took_s = shown.stop()
    assert children
    assert (code, took_s < ENDS_WITHIN_S) == (130, True)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert "Traceback" not in shown.text


def test_after_the_story_it_stays_up_until_it_is_stopped() -> None:
    with terminal("--banks", "3", "--pace", "0") as shown:
        shown.shows("curl -s --json")
        code, took_s = shown.stop()
    assert (code, took_s < ENDS_WITHIN_S) == (0, True)
    assert "Traceback" not in shown.text
