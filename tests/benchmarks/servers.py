"""The servers of a benchmark: on loopback, on free ports, ended by their own process ids."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BROKER_CORE, CONSUMER_CORE = 0, 1
"""Publisher and broker share one core; whoever consumes has the other, peer or gateway alike."""


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(core: int) -> Callable[[], None]:
    """For ``preexec_fn``: keep a child on one core, where there are two."""

    def pin() -> None:
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {core})

    return pin


def find(program: str) -> str:
    """Where a program is; Debian keeps mosquitto where only root's PATH looks."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        sys.exit(f"{program} is not installed: apt install mosquitto mosquitto-clients")
    return found


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A Mosquitto with no limits and nothing on disk; its port."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\n"
    )
    with child([find("mosquitto"), "-c", str(config)], core=BROKER_CORE):
        wait_for(lambda: answers(port), "mosquitto")
        yield port


@contextlib.contextmanager
def child(command: list[str], *, core: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=None if core is None else pinned(core),  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(holds: Callable[[], bool], what: str, bound_s: float = 20) -> None:
    """Wait for a condition, with a bound."""
    deadline = time.monotonic() + bound_s
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {bound_s} s")
        time.sleep(0.01)
