"""What a provider refuses, or never answers, is on the stuck list, with a way to go on."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from sqlmodel import select

from backend.db.tables.audit import AuditRow
from backend.payments.port import PaymentStatus
from tests.integration.money.conftest import BILL, Till
from tests.integration.rentals.conftest import HOME

WHY = {"reason": "looked into"}


def listed(till: Till, kind: str = "ask_given_up") -> list[dict[str, Any]]:
    till.world.people.clear()  # signed in anew: much time may have passed
    items = till.world.people["operator"].sees("/operator/stuck")["items"]
    return [item for item in items if item["kind"] == kind]


def does(till: Till, item: dict[str, Any], act: str) -> Response:
    path = f"/operator/stuck/{item['kind']}/{item['id']}/{act}"
    answer: Response = till.world.people["operator"].post(path, WHY)
    return answer


def keys(till: Till, ask: str) -> list[str]:
    """The keys that the provider was asked with, each once, in order."""
    return list(dict.fromkeys(key for what, key in till.world.provider.calls if what == ask))


def audited(till: Till) -> list[str]:
    with till.world.database.reading() as session:
        return list(session.exec(select(AuditRow.action)))


def refund_refused(till: Till) -> str:
    """A paid rental of whose bill 300 are to go back, which the provider refuses."""
    rental = till.paid()
    till.world.provider.refuses = frozenset({"refund"})
    till.world.people["operator"].did(
        f"/operator/rentals/{rental}/credit",
        {"amount_minor": 300, "is_bill_wrong": True, "reason": "with our apologies"},
    )
    till.all_runs()
    return rental


# -- a final no ------------------------------------------------------------------------------


@pytest.mark.row("M6")
def test_a_refund_that_was_refused_is_listed_and_wished_anew_with_a_new_key(till: Till) -> None:
    rental = refund_refused(till)
    [item] = listed(till)
    assert item["rental_id"] == rental
    assert item["detail"] | {"key": ""} == {
        "ask": "refund",
        "answer": "refused",
        "problem": "refused: no",
        "amount_minor": "300",
        "currency": "CNY",
        "key": "",
    }
    assert set(item["acts"]) == {"retry", "put_aside"}

    till.world.provider.refuses = frozenset()
    assert does(till, item, "retry").status_code == 200
    assert does(till, item, "retry").status_code == 404, "once"
    till.all_runs()

    assert listed(till) == []
    first, second = keys(till, "refund")
    assert second == f"{first}:2"
    assert till.mine("refund_due") == 0
    assert "ask_given_up.retry" in audited(till)
    till.balances()
    till.agrees_with_provider()


def test_refused_again_it_is_listed_again(till: Till) -> None:
    refund_refused(till)
    for number in (2, 3):
        [item] = listed(till)
        assert does(till, item, "retry").status_code == 200
        till.all_runs()
        assert keys(till, "refund")[-1].endswith(f":{number}")
    assert len(listed(till)) == 1
    assert till.mine("refund_due") == 300


def test_what_was_put_aside_is_neither_listed_nor_asked_for(till: Till) -> None:
    refund_refused(till)
    [item] = listed(till)

    assert does(till, item, "put_aside").status_code == 200
    assert [does(till, item, act).status_code for act in ("put_aside", "retry")] == [404, 404]
    till.world.provider.refuses = frozenset()
    till.world.clock.turn(days=1)
    till.all_runs()

    assert listed(till) == []
    assert len(keys(till, "refund")) == 1
    till.balances()


def test_a_capture_that_was_refused_is_listed_and_taken_when_wished_anew(till: Till) -> None:
    rental = till.unpaid()
    till.world.provider.refuses = frozenset({"capture"})
    till.all_runs()
    assert till.deposit(rental)[0] == "held"
    [item] = listed(till)
    assert (item["detail"]["ask"], item["rental_id"]) == ("capture", rental)

    till.world.provider.refuses = frozenset()
    assert does(till, item, "retry").status_code == 200
    till.all_runs()

    assert till.world.state(rental) == "completed"
    assert till.deposit(rental) == ("captured", BILL, BILL)
    assert listed(till) == []
    till.balances()
    till.agrees_with_provider()


def test_who_pays_after_the_capture_was_refused_gets_the_hold_back(till: Till) -> None:
    rental = till.unpaid()
    till.world.provider.refuses = frozenset({"capture"})
    till.all_runs()
    [item] = listed(till)

    till.hears(till.agree(till.pay(rental)))
    till.all_runs()

    assert till.world.state(rental) == "completed"
    assert till.deposit(rental)[0] == "released"
    assert listed(till) == [], "its cause is gone"
    assert does(till, item, "retry").status_code == 404
    till.balances()


# -- a hold that nobody waits for --------------------------------------------------------------


def agrees_while_withdrawn(till: Till) -> Callable[..., Any]:
    """The renter agrees just while the open page is being withdrawn, which so is refused."""
    provider = till.world.provider
    really = provider.release

    def release(ref: str, *, key: str) -> Any:
        if provider.payments[ref].status is PaymentStatus.OPEN:
            provider.agree(ref)
            provider.noes.add(key)
        return really(ref, key=key)

    return release


def test_a_hold_agreed_to_while_it_was_withdrawn_is_let_go(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental, ref = till.world.deposit_asked()
    monkeypatch.setattr(till.world.provider, "release", agrees_while_withdrawn(till))
    till.renter.did(f"/rentals/{rental}/return", HOME)

    till.all_runs()

    assert till.world.provider.payments[ref].status is PaymentStatus.CANCELED
    assert till.deposit(rental)[0] == "released"
    first, second = keys(till, "release")
    assert second == f"{first}:2"
    assert listed(till) == []
    till.balances()


def test_a_release_that_stays_refused_is_listed_until_it_is_wished_anew(till: Till) -> None:
    rental, ref = till.world.deposit_asked()
    till.world.provider.refuses = frozenset({"release"})
    till.renter.did(f"/rentals/{rental}/return", HOME)
    till.all_runs()
    till.hears(till.agree(ref))
    till.all_runs()
    [item] = listed(till)
    assert item["detail"]["ask"] == "release"
    assert till.deposit(rental)[0] == "held"

    till.world.provider.refuses = frozenset()
    assert does(till, item, "retry").status_code == 200
    till.all_runs()

    assert till.deposit(rental)[0] == "released"
    assert listed(till) == []
    till.balances()
    till.agrees_with_provider()


# -- a payment that nobody knows of ------------------------------------------------------------


def in_doubt(till: Till) -> str:
    """A bill whose payment was asked for often enough, while nobody answered."""
    rental = till.world.payment_due()
    till.renter.did(f"/rentals/{rental}/payment")
    till.world.provider.is_away = True
    for _ in range(till.world.limits.attempts):
        till.world.send()
        till.world.clock.time += till.world.limits.longest_wait
    return rental


def test_a_payment_that_the_provider_never_heard_of_is_ended_by_hand(till: Till) -> None:
    rental = in_doubt(till)
    [item] = listed(till, "payment_in_doubt")
    refused = does(till, item, "failed")
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_in_doubt")

    till.world.provider.is_away = False
    till.world.ask_in_doubt()
    [item] = listed(till, "payment_in_doubt")
    assert item["detail"]["unheard_of_at"] != ""
    assert does(till, item, "failed").status_code == 200
    assert does(till, item, "failed").status_code == 409, "once"

    assert listed(till, "payment_in_doubt") == listed(till) == []
    assert "payment.give_up" in audited(till)
    assert "payment.failed" in till.renter.news()
    till.world.send()
    assert till.world.provider.payments.keys() == {"fake-1"}, "it is not made after all"
    till.hears(till.agree(till.pay(rental)))
    assert till.world.state(rental) == "completed"
    till.balances()


def test_what_the_provider_said_before_it_was_asked_again_does_not_count(till: Till) -> None:
    in_doubt(till)
    till.world.provider.is_away = False
    till.world.ask_in_doubt()
    [ask] = listed(till)
    [item] = listed(till, "payment_in_doubt")
    assert does(till, ask, "retry").status_code == 200
    assert does(till, item, "failed").status_code == 409, "it is being asked for"

    till.world.provider.is_away = True
    for _ in range(till.world.limits.attempts):
        till.world.send()
        till.world.clock.time += till.world.limits.longest_wait
    till.world.people.clear()
    assert does(till, item, "failed").status_code == 409, "the answer is older than the asking"


def test_a_payment_to_be_made_cannot_be_put_aside(till: Till) -> None:
    in_doubt(till)
    [item] = listed(till)
    assert item["acts"] == ["retry"]
    assert does(till, item, "put_aside").status_code == 404
    assert len(listed(till)) == 1


def test_a_payment_that_is_found_after_all_is_on_no_list(till: Till) -> None:
    rental = till.world.payment_due()
    till.renter.did(f"/rentals/{rental}/payment")
    till.world.provider.loses_answers = True
    for _ in range(till.world.limits.attempts):
        till.world.send()
        till.world.clock.time += till.world.limits.longest_wait
    assert len(listed(till)) == 1

    till.world.provider.loses_answers = False
    till.world.ask_in_doubt()

    assert listed(till) == listed(till, "payment_in_doubt") == []
    till.hears(till.agree("fake-2"))
    assert till.world.state(rental) == "completed"


def test_a_payment_that_was_made_unheard_is_found_and_not_made_again(till: Till) -> None:
    rental = till.world.payment_due()
    till.renter.did(f"/rentals/{rental}/payment")
    till.world.provider.loses_answers = True
    till.world.send()
    till.world.provider.loses_answers = False
    till.world.clock.turn(minutes=2)
    till.world.ask_in_doubt()
    assert till.world.send() == 1

    made = [key for what, key in till.world.provider.calls if what == "create"]
    assert len(made) == len(set(made)) == 2, "the deposit's and the bill's"
    assert listed(till) == []


# -- a payment that nobody needs ---------------------------------------------------------------


def test_a_bill_that_is_owed_no_more_cannot_be_paid_any_more(till: Till) -> None:
    rental, ref = till.world.bill_asked()
    till.world.people["operator"].did(
        f"/operator/rentals/{rental}/credit",
        {"amount_minor": BILL, "is_bill_wrong": True, "reason": "it never fed"},
    )
    till.all_runs()

    assert till.world.state(rental) == "completed"
    assert till.world.provider.payments[ref].status is PaymentStatus.CANCELED
    till.balances()
    till.agrees_with_provider()
