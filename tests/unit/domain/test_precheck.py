from dataclasses import replace

import pytest

from backend.domain.custody import Holder
from backend.domain.precheck import UNFIT, Facts, WhyNot, precheck

GOOD = Facts(
    is_recalled=False,
    is_approved=True,
    has_tariff=True,
    holder=Holder.MERCHANT,
    is_offered=True,
    is_reserved=False,
    is_open=True,
    distance_m=800,
    service_radius_m=3000,
    is_online=True,
    battery_pct=80,
    battery_age_s=30,
    has_fault=False,
    has_unpaid_bill=False,
)


def test_nothing_speaks_against_a_good_bank():
    assert precheck(GOOD) == ()


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ({"is_registered": False}, WhyNot.NOT_REGISTERED),
        ({"is_recalled": True}, WhyNot.RECALLED),
        ({"is_approved": False}, WhyNot.NOT_APPROVED),
        ({"has_tariff": False}, WhyNot.NO_TARIFF),
        ({"holder": Holder.STAFF}, WhyNot.NOT_WITH_MERCHANT),
        ({"is_offered": False}, WhyNot.NOT_OFFERED),
        ({"is_reserved": True}, WhyNot.RESERVED),
        ({"is_open": False}, WhyNot.CLOSED),
        ({"distance_m": 3001}, WhyNot.OUT_OF_AREA),
        ({"has_fault": True}, WhyNot.FAULTY),
        ({"is_online": False}, WhyNot.OFFLINE),
        ({"battery_pct": None, "battery_age_s": None}, WhyNot.OFFLINE),
        ({"battery_age_s": 301}, WhyNot.OFFLINE),
        ({"battery_pct": 49}, WhyNot.LOW),
        ({"battery_pct": 60, "min_battery_pct": 61}, WhyNot.LOW),
        ({"has_unpaid_bill": True}, WhyNot.UNPAID_BILL),
        ({"has_too_many": True}, WhyNot.TOO_MANY_RENTALS),
        ({"is_suspended": True}, WhyNot.SUSPENDED),
    ],
)
def test_one_thing_wrong_is_the_one_reason_told(fact, why):
    assert precheck(replace(GOOD, **fact)) == (why,)


@pytest.mark.parametrize(
    "fact",
    [
        {"distance_m": 3000},
        {"distance_m": None},
        {"battery_age_s": 300},
        {"battery_pct": 50},
        {"battery_pct": 30, "min_battery_pct": 30},
    ],
)
def test_the_edge_is_still_good(fact):
    assert precheck(replace(GOOD, **fact)) == ()


def test_all_reasons_are_told_always_in_the_same_order():
    bad = Facts(
        is_recalled=True,
        is_approved=False,
        has_tariff=False,
        holder=Holder.RENTER,
        is_offered=False,
        is_reserved=True,
        is_open=False,
        distance_m=99_999,
        service_radius_m=1,
        is_online=False,
        battery_pct=1,
        battery_age_s=9_999,
        has_fault=True,
        has_unpaid_bill=True,
        has_too_many=True,
        is_suspended=True,
    )
    assert precheck(bad) == tuple(why for why in WhyNot if why is not WhyNot.NOT_REGISTERED)


def test_of_a_bank_that_nobody_registered_nothing_else_is_told():
    assert precheck(replace(GOOD, is_registered=False, is_open=False)) == (WhyNot.NOT_REGISTERED,)


def test_a_bank_that_is_out_is_unfit_for_its_own_faults_only():
    assert {WhyNot.RECALLED, WhyNot.FAULTY, WhyNot.OFFLINE, WhyNot.LOW} == UNFIT
