"""How good a merchant is to rent from: a number from 0 to 100 that can say how it came about.

The theory
----------
A score has two parts, each worth 0 to 100 % of its weight.

1. *On time* (配送及時率): of the deliveries that the merchant took on and that ended within
   the window, how many were handed over by the promised time. One that came late, that had to
   be given to somebody else because it was late or stalled, or that was never brought at all
   counts and is not on time. One that the renter called off in time does not count.
2. *Charge*: how full, on average, the banks are that the merchant has at home and that are
   heard of.

Few deliveries say little. So the rate is counted as if ``PRIOR_DELIVERIES`` more had been seen,
of which ``PRIOR_ON_TIME`` were on time: a newcomer begins in the middle, can be found, and
neither one good day nor one bad one decides. Nothing known of the charge counts as
``PRIOR_CHARGE_PCT``.

What must always hold: the score is 0 to 100; one more delivery on time never lowers it, one
more that is not never raises it; fuller banks never lower it; the points of its parts add up
to it, to within the rounding.

Ignored: what renters say, how far the merchant is (dispatch weighs that), prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain.lang import Lang

WINDOW: Final = timedelta(days=30)
"""How far back deliveries count."""
PRIOR_DELIVERIES: Final = 10
PRIOR_ON_TIME: Final = 8
PRIOR_CHARGE_PCT: Final = 60
FULL_BP: Final = 10_000


class PartKind(StrEnum):
    """What a part of the score is about."""

    ON_TIME = "on_time"
    CHARGE = "charge"


WEIGHT_PCT: Final[Mapping[PartKind, int]] = MappingProxyType(
    {PartKind.ON_TIME: 70, PartKind.CHARGE: 30}
)
"""A renter waits for every delivery; the charge is checked again before each rental."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a merchant."""

    deliveries: int
    """Those that count, within the window."""
    on_time: int
    """How many of them were."""
    average_charge_pct: int | None
    """None: no bank at home that is heard of."""


UNKNOWN: Final = Record(deliveries=0, on_time=0, average_charge_pct=None)
"""A merchant that has just begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a score."""

    kind: PartKind
    weight_pct: int
    counted_bp: int
    """How well it stands, basis points, with the prior in it."""
    points: int
    """What it adds to the score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score, and how it came about."""

    on_time_bp: int | None
    """The plain rate, basis points; None: no delivery counts yet."""
    average_charge_pct: int | None
    score: int
    """0 to 100."""
    parts: tuple[Part, ...]
    record: Record


def counted_on_time_bp(record: Record) -> int:
    """How often a merchant is on time, basis points, with the prior in it."""
    seen = record.deliveries + PRIOR_DELIVERIES
    return _rounded((record.on_time + PRIOR_ON_TIME) * FULL_BP, seen)


def score(record: Record) -> Score:
    """Score a merchant by its record."""
    charge_pct = record.average_charge_pct
    counted = {
        PartKind.ON_TIME: counted_on_time_bp(record),
        PartKind.CHARGE: (PRIOR_CHARGE_PCT if charge_pct is None else charge_pct) * 100,
    }
    weighed = {kind: WEIGHT_PCT[kind] * bp for kind, bp in counted.items()}
    return Score(
        on_time_bp=record.on_time * FULL_BP // record.deliveries if record.deliveries else None,
        average_charge_pct=charge_pct,
        score=_rounded(sum(weighed.values()), FULL_BP),
        parts=tuple(
            Part(
                kind=kind,
                weight_pct=WEIGHT_PCT[kind],
                counted_bp=bp,
                points=_rounded(weighed[kind], FULL_BP),
            )
            for kind, bp in counted.items()
        ),
        record=record,
    )


def _rounded(over: int, under: int) -> int:
    """Divide, half up."""
    return (2 * over + under) // (2 * under)


# -- in words --------------------------------------------------------------------------------

_WORDS: Final[Mapping[Lang, Mapping[str, str]]] = MappingProxyType(
    {
        Lang.EN: {
            "on_time": "{on_time} of {deliveries} deliveries of the last {days} days were on time"
            " ({rate} %); those that came late or had to be given to others are among the rest.",
            "on_time_none": "No delivery of the last {days} days counts yet.",
            "on_time_prior": "As if there had been {prior} more, {prior_on_time} of them on time,"
            " it counts as {counted} %, at {weight} % of the score: {points} points.",
            "charge": "The power banks at home are charged to {charge} % on average, which makes"
            " {weight} % of the score: {points} points.",
            "charge_none": "No power bank at home is heard of; their charge counts as {counted} %,"
            " at {weight} % of the score: {points} points.",
        },
        Lang.ZH: {
            "on_time": "近{days}天的{deliveries}次配送中有{on_time}次及時（{rate}%），"
            "超時或轉交他人的計入其餘。",
            "on_time_none": "近{days}天尚無計入的配送。",
            "on_time_prior": "另按{prior}次配送、其中{prior_on_time}次及時一併計算，"
            "及時率計為{counted}%，佔總分{weight}%：{points}分。",
            "charge": "店內充電寶平均電量{charge}%，佔總分{weight}%：{points}分。",
            "charge_none": "店內暫無在線的充電寶，電量按{counted}%計，"
            "佔總分{weight}%：{points}分。",
        },
    }
)


def why(of: Score, part: Part, lang: Lang) -> str:
    """Say how a part of a score came about, with its numbers."""
    record = of.record
    if part.kind is PartKind.ON_TIME:
        told = ["on_time" if record.deliveries else "on_time_none", "on_time_prior"]
    else:
        told = ["charge_none" if record.average_charge_pct is None else "charge"]
    facts = {
        "days": WINDOW.days,
        "deliveries": record.deliveries,
        "on_time": record.on_time,
        "rate": _percent(of.on_time_bp or 0),
        "prior": PRIOR_DELIVERIES,
        "prior_on_time": PRIOR_ON_TIME,
        "charge": record.average_charge_pct,
        "counted": _percent(part.counted_bp),
        "weight": part.weight_pct,
        "points": part.points,
    }
    return (" " if lang is Lang.EN else "").join(
        _WORDS[lang][name].format(**facts) for name in told
    )


def _percent(bp: int) -> str:
    """Basis points as per cent, with no more digits than it takes."""
    return f"{bp / 100:.2f}".rstrip("0").rstrip(".")
