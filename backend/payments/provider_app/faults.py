"""How the sandbox misbehaves when it is told to, as real providers do untold.

The theory
----------
A *fault* is armed for the next times that it can strike: anywhere it fits, or only in some
places, or only for what bears one reference. Or it is left to *chance*: so many times in a
thousand, from a seed, so that the same calls in the same order meet the same faults. What is
armed comes first, the oldest before the others; chance is asked after.

There are three kinds, and each lies at another boundary:

- in the *answer*: what was asked for is carried out or not, and the payee cannot tell which;
- in the *effect*: the provider says no, or the money is no longer there;
- in the *notice*: it comes twice, late, after the next one, spoiled, or never.

Each that struck is listed, so that whoever armed it can wait for it. Nothing here outlives the
process, and all of it is shut unless the settings say ``may_misbehave``::

    curl -H "authorization: Bearer $KEY" $PROVIDER/sandbox/faults \
      --json '{"fault": "no_answer", "at": ["capture"], "for_s": 2}'
"""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from types import MappingProxyType
from typing import Final

from backend.payments.provider_app.clock import Clock
from backend.payments.provider_app.problems import Code, Refused

MAX_ARMED: Final = 100
MAX_TIMES: Final = 1000
MAX_FOR_S: Final = 30 * 86_400.0
REMEMBERED: Final = 1000
"""How many that struck are listed: the newest."""
_ALWAYS: Final = 1000


class At(StrEnum):
    """Where a fault can strike."""

    CREATE = "create"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    FETCH = "fetch"
    FIND = "find"
    LIST = "list"
    PAY_OUT = "pay_out"
    FETCH_PAYOUT = "fetch_payout"
    FIND_PAYOUT = "find_payout"
    PAGE = "page"
    """The payer agrees."""
    NOTICE = "notice"
    """A notice is sent for the first time."""


class Fault(StrEnum):
    """What can go wrong. ``for_s`` is the span that belongs to it, in seconds."""

    ERROR_BEFORE = "error_before"
    """Answers 503, and has done nothing."""
    ERROR_AFTER = "error_after"
    """Answers 500, and has done it."""
    NO_ANSWER = "no_answer"
    """Has done it, says nothing for ``for_s``, then breaks the line."""
    SLOW = "slow"
    """Has done it; the answer trickles in over ``for_s``."""
    GARBLED = "garbled"
    """Has done it; answers 200 and somebody else's page."""
    NOTICE_FIRST = "notice_first"
    """Has done it; answers only once the notices have been heard, or ``for_s`` is over."""

    DECLINED = "declined"
    """Says no: final, nothing done."""
    DECLINED_ON_PAGE = "declined_on_page"
    """The payer agrees, and their bank says no."""
    SHORT_HOLD = "short_hold"
    """The hold stands for ``for_s`` only, and says so."""
    HOLD_EXPIRED = "hold_expired"
    """The hold turns out to have run out, long before it said it would."""

    NOTICE_DOUBLED = "notice_doubled"
    """Sent twice."""
    NOTICE_DELAYED = "notice_delayed"
    """Sent after ``for_s``."""
    NOTICE_REORDERED = "notice_reordered"
    """Sent after the next one about the same, or after ``for_s``."""
    NOTICE_LOST = "notice_lost"
    """Never sent."""
    NOTICE_FORGED = "notice_forged"
    """Sent with a signature that does not fit; the true one follows after a pause."""
    NOTICE_UNREADABLE = "notice_unreadable"
    """Truly signed, and cut off in the middle."""


_WISHES: Final = frozenset({At.CREATE, At.CAPTURE, At.CANCEL, At.REFUND, At.PAY_OUT})
_QUESTIONS: Final = frozenset({At.FETCH, At.FIND, At.LIST, At.FETCH_PAYOUT, At.FIND_PAYOUT})
_CALLS: Final = _WISHES | _QUESTIONS
_NOTICE: Final = frozenset({At.NOTICE})

FITS: Final = MappingProxyType(
    {
        Fault.ERROR_BEFORE: _CALLS,
        Fault.ERROR_AFTER: _CALLS,
        Fault.NO_ANSWER: _CALLS,
        Fault.SLOW: _CALLS,
        Fault.GARBLED: _CALLS,
        Fault.NOTICE_FIRST: _WISHES,
        Fault.DECLINED: frozenset({At.CREATE, At.REFUND, At.PAY_OUT}),
        Fault.DECLINED_ON_PAGE: frozenset({At.PAGE}),
        Fault.SHORT_HOLD: frozenset({At.PAGE}),
        Fault.HOLD_EXPIRED: frozenset({At.CAPTURE, At.CANCEL, At.FETCH, At.FIND}),
        Fault.NOTICE_DOUBLED: _NOTICE,
        Fault.NOTICE_DELAYED: _NOTICE,
        Fault.NOTICE_REORDERED: _NOTICE,
        Fault.NOTICE_LOST: _NOTICE,
        Fault.NOTICE_FORGED: _NOTICE,
        Fault.NOTICE_UNREADABLE: _NOTICE,
    }
)
"""Where each fault can strike."""

IN_ANSWER: Final = frozenset(
    {
        Fault.ERROR_BEFORE,
        Fault.ERROR_AFTER,
        Fault.NO_ANSWER,
        Fault.SLOW,
        Fault.GARBLED,
        Fault.NOTICE_FIRST,
    }
)
IN_NOTICE: Final = frozenset(fault for fault in Fault if FITS[fault] == _NOTICE)

FOR_S: Final = MappingProxyType(
    {
        Fault.NO_ANSWER: 30.0,
        Fault.SLOW: 5.0,
        Fault.NOTICE_FIRST: 5.0,
        Fault.SHORT_HOLD: 3600.0,
        Fault.NOTICE_DELAYED: 60.0,
        Fault.NOTICE_REORDERED: 60.0,
    }
)
"""How long, unless it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A fault that waits for its time."""

    id: int
    fault: Fault
    at: frozenset[At]
    reference: str | None
    """Only what bears it; None: anything."""
    times: int
    """How often it will still strike."""
    for_s: float

    def fits(self, at: At, reference: str, among: frozenset[Fault]) -> bool:
        """Whether it strikes here."""
        return self.fault in among and at in self.at and self.reference in {None, reference}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What may happen at any time."""

    seed: int
    per_mille: Mapping[Fault, int]
    """Of a thousand times that a fault could strike, how often it does."""
    for_s: Mapping[Fault, float] = field(default_factory=dict)
    """How long, for those that the usual span does not suit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault that happened."""

    number: int
    """Counts up from 1."""
    fault: Fault
    at: At
    reference: str
    for_s: float
    struck_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that is known of faults: oldest first."""

    armed: list[Armed]
    chance: Chance | None
    struck: list[Struck]


class Faults:
    """What is armed, what is left to chance, and what happened. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ids = count(1)
        self._numbers = count(1)
        self._armed: list[Armed] = []
        self._chance: Chance | None = None
        self._asked: Counter[tuple[Fault, At]] = Counter()
        self._struck: deque[Struck] = deque(maxlen=REMEMBERED)

    def arm(
        self,
        fault: Fault,
        *,
        at: frozenset[At] = frozenset(),
        reference: str | None = None,
        times: int = 1,
        for_s: float | None = None,
    ) -> Armed:
        """Have a fault strike the next times that it can.

        Args:
            fault: which.
            at: where; empty: wherever it fits.
            reference: only for what bears it.
            times: how often.
            for_s: the span that belongs to it; None: the usual one.

        Raises:
            Refused: it cannot strike there, or too many are armed.
        """
        if not at <= FITS[fault]:
            where = ", ".join(sorted(FITS[fault]))
            raise Refused(Code.INVALID_REQUEST, f"{fault} can strike at: {where}")
        with self._lock:
            if len(self._armed) == MAX_ARMED:
                raise Refused(Code.INVALID_REQUEST, f"{MAX_ARMED} faults are armed: calm it first")
            armed = Armed(
                id=next(self._ids),
                fault=fault,
                at=at or FITS[fault],
                reference=reference,
                times=times,
                for_s=FOR_S.get(fault, 0.0) if for_s is None else for_s,
            )
            self._armed.append(armed)
            return armed

    def leave_to(self, chance: Chance) -> None:
        """Have faults strike by chance from now on."""
        with self._lock:
            self._chance = chance
            self._asked.clear()

    def calm(self) -> None:
        """Behave; what struck is not forgotten."""
        with self._lock:
            self._armed.clear()
            self._chance = None

    def strike(self, at: At, reference: str, *, among: frozenset[Fault]) -> Struck | None:
        """The fault that happens here and now, of those that could; None: all goes well."""
        with self._lock:
            found = self._next_armed(at, reference, among) or self._by_chance(at, among)
            if found is None:
                return None
            fault, for_s = found
            struck = Struck(
                number=next(self._numbers),
                fault=fault,
                at=at,
                reference=reference,
                for_s=for_s,
                struck_at=self._clock(),
            )
            self._struck.append(struck)
            return struck

    def listing(self) -> Listing:
        """What is armed, what is left to chance, and what struck."""
        with self._lock:
            return Listing(armed=list(self._armed), chance=self._chance, struck=list(self._struck))

    def _next_armed(
        self, at: At, reference: str, among: frozenset[Fault]
    ) -> tuple[Fault, float] | None:
        for place, armed in enumerate(self._armed):
            if armed.fits(at, reference, among):
                left = [replace(armed, times=armed.times - 1)] if armed.times > 1 else []
                self._armed[place : place + 1] = left
                return armed.fault, armed.for_s
        return None

    def _by_chance(self, at: At, among: frozenset[Fault]) -> tuple[Fault, float] | None:
        chance = self._chance
        if chance is None:
            return None
        for fault, per_mille in sorted(chance.per_mille.items()):
            if fault in among and at in FITS[fault]:
                self._asked[fault, at] += 1
                if _drawn(chance.seed, fault, at, self._asked[fault, at]) < per_mille:
                    return fault, chance.for_s.get(fault, FOR_S.get(fault, 0.0))
        return None


def _drawn(seed: int, fault: Fault, at: At, time: int) -> int:
    """The lot for the so-manieth time that a fault could strike there: 0 to 999."""
    digest = hashlib.sha256(f"{seed} {fault} {at} {time}".encode()).digest()
    return int.from_bytes(digest[:8]) % _ALWAYS
