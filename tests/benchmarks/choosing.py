"""How long it takes to choose a bank to send, in a city of 100,000 merchants with banks.

The floor is one indexed SELECT of one merchant on the same file in the same run: what any
question to the database costs.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import SQLModel

import backend.db.tables  # noqa: F401
from backend.db import market
from backend.db.engine import Database, make_engine
from backend.db.places import cell_of
from backend.db.seam import to_ms
from backend.db.tables.dispatch import ShiftRow
from backend.db.tables.market import BankRow, MerchantRow, TariffRow
from backend.db.tables.people import Person
from backend.domain import tariff
from backend.domain.geo import Point
from backend.domain.money import Currency, Minor
from backend.services import choice
from gateway.tables import BankShadow

MERCHANTS = 100_000
ROUNDS = 300
BUDGET_MS = 20.0
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_MIDDLE = Point(lat=31.23, lng=121.47)
_SPREAD = 0.11
"""Degrees: two thirds of the city within some 12 km of its middle, as in Shanghai."""
_PAGE = 5_000
_TERMS = tariff.to_json(
    tariff.Terms(
        currency=Currency.of("CNY"),
        free_s=0,
        block_s=900,
        block_price_minor=Minor(100),
        cap_24h_minor=Minor(3000),
        cap_total_minor=Minor(9900),
        delivery_fee_minor=Minor(500),
        deposit_minor=Minor(9900),
        billing_start=tariff.BillingStart.UNLOCKED,
        rounding=tariff.Rounding.CEIL,
    )
)


def build(file: Path, *, merchants: int = MERCHANTS, seed: int = 1) -> Database:
    """Seed a city: each merchant with an owner, a price, and one to five banks; a few with 300.

    A quarter of the banks are low or silent, a fifth of the merchants are closed, and a third
    have somebody on shift.
    """
    engine = make_engine(f"sqlite:///{file}")
    SQLModel.metadata.create_all(engine)
    database = Database(engine)
    for table, make in (
        (Person, _person),
        (MerchantRow, _merchant),
        (TariffRow, _tariff),
        (ShiftRow, _shift),
        (BankRow, _bank),
        (BankShadow, _shadow),
    ):
        luck = random.Random(seed)  # noqa: S311 - the same city every time
        rows = (row for number in range(merchants) for row in make(number, luck))
        _fill(database, table, rows)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    return database


def _fill(database: Database, table: type[SQLModel], rows: Iterator[dict[str, Any]]) -> None:
    with database.writing() as session:
        while page := list(islice(rows, _PAGE)):
            session.execute(insert(table), page)


def place(luck: random.Random) -> Point:
    """Somewhere in the city, more likely near its middle."""
    return Point(lat=luck.gauss(_MIDDLE.lat, _SPREAD / 2), lng=luck.gauss(_MIDDLE.lng, _SPREAD / 2))


def _person(number: int, _luck: random.Random) -> Iterator[dict[str, Any]]:
    yield {"id": f"P{number:07}", "phone": f"+861{number:010}", "created_at": NOW}


def _merchant(number: int, luck: random.Random) -> Iterator[dict[str, Any]]:
    here = place(luck)
    yield {
        "id": f"M{number:07}",
        "owner_id": f"P{number:07}",
        "name": "shop",
        "status": "approved",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "lat": here.lat,
        "lng": here.lng,
        "address": "",
        "cell": cell_of(here),
        "service_radius_m": luck.choice((500, 1_000, 3_000, 5_000)),
        "is_open": luck.random() < 0.8,
        "hours": None if number % 2 else '{"sun": [["08:00", "23:00"]]}',
        "commission_bp": 1_000,
        "created_at": NOW,
    }


def _tariff(number: int, _luck: random.Random) -> Iterator[dict[str, Any]]:
    yield {
        "id": f"T{number:07}",
        "merchant_id": f"M{number:07}",
        "version": 1,
        "terms": _TERMS,
        "created_at": NOW,
        "created_by": f"P{number:07}",
    }


def _shift(number: int, _luck: random.Random) -> Iterator[dict[str, Any]]:
    if number % 3 == 0:
        yield {
            "id": f"S{number:07}",
            "merchant_id": f"M{number:07}",
            "person_id": f"P{number:07}",
            "started_at": NOW,
        }


def _banks(number: int) -> range:
    return range(300 if number % 1_000 == 0 else 1 + number % 5)


def _bank(number: int, _luck: random.Random) -> Iterator[dict[str, Any]]:
    for each in _banks(number):
        yield {
            "id": f"LW-{number:07}-{each}",
            "merchant_id": f"M{number:07}",
            "model": "LW-10K-A",
            "qr_token": f"{number:07}-{each}",
            "holder": "merchant",
            "held_since": NOW,
            "is_offered": True,
            "created_at": NOW,
        }


def _shadow(number: int, luck: random.Random) -> Iterator[dict[str, Any]]:
    told_ms = to_ms(NOW) - 30_000
    for each in _banks(number):
        yield {
            "bank_id": f"LW-{number:07}-{each}",
            "conn_boot": 1,
            "conn": 1,
            "boot": 1,
            "seq": 1,
            "up_ms": 1,
            "heard_at_ms": told_ms,
            "state_at_ms": told_ms,
            "presence": "online" if luck.random() < 0.9 else "offline",
            "battery": luck.randint(40, 100),
            "lock": "locked",
            "lock_ms": 0,
            "output": "off",
            "output_ms": 0,
            "plugged": False,
            "plugged_ms": 0,
            "sampled_at_ms": told_ms,
            "sampled_battery": 80,
        }


def measure(
    ask: Callable[[random.Random], object],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Milliseconds that each of so many askings took, in order of size."""
    luck, took = random.Random(2), []  # noqa: S311
    for _ in range(rounds):
        began = clock()
        ask(luck)
        took.append((clock() - began) * 1000)
    return sorted(took)


def report(folder: Path, *, merchants: int = MERCHANTS, rounds: int = ROUNDS) -> None:
    """Print how long a choice takes, beside the floor, and whether it keeps to its budget."""
    database = build(folder / "city.sqlite", merchants=merchants)
    found: list[int] = []

    def choose(luck: random.Random) -> None:
        wanted = choice.Wanted(here=place(luck), currency="CNY", min_battery_pct=50)
        with database.reading() as session:
            found.append(len(choice.candidates(session, wanted, now=NOW)))

    def look_up(luck: random.Random) -> None:
        with database.reading() as session:
            market.merchant(session, f"M{luck.randrange(merchants):07}")

    floor, ours = measure(look_up, rounds=rounds), measure(choose, rounds=rounds)
    worked = measure(choose, rounds=rounds, clock=time.thread_time)
    print(f"choosing a bank among {merchants:,} merchants with banks (SQLite, {rounds} places)")
    print(f"  one indexed SELECT   p50 {_at(floor, 50):6.2f}   p99 {_at(floor, 99):6.2f} ms")
    print(f"  a choice             p50 {_at(ours, 50):6.2f}   p99 {_at(ours, 99):6.2f} ms")
    print(f"  CPU of a choice      p50 {_at(worked, 50):6.2f}   p99 {_at(worked, 99):6.2f} ms")
    print(f"  candidates ranked    p50 {statistics.median(found):6.0f}")
    print(f"  p99 within {BUDGET_MS:.0f} ms     {'yes' if _at(ours, 99) < BUDGET_MS else 'NO'}")


def _at(sizes: list[float], percentile: int) -> float:
    return sizes[min(len(sizes) - 1, len(sizes) * percentile // 100)]
