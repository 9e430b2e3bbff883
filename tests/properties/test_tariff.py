"""The price, against oracles that know no formula: a ticking meter, and ``tests.prices``."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from backend.domain import tariff
from backend.domain.money import Currency, Minor
from backend.domain.tariff import (
    FROM_NEW,
    Before,
    BillingStart,
    LineKind,
    Rounding,
    Terms,
    bought,
    free_used,
    from_json,
    lint,
    price,
    reaches_cap_at,
    to_json,
)
from tests.prices import mismatches, walked

START = datetime(2024, 2, 28, 16, 30, tzinfo=UTC)
DAY = 86_400
MOST = 10**8


BLOCKS = st.integers(60, DAY)


@st.composite
def terms(draw, *, block_s=BLOCKS):
    """Terms that the linter lets pass."""
    block_price = draw(st.integers(0, 10_000))
    cap_24h = block_price + draw(st.integers(0, 20_000))
    delivery_fee = draw(st.sampled_from([0, 1, 500]))
    cap_total = cap_24h + delivery_fee + draw(st.integers(1, 50_000))
    made = Terms(
        currency=draw(st.sampled_from(Currency)),
        free_s=draw(st.sampled_from([0, 1, 300, 599]) | st.integers(0, DAY)),
        block_s=draw(block_s),
        block_price_minor=Minor(block_price),
        cap_24h_minor=Minor(cap_24h),
        cap_total_minor=Minor(cap_total),
        delivery_fee_minor=Minor(delivery_fee),
        deposit_minor=Minor(draw(st.integers(1, cap_total))),
        billing_start=draw(st.sampled_from(BillingStart)),
        rounding=draw(st.sampled_from(Rounding)),
        cancel_accepted_minor=Minor(draw(st.integers(0, 1))),
        cancel_delivering_minor=Minor(draw(st.integers(1, cap_total))),
        min_battery_pct=draw(st.integers(0, 100)),
    )
    assert lint(made) == ()
    return made


@st.composite
def spans_of(draw, of):
    """Seconds of use, fond of the edges where the rule does something, a second around."""
    blocks = draw(st.integers(0, 50))
    edges = [of.free_s, of.free_s + blocks * of.block_s]
    edges += [day * DAY + extra for day in range(1, 6) for extra in (0, of.free_s)]
    near = st.builds(lambda edge, by: max(0, edge + by), st.sampled_from(edges), st.integers(-1, 1))
    return draw(near | st.integers(0, 9 * DAY))


used = terms().flatmap(lambda of: st.tuples(st.just(of), spans_of(of)))


def cost(of, seconds, **how):
    end = START + timedelta(seconds=seconds)
    return price(of, start=START, end=end, **how).total_minor


def metered(of, seconds):
    """The oracle: tick through the time second by second, charging as the rule's words say."""
    days = defaultdict(int)
    begun_on_day = 0
    first = True
    for second in range(seconds):
        if second < of.free_s:
            continue
        into_block = (second - of.free_s) % of.block_s
        if into_block == 0:
            begun_on_day = second // DAY
            if first or of.rounding is Rounding.CEIL:
                days[begun_on_day] += of.block_price_minor
                due_at_end = False
            else:
                due_at_end = True
            first = False
        if into_block == of.block_s - 1 and due_at_end:
            days[begun_on_day] += of.block_price_minor
    return _capped(of, days)


def _capped(of, days):
    time = sum(min(of.cap_24h_minor, day) for day in days.values())
    return min(of.cap_total_minor, time + of.delivery_fee_minor)


@given(terms(block_s=st.integers(1, 400)), st.integers(0, 3_000), st.integers(0, 900))
def test_the_price_is_what_a_ticking_meter_shows(of, seconds, free_s):
    of = replace(of, free_s=free_s)
    assert cost(of, seconds) == metered(of, seconds)


@given(used)
def test_the_price_of_days_is_what_a_walk_through_the_blocks_shows(use):
    of, seconds = use
    assert cost(of, seconds) == walked(of, seconds)


def test_a_hundred_thousand_prices_and_all_their_edges_agree_with_the_walk():
    assert mismatches(100_000, seed=20240910) == []


def test_the_comparison_can_see_a_second_too_much(monkeypatch):
    """A meter that is a second ahead is found out, on both kinds of rounding."""
    right = tariff.seconds_between
    monkeypatch.setattr(tariff, "seconds_between", lambda start, end: right(start, end) + 1)
    found = mismatches(2_000, seed=1)
    assert {use.terms.rounding for use in found} == set(Rounding)


@given(used, st.integers(0, 3 * DAY))
def test_the_price_never_falls_as_time_goes_on(use, more):
    of, seconds = use
    assert cost(of, seconds) <= cost(of, seconds + more)


@given(used, st.floats(0, 1))
def test_a_running_total_never_exceeds_the_bill(use, part):
    of, seconds = use
    assert cost(of, int(seconds * part)) <= cost(of, seconds)


@given(used, st.booleans(), st.integers(0, DAY))
def test_nobody_owes_less_than_nothing_or_more_than_the_whole_cap(use, late, free_used_s):
    of, seconds = use
    assert cost(of, seconds, delivery_late=late, free_used_s=free_used_s) >= 0
    assert cost(of, seconds, delivery_late=late) <= of.cap_total_minor


@given(terms())
@example(
    Terms(
        free_s=DAY,
        block_s=1,
        block_price_minor=Minor(1),
        cap_24h_minor=Minor(1),
        cap_total_minor=Minor(2),
        delivery_fee_minor=Minor(0),
        deposit_minor=Minor(1),
        billing_start=BillingStart.ARRIVAL,
        rounding=Rounding.CEIL,
    )
)
def test_no_day_costs_more_than_its_cap(of):
    of = replace(of, delivery_fee_minor=Minor(0))
    for days in range(1, 5):
        assert cost(of, days * DAY) <= days * of.cap_24h_minor


@given(used, st.booleans())
def test_the_lines_add_up_to_the_total_and_none_is_empty(use, late):
    of, seconds = use
    bill = price(of, start=START, end=START + timedelta(seconds=seconds), delivery_late=late)

    assert sum(line.amount_minor for line in bill.lines) == bill.total_minor
    assert all(line.amount_minor and line.quantity > 0 for line in bill.lines)
    assert len({line.kind for line in bill.lines}) == len(bill.lines)


@given(used)
def test_a_late_delivery_is_never_dearer_and_waives_no_more_than_its_fee(use):
    of, seconds = use
    saved = cost(of, seconds) - cost(of, seconds, delivery_late=True)
    assert 0 <= saved <= of.delivery_fee_minor


@given(used)
def test_rounding_down_later_blocks_is_never_dearer_than_rounding_up(use):
    of, seconds = use
    lenient = cost(replace(of, rounding=Rounding.FLOOR_AFTER_FIRST), seconds)
    strict = cost(replace(of, rounding=Rounding.CEIL), seconds)
    assert lenient <= strict <= lenient + of.block_price_minor


@given(used, st.floats(0, 1), st.integers(0, 599))
def test_splitting_a_rental_in_two_costs_one_block_more_at_the_most_and_frees_no_minute(
    use, part, pause
):
    of, seconds = use
    of = replace(
        of, cap_24h_minor=Minor(MOST), cap_total_minor=Minor(2 * MOST), delivery_fee_minor=Minor(0)
    )
    cut = int(seconds * part)
    middle = START + timedelta(seconds=cut)
    again = middle + timedelta(seconds=pause)
    carried = free_used(of, earlier_start=START, earlier_end=middle, start=again)
    second = price(
        of, start=again, end=again + timedelta(seconds=seconds - cut), free_used_s=carried
    ).total_minor

    whole, in_two = cost(of, seconds), cost(of, cut) + second
    assert abs(in_two - whole) <= of.block_price_minor
    if of.rounding is Rounding.CEIL:
        assert whole <= in_two


def chain(of, spans, *, late, free_used_s):
    """The bills of a rental and of those that replace it, and what the next would go on from."""
    bills, before = [], FROM_NEW
    for span in spans:
        bill = price(
            of,
            start=START,
            end=START + timedelta(seconds=span),
            delivery_late=late or bool(bills),
            free_used_s=free_used_s,
            before=before,
        )
        bills.append(bill)
        before = Before(
            used_s=before.used_s + span, cost_minor=before.cost_minor + bill.total_minor
        )
    return bills, before


spans = st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=4)


@given(terms(), spans, st.booleans(), st.integers(0, DAY))
def test_however_often_a_bank_is_swapped_the_bills_are_those_of_one_rental(
    of, spans, late, free_used_s
):
    bills, before = chain(of, spans, late=late, free_used_s=free_used_s)

    whole = walked(of, sum(spans), late=late, free_used_s=free_used_s)
    assert sum(bill.total_minor for bill in bills) == before.cost_minor == whole
    assert before.used_s == sum(bill.elapsed_s for bill in bills)
    for bill in bills:
        assert sum(line.amount_minor for line in bill.lines) == bill.total_minor >= 0
        assert all(line.amount_minor and line.quantity > 0 for line in bill.lines)


@given(terms(), spans, st.integers(0, DAY))
def test_a_substitute_that_is_kept_costs_the_rest_of_the_cap(of, spans, more):
    _, before = chain(of, spans, late=False, free_used_s=0)
    used = price(
        of, start=START, end=START + timedelta(seconds=more), delivery_late=True, before=before
    )
    kept = bought(of, used=used, before=before)

    assert before.cost_minor + kept.total_minor == of.cap_total_minor
    assert sum(line.amount_minor for line in kept.lines) == kept.total_minor


@given(terms(), spans)
def test_a_substitute_counts_as_bought_when_the_chain_has_reached_the_cap(of, spans):
    _, before = chain(of, spans, late=False, free_used_s=0)
    at = reaches_cap_at(of, start=START, delivery_late=True, before=before)
    alone = reaches_cap_at(of, start=START)

    if alone is not None and at is not None:
        assert at == max(START, alone - timedelta(seconds=before.used_s))


@given(used)
def test_a_daily_cap_takes_off_no_more_than_the_blocks_cost(use):
    of, seconds = use
    bill = price(of, start=START, end=START + timedelta(seconds=seconds))
    by_kind = {line.kind: line.amount_minor for line in bill.lines}

    assert -by_kind.get(LineKind.CAP_24H, 0) <= by_kind.get(LineKind.BLOCKS, 0)


@given(used, st.integers(-14, 14), st.integers(-14, 14), st.integers(0, 999_999))
def test_neither_zones_nor_parts_of_a_second_change_a_fee(use, here, there, microseconds):
    of, seconds = use
    end = START + timedelta(seconds=seconds, microseconds=microseconds)
    bill = price(
        of,
        start=START.astimezone(timezone(timedelta(hours=here))),
        end=end.astimezone(timezone(timedelta(hours=there))),
    )
    assert bill.total_minor == cost(of, seconds)


@given(terms())
def test_a_snapshot_is_the_terms(of):
    assert from_json(to_json(of)) == of
    assert to_json(from_json(to_json(of))) == to_json(of)
