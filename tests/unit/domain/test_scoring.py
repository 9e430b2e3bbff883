from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.lang import Lang
from backend.domain.scoring import UNKNOWN, WEIGHT_PCT, PartKind, Record, score, why


@st.composite
def records(draw: st.DrawFn) -> Record:
    deliveries = draw(st.integers(0, 5_000))
    return Record(
        deliveries=deliveries,
        on_time=draw(st.integers(0, deliveries)),
        average_charge_pct=draw(st.none() | st.integers(0, 100)),
    )


def test_the_weights_are_the_whole():
    assert sum(WEIGHT_PCT.values()) == 100


def test_a_newcomer_begins_in_the_middle():
    told = score(UNKNOWN)
    assert (told.on_time_bp, told.average_charge_pct, told.score) == (None, None, 74)


@pytest.mark.parametrize(
    ("record", "on_time_bp", "points"),
    [
        (Record(deliveries=90, on_time=90, average_charge_pct=100), 10_000, 99),
        (Record(deliveries=90, on_time=0, average_charge_pct=0), 0, 6),
        (Record(deliveries=20, on_time=18, average_charge_pct=80), 9_000, 85),
        (Record(deliveries=3, on_time=1, average_charge_pct=None), 3_333, 66),
    ],
)
def test_a_score_is_what_pencil_and_paper_say(record, on_time_bp, points):
    told = score(record)
    assert (told.on_time_bp, told.score) == (on_time_bp, points)


def test_one_bad_day_of_a_newcomer_does_not_sink_them_under_a_steadily_late_one():
    unlucky = Record(deliveries=2, on_time=0, average_charge_pct=80)
    steadily_late = Record(deliveries=200, on_time=100, average_charge_pct=80)
    assert score(unlucky).score > score(steadily_late).score


@given(records())
def test_a_score_is_a_number_from_nothing_to_a_hundred_and_its_parts_add_up(record):
    told = score(record)
    assert 0 <= told.score <= 100
    assert abs(sum(part.points for part in told.parts) - told.score) <= 1
    assert [part.kind for part in told.parts] == list(PartKind)


@given(records())
def test_a_delivery_on_time_never_lowers_a_score_and_one_that_is_not_never_raises_it(record):
    more = record.deliveries + 1
    better = replace(record, deliveries=more, on_time=record.on_time + 1)
    worse = replace(record, deliveries=more)
    assert score(worse).score <= score(record).score <= score(better).score


@given(records(), st.integers(0, 100), st.integers(0, 100))
def test_fuller_banks_never_lower_a_score(record, one, other):
    low, high = (replace(record, average_charge_pct=pct) for pct in sorted((one, other)))
    assert score(low).score <= score(high).score


@given(records())
def test_every_part_says_why_in_both_languages(record):
    told = score(record)
    for lang in Lang:
        for part in told.parts:
            words = why(told, part, lang)
            assert str(part.points) in words
            assert str(part.weight_pct) in words
            assert "None" not in words
            assert "{" not in words


def test_the_words_name_the_numbers():
    told = score(Record(deliveries=20, on_time=18, average_charge_pct=80))
    on_time, charge = (why(told, part, Lang.EN) for part in told.parts)
    assert on_time.startswith("18 of 20 deliveries of the last 30 days were on time (90 %)")
    assert "it counts as 86.67 %, at 70 % of the score: 61 points." in on_time
    assert "80 % on average" in charge
