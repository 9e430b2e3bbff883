"""What a choice among many merchants asks of the database does not grow with how many there are."""

import random
from pathlib import Path

import pytest
from sqlalchemy import event

from backend.services import choice
from tests.benchmarks.choosing import NOW, build, place


@pytest.mark.parametrize("merchants", [200, 5_000])
def test_a_choice_asks_a_bounded_number_of_questions(tmp_path: Path, merchants: int) -> None:
    database = build(tmp_path / "city.sqlite", merchants=merchants)
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *how: asked.append(how[2]))
    luck = random.Random(3)  # noqa: S311
    for _ in range(20):
        wanted = choice.Wanted(here=place(luck), currency="CNY", min_battery_pct=50)
        with database.reading() as session:
            asked.clear()
            found = choice.candidates(session, wanted, now=NOW)
        assert len(asked) <= 40
        assert len(found) <= choice.ENOUGH + choice.AT_ONCE
    database.engine.dispose()
