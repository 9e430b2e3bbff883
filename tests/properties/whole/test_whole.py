"""The whole business under everything that may happen: its promises hold, and broken ones show."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from backend.db import money, rentals
from backend.domain import custody, ledger, rental, tariff
from backend.domain.custody import Holder, Proof
from backend.domain.rental import RentalEvent, RentalState
from backend.services import billing, jobs, payments, starting
from tests.databases import Databases
from tests.properties.whole.machine import WholeBusiness
from tests.properties.whole.world import BANKS, Fault, Stage

LONG = settings(max_examples=14, stateful_step_count=60)
Plant = Callable[[pytest.MonkeyPatch], None]
Play = Callable[[WholeBusiness], None]


@pytest.fixture(scope="module")
def stage(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage.set_up(databases, tmp_path_factory.mktemp("stage"))


@pytest.fixture(autouse=True)
def silence() -> None:
    """The logs of thousands of refusals tell nobody anything."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))


def test_whatever_happens_all_promises_hold_and_all_comes_to_rest(stage: Stage) -> None:
    ends: Counter[RentalState] = Counter()
    run_state_machine_as_test(lambda: WholeBusiness(stage, ends), settings=LONG)
    assert ends.keys() >= {RentalState.COMPLETED, RentalState.CANCELLED, RentalState.UNDELIVERABLE}


# -- planted bugs: does the machine see? --------------------------------------------------------


def no_deposit_is_let_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(billing, "release_deposit", lambda *_args, **_kwargs: None)


def a_digest_leaves_a_posting_out(patch: pytest.MonkeyPatch) -> None:
    def digest(*, postings: list[tuple[str, int]], **rest: Any) -> str:
        return ledger.digest(postings=postings[1:], **rest)

    patch.setattr(money, "ledger", SimpleNamespace(**{**vars(ledger), "digest": digest}))


def a_block_too_many_is_billed(patch: pytest.MonkeyPatch) -> None:
    begun = tariff._begun
    patch.setattr(
        tariff, "_begun", lambda terms, elapsed_s: begun(terms, elapsed_s) + (elapsed_s > 0)
    )


def a_bank_may_be_handed_over_again(patch: pytest.MonkeyPatch) -> None:
    """Every guard is gone: the rental's, custody's, the job's."""
    again = (RentalState.DELIVERED, RentalEvent.HAND_OVER)
    patch.setattr(rental, "MOVES", {**rental.MOVES, again: RentalState.DELIVERED})
    anyhow = {(Holder.RENTER, Holder.RENTER): frozenset(Proof)}
    patch.setattr(custody, "CUSTODY_MOVES", {**custody.CUSTODY_MOVES, **anyhow})
    patch.setattr(jobs, "_move", lambda *_args, **_kwargs: None)


def any_code_opens_the_door(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(jobs, "_prove", lambda *_args, **_kwargs: Proof.CODE)


def a_bank_starts_before_the_deposit_is_held(patch: pytest.MonkeyPatch) -> None:
    really = payments.start_deposit

    def start_deposit(session: Any, *, rental_id: str, now: Any, **rest: Any) -> Any:
        payment = really(session, rental_id=rental_id, now=now, **rest)
        starting.command_start(session, rentals.rental(session, rental_id), now=now)
        return payment

    patch.setattr(payments, "start_deposit", start_deposit)


def so_far(steps: int) -> Play:
    """One rental, so many steps as it should be."""

    def play(machine: WholeBusiness) -> None:
        machine.begin([steps], sorted(BANKS))

    return play


def a_wrong_code_is_shown(machine: WholeBusiness) -> None:
    so_far(2)(machine)
    machine.staff(
        what=0, is_absurd=False, who="owner", which=0, proof="wrong code", fault=Fault.NONE
    )


def a_deposit_is_asked_for(machine: WholeBusiness) -> None:
    so_far(4)(machine)
    [rental] = machine.rentals()
    path = f"/rentals/{rental.id}/deposit"
    machine.world.act("renter", path, {"accepted_disclosure": True})


def a_label_is_shown_twice(machine: WholeBusiness) -> None:
    so_far(2)(machine)
    [rental] = machine.rentals()
    job = machine.world.signed_in("owner").sees("/staff/jobs")["items"][0]["id"]
    label = {"qr_token": machine.world.tokens[rental.bank_id]}
    for _ in range(2):
        machine.world.act("owner", f"/staff/jobs/{job}/hand-over", label)


@pytest.mark.parametrize(
    ("plant", "play", "seen"),
    [
        (no_deposit_is_let_go, so_far(11), "still held"),
        (a_digest_leaves_a_posting_out, so_far(6), "was changed"),
        (a_block_too_many_is_billed, so_far(9), "amount_minor"),
        (a_bank_may_be_handed_over_again, a_label_is_shown_twice, "was given 2 times"),
        (any_code_opens_the_door, a_wrong_code_is_shown, "hand-over was done on a wrong"),
        (
            a_bank_starts_before_the_deposit_is_held,
            a_deposit_is_asked_for,
            "told to start without a deposit",
        ),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_a_planted_bug_is_seen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, plant: Plant, play: Play, seen: str
) -> None:
    _live(stage, play)
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=seen):
        _live(stage, play)


def _live(stage: Stage, play: Play) -> None:
    """Live through a play, and see at its end, and when all has come to rest, what holds."""
    machine = WholeBusiness(stage)
    try:
        play(machine)
        machine.promises_hold()
    except BaseException:
        machine.close()
        raise
    machine.teardown()
