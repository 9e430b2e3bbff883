"""What a rental costs: one function for the quote, the running total and the bill.

The theory
----------
:class:`Terms` are one version of a merchant's tariff. They never change; a rental keeps a
snapshot (:func:`to_json`). :func:`price` reads them, a start and an end, and nothing else, so
the quote, the running total and the final bill cannot disagree.

Let *t* be the whole seconds from billing start to the end (a part of a second is the
renter's). Intervals are half-open.

1. The first ``free_s`` seconds are free. At exactly ``free_s`` nothing is charged yet.
2. After them, time is cut into blocks. With ``ceil`` a block is charged once it has begun.
   With ``floor_after_first`` the first is charged once it has begun, a later one only once
   it is over.
3. From billing start, each 24 h is a day. A block belongs to the day that it begins in, and a
   day costs ``cap_24h_minor`` at the most.
4. The delivery fee comes on top, unless the delivery was late.
5. The whole, delivery included, is ``cap_total_minor`` at the most: for that the bank is
   bought. It is the most that anybody who accepted these terms can ever owe.

What must always hold: the price never falls as time goes on, so a running total never exceeds
the bill; it is never negative, and never above ``cap_total_minor``; the lines sum to the total.

Free minutes belong to a visit, not to a scan: who rents again within ten minutes goes on with
what was left of them (:func:`free_used`).

A rental that goes on for another one, whose bank was broken, costs what the time of both costs less
what the time before does: blocks, days and the total cap go on (:class:`Before`). So however often
a bank is swapped, the bills together are those of one rental that was used for as long.

Whoever calls a delivery off pays the flat fee of its stage instead, or nothing.

Not modelled: time of day, opening hours.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias

from backend.domain.disclosure_words import SENTENCES, STARTS, UNITS
from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang
from backend.domain.markets import RULES, Market, Rules
from backend.domain.money import ZERO, Currency, Minor, show

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
MINUTE_S: Final = 60
RENT_AGAIN_S: Final = 600
"""Renting again within this does not renew the free minutes."""
MOST_MINOR: Final = 1_000_000_000
"""The largest amount in a tariff: a billion of any minor unit is a typing error."""


class BillingStart(StrEnum):
    """What starts the meter (P3)."""

    ARRIVAL = "arrival"
    PLUGGED = "plugged"
    UNLOCKED = "unlocked"


class Rounding(StrEnum):
    """When a block is charged."""

    CEIL = "ceil"
    FLOOR_AFTER_FIRST = "floor_after_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One version of a tariff. :func:`lint` says whether it may be used."""

    currency: Currency = Currency.CNY
    free_s: int
    """Free seconds at the beginning."""
    block_s: int
    """Length of a block."""
    block_price_minor: Minor
    cap_24h_minor: Minor
    """The most that 24 hours cost."""
    cap_total_minor: Minor
    """The most that the rental costs, delivery included; for that the bank is bought."""
    delivery_fee_minor: Minor
    """Charged once, if the delivery was not late."""
    deposit_minor: Minor
    """Held from the scan to charge until the rental is completed."""
    billing_start: BillingStart
    rounding: Rounding
    cancel_accepted_minor: Minor = ZERO
    """What it costs to cancel once staff have accepted; before that it costs nothing."""
    cancel_delivering_minor: Minor = ZERO
    """What it costs to cancel once staff are on the way with the bank."""
    min_battery_pct: int = 50
    """The charge a bank must have at the handover, as its market says."""


# -- the price -----------------------------------------------------------------------------


class LineKind(StrEnum):
    """What a line of a bill is for."""

    BLOCKS = "blocks"
    CAP_24H = "cap_24h"
    DELIVERY = "delivery"
    DELIVERY_LATE = "delivery_late"
    CAP_TOTAL = "cap_total"
    CANCELLATION = "cancellation"
    BUY_OUT = "buy_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill; what is taken off again is negative."""

    kind: LineKind
    quantity: int
    """Blocks charged, days capped; 1 else."""
    amount_minor: Minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What it costs, and how that came about."""

    elapsed_s: int
    """Whole seconds from billing start to the end."""
    lines: tuple[Line, ...]
    """None of them zero; they sum to the total."""
    total_minor: Minor


NOTHING: Final = Price(elapsed_s=0, lines=(), total_minor=ZERO)
"""The price of a rental whose billing never started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a rental goes on from: the rentals that it replaces, the first one to the last."""

    used_s: int = 0
    """Whole seconds of theirs, from billing start to the end."""
    cost_minor: Minor = ZERO
    """What they cost, deliveries included."""


FROM_NEW: Final = Before()
"""It replaces none."""


def price(
    terms: Terms,
    *,
    start: datetime,
    end: datetime,
    delivery_late: bool = False,
    free_used_s: int = 0,
    before: Before = FROM_NEW,
) -> Price:
    """Price the time from billing start to the end.

    Args:
        terms: without a problem (:func:`lint`).
        start: when billing started, aware.
        end: when it ended, or now for the running total, aware. An end before the start is
            no time: a clock that was set back makes no money.
        delivery_late: whether the delivery missed the promised time.
        free_used_s: free seconds that an earlier rental of the same visit used up. Where it goes
            on from others, those that were used up when the first of them began.
        before: what it goes on from.
    """
    elapsed_s = max(0, seconds_between(start, end))
    free_s = max(0, terms.free_s - free_used_s)
    used_s = before.used_s
    blocks = _blocks(replace(terms, free_s=free_s), since_s=used_s, until_s=used_s + elapsed_s)
    lines = (
        Line(
            kind=LineKind.BLOCKS,
            quantity=blocks.count,
            amount_minor=Minor(blocks.count * terms.block_price_minor),
        ),
        Line(
            kind=LineKind.CAP_24H, quantity=blocks.days_capped, amount_minor=blocks.discount_minor
        ),
        Line(kind=LineKind.DELIVERY, quantity=1, amount_minor=terms.delivery_fee_minor),
        Line(
            kind=LineKind.DELIVERY_LATE,
            quantity=1,
            amount_minor=Minor(-terms.delivery_fee_minor if delivery_late else 0),
        ),
    )
    uncapped = sum(line.amount_minor for line in lines)
    total = Minor(min(uncapped, terms.cap_total_minor - before.cost_minor))
    over = Line(kind=LineKind.CAP_TOTAL, quantity=1, amount_minor=Minor(total - uncapped))
    return Price(
        elapsed_s=elapsed_s,
        lines=tuple(line for line in (*lines, over) if line.amount_minor != 0),
        total_minor=total,
    )


def cancelled(fee_minor: Minor) -> Price:
    """Price a delivery that was called off on its way: no time, one line."""
    line = Line(kind=LineKind.CANCELLATION, quantity=1, amount_minor=fee_minor)
    return replace(NOTHING, lines=(line,), total_minor=fee_minor)


def bought(terms: Terms, *, used: Price, before: Before = FROM_NEW) -> Price:
    """Price a bank that is kept: the time used, and for the bank the rest of the total cap."""
    total = Minor(terms.cap_total_minor - before.cost_minor)
    rest = Minor(total - used.total_minor)
    line = Line(kind=LineKind.BUY_OUT, quantity=1, amount_minor=rest)
    lines = (*used.lines, line) if rest else used.lines
    return replace(used, lines=lines, total_minor=total)


BOUGHT_WITHIN_S: Final = 366 * DAY_S
"""A price that takes longer to reach its total cap never does."""


def reaches_cap_at(
    terms: Terms,
    *,
    start: datetime,
    delivery_late: bool = False,
    free_used_s: int = 0,
    before: Before = FROM_NEW,
) -> datetime | None:
    """Find the first second at which the price is the total cap: then the bank is bought.

    Args:
        terms: without a problem (:func:`lint`).
        start: when billing started, aware.
        delivery_late: as for :func:`price`.
        free_used_s: as for :func:`price`.
        before: as for :func:`price`.

    Returns:
        None if the price is under its cap even after a year.
    """

    def is_reached(elapsed_s: int) -> bool:
        end = start + timedelta(seconds=elapsed_s)
        priced = price(
            terms,
            start=start,
            end=end,
            delivery_late=delivery_late,
            free_used_s=free_used_s,
            before=before,
        )
        return priced.total_minor + before.cost_minor >= terms.cap_total_minor

    if not is_reached(BOUGHT_WITHIN_S):
        return None
    first_s = bisect_left(range(BOUGHT_WITHIN_S), x=True, key=is_reached)
    return start + timedelta(seconds=first_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Blocks charged, and what the daily cap takes off them."""

    count: int
    days_capped: int
    discount_minor: Minor


def _blocks(terms: Terms, *, since_s: int, until_s: int) -> _Blocks:
    """Count the blocks charged between two seconds, and what their days' caps take off them."""
    earlier, count = _charged(terms, since_s), _charged(terms, until_s)
    days_capped = discount = 0
    for day in range(-(-until_s // DAY_S)):  # a block may be charged after its day is over
        over = _over(terms, count, day=day) - _over(terms, earlier, day=day)
        if over > 0:
            days_capped += 1
            discount -= over
    return _Blocks(count=count - earlier, days_capped=days_capped, discount_minor=Minor(discount))


def _over(terms: Terms, count: int, *, day: int) -> int:
    """What the blocks of a day, of the first ``count``, come to above its cap."""
    first, last = (min(count, _begun(terms, edge * DAY_S)) for edge in (day, day + 1))
    return max(0, (last - first) * terms.block_price_minor - terms.cap_24h_minor)


def _begun(terms: Terms, elapsed_s: int) -> int:
    """How many blocks begin before this second."""
    return -(-max(0, elapsed_s - terms.free_s) // terms.block_s)


def _charged(terms: Terms, elapsed_s: int) -> int:
    """How many blocks are charged by this second."""
    begun = _begun(terms, elapsed_s)
    if terms.rounding is Rounding.CEIL or begun == 0:
        return begun
    return max(1, (elapsed_s - terms.free_s) // terms.block_s)


def seconds_between(start: datetime, end: datetime) -> int:
    """Count the whole seconds from start to end, rounded down; across zones, too.

    Raises:
        ValueError: one of them is naive.
    """
    if start.tzinfo is None or end.tzinfo is None:
        msg = "a time without a zone cannot be billed"
        raise ValueError(msg)
    return (end.astimezone(UTC) - start.astimezone(UTC)) // timedelta(seconds=1)


def free_used(
    terms: Terms, *, earlier_start: datetime, earlier_end: datetime, start: datetime
) -> int:
    """Count the free seconds already used, by an earlier rental that just ended.

    Args:
        terms: of the rental that starts.
        earlier_start: when billing of the same renter's last rental started.
        earlier_end: when it ended.
        start: when billing of the new one starts.
    """
    if seconds_between(earlier_end, start) >= RENT_AGAIN_S:
        return 0
    return min(terms.free_s, max(0, seconds_between(earlier_start, earlier_end)))


# -- the linter ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why terms may not be used."""

    code: Code
    fields: tuple[str, ...]
    """The terms it is about."""


def lint(terms: Terms, market: Market = Market.PLAIN) -> tuple[Problem, ...]:
    """List every problem that these terms have in this market; none: they may be used."""
    checks = (*_ranges(terms), *_shape(terms), *_customs(terms, RULES[market]))
    return tuple(Problem(code=code, fields=about) for code, about, holds in checks if holds)


_Checked: TypeAlias = tuple[Code, tuple[str, ...], bool]
"""A problem, what it would be about, and whether it is there."""


def _ranges(terms: Terms) -> Iterator[_Checked]:
    """Check each number by itself."""
    amounts = {
        field.name: getattr(terms, field.name)
        for field in fields(terms)
        if field.name.endswith(("_s", "_minor"))
    }
    negative = tuple(name for name, amount in amounts.items() if amount < 0)
    large = tuple(
        name
        for name, amount in amounts.items()
        if amount > (DAY_S if name.endswith("_s") else MOST_MINOR)
    )
    yield Code.TARIFF_NEGATIVE, negative, bool(negative)
    yield Code.TARIFF_OUT_OF_RANGE, large, bool(large)
    is_pct = 0 <= terms.min_battery_pct <= 100  # noqa: PLR2004
    yield Code.TARIFF_BAD_BATTERY, ("min_battery_pct",), not is_pct


def _shape(terms: Terms) -> Iterator[_Checked]:
    """Check the numbers against one another."""
    # Time that no block covers would have no price.
    yield Code.TARIFF_GAP, ("block_s",), terms.block_s == 0
    yield (
        Code.TARIFF_CAP_UNDER_BLOCK,
        ("cap_24h_minor", "block_price_minor"),
        terms.cap_24h_minor < terms.block_price_minor,
    )
    yield (
        Code.TARIFF_TOTAL_UNDER_CAP,
        ("cap_total_minor", "cap_24h_minor", "delivery_fee_minor"),
        terms.cap_total_minor < terms.cap_24h_minor + terms.delivery_fee_minor,
    )
    yield Code.TARIFF_NO_DEPOSIT, ("deposit_minor",), terms.deposit_minor == 0
    yield (
        Code.TARIFF_DEPOSIT_OVER_TOTAL,
        ("deposit_minor", "cap_total_minor"),
        terms.deposit_minor > terms.cap_total_minor,
    )
    fees = ("cancel_accepted_minor", "cancel_delivering_minor")
    accepted, delivering = (getattr(terms, fee) for fee in fees)
    yield (
        Code.TARIFF_CANCEL_OVER_TOTAL,
        (*fees, "cap_total_minor"),
        max(accepted, delivering) > terms.cap_total_minor,
    )
    yield Code.TARIFF_CANCEL_FALLS, fees, 0 <= delivering < accepted


def _customs(terms: Terms, rules: Rules) -> Iterator[_Checked]:
    """Check what the market asks for."""
    yield (
        Code.TARIFF_MARKET_CURRENCY,
        ("currency",),
        rules.currency not in {None, terms.currency},
    )
    yield (
        Code.TARIFF_MARKET_BLOCK,
        ("block_s",),
        rules.block_most_s is not None and terms.block_s > rules.block_most_s,
    )
    yield Code.TARIFF_MARKET_FREE, ("free_s",), 0 <= terms.free_s < rules.free_least_s
    yield (
        Code.TARIFF_MARKET_ROUNDING,
        ("rounding",),
        rules.are_later_parts_free and terms.rounding is not Rounding.FLOOR_AFTER_FIRST,
    )
    yield (
        Code.TARIFF_MARKET_BATTERY,
        ("min_battery_pct",),
        0 <= terms.min_battery_pct < rules.battery_least_pct,
    )


def check(terms: Terms, market: Market = Market.PLAIN) -> Terms:
    """Give back terms that may be used in this market.

    Raises:
        Refusal: BAD_TARIFF, with the codes of all problems.
    """
    problems = lint(terms, market)
    if problems:
        raise Refusal(Code.BAD_TARIFF, problems=",".join(problem.code for problem in problems))
    return terms


# -- the snapshot --------------------------------------------------------------------------

SNAPSHOT_VERSION: Final = 2
_SINCE_2: Final = frozenset({"cancel_accepted_minor", "cancel_delivering_minor", "min_battery_pct"})
"""Terms that version 1 had not: it meant their defaults."""
_WORDS: Final = frozenset({"currency", "billing_start", "rounding"})
"""The terms that are not numbers."""


def to_json(terms: Terms) -> str:
    """Write terms down; the same terms always give the same bytes."""
    return json.dumps({"version": SNAPSHOT_VERSION, **asdict(terms)}, sort_keys=True)


def from_json(snapshot: str) -> Terms:
    """Read terms that :func:`to_json` wrote.

    Raises:
        ValueError: it is no such snapshot, or of a version that is not known.
    """
    told: dict[str, Any] = json.loads(snapshot)
    names = {field.name for field in fields(Terms)}
    version = told.pop("version", None)
    if version == 1:
        names -= _SINCE_2
    if version not in {1, SNAPSHOT_VERSION} or told.keys() != names:
        msg = f"not the terms of a tariff, version {SNAPSHOT_VERSION}: {snapshot[:80]!r}"
        raise ValueError(msg)
    amounts = {name: told[name] for name in names - _WORDS}
    if not all(type(amount) is int for amount in amounts.values()):
        msg = f"every amount is a whole number: {snapshot[:80]!r}"
        raise ValueError(msg)
    return Terms(
        currency=Currency(told["currency"]),
        billing_start=BillingStart(told["billing_start"]),
        rounding=Rounding(told["rounding"]),
        **amounts,
    )


# -- the disclosure ------------------------------------------------------------------------


def disclosure(terms: Terms, lang: Lang) -> str:
    """Say these terms in words, one sentence a line: what a renter accepts before paying."""
    told = ["start", *(["free"] if terms.free_s else []), "block", terms.rounding, "cap_24h"]
    told += ["delivery" if terms.delivery_fee_minor else "no_delivery", _cancelling(terms)]
    told += ["battery"] if terms.min_battery_pct else []
    told += ["cap_total", "end", "deposit", "examples"]
    amounts = {
        "price": terms.block_price_minor,
        "cap_24h": terms.cap_24h_minor,
        "delivery": terms.delivery_fee_minor,
        "cancel_accepted": terms.cancel_accepted_minor,
        "cancel_delivering": terms.cancel_delivering_minor,
        "cap_total": terms.cap_total_minor,
        "deposit": terms.deposit_minor,
        "hour": _example(terms, HOUR_S),
        "day": _example(terms, DAY_S),
    }
    facts = {name: show(amount, terms.currency) for name, amount in amounts.items()}
    facts["start"] = STARTS[lang][terms.billing_start]
    facts |= {"free": span(terms.free_s, lang), "block": span(terms.block_s, lang)}
    facts["battery"] = f"{terms.min_battery_pct}"
    return "\n".join(SENTENCES[lang][name].format(**facts) for name in told)


def _cancelling(terms: Terms) -> str:
    """Name the sentence on what it costs to call a delivery off."""
    if terms.cancel_delivering_minor == 0:
        return "cancel_free"
    return "cancel" if terms.cancel_accepted_minor else "cancel_late"


def _example(terms: Terms, span_s: int) -> Minor:
    """Price a span, by the very function that bills it."""
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return price(terms, start=start, end=start + timedelta(seconds=span_s)).total_minor


def span(span_s: int, lang: Lang) -> str:
    """Name a span exactly: ``1 h 30 min``."""
    counts = (span_s // HOUR_S, span_s % HOUR_S // MINUTE_S, span_s % MINUTE_S)
    told = [f"{count}{unit}" for count, unit in zip(counts, UNITS[lang], strict=True) if count]
    return (" " if lang is Lang.EN else "").join(told)
