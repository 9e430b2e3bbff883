"""One gateway process that is watched: how much it commits, how late, and at what cost.

    python -m tests.benchmarks.gateway_under_load PORT MESSAGES DATABASE

The gateway is the real one; only its ``store`` is wrapped, to read the clock after each commit.
A state tells when it left (``up_ms``, see ``blast``), so each message's way from publish to
commit is known to the millisecond. Prints ``ready``, then one line of JSON.
"""

import asyncio
import json
import re
import resource
import sys
import time
from collections.abc import Sequence

import structlog
from sqlmodel import SQLModel

from gateway import tables
from gateway.broker_url import BrokerUrl
from gateway.database import open_database
from gateway.inbox import Incoming
from gateway.ingest import Ingest
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from tests.benchmarks.blast import UP_FROM

_UP_MS = re.compile(rb'"up_ms":(\d+)')
assert tables.SHADOW is not None  # the tables are defined


class Watched(Ingest):
    """Remembers what was committed, and when."""

    commits: list[tuple[float, Sequence[Incoming]]]

    def store(self, messages: Sequence[Incoming]) -> bool:
        """Store, and look at the clock."""
        news = super().store(messages)
        self.commits.append((time.time() * 1000, messages))
        return news


def cpu_s() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(port: int, expected: int, database: str) -> None:
    """Consume, and tell."""
    engine = open_database(f"sqlite:///{database}")
    SQLModel.metadata.create_all(engine)
    gateway = Gateway(
        engine,
        BrokerUrl(host="127.0.0.1", port=port, client_id=f"bench-{time.time_ns()}"),
        GatewaySettings(),
    )
    gateway.ingest.__class__ = Watched
    gateway.ingest.commits = commits = []  # type: ignore[attr-defined]
    work = asyncio.create_task(gateway.run())
    await gateway.link.is_ready.wait()
    cpu_before = cpu_s()
    print("ready", flush=True)
    while gateway.ingest.tally.messages < expected:
        await asyncio.sleep(0.05)
    cpu = cpu_s() - cpu_before
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    print(json.dumps(figures(commits, cpu)), flush=True)


def figures(commits: list[tuple[float, Sequence[Incoming]]], cpu: float) -> dict[str, float]:
    """What there is to tell."""
    started_ms = float(sys.stdin.readline())
    late_ms = sorted(
        committed_ms - (started_ms + int(_UP_MS.search(m.payload)[1]) - UP_FROM)
        for committed_ms, batch in commits
        for m in batch
    )
    count = len(late_ms)
    return {
        "messages": count,
        "last_commit_ms": commits[-1][0],
        "cpu_us": cpu / count * 1e6,
        "batch": count / len(commits),
        "p50_ms": late_ms[count // 2],
        "p99_ms": late_ms[count * 99 // 100],
    }


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
