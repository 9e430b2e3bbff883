"""When keeping a bank comes to buying it, and what that costs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.money import Minor
from backend.domain.tariff import (
    NOTHING,
    BillingStart,
    LineKind,
    Rounding,
    Terms,
    bought,
    cancelled,
    price,
    reaches_cap_at,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def terms(**changes):
    usual = {
        "free_s": 300,
        "block_s": 900,
        "block_price_minor": Minor(100),
        "cap_24h_minor": Minor(3000),
        "cap_total_minor": Minor(9900),
        "delivery_fee_minor": Minor(500),
        "deposit_minor": Minor(9900),
        "billing_start": BillingStart.ARRIVAL,
        "rounding": Rounding.CEIL,
    }
    return Terms(**usual | changes)


@st.composite
def tariffs(draw):
    day = draw(st.integers(500, 5_000))
    return terms(
        free_s=draw(st.integers(0, 3_600)),
        block_s=draw(st.integers(60, 7_200)),
        block_price_minor=Minor(draw(st.integers(1, 500))),
        cap_24h_minor=Minor(day),
        cap_total_minor=Minor(500 + day * draw(st.integers(1, 20))),
        rounding=draw(st.sampled_from(Rounding)),
    )


@given(these=tariffs(), is_late=st.booleans(), used_s=st.integers(0, 4_000))
def test_the_cap_is_reached_at_the_first_second_at_which_it_is_the_price(these, is_late, used_s):
    how = {"delivery_late": is_late, "free_used_s": used_s}
    at = reaches_cap_at(these, start=NOON, **how)
    if at is None:
        year = NOON + timedelta(days=365)
        assert price(these, start=NOON, end=year, **how).total_minor < these.cap_total_minor
        return
    assert price(these, start=NOON, end=at, **how).total_minor == these.cap_total_minor
    before = price(these, start=NOON, end=at - SECOND, **how).total_minor
    assert before < these.cap_total_minor


def test_a_price_that_never_gets_there_never_does():
    assert reaches_cap_at(terms(block_price_minor=Minor(0)), start=NOON) is None


def test_who_keeps_a_bank_pays_the_time_and_the_rest_for_the_bank():
    used = price(terms(), start=NOON, end=NOON + timedelta(hours=1))
    kept = bought(terms(), used=used)
    assert kept.total_minor == 9900
    assert kept.lines[-1].kind is LineKind.BUY_OUT
    assert kept.lines[-1].amount_minor == 9900 - used.total_minor
    assert kept.elapsed_s == used.elapsed_s
    assert sum(line.amount_minor for line in kept.lines) == kept.total_minor


def test_at_the_cap_the_time_alone_has_paid_for_the_bank():
    used = price(terms(), start=NOON, end=reaches_cap_at(terms(), start=NOON))
    assert bought(terms(), used=used) == used


def test_a_bank_that_was_never_used_is_bought_whole():
    assert [line.kind for line in bought(terms(), used=NOTHING).lines] == [LineKind.BUY_OUT]


@pytest.mark.parametrize("fee", [1, 200])
def test_a_cancellation_is_one_line(fee):
    told = cancelled(Minor(fee))
    assert [(line.kind, line.amount_minor) for line in told.lines] == [(LineKind.CANCELLATION, fee)]
    assert (told.total_minor, told.elapsed_s) == (fee, 0)
