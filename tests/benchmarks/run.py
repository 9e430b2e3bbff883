"""``make bench``: what the hot paths do, against a floor in the same run on the same machine.

Figures vary between machines and days; the ratios are what to quote.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import charge_start, choosing, pages
from tests.benchmarks.servers import (
    BROKER_CORE,
    CONSUMER_CORE,
    find,
    mosquitto,
    pinned,
)

BANKS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What one run of the gateway did."""

    per_s: float
    cpu_us: float
    batch: float
    p50_ms: float
    p99_ms: float


def blast(port: int, messages: int, rate: int) -> tuple[int, float]:
    """Publish; when it began (ms since the epoch) and the seconds that it took."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.blast", *map(str, (port, messages, rate, BANKS))],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=pinned(BROKER_CORE),
    )
    began_ms, seconds = done.stdout.split()
    return int(began_ms), float(seconds)


def floor(port: int, messages: int) -> float:
    """Messages per second that ``mosquitto_sub -q 1`` receives and throws away."""
    command = [find("mosquitto_sub"), "-p", str(port), "-q", "1", "-t", "lw/v1/+/state"]
    with subprocess.Popen(
        [*command, "-C", str(messages)],
        stdout=subprocess.DEVNULL,
        preexec_fn=pinned(CONSUMER_CORE),  # noqa: PLW1509
    ) as peer:
        time.sleep(0.5)  # it says nothing when it has subscribed
        began_ms, _ = blast(port, messages, 0)
        peer.wait(timeout=120)
        return messages / (time.time() - began_ms / 1000)


def gateway(port: int, messages: int, rate: int, folder: Path) -> Committed:
    """What one gateway process commits to SQLite, synchronous=FULL."""
    database = folder / f"bench-{time.time_ns()}.sqlite"
    command = [sys.executable, "-m", "tests.benchmarks.gateway_under_load"]
    process = subprocess.Popen(
        [*command, str(port), str(messages), str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=pinned(CONSUMER_CORE),  # noqa: PLW1509
    )
    with process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            sys.exit("the gateway did not start")
        began_ms, _ = blast(port, messages, rate)
        told, _ = process.communicate(f"{began_ms}\n", timeout=180)
    said = json.loads(told)
    return Committed(
        per_s=messages / (said["last_commit_ms"] - began_ms) * 1000,
        **{key: said[key] for key in ("cpu_us", "batch", "p50_ms", "p99_ms")},
    )


def throughput(messages: int, rounds: int, folder: Path) -> None:
    """The gateway against the floor, in turn, on one Mosquitto."""
    with mosquitto(folder) as port:
        pairs = [(floor(port, messages), gateway(port, messages, 0, folder)) for _ in range(rounds)]
        half = round(statistics.median(ours.per_s for _, ours in pairs) / 2)
        calm = gateway(port, min(messages, half * 4), half, folder)
    ratios = [ours.per_s / peer for peer, ours in pairs]
    print(f"messages to SQLite (synchronous=FULL), {BANKS:,} banks, {messages:,} messages")
    print(f"  mosquitto_sub -q 1, discarding   {_figures([peer for peer, _ in pairs])} msg/s")
    print(f"  one gateway process, committed   {_figures([o.per_s for _, o in pairs])} msg/s")
    print(f"  ratio                            {_figures(ratios, '.2f')}")
    print(f"  CPU per message                  {_figures([o.cpu_us for _, o in pairs], '.1f')} us")
    print(f"  messages in a transaction        {_figures([o.batch for _, o in pairs])}")
    print(f"publish to commit at half load ({half:,} msg/s)")
    print(f"  p50 {calm.p50_ms:.0f} ms   p99 {calm.p99_ms:.0f} ms   batch {calm.batch:.0f}")


def _figures(values: Sequence[float], form: str = ",.0f") -> str:
    """Median, and between what it lay."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:>10{form}}   ({least:{form}} to {most:{form}})"


def main() -> None:
    """Run what was asked for; all of it by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["throughput", "charge-start", "choosing", "pages"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.only in {None, "throughput"}:
            throughput(asked.messages, asked.rounds, Path(folder))
        if asked.only in {None, "charge-start"}:
            charge_start.report(Path(folder))
        if asked.only in {None, "choosing"}:
            choosing.report(Path(folder))
        if asked.only in {None, "pages"}:
            pages.report(Path(folder))


if __name__ == "__main__":
    main()
