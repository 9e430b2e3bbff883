"""What there is to see, as plain values: the banks, the steps told so far, the latest news."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from backend.demo import words
from backend.demo.story import money
from backend.domain.lang import Lang

SAME_NEWS: Final = timedelta(seconds=2)
"""The same kind about the same thing within this is one news that several people heard."""
NEWS_KEPT: Final = 40
_OVER: Final = frozenset({"completed", "cancelled", "undeliverable"})


class Mood(StrEnum):
    """How a step stands."""

    NOW = "now"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step, as told."""

    number: int
    title: str
    outcome: str
    mood: Mood
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsLine:
    """One news, and who heard it."""

    at: datetime
    kind: str
    about: str
    hearers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLine:
    """One bank, as its merchant sees it."""

    id: str
    merchant: str
    battery_pct: int | None
    """None: it has told nothing yet, nor the rest below."""
    lock: str = ""
    is_feeding: bool = False
    is_plugged: bool = False
    presence: str = "offline"
    where: str
    """A key of ``words``: its rental's state, or where else it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the renter gets in the end: labels and what stands beside them."""

    facts: tuple[tuple[str, str], ...]
    lines: tuple[tuple[str, str], ...]
    total: tuple[str, str]
    deposit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What to open and try."""

    rows: tuple[tuple[str, str], ...]
    """A name, and what can be copied."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """All of it; it changes while the screen is drawn again and again."""

    lang: Lang
    below: str = ""
    """Under the title."""
    hint: str = ""
    steps_in_all: int = 0
    banks: tuple[BankLine, ...] = ()
    steps: list[StepLine] = field(default_factory=list)
    news: deque[NewsLine] = field(default_factory=lambda: deque(maxlen=NEWS_KEPT))
    rentals: dict[str, str] = field(default_factory=dict)
    """Banks that are in a rental, with its state."""
    banks_of: dict[str, str] = field(default_factory=dict)
    """Rentals, with their bank."""
    receipt: Receipt | None = None
    links: Links | None = None

    def step_begins(self, number: int, title: str, *, at: datetime) -> None:
        """Tell a new step."""
        line = StepLine(number=number, title=title, outcome="", mood=Mood.NOW, at=at)
        self.steps.append(line)

    def step_ends(self, outcome: str, *, mood: Mood = Mood.DONE) -> None:
        """Tell how the last step ended."""
        self.steps[-1] = replace(self.steps[-1], outcome=outcome, mood=mood)

    def hear(self, who: str, kind: str, data: Mapping[str, Any], *, at: datetime) -> None:
        """Somebody heard something; the newest is the first."""
        about = self._bank_in(data)
        self._follow(about, data.get("state"))
        for place, line in enumerate(self.news):
            if (line.kind, line.about) == (kind, about) and abs(at - line.at) < SAME_NEWS:
                if who not in line.hearers:
                    self.news[place] = replace(line, hearers=(*line.hearers, who))
                return
        self.news.appendleft(NewsLine(at=at, kind=kind, about=about, hearers=(who,)))

    def _bank_in(self, data: Mapping[str, Any]) -> str:
        """Which bank a news is about, or none."""
        bank, rental = data.get("bank"), str(data.get("rental_id", ""))
        if isinstance(bank, Mapping):
            self.banks_of[rental] = str(bank["id"])
        return str(data.get("bank_id") or self.banks_of.get(rental, ""))

    def _follow(self, bank_id: str, state: str | None) -> None:
        if state in _OVER:
            self.rentals.pop(bank_id, None)
        elif state is not None:
            self.rentals[bank_id] = state


def bank_line(bank: Mapping[str, Any], *, merchant: str, rental_state: str | None) -> BankLine:
    """Show a bank of a merchant's list."""
    told, where = bank["state"], _where(bank, rental_state)
    if told is None:
        return BankLine(id=bank["id"], merchant=merchant, battery_pct=None, where=where)
    return BankLine(
        id=bank["id"],
        merchant=merchant,
        battery_pct=told["battery_pct"],
        lock=told["lock"],
        is_feeding=told["is_feeding"],
        is_plugged=told["is_plugged"],
        presence=told["presence"],
        where=where,
    )


def _where(bank: Mapping[str, Any], rental_state: str | None) -> str:
    if rental_state is not None:
        return rental_state
    if bank["holder"] in {"staff", "renter"}:
        return f"with_{bank['holder']}"
    if bank["holder"] in {"lost", "sold"}:
        return str(bank["holder"])
    reasons = {why["code"] for why in bank["why_not"]}
    if not reasons:
        return "for_rent"
    return next((code for code in ("offline", "low") if code in reasons), "not_now")


def receipt(rental: Mapping[str, Any], lang: Lang, *, span: str) -> Receipt:
    """Make the receipt of a rental that is paid.

    Args:
        rental: as its renter sees it.
        lang: the reader's.
        span: when it was billed, in words.
    """
    currency = rental["currency"]
    block = words.say("minutes", lang, n=rental["tariff"]["block_s"] // 60)
    deposit = money(rental["deposit"]["amount_minor"], currency)
    return Receipt(
        facts=(
            (words.say("rental", lang), rental["id"]),
            (words.say("merchant", lang), rental["merchant"]["name"]),
            (words.say("bank", lang), f"{rental['bank']['id']}  {rental['bank']['model']}"),
            (words.say("brought_by", lang), rental["staff"] or ""),
            (words.say("billed", lang), span),
        ),
        lines=tuple(
            (
                words.say(line["kind"], lang, quantity=line["quantity"], block=block),
                money(line["amount_minor"], currency),
            )
            for line in rental["lines"]
        ),
        total=(words.say("total", lang), money(rental["amount_minor"], currency)),
        deposit=words.say("deposit_released", lang, amount=deposit),
    )
