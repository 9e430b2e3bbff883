import re
import string

import pytest

from backend.demo import words
from backend.demo.story import STEPS
from backend.domain.lang import Lang
from backend.domain.rental import RentalState
from backend.services.steps import KINDS


def named(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_step_is_told_in_both_languages_with_the_same_facts() -> None:
    assert list(words.STEPS) == [step.name for step in STEPS]
    for name, (title, outcome) in words.STEPS.items():
        for zh, en in (title, outcome):
            assert re.search(r"[\u4e00-\u9fff]", zh), name
            assert not re.search(r"[\u4e00-\u9fff]", en), name
        assert named(title[0]) == named(title[1]), name
        assert named(outcome[0]) <= named(outcome[1]) | {"staff", "owner"}, name


def test_a_title_needs_nothing_that_is_known_only_afterwards() -> None:
    names = {"renter": "R", "owner": "O", "staff": "S", "bank": "B-01"}
    for lang in Lang:
        for step in STEPS:
            assert words.title(step.name, lang, names)


def test_whatever_a_rental_comes_to_has_a_word_as_news_and_in_the_table() -> None:
    over = {RentalState.COMPLETED, RentalState.CANCELLED, RentalState.UNDELIVERABLE}
    for lang in Lang:
        for state, kind in KINDS.items():
            assert words.news(kind, lang) != kind
            assert state in over or words.say(state, lang)


def test_news_without_a_word_are_told_as_they_are() -> None:
    assert words.news("moon.landed", Lang.EN) == "moon.landed"


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({"LANG": "zh_TW.UTF-8"}, Lang.ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, Lang.EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_HK"}, Lang.ZH),
        ({"LANG": "zh_HK", "LC_ALL": ""}, Lang.ZH),
        ({"LANG": "de_DE.UTF-8"}, Lang.EN),
        ({}, Lang.EN),
    ],
)
def test_the_language_is_that_of_the_environment(environment: dict[str, str], lang: Lang) -> None:
    assert words.reader(environment) is lang
