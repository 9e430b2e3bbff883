"""Which fault strikes: what is armed, in order and as often as said; then chance, by its seed."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.payments.provider_app.faults import (
    FITS,
    FOR_S,
    IN_ANSWER,
    IN_NOTICE,
    MAX_ARMED,
    REMEMBERED,
    At,
    Chance,
    Fault,
    Faults,
)
from backend.payments.provider_app.payout import (
    Payout,
    PayoutOrder,
    PayoutStatus,
    payout_as_of,
    sent,
)
from backend.payments.provider_app.problems import Code, Refused

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANY = frozenset(Fault)


@pytest.fixture
def faults() -> Faults:
    return Faults(lambda: NOW)


def struck(faults, at=At.CAPTURE, reference="r", among=ANY):
    found = faults.strike(at, reference, among=among)
    return found and found.fault


def test_all_goes_well_by_itself(faults):
    assert all(struck(faults, at) is None for at in At)


def test_a_fault_strikes_as_often_as_it_was_armed_for(faults):
    faults.arm(Fault.SLOW, times=2)

    assert [struck(faults) for _ in range(3)] == [Fault.SLOW, Fault.SLOW, None]


def test_the_oldest_of_those_that_fit_strikes_first(faults):
    faults.arm(Fault.SLOW, at=frozenset({At.REFUND}))
    faults.arm(Fault.GARBLED)
    faults.arm(Fault.ERROR_AFTER)

    assert [struck(faults) for _ in range(3)] == [Fault.GARBLED, Fault.ERROR_AFTER, None]
    assert struck(faults, At.REFUND) is Fault.SLOW


def test_a_fault_for_one_reference_spares_the_others(faults):
    faults.arm(Fault.SLOW, reference="mine")

    assert struck(faults, reference="yours") is None
    assert struck(faults, reference="mine") is Fault.SLOW


def test_a_fault_of_another_kind_waits(faults):
    faults.arm(Fault.HOLD_EXPIRED)

    assert struck(faults, among=IN_ANSWER) is None
    assert struck(faults) is Fault.HOLD_EXPIRED


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_strikes_only_where_it_fits(faults, fault):
    for at in At:
        if at in FITS[fault]:
            faults.arm(fault, at=frozenset({at}))
            assert struck(faults, at) is fault
        else:
            with pytest.raises(Refused) as refused:
                faults.arm(fault, at=frozenset({at}))
            assert refused.value.code is Code.INVALID_REQUEST


def test_there_is_a_bound_on_what_is_armed_and_on_what_is_remembered(faults):
    for _ in range(MAX_ARMED):
        faults.arm(Fault.SLOW, times=1000)
    with pytest.raises(Refused, match="calm it first"):
        faults.arm(Fault.SLOW)

    for _ in range(REMEMBERED + 5):
        struck(faults)
    numbers = [each.number for each in faults.listing().struck]
    assert numbers == list(range(6, REMEMBERED + 6))


def test_calm_forgets_what_is_to_come_and_not_what_was(faults):
    faults.arm(Fault.SLOW, times=2, for_s=9)
    struck(faults)
    faults.leave_to(Chance(seed=1, per_mille=dict.fromkeys(Fault, 1000)))

    faults.calm()

    assert struck(faults) is None
    listing = faults.listing()
    assert (listing.armed, listing.chance) == ([], None)
    (was,) = listing.struck
    assert (was.fault, was.at, was.reference, was.for_s) == (Fault.SLOW, At.CAPTURE, "r", 9)
    assert was.struck_at == NOW


def by_chance(seed, per_mille, times=400):
    faults = Faults(lambda: NOW)
    faults.leave_to(Chance(seed=seed, per_mille=per_mille))
    return [struck(faults, at) for _ in range(times) for at in (At.CAPTURE, At.NOTICE)]


def test_a_seed_says_what_happens_and_another_seed_something_else():
    some = {Fault.SLOW: 200, Fault.NOTICE_LOST: 300, Fault.HOLD_EXPIRED: 100}

    assert by_chance(7, some) == by_chance(7, some)
    assert by_chance(7, some) != by_chance(8, some)


def test_chance_strikes_about_as_often_as_it_is_told_to():
    met = by_chance(7, {Fault.SLOW: 200, Fault.NOTICE_LOST: 300})

    assert 40 < met.count(Fault.SLOW) < 120
    assert 80 < met.count(Fault.NOTICE_LOST) < 160
    assert set(by_chance(7, {Fault.SLOW: 0})) == {None}
    assert None not in by_chance(7, {Fault.SLOW: 1000, Fault.NOTICE_LOST: 1000})


def test_a_span_is_the_usual_one_unless_it_is_said(faults):
    usual = Chance(seed=1, per_mille={Fault.SLOW: 1000})
    said = Chance(seed=1, per_mille={Fault.SLOW: 1000}, for_s={Fault.SLOW: 0.25})

    for chance, for_s in ((usual, FOR_S[Fault.SLOW]), (said, 0.25)):
        faults.leave_to(chance)
        assert faults.strike(At.CAPTURE, "r", among=ANY).for_s == for_s
    for for_s in (None, 7):
        faults.arm(Fault.SLOW, for_s=for_s)
        met = faults.strike(At.CAPTURE, "r", among=ANY)
        assert met.for_s == (FOR_S[Fault.SLOW] if for_s is None else for_s)


def test_what_is_armed_comes_before_chance(faults):
    faults.leave_to(Chance(seed=1, per_mille={Fault.SLOW: 1000}))
    faults.arm(Fault.GARBLED)

    assert [struck(faults), struck(faults)] == [Fault.GARBLED, Fault.SLOW]


def test_a_fault_lies_in_the_answer_in_the_notice_or_in_the_effect():
    assert not IN_ANSWER & IN_NOTICE
    assert {fault for fault in Fault if At.NOTICE in FITS[fault]} == IN_NOTICE


# -- payouts: how the account decides --------------------------------------------------------


def payout(account: str) -> Payout:
    order = PayoutOrder(
        reference="r", amount_minor=1, currency="CNY", account=account, description="d"
    )
    return sent(
        order,
        payout_id="po_1",
        now=NOW,
        soon=timedelta(seconds=2),
        late=timedelta(minutes=10),
    )


@pytest.mark.parametrize(
    ("account", "ends_after", "status"),
    [
        ("sandbox:anything", timedelta(seconds=2), PayoutStatus.PAID),
        ("sandbox:closed", timedelta(seconds=2), PayoutStatus.FAILED),
        ("sandbox:slow", timedelta(minutes=10), PayoutStatus.PAID),
    ],
)
def test_the_account_says_how_and_when_a_payout_ends(account, ends_after, status):
    on_its_way = payout(account)
    assert on_its_way.status is PayoutStatus.PENDING

    assert payout_as_of(on_its_way, NOW + ends_after - timedelta.resolution) is on_its_way
    ended = payout_as_of(on_its_way, NOW + ends_after)
    assert ended.status is status
    assert (ended.failure is None) == (status is PayoutStatus.PAID)
    assert payout_as_of(ended, NOW + timedelta(days=365)) is ended


@pytest.mark.parametrize("account", ["", "sandbox:", "Sandbox:x", "DE89370400440532013000"])
def test_a_sandbox_pays_to_nobody_elses_account(account):
    with pytest.raises(Refused) as refused:
        payout(account)

    assert refused.value.code is Code.UNKNOWN_ACCOUNT
