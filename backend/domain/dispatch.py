"""Who is asked to bring a bank, who gets the job, and when somebody else is asked.

The theory
----------
A delivery is looked for one *candidate* at a time: a bank and the merchant who lends it. The
job is **offered** to some of that merchant's people at once, each offer with a deadline. The
first who accepts has the job; an offer's life is the table :data:`OFFER_MOVES`. Who declined is
not asked again for this rental and never sees the job again. Who let it lapse is not asked again
either, but may still take it while it waits.

Who comes next is a ranking that can explain itself: each candidate's score is a sum of named
:class:`Part`, each a weight times a value from 0 to 1000 (:func:`rank`).

When everybody was asked in vain, the job waits for whoever comes, until *patience* is over; then
the rental is given up, honestly and at once. An accepted job is watched: it has to be set out
for, to move, and to arrive. Whoever fails in that is relieved, as soon as there is somebody else
to ask; while there is nobody, a late delivery is better than none, up to :data:`GIVE_UP_AFTER`.

What is due when is a function of facts, without a memory of its own (:func:`next_of_search`,
:func:`next_of_trip`, :func:`next_of_collection`): so a sweep may run twice, or late, or never,
and what it decides is the same.

A collection goes to the bank's own merchant only, and is never given up: the bank is theirs. Who
let it lapse is asked again when it is to be fetched anew.

What must always hold: a job has one winner; who said no is not asked twice for one rental; every
search ends, by being accepted or given up, and there are at most :data:`ATTEMPTS_MAX` of them;
better in one part is never worse in the ranking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from backend.domain import eta
from backend.domain.door import AT_THE_DOOR_M
from backend.domain.errors import Code, Refusal

# -- an offer's life -----------------------------------------------------------------------


class OfferState(StrEnum):
    """How far an offer of a job to one person is."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"


class OfferEvent(StrEnum):
    """What happens to an offer."""

    ACCEPT = "accept"
    DECLINE = "decline"
    LAPSE = "lapse"
    TAKE = "take"
    """Somebody else was quicker."""
    WITHDRAW = "withdraw"
    """The job ended, or the person went off shift: they may be asked again."""


OFFER_MOVES: Final[Mapping[tuple[OfferState, OfferEvent], OfferState]] = MappingProxyType(
    {
        (OfferState.OPEN, OfferEvent.ACCEPT): OfferState.ACCEPTED,
        (OfferState.OPEN, OfferEvent.DECLINE): OfferState.DECLINED,
        (OfferState.OPEN, OfferEvent.LAPSE): OfferState.LAPSED,
        (OfferState.OPEN, OfferEvent.TAKE): OfferState.TAKEN,
        (OfferState.OPEN, OfferEvent.WITHDRAW): OfferState.WITHDRAWN,
        (OfferState.LAPSED, OfferEvent.ACCEPT): OfferState.ACCEPTED,
        (OfferState.LAPSED, OfferEvent.DECLINE): OfferState.DECLINED,
    }
)


def step_offer(state: OfferState, event: OfferEvent) -> OfferState:
    """Take an offer one move on.

    Raises:
        Refusal: ALREADY_TAKEN if somebody else has the job; WRONG_STATE for what else the
            table does not have.
    """
    after = OFFER_MOVES.get((state, event))
    if after is not None:
        return after
    if state is OfferState.TAKEN:
        raise Refusal(Code.ALREADY_TAKEN)
    raise Refusal(Code.WRONG_STATE, state=state, event=event)


def offers_before(event: OfferEvent) -> frozenset[OfferState]:
    """The states in which this may happen."""
    return frozenset(state for state, each in OFFER_MOVES if each is event)


def offer_after(event: OfferEvent) -> OfferState:
    """The one state that this leads to."""
    [after] = {after for (_, each), after in OFFER_MOVES.items() if each is event}
    return after


# -- the ranking ---------------------------------------------------------------------------


class PartName(StrEnum):
    """What speaks for a candidate."""

    ETA = "eta"
    ON_TIME = "on_time"
    CHARGE = "charge"
    LOAD = "load"


WEIGHTS: Final[Mapping[PartName, int]] = MappingProxyType(
    {PartName.ETA: 50, PartName.ON_TIME: 25, PartName.CHARGE: 15, PartName.LOAD: 10}
)
"""They sum to 100: a score is out of 100,000."""
VALUE_MAX: Final = 1_000
_FAR: Final = timedelta(hours=1)
"""A ride so long is worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bank that could be sent, and what is known of who would bring it."""

    bank_id: str
    merchant_id: str
    distance_m: int
    """From the merchant to the renter."""
    battery_pct: int
    on_time_bp: int
    """How often the merchant is on time, as its score counts it: few deliveries say little."""
    load: int
    """Jobs in hand of the least busy person who can be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that speaks for a candidate."""

    name: PartName
    weight: int
    value: int
    """From 0 to :data:`VALUE_MAX`."""

    @property
    def points(self) -> int:
        """What it adds to the score."""
        return self.weight * self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A candidate with its score, part by part."""

    candidate: Candidate
    parts: tuple[Part, ...]

    @property
    def score(self) -> int:
        """The sum of its parts."""
        return sum(part.points for part in self.parts)

    def explain(self) -> dict[str, object]:
        """Say why, for whoever asks: an operator, a merchant, a log."""
        return {
            "bank_id": self.candidate.bank_id,
            "distance_m": self.candidate.distance_m,
            "score": self.score,
            "parts": [
                {"name": part.name, "weight": part.weight, "value": part.value}
                for part in self.parts
            ],
        }


def rank(candidates: Iterable[Candidate]) -> list[Ranked]:
    """Order candidates, the best first; alike ones by distance, then by the bank's id."""
    ranked = [Ranked(candidate=each, parts=_parts(each)) for each in candidates]
    return sorted(
        ranked, key=lambda each: (-each.score, each.candidate.distance_m, each.candidate.bank_id)
    )


def _parts(of: Candidate) -> tuple[Part, ...]:
    ride = min(eta.travel(of.distance_m), _FAR)
    values = {
        PartName.ETA: VALUE_MAX * (_FAR - ride) // _FAR,
        PartName.ON_TIME: of.on_time_bp // 10,
        PartName.CHARGE: of.battery_pct * 10,
        PartName.LOAD: VALUE_MAX // (1 + of.load),
    }
    return tuple(
        Part(name=name, weight=WEIGHTS[name], value=value) for name, value in values.items()
    )


# -- what is due when ----------------------------------------------------------------------

OFFER_FOR: Final = timedelta(seconds=45)
"""How long an offer is open."""
OFFERS_AT_ONCE_MAX: Final = 5
ROUNDS_MAX: Final = 2
"""Rounds of offers of one job: then another candidate is looked for."""
ATTEMPTS_MAX: Final = 6
"""How often one rental is given to somebody; then it waits for those who were asked, until
patience is over, and who drops it ends it."""
PATIENCE: Final = timedelta(minutes=10)
"""How long a search goes on, from the request or from when somebody was relieved."""
LOOK_AGAIN: Final = timedelta(seconds=45)
"""How soon another candidate is looked for, when there was none."""
GRACE: Final = timedelta(minutes=10)
"""How much a delivery may be late while its staff are known to be nearly there."""
STALLED_AFTER: Final = timedelta(minutes=10)
"""At least so long without coming nearer; or as long as the rest of the ride would take."""
GIVE_UP_AFTER: Final = timedelta(minutes=45)
"""How late a delivery may be when there is nobody else."""
REMIND_EVERY: Final = timedelta(minutes=30)
REMINDERS_MAX: Final = 6
"""Then the operators are told."""
COLLECT_WITHIN: Final = timedelta(hours=1)
"""From accepting a collection to the scan; then others are asked."""


class Act(StrEnum):
    """What dispatch does next."""

    WAIT = "wait"
    ASK = "ask"
    """Offer the job to more of this merchant's people."""
    MOVE_ON = "move_on"
    """Look for another candidate."""
    RELIEVE = "relieve"
    """The same, and take the job from who has it."""
    GIVE_UP = "give_up"
    REMIND = "remind"


class EndedWhy(StrEnum):
    """Why a job was taken from somebody, or from a merchant."""

    NOBODY = "nobody"
    NOT_SET_OUT = "not_set_out"
    LATE = "late"
    STALLED = "stalled"
    GIVEN_BACK = "given_back"
    OFF_SHIFT = "off_shift"
    BANK_LOST = "bank_lost"
    BANK_RECALLED = "bank_recalled"
    GIVEN_UP = "given_up"
    RENTER_ABSENT = "renter_absent"
    """Who came in time waited at the door in vain."""


FAILED: Final = frozenset(
    {
        EndedWhy.NOT_SET_OUT,
        EndedWhy.LATE,
        EndedWhy.STALLED,
        EndedWhy.GIVEN_BACK,
    }
)
"""Whoever had the job is not asked again for its rental."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What to do now, and when to look again if that changes nothing."""

    act: Act
    look_at: datetime
    why: EndedWhy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A delivery that nobody has taken yet."""

    since: datetime
    """When it was asked for, or somebody was last relieved of it."""
    offered_until: datetime | None
    """The last deadline of the offers that are open; None: none is."""
    rounds: int
    attempts: int


def next_of_search(search: Search, *, now: datetime) -> Next:
    """Decide what to do about a delivery that nobody has taken yet."""
    until = search.since + PATIENCE
    if search.offered_until is not None and now < search.offered_until:
        return Next(act=Act.WAIT, look_at=search.offered_until)
    if now >= until:
        return Next(act=Act.GIVE_UP, look_at=until, why=EndedWhy.GIVEN_UP)
    look_at = min(until, now + LOOK_AGAIN)
    if search.rounds < ROUNDS_MAX:
        return Next(act=Act.ASK, look_at=look_at, why=EndedWhy.NOBODY)
    if search.attempts < ATTEMPTS_MAX:
        return Next(act=Act.MOVE_ON, look_at=look_at, why=EndedWhy.NOBODY)
    return Next(act=Act.WAIT, look_at=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A delivery that somebody has taken."""

    accepted_at: datetime
    deliver_by: datetime
    """What was promised; for who came in later, what can be asked of them."""
    set_out_at: datetime | None
    moved_at: datetime | None
    """When they last came nearer; None: their phone has not told where they are."""
    left_m: int
    """The least distance that was left."""
    expected_at: datetime | None
    """By a position that is fresh; None: it is not known where they are."""


def next_of_trip(trip: Trip, *, now: datetime) -> Next:
    """Decide whether whoever has taken a delivery goes on with it."""
    given_up_at = trip.deliver_by + GIVE_UP_AFTER
    if now >= given_up_at:
        return Next(act=Act.GIVE_UP, look_at=now, why=EndedWhy.LATE)
    deadlines = _deadlines(trip, now=now)
    passed = [why for why, at in deadlines.items() if at <= now]
    if passed:
        look_at = min(given_up_at, now + LOOK_AGAIN)
        return Next(act=Act.RELIEVE, look_at=look_at, why=passed[0])
    return Next(act=Act.WAIT, look_at=min(deadlines.values()))


def _deadlines(trip: Trip, *, now: datetime) -> dict[EndedWhy, datetime]:
    if trip.set_out_at is None:
        set_out_by = eta.set_out_by(
            accepted_at=trip.accepted_at, deliver_by=trip.deliver_by, distance_m=trip.left_m
        )
        return {EndedWhy.NOT_SET_OUT: set_out_by}
    deadlines = {EndedWhy.LATE: _late_at(trip, now=now)}
    if trip.moved_at is not None and trip.left_m > AT_THE_DOOR_M:
        patience = max(STALLED_AFTER, eta.travel(trip.left_m))
        deadlines[EndedWhy.STALLED] = trip.moved_at + patience
    return deadlines


def _late_at(trip: Trip, *, now: datetime) -> datetime:
    """When they count as late: who is nearly there, by their own position, has some grace."""
    latest = trip.deliver_by + GRACE
    is_nearly_there = trip.expected_at is not None and trip.expected_at <= latest
    return (
        min(latest, now + LOOK_AGAIN)
        if is_nearly_there and now >= trip.deliver_by
        else (trip.deliver_by)
    )


def not_past_promise(look_at: datetime, *, promised_at: datetime | None, now: datetime) -> datetime:
    """When to look at a delivery again: a promise is not missed unnoticed.

    Args:
        look_at: when something is due.
        promised_at: what the renter was promised.
        now: the time.
    """
    is_ahead = promised_at is not None and promised_at > now
    return min(look_at, promised_at) if promised_at is not None and is_ahead else look_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """A collection that is not done yet."""

    accepted_at: datetime | None
    offered_until: datetime | None
    rounds: int
    reminders: int


def next_of_collection(job: Fetching, *, now: datetime) -> Next:
    """Decide what to do about a collection: it is reminded of, never given up."""
    if job.accepted_at is not None and now < job.accepted_at + COLLECT_WITHIN:
        return Next(act=Act.WAIT, look_at=job.accepted_at + COLLECT_WITHIN)
    if job.accepted_at is not None and job.reminders == 0:
        return Next(act=Act.RELIEVE, look_at=now + REMIND_EVERY, why=EndedWhy.LATE)
    if job.offered_until is not None and now < job.offered_until:
        return Next(act=Act.WAIT, look_at=job.offered_until)
    if job.accepted_at is None and job.rounds < ROUNDS_MAX:
        return Next(act=Act.ASK, look_at=now + LOOK_AGAIN)
    return Next(act=Act.REMIND, look_at=now + REMIND_EVERY)
