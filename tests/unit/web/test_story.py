"""What a renter reads of where their rental stands is true of it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from backend.domain.deposit import DepositState
from backend.domain.lang import Lang
from backend.domain.rental import RentalEvent, RentalState
from backend.web import story
from backend.web.names import AND_NOW, RENTALS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def rental(state, *, deposit=None, steps=(), **more):
    facts = {"collector": None, "claimed_returned_at": None, "cancelled_at": None} | more
    held = None if deposit is None else SimpleNamespace(state=deposit)
    return SimpleNamespace(state=state, deposit=held, steps=list(steps), **facts)


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("state", RentalState)
def test_every_state_has_a_heading_and_a_meaning(state, lang):
    assert story.heading(rental(state), lang)
    assert story.meaning(rental(state), lang)


def test_who_comes_is_said_once_somebody_does():
    state = RentalState.RETURNING
    waiting, comes = rental(state), rental(state, collector="Wang")
    claimed = rental(state, collector="Wang", claimed_returned_at=NOON)

    assert story.heading(waiting, Lang.EN) == "Waiting to be fetched"
    assert story.heading(comes, Lang.EN) == RENTALS[state][Lang.EN]
    assert story.heading(claimed, Lang.EN) == "You said that it is back"


@pytest.mark.parametrize("state", [RentalState.PAYMENT_DUE, RentalState.COMPLETED])
@pytest.mark.parametrize("deposit", [None, *DepositState])
def test_a_deposit_is_called_free_only_where_it_is(state, deposit):
    free = {
        RentalState.PAYMENT_DUE: DepositState.HELD,
        RentalState.COMPLETED: DepositState.RELEASED,
    }
    said = story.meaning(rental(state, deposit=deposit), Lang.EN)

    assert (said == AND_NOW[state][Lang.EN]) == (deposit is free[state])


def test_what_is_owed_for_calling_it_off_speaks_of_no_deposit():
    owed = rental(RentalState.PAYMENT_DUE, cancelled_at=NOON)

    assert story.meaning(owed, Lang.EN) == "This is what calling it off costs."


def test_only_what_others_said_is_a_reason():
    own = SimpleNamespace(event=RentalEvent.CANCEL, why=None)
    absent = SimpleNamespace(event=RentalEvent.CANCEL_FOR_FEE, why="Rang for ten minutes.")

    assert story.called_off_because(rental(RentalState.CANCELLED, steps=[own])) is None
    assert story.called_off_because(rental(RentalState.PAYMENT_DUE, steps=[absent])) == absent.why
