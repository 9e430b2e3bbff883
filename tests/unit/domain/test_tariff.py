import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang
from backend.domain.money import Currency, Minor
from backend.domain.tariff import (
    NOTHING,
    BillingStart,
    Line,
    LineKind,
    Rounding,
    Terms,
    check,
    disclosure,
    free_used,
    from_json,
    lint,
    price,
    to_json,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF_HOURS = Terms(
    free_s=300,
    block_s=1800,
    block_price_minor=Minor(200),
    cap_24h_minor=Minor(2000),
    cap_total_minor=Minor(9900),
    delivery_fee_minor=Minor(500),
    deposit_minor=Minor(9900),
    billing_start=BillingStart.UNLOCKED,
    rounding=Rounding.CEIL,
)
LENIENT = replace(HALF_HOURS, rounding=Rounding.FLOOR_AFTER_FIRST)


def time_costs(terms, seconds):
    """What the time alone costs, without delivery."""
    return (
        price(terms, start=NOON, end=NOON + timedelta(seconds=seconds), delivery_late=True)
    ).total_minor


# -- the price ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "minor"),
    [
        (0, 0),
        (299, 0),
        (300, 0),
        (301, 200),
        (2099, 200),
        (2100, 200),
        (2101, 400),
        (3900, 400),
        (3901, 600),
    ],
)
def test_a_block_is_charged_once_it_has_begun(seconds, minor):
    assert time_costs(HALF_HOURS, seconds) == minor


@pytest.mark.parametrize(
    ("seconds", "minor"),
    [(300, 0), (301, 200), (2100, 200), (3899, 200), (3900, 400), (5699, 400), (5700, 600)],
)
def test_later_blocks_are_free_until_they_are_over(seconds, minor):
    assert time_costs(LENIENT, seconds) == minor


DAY = 86_400


@pytest.mark.parametrize(
    ("seconds", "minor"),
    [
        (300 + 9 * 1800, 1800),
        (300 + 9 * 1800 + 1, 2000),
        (300 + 10 * 1800 + 1, 2000),
        (DAY, 2000),
        # A block belongs to the day that it begins in: this one began before midnight.
        (DAY + 300, 2000),
        (DAY + 301, 2200),
        (2 * DAY, 4000),
        (4 * DAY, 8000),
        (5 * DAY, 9900),
        (365 * DAY, 9900),
    ],
)
def test_a_day_is_capped_from_billing_start_and_the_whole_for_good(seconds, minor):
    assert time_costs(HALF_HOURS, seconds) == minor


def test_a_bill_adds_up_line_by_line():
    bill = price(HALF_HOURS, start=NOON, end=NOON + timedelta(hours=26))

    assert bill.elapsed_s == 26 * 3600
    assert bill.lines == (
        Line(kind=LineKind.BLOCKS, quantity=52, amount_minor=Minor(10_400)),
        Line(kind=LineKind.CAP_24H, quantity=1, amount_minor=Minor(-7600)),
        Line(kind=LineKind.DELIVERY, quantity=1, amount_minor=Minor(500)),
    )
    assert bill.total_minor == 3300


def test_the_whole_is_capped_with_the_delivery_in_it():
    bill = price(HALF_HOURS, start=NOON, end=NOON + timedelta(days=5))

    assert bill.lines[-1] == Line(kind=LineKind.CAP_TOTAL, quantity=1, amount_minor=Minor(-600))
    assert bill.total_minor == 9900


def test_a_late_delivery_costs_nothing():
    late = price(HALF_HOURS, start=NOON, end=NOON, delivery_late=True)

    assert late.total_minor == 0
    assert [line.kind for line in late.lines] == [LineKind.DELIVERY, LineKind.DELIVERY_LATE]


def test_billing_that_never_started_costs_nothing():
    assert NOTHING.total_minor == sum(line.amount_minor for line in NOTHING.lines) == 0


def test_a_clock_set_back_makes_no_money():
    bill = price(HALF_HOURS, start=NOON, end=NOON - timedelta(days=1))
    assert (bill.elapsed_s, bill.total_minor) == (0, 500)


def test_a_part_of_a_second_is_the_renters():
    end = NOON + timedelta(seconds=300, microseconds=999_999)
    assert price(HALF_HOURS, start=NOON, end=end).total_minor == 500


def test_zones_change_no_fee():
    there = NOON.astimezone(timezone(timedelta(hours=8)))
    back = (NOON + timedelta(seconds=301)).astimezone(timezone(timedelta(hours=-3)))
    assert price(HALF_HOURS, start=there, end=back).elapsed_s == 301


def test_a_time_without_a_zone_is_not_billed():
    with pytest.raises(ValueError, match="without a zone"):
        price(HALF_HOURS, start=NOON, end=NOON.replace(tzinfo=None))


def test_renting_again_within_ten_minutes_goes_on_with_what_was_free():
    earlier = {"earlier_start": NOON, "earlier_end": NOON + timedelta(seconds=200)}
    soon = NOON + timedelta(seconds=799)
    used = free_used(HALF_HOURS, **earlier, start=soon)

    assert used == 200
    for seconds, minor in ((100, 0), (101, 200)):
        end = soon + timedelta(seconds=seconds)
        bill = price(HALF_HOURS, start=soon, end=end, delivery_late=True, free_used_s=used)
        assert bill.total_minor == minor


def test_renting_again_after_ten_minutes_is_free_at_first_again():
    later = NOON + timedelta(seconds=800)
    earlier_end = NOON + timedelta(seconds=200)
    assert free_used(HALF_HOURS, earlier_start=NOON, earlier_end=earlier_end, start=later) == 0


def test_no_more_free_time_is_used_up_than_there_was():
    ended = NOON + timedelta(hours=3)
    assert free_used(HALF_HOURS, earlier_start=NOON, earlier_end=ended, start=ended) == 300


# -- the linter --------------------------------------------------------------------------


def test_good_terms_have_no_problem():
    assert lint(HALF_HOURS) == ()
    assert check(HALF_HOURS) is HALF_HOURS


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"free_s": -1}, Code.TARIFF_NEGATIVE),
        ({"block_s": -1}, Code.TARIFF_NEGATIVE),
        ({"block_price_minor": -1}, Code.TARIFF_NEGATIVE),
        ({"delivery_fee_minor": -1}, Code.TARIFF_NEGATIVE),
        ({"block_s": 0}, Code.TARIFF_GAP),
        ({"block_s": 86_401}, Code.TARIFF_OUT_OF_RANGE),
        ({"cap_total_minor": 1_000_000_001}, Code.TARIFF_OUT_OF_RANGE),
        ({"cap_24h_minor": 199}, Code.TARIFF_CAP_UNDER_BLOCK),
        ({"cap_total_minor": 2499, "deposit_minor": 2499}, Code.TARIFF_TOTAL_UNDER_CAP),
        ({"deposit_minor": 0}, Code.TARIFF_NO_DEPOSIT),
        ({"deposit_minor": 9901}, Code.TARIFF_DEPOSIT_OVER_TOTAL),
        ({"cancel_delivering_minor": -1}, Code.TARIFF_NEGATIVE),
        ({"cancel_delivering_minor": 9901}, Code.TARIFF_CANCEL_OVER_TOTAL),
        ({"cancel_accepted_minor": 1}, Code.TARIFF_CANCEL_FALLS),
        ({"min_battery_pct": -1}, Code.TARIFF_BAD_BATTERY),
        ({"min_battery_pct": 101}, Code.TARIFF_BAD_BATTERY),
    ],
)
def test_terms_that_may_not_be_used_say_why(change, code):
    problems = lint(replace(HALF_HOURS, **change))

    assert [problem.code for problem in problems] == [code]
    assert set(change) & set(problems[0].fields)


@pytest.mark.parametrize(
    "change",
    [
        {"cap_24h_minor": 200},
        {"cap_total_minor": 2500, "deposit_minor": 2500},
        {"free_s": 0, "delivery_fee_minor": 0},
        {"deposit_minor": 1},
        {"block_price_minor": 0},
        {"cancel_accepted_minor": 9900, "cancel_delivering_minor": 9900},
        {"min_battery_pct": 0},
        {"min_battery_pct": 100},
    ],
)
def test_the_edge_may_still_be_used(change):
    assert lint(replace(HALF_HOURS, **change)) == ()


def test_terms_are_refused_with_all_their_problems():
    with pytest.raises(Refusal) as refused:
        check(replace(HALF_HOURS, free_s=-1, block_s=0, deposit_minor=Minor(0)))
    assert refused.value.code is Code.BAD_TARIFF
    assert refused.value.detail == {"problems": "tariff_negative,tariff_gap,tariff_no_deposit"}


# -- the snapshot ------------------------------------------------------------------------


def test_a_snapshot_gives_back_the_very_terms():
    terms = replace(LENIENT, currency=Currency.JPY)
    assert from_json(to_json(terms)) == terms


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"surge": 3},
        {"free_s": "300"},
        {"free_s": 300.0},
        {"free_s": True},
        {"currency": "XXX"},
        {"rounding": "floor"},
    ],
)
def test_what_is_no_snapshot_is_not_guessed_at(change):
    told = json.loads(to_json(HALF_HOURS)) | change
    with pytest.raises(ValueError, match=r".+"):
        from_json(json.dumps(told))


def test_a_snapshot_with_a_term_missing_is_not_guessed_at():
    told = json.loads(to_json(HALF_HOURS))
    del told["deposit_minor"]
    with pytest.raises(ValueError, match="not the terms"):
        from_json(json.dumps(told))


# -- the disclosure ----------------------------------------------------------------------


def test_the_terms_are_told_in_english():
    assert disclosure(HALF_HOURS, Lang.EN).splitlines() == [
        (
            "Billing starts when you scan the power bank to unlock it, but not before the power"
            " bank confirms that it is on."
        ),
        "The first 5 min of it are free.",
        "Time is charged in blocks of 30 min, at ¥2.00 each.",
        "A block that has begun is charged in full.",
        "Each 24 hours from the start of billing cost ¥20.00 at most.",
        "Delivery costs ¥5.00; nothing if it is late.",
        "You may cancel without charge until the power bank is handed over.",
        "The power bank is handed over with a charge of 50 % or more.",
        (
            "The whole rental, delivery included, costs ¥99.00 at most; at that price the power"
            " bank is yours."
        ),
        (
            "Billing ends when you ask for the return, when staff collect the power bank, or when"
            " it turns off for good, whichever comes first."
        ),
        "A deposit of ¥99.00 is held, and freed when you have paid.",
        "Examples, delivery included: 1 hour ¥9.00, 24 hours ¥25.00.",
    ]


def test_the_terms_are_told_in_chinese():
    told = disclosure(LENIENT, Lang.ZH)
    for words in ("您掃碼解鎖充電寶", "前5分鐘免費", "每30分鐘", "¥2.00", "¥20.00", "押金¥99.00"):
        assert words in told


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("start", BillingStart)
@pytest.mark.parametrize("rounding", Rounding)
def test_both_languages_tell_the_same_things(lang, start, rounding):
    terms = replace(HALF_HOURS, billing_start=start, rounding=rounding)
    told = disclosure(terms, lang)

    assert len(told.splitlines()) == 12
    assert all(money in told for money in ("¥2.00", "¥20.00", "¥5.00", "¥99.00", "¥25.00"))
    assert "{" not in told


@pytest.mark.parametrize(("lang", "word"), [(Lang.EN, "Delivery is free."), (Lang.ZH, "免配送費")])
def test_what_costs_nothing_is_told_as_free(lang, word):
    told = disclosure(replace(HALF_HOURS, delivery_fee_minor=Minor(0), free_s=0), lang)

    assert word in told
    assert len(told.splitlines()) == 11


@pytest.mark.parametrize(
    ("block_s", "en", "zh"),
    [(5400, "1 h 30 min", "1小時30分鐘"), (90, "1 min 30 s", "1分鐘30秒"), (3600, "1 h", "1小時")],
)
def test_a_span_is_told_exactly(block_s, en, zh):
    terms = replace(HALF_HOURS, block_s=block_s)
    assert f"blocks of {en}," in disclosure(terms, Lang.EN)
    assert f"每{zh}為" in disclosure(terms, Lang.ZH)


def test_different_terms_are_told_in_different_words():
    changes = (
        {"free_s": 60},
        {"block_s": 900},
        {"block_price_minor": Minor(100)},
        {"cap_24h_minor": Minor(1900)},
        {"cap_total_minor": Minor(10_000)},
        {"delivery_fee_minor": Minor(0)},
        {"deposit_minor": Minor(100)},
        {"cancel_delivering_minor": Minor(300)},
        {"cancel_accepted_minor": Minor(300), "cancel_delivering_minor": Minor(300)},
        {"min_battery_pct": 60},
        {"min_battery_pct": 0},
        {"billing_start": BillingStart.PLUGGED},
        {"rounding": Rounding.FLOOR_AFTER_FIRST},
        {"currency": Currency.USD},
    )
    for lang in Lang:
        told = {disclosure(replace(HALF_HOURS, **change), lang) for change in changes}
        assert len(told | {disclosure(HALF_HOURS, lang)}) == 1 + len(changes)
