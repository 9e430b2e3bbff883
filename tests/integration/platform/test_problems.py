"""Whatever goes wrong is told as a problem, in the reader's language, without our insides."""

import json
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from backend.api.errors import STATUS
from backend.api.words import FIELD_WORDS, NAMES, WORDS, EdgeCode, language, names, words
from backend.db import engine
from backend.db.engine import Database
from backend.db.tables.market import MerchantStatus
from backend.db.tables.rentals import JobState
from backend.domain.custody import Holder, Proof
from backend.domain.deposit import DepositState
from backend.domain.errors import Code
from backend.domain.hours import Day, HoursProblem
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.domain.rental import RentalState
from backend.settings import Settings
from tests.integration.platform.conftest import PHONE, Phones, sign_in

CODES = [*Code, *EdgeCode]
NAMED = sorted(
    {
        *WhyNot,
        *RentalState,
        *DepositState,
        *Holder,
        *Proof,
        *JobState,
        *MerchantStatus,
        *Day,
        *HoursProblem,
    }
)
"""What may stand inside a sentence."""


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_status_and_words_in_both_languages(code: Code | EdgeCode) -> None:
    assert 400 <= STATUS[code] < 600
    for lang in Lang:
        text = WORDS[code][lang]
        assert text.title
        assert text.detail
    assert WORDS[code][Lang.ZH] != WORDS[code][Lang.EN]


@pytest.mark.parametrize("word", NAMED)
def test_every_reason_and_state_has_a_name_in_both_languages(word: str) -> None:
    assert NAMES[word][0] != NAMES[word][1]


def test_every_field_problem_is_in_both_languages() -> None:
    assert all(zh != en for zh, en in FIELD_WORDS.values())


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        (None, Lang.EN),
        ("", Lang.EN),
        ("zh", Lang.ZH),
        ("zh-TW,en;q=0.9", Lang.ZH),
        ("en;q=0.5, zh-CN", Lang.ZH),
        ("fr, zh;q=0.3, en;q=0.2", Lang.ZH),
        ("fr", Lang.EN),
        ("zh;q=0", Lang.EN),
        ("EN-gb", Lang.EN),
        (";;;,q=,zh;q=x", Lang.ZH),
    ],
)
def test_the_reader_chooses_the_language(header: str | None, lang: Lang) -> None:
    assert language(header) is lang


def test_codes_inside_a_sentence_are_words() -> None:
    why = f"{WhyNot.LOW},{WhyNot.CLOSED}"

    assert words(Code.BANK_UNAVAILABLE, Lang.EN, {"why": why}).detail.startswith(
        "Because its battery is low, its merchant is closed."
    )
    assert "電量不足、商戶已打烊" in words(Code.BANK_UNAVAILABLE, Lang.ZH, {"why": why}).detail
    assert names([Code.TARIFF_GAP], Lang.EN) == ["The tariff has a gap"]


def test_a_fact_that_is_missing_does_not_break_the_sentence() -> None:
    assert "…" in words(Code.BANK_UNAVAILABLE, Lang.EN, {}).detail


def the_problem(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == f"urn:lendwatt:problem:{told['code']}"
    return told


def test_a_refusal_is_a_problem_in_the_readers_language(client: TestClient) -> None:
    zh = client.get("me", headers={"accept-language": "zh"})
    en = client.get("me", headers={"accept-language": "en"})

    assert the_problem(zh)["title"] == "請先登入"
    assert the_problem(en)["title"] == "Sign in first"
    assert (zh.headers["content-language"], en.headers["content-language"]) == ("zh", "en")
    assert zh.headers["vary"] == "Accept-Language"


def test_an_invalid_body_names_each_field(client: TestClient) -> None:
    body = {"phone": "12", "code": 5, "extra": 1}
    told = the_problem(client.post("auth/tokens", json=body, headers={"accept-language": "zh"}))

    assert told["code"] == "invalid_request"
    assert told["errors"] == [
        {"field": "body.phone", "problem": "格式不正確"},
        {"field": "body.code", "problem": "應為文字"},
        {"field": "body.extra", "problem": "不認識這一項"},
    ]


@pytest.mark.parametrize("bad", ["\x00", "\ud800"])
def test_text_that_cannot_be_stored_is_invalid(client: TestClient, bad: str) -> None:
    body = json.dumps({"refresh_token": bad})
    answer = client.post("auth/logout", content=body, headers={"content-type": "application/json"})

    assert the_problem(answer)["code"] == "invalid_request"


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[" * 1_900, b'{"phone": "\xc3\x28"}'], ids=range(4)
)
def test_a_body_that_is_not_json_is_400(client: TestClient, body: bytes) -> None:
    answer = client.post("auth/codes", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert the_problem(answer)["code"] == "malformed"


def test_a_path_that_is_not_there_is_404(client: TestClient) -> None:
    assert the_problem(client.get("nowhere"))["code"] == "not_found"


def test_a_method_that_is_not_there_is_405_and_says_which_are(client: TestClient) -> None:
    answer = client.delete("me")

    assert the_problem(answer)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET"


def test_a_body_that_says_it_is_too_large_is_413(live: httpx.Client) -> None:
    answer = live.post("auth/codes", content=b"x" * 2_001)

    assert answer.status_code == 413
    assert the_problem(answer)["code"] == "too_large"


def test_a_body_that_turns_out_too_large_is_413(live: httpx.Client) -> None:
    answer = live.post(
        "auth/codes",
        content=iter([b"x" * 1_000] * 3),
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 413
    assert the_problem(answer)["code"] == "too_large"


def test_our_own_fault_shows_nothing_of_our_insides(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones)
    answer = client.post("notes", json={"text": "break"}, headers={"Idempotency-Key": "k"})

    assert answer.status_code == 500
    assert the_problem(answer)["code"] == "internal"
    assert "secret insides" not in answer.text


def test_a_busy_database_is_503_and_says_when_to_come_again(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    database.engine.dispose()
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    other = engine.make_engine(settings.url_of_database())
    with other.begin() as hog:  # SQLite's one writer
        if hog.dialect.name == "postgresql":
            hog.exec_driver_sql("LOCK TABLE signin_code")
        answer = client.post("auth/codes", json={"phone": PHONE})
    other.dispose()

    assert answer.status_code == 503
    assert the_problem(answer)["code"] == "try_again"
    assert answer.headers["retry-after"] == "1"
    assert client.post("auth/codes", json={"phone": PHONE}).status_code == 202


@pytest.mark.parametrize(
    ("database_kind", "status", "code"),
    [("postgresql", 503, "try_again"), ("sqlite", 500, "internal")],
)
def test_where_many_write_at_once_a_clash_is_to_be_tried_again(
    client: TestClient, phones: Phones, status: int, code: str
) -> None:
    """With one writer at a time there is no clash: there it is a bug of ours."""
    sign_in(client, phones)
    first, second = (
        client.post("notes", json={"text": "clash"}, headers={"Idempotency-Key": key})
        for key in ("k1", "k2")
    )

    assert first.status_code == 201
    assert (second.status_code, the_problem(second)["code"]) == (status, code)


def test_a_get_cannot_write(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones)

    assert client.get("notes/-1").status_code == 503
    assert client.get("me").json()["last_event_id"] == 0
