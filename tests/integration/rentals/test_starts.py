"""Who starts a bank: only a deposit that is held, and only a bank that may feed now."""

from typing import Any

import pytest
from sqlmodel import Session, col, select, update

from backend import sweeps
from backend.db import notifications, rentals
from backend.db.tables.rentals import RentalRow
from backend.domain.errors import Code, Refusal
from backend.services import payments
from gateway.tables import CommandRow
from tests.integration.rentals.conftest import World

WHY = {"reason": "fire hazard"}
SPARE = "LW-0002"


def recalled(world: World) -> None:
    world.people["operator"].did("/operator/banks/recall", {**WHY, "bank_ids": ["LW-0001"]})


def silent(world: World) -> None:
    world.clock.turn(minutes=20)


def low(world: World) -> None:
    world.bank_is("LW-0001", battery=9)


def faulty(world: World) -> None:
    world.bank_is("LW-0001", faults="overheated")


def told(world: World, who: str, kind: str) -> list[dict[str, Any]]:
    with world.database.reading() as session:
        found = notifications.after(session, person_id=world.id_of(who), seq=0, limit=1000)
        return [each.data for each in found if each.kind == kind]


UNFIT = [(recalled, "recalled"), (silent, "offline"), (low, "low"), (faulty, "faulty")]


@pytest.mark.parametrize(("becomes", "why"), UNFIT)
def test_a_bank_that_must_not_feed_any_more_is_not_started_when_the_hold_comes(
    world: World, becomes: Any, why: str
) -> None:
    world.market(banks=("LW-0001", SPARE))
    rental, ref = world.deposit_asked()
    becomes(world)

    assert world.notice(world.provider.agree(ref)).status_code == 204

    assert world.state(rental) == "start_failed"
    assert world.commands() == []
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"
    assert told(world, "renter", "rental.bank_unfit") == [{"rental_id": rental, "why": why}]
    world.bank_is(SPARE)
    instead = world.people["renter"].did(f"/rentals/{rental}/swap", WHY)
    assert instead["bank"]["id"] == SPARE


@pytest.mark.parametrize(("becomes", "why"), UNFIT)
def test_nor_when_its_turn_to_be_commanded_comes(world: World, becomes: Any, why: str) -> None:
    world.market()
    rental = _waits(world)
    becomes(world)
    _is_free(world)

    sweeps.start_waiting(world.database, now=world.clock.now())

    assert world.state(rental) == "start_failed"
    assert told(world, "renter", "rental.bank_unfit") == [{"rental_id": rental, "why": why}]


def _waits(world: World, bank: str = "LW-0001") -> str:
    """The deposit is held while another command moves the bank."""
    rental, ref = world.deposit_asked(bank)
    with world.database.writing() as session:
        earlier = {"kind": "charge_stop", "created_at_ms": 0, "expires_at_ms": 1}
        session.add(CommandRow(id=f"earlier-{bank}", bank_id=bank, **earlier))
    world.notice(world.provider.agree(ref))
    assert world.state(rental) == "starting"
    return rental


def _is_free(world: World) -> None:
    with world.database.writing() as session:
        session.exec(update(CommandRow).values(status="expired"))


def test_a_recall_takes_back_a_start_that_did_not_go_out(world: World) -> None:
    world.market()
    rental = world.starting()
    recalled(world)
    assert world.state(rental) == "start_failed"
    assert world.commands() == [("charge_start", "failed")]
    world.send()
    assert world.rental(rental)["deposit"]["state"] == "released"


def test_a_recall_leaves_a_start_that_went_out_to_the_banks_own_word(world: World) -> None:
    world.market()
    rental = world.starting()
    world.command_is("sent")
    recalled(world)
    assert world.state(rental) == "starting"


def test_a_start_that_did_not_go_out_is_taken_back_when_an_operator_closes_the_rental(
    world: World,
) -> None:
    world.market()
    rental = world.starting()
    assert world.by_hand("close", rental) is None
    assert world.commands() == [("charge_start", "failed")]


# -- those that wait ------------------------------------------------------------------------


def test_one_that_cannot_be_started_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.market(banks=("LW-0001", SPARE))
    broken = _waits(world)
    world.bank_is(SPARE)
    sound = _waits(world, SPARE)
    _is_free(world)
    _breaks(monkeypatch, broken)

    assert sweeps.start_waiting(world.database, now=world.clock.now(), page=1) == 1

    with world.database.reading() as session:
        assert rentals.read(session, sound).start_command_id is not None
        assert rentals.read(session, broken).start_command_id is None


def _breaks(monkeypatch: pytest.MonkeyPatch, rental_id: str) -> None:
    """This one's start fails, by a defect of ours."""
    really = payments.command_start

    def command_start(session: Session, rental: RentalRow, **how: Any) -> bool:
        if rental.id == rental_id:
            raise Refusal(Code.WRONG_STATE)
        return really(session, rental, **how)

    monkeypatch.setattr(sweeps.upkeep, "command_start", command_start)


def test_a_start_that_was_given_meanwhile_is_not_given_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.market()
    _waits(world)
    _is_free(world)
    now = world.clock.now()
    with world.database.reading() as session:
        seen_by_both = rentals.without_command(session, after="", limit=10)
    assert sweeps.start_waiting(world.database, now=now) == 1
    _is_free(world)  # it was carried out, say
    pages = iter([seen_by_both, []])
    monkeypatch.setattr(rentals, "without_command", lambda *_, **__: next(pages))

    assert sweeps.start_waiting(world.database, now=now) == 0

    with world.database.reading() as session:
        starts = select(CommandRow.id).where(col(CommandRow.kind) == "charge_start")
        assert len(session.exec(starts).all()) == 1


# -- what was accepted ----------------------------------------------------------------------


def _scan(world: World, rental: str, lang: str) -> str:
    renter = world.people["renter"]
    answer = renter.client.post(
        f"/api/v1/rentals/{rental}/scan",
        json={"qr_token": world.tokens["LW-0001"]},
        headers={**renter._headers(), "accept-language": lang, "idempotency-key": f"scan-{lang}"},
    )
    assert answer.is_success, answer.text
    return str(answer.json()["disclosure"])


def test_what_was_accepted_stays_word_for_word_while_its_payment_lives(world: World) -> None:
    world.market()
    rental = world.delivered()
    english = _scan(world, rental, "en")
    world.people["renter"].did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})

    assert _scan(world, rental, "zh") == english

    with world.database.reading() as session:
        row = rentals.read(session, rental)
        assert (row.disclosure, row.disclosed_at) == (english, world.clock.now())


def test_until_it_is_accepted_it_is_told_in_the_language_that_is_asked_for(world: World) -> None:
    world.market()
    rental = world.delivered()
    english = _scan(world, rental, "en")
    chinese = _scan(world, rental, "zh")
    assert chinese != english
    with world.database.reading() as session:
        assert rentals.read(session, rental).disclosure == chinese


def test_what_was_accepted_for_a_payment_that_came_to_nothing_is_accepted_anew(
    world: World,
) -> None:
    world.market()
    rental = world.delivered()
    _scan(world, rental, "en")
    world.provider.declines = True
    world.people["renter"].did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
    world.send()

    chinese = _scan(world, rental, "zh")

    with world.database.reading() as session:
        row = rentals.read(session, rental)
        assert (row.disclosure, row.disclosed_at) == (chinese, None)
