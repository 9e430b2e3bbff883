"""The screen, as text: what a person reads on a terminal of 100 by 30."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from backend.demo import show, words
from backend.demo.scene import Links, Mood, Scene, bank_line, receipt
from backend.demo.stage import picture
from backend.demo.story import STEPS
from backend.domain.lang import Lang

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
NAMES = {"renter": "Lin", "owner": "Ming", "staff": "Wang", "bank": "NJL-01"}
FACTS: dict[str, object] = {
    "shop": "Ming's Power Banks",
    "battery": 59,
    "price": "¥1.50",
    "block": "15 min",
    "place": "580 East Nanjing Road, 3rd floor",
    "distance": 516,
    "ms": 35,
    "code": "0427",
    "deposit": "¥99.00",
    "at": "08:30:00",
    "amount": "¥4.50",
    "blocks": "¥1.50",
    "delivery": "¥3.00",
    "seconds": 3,
}
RENTAL: dict[str, Any] = {
    "id": "01M828YE6B0M418YWC6N771K3S",
    "merchant": {"name": "Ming's Power Banks"},
    "bank": {"id": "NJL-01", "model": "LW-10K-A"},
    "staff": "Wang",
    "currency": "CNY",
    "tariff": {"block_s": 900},
    "deposit": {"amount_minor": 9900},
    "amount_minor": 450,
    "lines": [
        {"kind": "blocks", "quantity": 1, "amount_minor": 150},
        {"kind": "delivery", "quantity": 1, "amount_minor": 300},
    ],
}


def a_bank(number: int, **more: Any) -> dict[str, Any]:
    told = {
        "battery_pct": 80,
        "lock": "locked",
        "is_feeding": False,
        "is_plugged": False,
        "presence": "online",
    }
    return {"id": f"NJL-{number:02}", "state": told, "holder": "merchant", "why_not": [], **more}


def a_scene(lang: Lang, *, steps: int = 0, banks: int = 20) -> Scene:
    scene = Scene(lang=lang, steps_in_all=len(STEPS))
    lines = [bank_line(a_bank(n), merchant="Ming", rental_state=None) for n in range(1, banks + 1)]
    scene.banks = tuple(lines)
    for number, step in enumerate(STEPS[:steps], 1):
        scene.step_begins(number, words.title(step.name, lang, NAMES), at=NOW)
        scene.step_ends(words.outcome(step.name, lang, {**NAMES, **FACTS}))
    return scene


def drawn(scene: Scene, *, width: int = show.WIDTH, height: int = show.HEIGHT) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True)
    with console.capture() as captured:
        console.print(show.screen(scene), end="")
    return [Text.from_ansi(line).plain for line in captured.get().splitlines()]


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("steps", range(len(STEPS) + 1))
def test_the_screen_fills_the_terminal_and_no_more(lang: Lang, steps: int) -> None:
    lines = drawn(a_scene(lang, steps=steps))
    assert len(lines) == show.HEIGHT
    assert max(Text(line).cell_len for line in lines) <= show.WIDTH
    if steps:
        last = words.outcome(STEPS[steps - 1].name, lang, {**NAMES, **FACTS})
        assert last.split()[0][:3] in "\n".join(lines)


def test_every_bank_of_the_city_has_its_row() -> None:
    text = "\n".join(drawn(a_scene(Lang.EN)))
    assert all(f"NJL-{number:02} Ming" in text for number in range(1, 21))
    assert "80 % locked off  -    online   for rent" in text


def test_more_banks_than_rows_are_counted() -> None:
    text = "\n".join(drawn(a_scene(Lang.EN, banks=25)))
    assert "NJL-19" in text
    assert "NJL-20" not in text
    assert "and 6" in text


def test_a_bank_that_has_told_nothing_is_shown_so() -> None:
    line = bank_line(
        a_bank(1, state=None, why_not=[{"code": "offline"}]), merchant="Ming", rental_state=None
    )
    assert (line.battery_pct, line.where) == (None, "offline")
    scene = a_scene(Lang.EN)
    scene.banks = (line,)
    assert "NJL-01 Ming" in "\n".join(drawn(scene))


@pytest.mark.parametrize(
    ("more", "rental_state", "where"),
    [
        ({}, None, "for_rent"),
        ({}, "delivering", "delivering"),
        ({"holder": "staff"}, None, "with_staff"),
        ({"holder": "renter"}, None, "with_renter"),
        ({"holder": "lost"}, None, "lost"),
        ({"why_not": [{"code": "low"}]}, None, "low"),
        ({"why_not": [{"code": "closed"}]}, None, "not_now"),
    ],
)
def test_where_a_bank_is(more: dict[str, Any], rental_state: str | None, where: str) -> None:
    line = bank_line(a_bank(1, **more), merchant="Ming", rental_state=rental_state)
    assert line.where == where
    assert words.say(line.where, Lang.ZH)


def test_what_several_people_hear_is_one_line() -> None:
    scene = Scene(lang=Lang.EN)
    data = {"rental_id": "r", "bank": {"id": "NJL-01"}, "state": "requested"}
    for who in ("Ming", "Wang", "Ming"):
        scene.hear(who, "rental.requested", data, at=NOW)
    assert [line.hearers for line in scene.news] == [("Ming", "Wang")]
    scene.hear("Ming", "rental.requested", data, at=NOW + timedelta(minutes=1))
    assert len(scene.news) == 2


def test_the_table_follows_a_rental_by_its_news() -> None:
    scene = Scene(lang=Lang.EN)
    about = {"rental_id": "r", "bank": {"id": "NJL-01"}}
    scene.hear("Lin", "rental.renting", {**about, "state": "renting"}, at=NOW)
    assert scene.rentals == {"NJL-01": "renting"}
    scene.hear("Lin", "payment.paid", {"rental_id": "r"}, at=NOW)
    assert scene.news[0].about == "NJL-01"
    scene.hear("Lin", "rental.completed", {**about, "state": "completed"}, at=NOW)
    assert scene.rentals == {}


@pytest.mark.parametrize("lang", Lang)
def test_the_end_shows_the_receipt_and_every_link_whole(lang: Lang) -> None:
    scene = a_scene(lang, steps=len(STEPS))
    scene.receipt = receipt(RENTAL, lang, span="08:30:00 - 08:30:03")
    url = f"http://127.0.0.1:8000/b/{'x' * 43}"
    scene.links = Links(rows=(("label", url), *(("more", str(n)) for n in range(4))))
    text = "\n".join(lines := drawn(scene))
    assert len(lines) == show.HEIGHT
    for part in (RENTAL["id"], "¥1.50", "¥3.00", "¥4.50", "¥99.00", url):
        assert part in text


def test_amounts_of_a_receipt_stand_under_each_other() -> None:
    slip = receipt(RENTAL, Lang.ZH, span="")
    lines = [line for line in show.receipt(slip, width=40) if "¥" in line.plain][:-1]
    assert [line.cell_len for line in lines] == [40, 40, 40]


def test_a_step_is_one_plain_line() -> None:
    scene = a_scene(Lang.EN, steps=1)
    line = show.plain_step(scene.steps[0], of=18)
    assert line.startswith("✓  1/18")
    assert "Lin scans the label of NJL-01 · Ming's Power Banks: 59 % charged" in line
    scene.step_ends("no", mood=Mood.FAILED)
    assert show.plain_step(scene.steps[0], of=18).startswith("✗  1/18")


def test_the_picture_loads_nothing_from_anywhere() -> None:
    svg = picture(a_scene(Lang.EN, steps=12))
    assert svg.startswith("<svg")
    assert "NJL-01" in svg
    assert "url(&quot;http" not in svg
    assert 'url("http' not in svg
    assert "@font-face" not in svg
    assert len(svg) < 150_000
