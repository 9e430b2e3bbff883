"""The operator's pages, each with what there is to show: whole, inert, and for nobody else."""

import re
from typing import Any

import pytest
from httpx2 import Response

from backend import sweeps
from backend.limits import ReconcileLimits
from backend.services.stuck import Act, Stuck, StuckKind
from backend.web import duties
from gateway.tables import DeadLetter
from tests.integration.books.conftest import Books
from tests.integration.rentals.conftest import HOME, World

ANY = ["zh", "en"]
SCRIPT = "<script>window.hit=1</script>"
NO_ID = "01J9ZV3C8R0000000000000000"
TEMPLATE_LEFTOVERS = re.compile(r"\{\{|\{%|None\b|Undefined|StrEnum")


def opens(world: World, path: str, who: str = "operator", lang: str = "en") -> Response:
    person = world.people[who]
    headers = {
        "authorization": f"Bearer {person.token}",
        "accept-language": lang,
        "accept": "text/html",
    }
    return person.client.get(path, headers=headers, follow_redirects=False)


def reads(world: World, path: str, lang: str = "en") -> str:
    answer = opens(world, path, lang=lang)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert not TEMPLATE_LEFTOVERS.search(answer.text), path
    return str(answer.text)


def letter(world: World) -> None:
    with world.database.writing() as session:
        session.add(
            DeadLetter(
                id="ab" * 32,
                topic="lw/v1/LW-0001/state",
                payload=SCRIPT.encode(),
                reason="bad_field",
                detail=SCRIPT,
                received_at_ms=5,
            )
        )


def waits(world: World) -> str:
    body = {
        "name": SCRIPT,
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "service_radius_m": 3000,
        **HOME,
    }
    return str(world.people["other"].did("/merchants", body)["id"])


EMPTY = (
    "/operator",
    "/operator/now",
    "/operator/stuck",
    "/operator/rentals",
    "/operator/merchants",
    "/operator/banks",
    "/operator/people",
    "/operator/people?find=%2B8613800009999",
    "/operator/money",
    "/operator/money?of=withdrawals",
    "/operator/money?of=payments",
    "/operator/money?of=breaks",
    "/operator/letters",
    "/operator/letters?closed=true",
    "/operator/audit",
)


@pytest.mark.parametrize("lang", ANY)
def test_on_the_first_day_every_page_says_that_there_is_nothing(world: World, lang: str) -> None:
    for path in EMPTY:
        reads(world, path, lang)


@pytest.mark.parametrize(
    "path", [*EMPTY, f"/operator/rentals/{NO_ID}", f"/operator/people/{NO_ID}"]
)
def test_nobody_else_may_open_them(world: World, path: str) -> None:
    answer = opens(world, path, who="renter")
    assert answer.status_code == 403
    assert "<h1>" in answer.text


@pytest.mark.parametrize("kind", ["rentals", "merchants", "people"])
def test_what_is_not_there_is_a_page_that_says_so(world: World, kind: str) -> None:
    answer = opens(world, f"/operator/{kind}/{NO_ID}")
    assert answer.status_code == 404
    assert "<h1>" in answer.text


@pytest.mark.parametrize("lang", ANY)
def test_a_running_rental_shows_everywhere(world: World, lang: str) -> None:
    merchant = world.market(banks=("LW-0001", "LW-0002"))
    waiting = waits(world)
    rental, renter = world.renting(), world.id_of("renter")
    letter(world)
    city = reads(world, "/operator", lang)
    assert f"/operator/rentals/{rental}" in city
    assert re.search(r'data-figure="utilisation".*?50<small>%', city, re.DOTALL)
    assert "99.00" in reads(world, "/operator/money", lang)
    for query in ("", "?state=renting", f"?merchant_id={merchant}", f"?renter_id={renter}"):
        assert f"rental-{rental}" in reads(world, f"/operator/rentals{query}", lang)
    for query in ("?state=completed", "?late=true", "?find=LW-0002"):
        assert f"rental-{rental}" not in reads(world, f"/operator/rentals{query}", lang)
    story = reads(world, f"/operator/rentals/{rental}", lang)
    assert "operator/rentals/" + rental + "/close" in story
    assert "/sell" in story
    assert "/cancel" not in story
    assert f"merchant-{waiting}" in reads(world, "/operator/merchants", lang)
    assert "/suspend" in reads(world, f"/operator/merchants/{merchant}", lang)
    assert "/approve" in reads(world, f"/operator/merchants/{waiting}", lang)
    for query in ("", "?holder=renter", "?bank=lw-0001", f"?merchant_id={merchant}"):
        assert "bank-LW-0001" in reads(world, f"/operator/banks{query}", lang)
    assert "bank-LW-0001" not in reads(world, "/operator/banks?bank=LW-9", lang)
    found = reads(world, "/operator/people?find=%2B86+138+0000+0003", lang)
    assert f"person-{renter}" in found
    assert f"person-{renter}" in reads(world, f"/operator/people/{renter}", lang)
    assert "no-phone" in reads(world, "/operator/people?find=hello", lang)
    assert f"/operator/merchants/{merchant}" in reads(
        world, "/operator/audit?subject=merchant", lang
    )
    assert "/replay" not in reads(world, "/operator/letters?closed=true", lang)


@pytest.mark.parametrize("lang", ANY)
def test_withdrawals_and_what_providers_say_otherwise_are_shown(world: World, lang: str) -> None:
    books = Books(world=world, merchant=world.market())
    books.settled()
    books.with_account()
    taken = books.asked(300)
    world.provider.change(next(iter(world.provider.payments)), amount_minor=1)
    world.clock.turn(days=1)
    sweeps.reconcile(
        world.database, {"fake": world.provider}, limits=ReconcileLimits(), now=world.clock.now()
    )
    assert f"withdrawal-{taken}" in reads(world, "/operator/money?of=withdrawals", lang)
    assert taken not in reads(world, "/operator/money?of=withdrawals&state=paid", lang)
    assert 'id="break-' in reads(world, "/operator/money?of=breaks", lang)
    assert "/put_aside" not in reads(world, "/operator/stuck", lang)
    assert 'data-kind="break"' in reads(world, "/operator/stuck", lang)


@pytest.mark.parametrize("lang", ANY)
def test_a_disputed_bill_is_shown_with_what_may_be_decided(world: World, lang: str) -> None:
    world.market()
    rental = world.payment_due()
    world.people["renter"].did(
        f"/rentals/{rental}/disputes", {"disputed_minor": 100, "reason": SCRIPT}
    )
    assert "/decide" in reads(world, "/operator/money", lang)
    assert rental in reads(world, "/operator/money?of=payments", lang)
    assert rental not in reads(world, "/operator/money?of=payments&state=failed", lang)
    story = reads(world, f"/operator/rentals/{rental}", lang)
    assert "/credit" in story
    assert "dispute-" in story
    assert "/close" not in story


@pytest.mark.parametrize(
    "path",
    ["/operator", "/operator/merchants", "/operator/letters", "/operator/stuck", "/operator/audit"],
)
def test_what_others_wrote_is_inert(world: World, path: str) -> None:
    waiting = waits(world)
    letter(world)
    world.people["operator"].did(f"/operator/merchants/{waiting}/approve", {"reason": SCRIPT})
    page = reads(world, path)
    assert SCRIPT not in page
    assert "window.hit" in page


@pytest.mark.parametrize("lang", ANY)
def test_every_kind_and_act_of_the_stuck_list_has_words(lang: Any) -> None:
    for kind in StuckKind:
        assert duties.STUCK[kind][lang]
        assert duties.MEANT[kind][lang]
    for act in Act:
        assert duties.ACTS[act][lang]
    harmless = set(Act) - set(duties.ASKED)
    assert harmless == {Act.RETRY, Act.REPLAY, Act.PUT_ASIDE}, "all others are asked about first"


def test_an_items_details_are_told_in_words_amounts_and_links(world: World) -> None:
    detail = {
        "bank_id": "LW-0001",
        "state": "renting",
        "owed_minor": "950",
        "currency": "CNY",
        "capture_before": "2026-11-29T12:00:00+00:00",
        "problem": "renting",
        "nothing": "",
        "another": "x",
    }
    item = Stuck(kind=StuckKind.UNPAID, id="x", since=world.clock.now(), detail=detail)
    told = {each.name: each for each in duties.details(item, duties.Lang.EN)}
    assert told["Power bank"].href == "/operator/banks?bank=LW-0001"
    assert told["State"].text == "Rented"
    assert (told["Owed"].amount_minor, told["Owed"].currency) == (950, "CNY")
    assert told["Held until"].at is not None
    assert told["Problem"].text == "renting", "it is somebody's own word"
    assert told["another"].text == "x"
    assert "nothing" not in told
