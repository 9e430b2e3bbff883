"""A merchant takes out what is theirs, once, whatever becomes of the sending."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from backend import sweeps
from backend.db import withdrawals as queries
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor
from backend.domain.withdrawal import WithdrawalState
from backend.ids import new_id
from backend.limits import PAYOUT_CHECK, PayoutLimits
from backend.payments.port import PayoutStatus
from backend.principal import Principal, Scope
from backend.services import withdrawals
from tests.integration.books.conftest import ACCOUNT, Books

PAID, FAILED = PayoutStatus.PAID, PayoutStatus.FAILED


@pytest.fixture
def ready(books: Books) -> Books:
    """A merchant with 810 to withdraw, and somewhere to send it."""
    books.settled()
    books.with_account()
    return books


def sent(books: Books, amount_minor: int = 810) -> str:
    """A withdrawal that the provider says is on its way."""
    withdrawal = books.asked(amount_minor)
    assert books.send() == 1
    assert books.withdrawal(withdrawal)["state"] == "processing"
    return withdrawal


def told(books: Books, withdrawal: str, status: PayoutStatus, **changes: object) -> str | None:
    """The provider knocks."""
    payout = books.world.provider.change_payout(withdrawal, status=status, **changes)
    with books.world.database.writing() as session:
        return withdrawals.learn(session, payout, provider="fake", now=books.world.clock.now())


def row(books: Books, withdrawal: str) -> WithdrawalRow:
    with books.world.database.reading() as session:
        return session.get_one(WithdrawalRow, withdrawal)


def operator(books: Books) -> Principal:
    return Principal(
        person_id=books.world.id_of("operator"),
        sign_in_id="",
        scopes=frozenset({Scope.OPERATOR}),
        expires_at=books.world.clock.now(),
    )


# -- the way it should go --------------------------------------------------------------------


@pytest.mark.row("M5")
def test_a_withdrawal_is_kept_at_once_then_sent_then_paid(ready: Books) -> None:
    withdrawal = ready.asked(800)
    assert ready.withdrawal(withdrawal)["state"] == "requested"
    assert ready.stands() == (0, 10, 800)

    assert ready.send() == 1
    assert ready.withdrawal(withdrawal)["state"] == "processing"
    assert ready.world.provider.payouts[f"payout:{withdrawal}"].account == ACCOUNT

    assert told(ready, withdrawal, PAID) is None
    shown = ready.withdrawal(withdrawal)
    assert (shown["state"], shown["failure"]) == ("paid", "")
    assert shown["ended_at"] is not None
    assert ready.stands() == (0, 10, 0)
    assert ready.world.balance("provider_cash") == 100
    assert ready.owner.news()[-1] == "withdrawal.paid"
    assert ready.breaks() == []


def test_without_a_webhook_the_provider_is_asked_until_it_says(ready: Books) -> None:
    withdrawal = sent(ready)
    ready.world.provider.change_payout(withdrawal, status=PAID)

    assert ready.send() == 0
    ready.world.clock.time += PAYOUT_CHECK
    assert ready.send() == 1

    assert ready.withdrawal(withdrawal)["state"] == "paid"
    assert ready.world.provider.calls.count(("pay_out", f"payout:{withdrawal}")) == 1


def test_a_withdrawal_that_failed_is_the_merchants_again(ready: Books) -> None:
    withdrawal = sent(ready)

    assert told(ready, withdrawal, FAILED, failure="no such account") is None

    shown = ready.withdrawal(withdrawal)
    assert (shown["state"], shown["failure"]) == ("failed", "no such account")
    assert ready.stands() == (0, 810, 0)
    assert ready.owner.news()[-1] == "withdrawal.failed"
    assert ready.breaks() == []


def test_a_provider_that_refuses_to_send_it_fails_it(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.world.provider.declines = True

    ready.send()

    assert ready.withdrawal(withdrawal)["state"] == "failed"
    assert ready.stands() == (0, 810, 0)
    assert ready.breaks() == []


def test_what_is_told_twice_happens_once(ready: Books) -> None:
    withdrawal = sent(ready)

    assert told(ready, withdrawal, PAID) is None
    assert told(ready, withdrawal, PAID) is None

    assert ready.owner.news().count("withdrawal.paid") == 1
    assert ready.stands() == (0, 0, 0)


def test_a_page_of_withdrawals_is_newest_first(ready: Books) -> None:
    made = [ready.asked(200) for _ in range(3)]
    path = f"/merchants/{ready.merchant}/withdrawals"

    first = ready.owner.sees(path, limit=2)
    rest = ready.owner.sees(path, limit=2, before=first["next"])

    assert {each["id"] for each in first["items"] + rest["items"]} == set(made)
    assert rest["next"] is None


# -- refusals --------------------------------------------------------------------------------


def test_more_than_there_is_is_refused_and_says_how_much_there_is(ready: Books) -> None:
    answer = ready.withdraw(811)

    assert (answer.status_code, answer.json()["code"]) == (409, "withdrawal_too_large")
    assert answer.json()["facts"] == {"available_minor": 810, "currency": "CNY"}
    assert ready.stands() == (0, 810, 0)


def test_less_than_the_least_is_refused_and_says_the_least(ready: Books) -> None:
    answer = ready.withdraw(99)

    assert (answer.status_code, answer.json()["code"]) == (422, "withdrawal_too_small")
    assert answer.json()["facts"]["minimum_minor"] == 100


def test_without_an_account_nothing_is_withdrawn(books: Books) -> None:
    books.settled()

    answer = books.withdraw(810)

    assert (answer.status_code, answer.json()["code"]) == (409, "no_payout_account")


def test_what_is_pending_cannot_be_withdrawn(books: Books) -> None:
    books.paid()
    books.with_account()

    answer = books.withdraw(810)

    assert answer.json()["facts"]["available_minor"] == 0


@pytest.mark.parametrize("who", ["other", "staff", "renter"])
def test_nobody_elses_money_is_seen_or_touched(ready: Books, who: str) -> None:
    withdrawal = ready.asked()
    stranger, path = ready.world.people[who], f"/merchants/{ready.merchant}"

    answers = [
        stranger.get(f"{path}/settlement"),
        stranger.get(f"{path}/ledger"),
        stranger.get(f"{path}/withdrawals"),
        stranger.get(f"{path}/withdrawals/{withdrawal}"),
        stranger.post(f"{path}/withdrawals", {"amount_minor": 100}),
        stranger.post(f"{path}/payout-account", {"account": "mine-now"}),
    ]

    assert {answer.status_code for answer in answers} == {404}


def test_a_withdrawal_of_another_merchant_of_mine_is_not_this_ones(ready: Books) -> None:
    withdrawal = ready.asked()
    body = {"name": "second", "timezone": "Asia/Shanghai", "currency": "CNY"}
    place = {"lat": 31.2, "lng": 121.4, "address": "x", "service_radius_m": 1000}
    second = ready.owner.did("/merchants", {**body, **place})["id"]

    assert ready.owner.get(f"/merchants/{second}/withdrawals/{withdrawal}").status_code == 404


def test_asked_twice_with_one_key_it_is_one_withdrawal(ready: Books) -> None:
    first, again = (ready.withdraw(400, key="once") for _ in range(2))

    assert first.json() == again.json()
    assert ready.stands() == (0, 410, 400)


def test_of_a_hundred_at_once_for_all_there_is_one_wins(ready: Books) -> None:
    world = ready.world
    owner = Principal(
        person_id=world.id_of("owner"),
        sign_in_id="",
        scopes=frozenset({Scope.MERCHANT}),
        expires_at=world.clock.now(),
    )

    def withdraw(_: int) -> str:
        try:
            with world.database.writing() as session:
                withdrawals.withdraw(
                    session,
                    who=owner,
                    merchant_id=ready.merchant,
                    amount_minor=Minor(810),
                    provider="fake",
                    now=world.clock.now(),
                )
        except Refusal as no:
            return no.code
        return "won"

    with ThreadPoolExecutor(16) as pool:
        ends = list(pool.map(withdraw, range(100)))

    assert sorted(ends) == [Code.WITHDRAWAL_TOO_LARGE] * 99 + ["won"]
    assert ready.stands() == (0, 0, 810)
    assert ready.breaks() == []


# -- doubts ----------------------------------------------------------------------------------


def test_while_nobody_answers_it_stays_out_of_reach(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.world.provider.is_away = True

    ready.send()

    assert ready.withdrawal(withdrawal)["state"] == "unknown"
    assert ready.stands() == (0, 0, 810)
    assert ready.owner.news()[-1] == "withdrawal.unknown"
    assert ready.breaks() == []


def test_a_payout_whose_answer_was_lost_is_found_and_not_sent_again(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.world.provider.loses_answers = True
    ready.send()
    ready.world.provider.loses_answers = False
    ready.world.provider.change_payout(withdrawal, status=PAID)

    ready.world.clock.turn(minutes=1)
    ready.send()

    assert ready.withdrawal(withdrawal)["state"] == "paid"
    assert [what for what, _ in ready.world.provider.calls[-2:]] == ["pay_out", "find_payout"]
    assert ready.breaks() == []


def test_a_payout_that_never_arrived_is_sent_again_under_its_key(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.world.provider.is_away = True
    ready.send()
    ready.world.provider.is_away = False

    ready.world.clock.turn(minutes=1)
    ready.send()

    assert ready.withdrawal(withdrawal)["state"] == "processing"
    assert list(ready.world.provider.payouts) == [f"payout:{withdrawal}"]


def test_who_dies_with_it_in_hand_loses_it_and_the_next_one_looks_first(ready: Books) -> None:
    withdrawal = ready.asked()
    now = ready.world.clock.now()
    with ready.world.database.writing() as session:
        [claimed] = queries.claim(session, now=now, lease=ready.limits.lease, limit=1)
    ready.world.provider.pay_out(  # and then the process was killed
        key=claimed.key,
        reference=claimed.id,
        amount_minor=810,
        currency="CNY",
        account=ACCOUNT,
        description="x",
    )

    assert ready.send() == 0
    ready.world.clock.time += ready.limits.lease
    assert ready.send() == 1

    assert ready.withdrawal(withdrawal)["state"] == "processing"
    assert len(ready.world.provider.payouts) == 1
    assert ready.world.provider.calls[-1] == ("find_payout", withdrawal)


def test_after_many_attempts_it_is_a_persons_and_asked_no_more(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.world.provider.is_away = True

    for _ in range(PayoutLimits().attempts):
        assert ready.send() == 1
        ready.world.clock.turn(hours=1)

    assert ready.send() == 0
    assert row(ready, withdrawal).problem == "nobody answers"
    with ready.world.database.reading() as session:
        [stuck] = queries.stuck(session, older_than=ready.world.clock.now(), limit=10)
    assert stuck.id == withdrawal
    assert ready.stands() == (0, 0, 810)


@pytest.mark.parametrize(
    ("is_paid", "state", "stands"), [(True, "paid", (0, 0, 0)), (False, "failed", (0, 810, 0))]
)
def test_an_operator_who_has_looked_ends_the_doubt(
    ready: Books, is_paid: bool, state: str, stands: tuple[int, int, int]
) -> None:
    withdrawal = ready.asked()
    ready.world.provider.is_away = True
    ready.send()

    with ready.world.database.writing() as session:
        withdrawals.resolve(
            session,
            who=operator(ready),
            withdrawal_id=withdrawal,
            is_paid=is_paid,
            reason="seen on the bank's statement",
            now=ready.world.clock.now(),
        )

    assert ready.withdrawal(withdrawal)["state"] == state
    assert ready.stands() == stands
    assert ready.breaks() == []


def test_an_operator_ends_nothing_that_nobody_doubts(ready: Books) -> None:
    withdrawal = sent(ready)

    with pytest.raises(Refusal) as refused, ready.world.database.writing() as session:
        withdrawals.resolve(
            session,
            who=operator(ready),
            withdrawal_id=withdrawal,
            is_paid=True,
            reason="so",
            now=ready.world.clock.now(),
        )

    assert refused.value.code is Code.WRONG_STATE


def test_an_operator_may_have_it_asked_again(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.send(fake=object())  # type: ignore[arg-type]  # a provider that pays nothing out
    assert row(ready, withdrawal).problem == "this provider pays nothing out: send it by hand"

    with ready.world.database.writing() as session:
        withdrawals.ask_again(
            session,
            who=operator(ready),
            withdrawal_id=withdrawal,
            reason="it can now",
            now=ready.world.clock.now(),
        )
    ready.send()

    assert ready.withdrawal(withdrawal)["state"] == "processing"


def test_a_word_that_contradicts_what_is_final_moves_nothing(ready: Books) -> None:
    withdrawal = sent(ready)
    told(ready, withdrawal, FAILED)

    assert told(ready, withdrawal, PAID) == "contradicted"

    assert row(ready, withdrawal).problem == "contradicted"
    assert ready.stands() == (0, 810, 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount_minor": 809}, "amount_mismatch"),
        ({"currency": "USD"}, "amount_mismatch"),
        ({"account": "somebody-elses"}, "unmatched"),
        ({"ref": "another"}, "unmatched"),
    ],
)
def test_a_payout_that_is_not_what_was_asked_for_is_a_persons(
    ready: Books, change: dict[str, object], problem: str
) -> None:
    withdrawal = sent(ready)

    assert told(ready, withdrawal, PAID, **change) == problem

    assert row(ready, withdrawal).state is WithdrawalState.PROCESSING
    assert row(ready, withdrawal).problem == problem
    assert ready.stands() == (0, 0, 810)


def test_a_payout_that_is_none_of_ours_is_said_to_be(ready: Books) -> None:
    withdrawal = sent(ready)
    payout = replace(ready.world.provider.payouts[f"payout:{withdrawal}"], reference=new_id())

    with ready.world.database.writing() as session:
        now = ready.world.clock.now()
        assert withdrawals.learn(session, payout, provider="fake", now=now) == "unmatched"


# -- where it goes ---------------------------------------------------------------------------


def test_a_new_account_does_not_redirect_what_is_under_way(ready: Books) -> None:
    withdrawal = ready.asked()
    ready.with_account("acct_fedcba9876543210")

    ready.send()

    assert ready.world.provider.payouts[f"payout:{withdrawal}"].account == ACCOUNT
    assert ready.owner.news()[-1] != "withdrawal.failed"
    assert "merchant.payout_account_changed" in ready.owner.news()


def test_an_account_is_shown_by_its_end_only(ready: Books) -> None:
    assert ready.settlement()["payout_account"] == "*****************cdef"
    assert withdrawals.masked("12345678") == "****78"


def test_the_sweep_of_the_process_sends_too(ready: Books) -> None:
    withdrawal = ready.asked()
    tools = sweeps.Tools(
        database=ready.world.database,
        providers={"fake": ready.world.provider},
        settings=ready.world.client.app.state.parts.settings,
    )
    [sweep] = [each for each in sweeps.ALL if each.name == "send_withdrawals"]

    sweep.run(tools, ready.world.clock.now() + timedelta(seconds=1))

    assert ready.withdrawal(withdrawal)["state"] == "processing"
