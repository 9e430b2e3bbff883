"""Offers, the ranking, and what is due when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.dispatch import (
    AT_THE_DOOR_M,
    ATTEMPTS_MAX,
    COLLECT_WITHIN,
    GIVE_UP_AFTER,
    GRACE,
    LOOK_AGAIN,
    OFFER_FOR,
    OFFER_MOVES,
    PATIENCE,
    ROUNDS_MAX,
    STALLED_AFTER,
    VALUE_MAX,
    WEIGHTS,
    Act,
    Candidate,
    EndedWhy,
    Fetching,
    OfferEvent,
    OfferState,
    Search,
    Trip,
    next_of_collection,
    next_of_search,
    next_of_trip,
    not_past_promise,
    offer_after,
    rank,
    step_offer,
)
from backend.domain.errors import Code, Refusal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# -- offers --------------------------------------------------------------------------------


def test_an_offer_ends_once_and_only_a_lapsed_one_may_still_be_taken() -> None:
    going_on = {state for state, _ in OFFER_MOVES}
    assert going_on == {OfferState.OPEN, OfferState.LAPSED}
    assert step_offer(OfferState.LAPSED, OfferEvent.ACCEPT) is OfferState.ACCEPTED


def test_each_event_leads_to_one_state() -> None:
    assert {offer_after(event) for event in OfferEvent} == set(OfferState) - {OfferState.OPEN}


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (OfferState.TAKEN, Code.ALREADY_TAKEN),
        (OfferState.DECLINED, Code.WRONG_STATE),
        (OfferState.WITHDRAWN, Code.WRONG_STATE),
    ],
)
def test_what_is_over_cannot_be_accepted(state: OfferState, code: Code) -> None:
    with pytest.raises(Refusal) as refusal:
        step_offer(state, OfferEvent.ACCEPT)
    assert refusal.value.code is code


# -- the ranking ---------------------------------------------------------------------------

CANDIDATES = st.builds(
    Candidate,
    bank_id=st.text("AB01", min_size=1, max_size=4),
    merchant_id=st.just("M"),
    distance_m=st.integers(min_value=0, max_value=20_000),
    battery_pct=st.integers(min_value=0, max_value=100),
    on_time_bp=st.integers(min_value=0, max_value=10_000),
    load=st.integers(min_value=0, max_value=20),
)


@given(candidate=CANDIDATES)
def test_a_score_is_the_sum_of_its_named_parts(candidate: Candidate) -> None:
    [ranked] = rank([candidate])
    assert {part.name: part.weight for part in ranked.parts} == dict(WEIGHTS)
    assert all(0 <= part.value <= VALUE_MAX for part in ranked.parts)
    assert ranked.score == sum(part.weight * part.value for part in ranked.parts)
    told = ranked.explain()["parts"]
    assert isinstance(told, list)
    assert [part["name"] for part in told] == list(WEIGHTS)


@given(
    candidate=CANDIDATES,
    nearer_m=st.integers(min_value=0, max_value=5_000),
    fuller_pct=st.integers(min_value=0, max_value=50),
    less=st.integers(min_value=0, max_value=5),
    better_bp=st.integers(min_value=0, max_value=2_000),
)
def test_better_in_one_part_is_never_worse(
    candidate: Candidate, nearer_m: int, fuller_pct: int, less: int, better_bp: int
) -> None:
    [before] = rank([candidate])
    for changes in (
        {"distance_m": max(0, candidate.distance_m - nearer_m)},
        {"battery_pct": min(100, candidate.battery_pct + fuller_pct)},
        {"load": max(0, candidate.load - less)},
        {"on_time_bp": min(10_000, candidate.on_time_bp + better_bp)},
    ):
        [after] = rank([replace(candidate, **changes)])  # type: ignore[arg-type]
        assert after.score >= before.score


@given(candidates=st.lists(CANDIDATES, max_size=8))
def test_the_best_comes_first_whatever_the_order(candidates: list[Candidate]) -> None:
    ranked = rank(candidates)
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    again = [each.score for each in rank(reversed(candidates))]
    assert again == scores


# -- a search ------------------------------------------------------------------------------


def search(**changes: object) -> Search:
    asked = Search(since=NOW, offered_until=None, rounds=0, attempts=1)
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_a_new_job_is_offered_at_once() -> None:
    assert next_of_search(search(), now=NOW).act is Act.ASK


def test_while_somebody_thinks_about_it_nobody_else_is_asked() -> None:
    until = NOW + OFFER_FOR
    due = next_of_search(search(offered_until=until, rounds=1), now=NOW + OFFER_FOR / 2)
    assert (due.act, due.look_at) == (Act.WAIT, until)


def test_after_two_rounds_another_candidate_is_looked_for_and_soon_again() -> None:
    due = next_of_search(search(rounds=ROUNDS_MAX), now=NOW)
    assert (due.act, due.look_at) == (Act.MOVE_ON, NOW + LOOK_AGAIN)


def test_after_so_many_candidates_it_waits_until_patience_is_over() -> None:
    due = next_of_search(search(rounds=ROUNDS_MAX, attempts=ATTEMPTS_MAX), now=NOW)
    assert (due.act, due.look_at) == (Act.WAIT, NOW + PATIENCE)


def test_when_patience_is_over_it_is_given_up_but_not_over_an_open_offer() -> None:
    late = NOW + PATIENCE
    assert next_of_search(search(rounds=ROUNDS_MAX), now=late).act is Act.GIVE_UP
    asked = search(rounds=ROUNDS_MAX, offered_until=late + OFFER_FOR)
    assert next_of_search(asked, now=late).act is Act.WAIT


@given(
    rounds=st.integers(min_value=0, max_value=ROUNDS_MAX),
    attempts=st.integers(min_value=1, max_value=ATTEMPTS_MAX),
    gone_s=st.integers(min_value=0, max_value=2_000),
)
def test_every_search_is_looked_at_again_later_or_ends(
    rounds: int, attempts: int, gone_s: int
) -> None:
    now = NOW + timedelta(seconds=gone_s)
    due = next_of_search(search(rounds=rounds, attempts=attempts), now=now)
    assert due.act is Act.GIVE_UP or due.look_at > now


# -- a trip --------------------------------------------------------------------------------


def trip(**changes: object) -> Trip:
    begun = Trip(
        accepted_at=NOW,
        deliver_by=NOW + 20 * MINUTE,
        set_out_at=None,
        moved_at=None,
        left_m=1_000,
        expected_at=None,
    )
    return replace(begun, **changes)  # type: ignore[arg-type]


def test_who_does_not_set_out_in_time_is_relieved() -> None:
    due = next_of_trip(trip(), now=NOW)
    assert due.act is Act.WAIT
    assert next_of_trip(trip(), now=due.look_at).why is EndedWhy.NOT_SET_OUT


def test_who_is_late_and_not_known_to_be_near_is_relieved() -> None:
    under_way = trip(set_out_at=NOW + 12 * MINUTE)
    due = next_of_trip(under_way, now=NOW + 20 * MINUTE)
    assert (due.act, due.why) == (Act.RELIEVE, EndedWhy.LATE)


def test_who_is_late_but_nearly_there_has_some_grace() -> None:
    late = NOW + 20 * MINUTE
    near = trip(set_out_at=NOW + 15 * MINUTE, expected_at=late + 2 * MINUTE)
    assert next_of_trip(near, now=late).act is Act.WAIT
    much_later = replace(near, moved_at=late + GRACE)
    assert next_of_trip(much_later, now=late + GRACE).why is EndedWhy.LATE


def test_who_does_not_come_nearer_is_stalled() -> None:
    under_way = trip(set_out_at=NOW, moved_at=NOW + MINUTE, deliver_by=NOW + 60 * MINUTE)
    due = next_of_trip(under_way, now=NOW + MINUTE)
    assert due.look_at == NOW + 11 * MINUTE
    assert next_of_trip(under_way, now=due.look_at).why is EndedWhy.STALLED


def test_who_has_arrived_waits_and_has_not_stalled() -> None:
    promised = NOW + 60 * MINUTE
    there = trip(set_out_at=NOW, moved_at=NOW, left_m=AT_THE_DOOR_M, deliver_by=promised)
    assert next_of_trip(there, now=NOW).look_at == promised
    almost = replace(there, left_m=AT_THE_DOOR_M + 1)
    assert next_of_trip(almost, now=NOW + STALLED_AFTER).why is EndedWhy.STALLED


def test_a_promise_is_not_missed_unnoticed() -> None:
    promised, later = NOW + MINUTE, NOW + 5 * MINUTE
    assert not_past_promise(later, promised_at=promised, now=NOW) == promised
    assert not_past_promise(NOW, promised_at=promised, now=NOW) == NOW
    assert not_past_promise(later, promised_at=promised, now=promised) == later
    assert not_past_promise(later, promised_at=None, now=NOW) == later


def test_a_long_ride_without_news_is_no_stall() -> None:
    far = trip(set_out_at=NOW, moved_at=NOW, left_m=5_000, deliver_by=NOW + 60 * MINUTE)
    assert next_of_trip(far, now=NOW + 20 * MINUTE).act is Act.WAIT


def test_whose_phone_tells_nothing_is_held_to_the_promise_alone() -> None:
    silent = trip(set_out_at=NOW)
    assert next_of_trip(silent, now=NOW).look_at == silent.deliver_by


def test_in_the_end_a_late_delivery_is_given_up() -> None:
    assert next_of_trip(trip(), now=NOW + 20 * MINUTE + GIVE_UP_AFTER).act is Act.GIVE_UP


@given(
    gone_s=st.integers(min_value=0, max_value=8_000),
    set_out_s=st.none() | st.integers(min_value=0, max_value=2_000),
    left_m=st.integers(min_value=0, max_value=10_000),
    expected_s=st.none() | st.integers(min_value=0, max_value=8_000),
)
def test_every_trip_is_looked_at_again_later_or_ends(
    gone_s: int, set_out_s: int | None, left_m: int, expected_s: int | None
) -> None:
    now = NOW + timedelta(seconds=gone_s)
    under_way = trip(
        set_out_at=None if set_out_s is None else NOW + timedelta(seconds=set_out_s),
        left_m=left_m,
        expected_at=None if expected_s is None else NOW + timedelta(seconds=expected_s),
    )
    due = next_of_trip(under_way, now=now)
    assert due.act is Act.GIVE_UP or due.look_at > now


# -- a collection --------------------------------------------------------------------------


def fetching(**changes: object) -> Fetching:
    asked = Fetching(accepted_at=None, offered_until=None, rounds=0, reminders=0)
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_a_collection_is_offered_then_reminded_of_and_never_given_up() -> None:
    assert next_of_collection(fetching(), now=NOW).act is Act.ASK
    asked = fetching(offered_until=NOW + OFFER_FOR, rounds=1)
    assert next_of_collection(asked, now=NOW).act is Act.WAIT
    assert next_of_collection(fetching(rounds=ROUNDS_MAX), now=NOW).act is Act.REMIND


def test_who_accepts_a_collection_has_an_hour_then_others_are_asked() -> None:
    taken = fetching(accepted_at=NOW, rounds=1)
    assert next_of_collection(taken, now=NOW).look_at == NOW + COLLECT_WITHIN
    assert next_of_collection(taken, now=NOW + COLLECT_WITHIN).act is Act.RELIEVE
    told = replace(taken, reminders=1)
    assert next_of_collection(told, now=NOW + COLLECT_WITHIN).act is Act.REMIND
