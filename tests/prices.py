"""Prices by an oracle that knows no formula, and a seeded crowd of rentals to compare on.

The oracle walks from block to block, as somebody with a calendar and a pencil would. It shares
no line with ``backend.domain.tariff``: its only arithmetic is adding.

A million comparisons, every edge with a second around it among them, take about a minute::

    python -m tests.prices 1000000
"""

import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from backend.domain.money import Minor
from backend.domain.tariff import BillingStart, Rounding, Terms, lint, price

DAY_S = 86_400
EDGES_MOST = 60
"""Blocks whose edges are looked at; beyond the caps nothing changes any more."""
ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Gaza")
"""One without clock changes, and some with odd ones."""
NIGHTS = (
    datetime(2024, 2, 28, 20, tzinfo=UTC),
    datetime(2026, 3, 28, 20, tzinfo=UTC),
    datetime(2026, 4, 4, 3, tzinfo=UTC),
    datetime(2026, 10, 24, 20, tzinfo=UTC),
    datetime(2026, 12, 31, 12, tzinfo=UTC),
)
"""Before a leap day, clock changes, and a new year."""


def walked(of: Terms, seconds: int, *, late: bool = False, free_used_s: int = 0) -> int:
    """Walk from block to block until the time is up, then look at the caps."""
    days: dict[int, int] = defaultdict(int)
    begins = of.free_s - free_used_s if of.free_s > free_used_s else 0
    is_first = True
    while begins < seconds:
        over = begins + of.block_s
        if is_first or of.rounding is Rounding.CEIL or over <= seconds:
            days[begins // DAY_S] += of.block_price_minor
        is_first = False
        begins = over
    time = sum(min(of.cap_24h_minor, day) for day in days.values())
    return min(of.cap_total_minor, time if late else time + of.delivery_fee_minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of a bank, to be priced."""

    terms: Terms
    seconds: int
    start: datetime
    end: datetime
    late: bool
    free_used_s: int

    @property
    def expected_minor(self) -> int:
        """What the oracle says."""
        return walked(self.terms, self.seconds, late=self.late, free_used_s=self.free_used_s)

    @property
    def priced_minor(self) -> int:
        """What the platform says."""
        return price(
            self.terms,
            start=self.start,
            end=self.end,
            delivery_late=self.late,
            free_used_s=self.free_used_s,
        ).total_minor


def uses(count: int, *, seed: int) -> Iterator[Use]:
    """Make so many uses: for each tariff its edges, a second before and after, and any time."""
    seeded = random.Random(seed)  # noqa: S311 - a seed, to be replayed
    made = 0
    while made < count:
        terms = _terms(seeded)
        late, free_used_s = seeded.random() < 0.2, seeded.choice([0, 0, 1, 120, 10_000])
        edges = _edges(terms, free_used_s) + [seeded.randrange(9 * DAY_S) for _ in range(20)]
        for seconds in edges[: count - made]:
            yield _use(seeded, terms, seconds, late=late, free_used_s=free_used_s)
            made += 1


def _terms(seeded: random.Random) -> Terms:
    block_price = seeded.choice([0, 1, 75, 150, seeded.randint(1, 10_000)])
    cap_24h = block_price * seeded.randint(1, 12) + seeded.choice([0, 0, 1, 499])
    fee = seeded.choice([0, 500])
    terms = Terms(
        free_s=seeded.choice([0, 1, 300, 900, seeded.randint(0, DAY_S)]),
        block_s=seeded.choice([900, 1_800, 3_600, 7_000, DAY_S, seeded.randint(300, DAY_S)]),
        block_price_minor=Minor(block_price),
        cap_24h_minor=Minor(cap_24h),
        cap_total_minor=Minor(cap_24h * seeded.randint(1, 8) + fee + 1),
        delivery_fee_minor=Minor(fee),
        deposit_minor=Minor(1),
        billing_start=seeded.choice(list(BillingStart)),
        rounding=seeded.choice(list(Rounding)),
    )
    assert lint(terms) == ()
    return terms


def _edges(terms: Terms, free_used_s: int) -> list[int]:
    free_s = max(0, terms.free_s - free_used_s)
    edges = [0, *(free_s + count * terms.block_s for count in range(EDGES_MOST))]
    edges += [day * DAY_S for day in range(1, 9)]
    return [max(0, edge + by) for edge in edges for by in (-1, 0, 1)]


def _use(seeded: random.Random, terms: Terms, seconds: int, *, late: bool, free_used_s: int) -> Use:
    """Place a span around a night that matters, told by the clocks of two places."""
    start = seeded.choice(NIGHTS) + timedelta(seconds=seeded.randrange(12 * 3_600))
    end = start + timedelta(seconds=seconds, microseconds=seeded.choice([0, 999_999]))
    here, there = (ZoneInfo(seeded.choice(ZONES)) for _ in range(2))
    aware = timezone(timedelta(minutes=seeded.randint(-14 * 60, 14 * 60)))
    return Use(
        terms=terms,
        seconds=seconds,
        start=start.astimezone(here),
        end=end.astimezone(seeded.choice([here, there, aware])),
        late=late,
        free_used_s=free_used_s,
    )


def mismatches(count: int, *, seed: int) -> list[Use]:
    """Compare so many uses; give those on which platform and oracle disagree."""
    return [use for use in uses(count, seed=seed) if use.priced_minor != use.expected_minor]


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    wrong = mismatches(total, seed=total)
    told = [f"{total} prices compared, {len(wrong)} differ", *map(repr, wrong[:5])]
    sys.stdout.write("\n".join(told) + "\n")
    sys.exit(bool(wrong))
