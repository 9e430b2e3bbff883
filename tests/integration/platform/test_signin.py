"""Signing in, staying signed in, and being signed out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from backend.api.deps import Parts
from backend.db import oversight, people
from backend.db.engine import Database
from backend.db.tables.people import Person, SigninCode
from backend.services.signin import Tokens
from tests.integration.platform.conftest import OPERATOR, PHONE, HandClock, Phones, sign_in


def guess(client: Any, code: str) -> Any:
    return client.post("auth/tokens", json={"phone": PHONE, "code": code})


def a_wrong_one(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_a_code_signs_in_and_makes_the_person(client: TestClient, phones: Phones) -> None:
    tokens = sign_in(client, phones)

    me = client.get("me").json()
    assert me["phone"] == PHONE
    assert me["scopes"] == ["merchant", "renter"]
    assert me["merchant_ids"] == ["m1"]
    assert tokens["token_type"] == "Bearer"


def test_the_second_sign_in_finds_the_same_person(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones)
    first = client.get("me").json()["id"]
    sign_in(client, phones)

    assert client.get("me").json()["id"] == first


def test_a_phone_may_be_written_as_people_write_it(client: TestClient, phones: Phones) -> None:
    client.post("auth/codes", json={"phone": "0086 138-0013 8000"})

    assert PHONE in phones.codes


def test_an_operator_is_one_by_phone(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones, OPERATOR)

    assert "operator" in client.get("me").json()["scopes"]


def test_a_code_is_good_once(client: TestClient, phones: Phones) -> None:
    client.post("auth/codes", json={"phone": PHONE})
    assert guess(client, phones.read(PHONE)).status_code == 200

    again = guess(client, phones.read(PHONE))
    assert again.status_code == 401
    assert again.json()["code"] == "sign_in_code_expired"


def test_a_code_ends_after_five_minutes(
    client: TestClient, phones: Phones, clock: HandClock
) -> None:
    client.post("auth/codes", json={"phone": PHONE})
    clock.turn(minutes=5)

    assert guess(client, phones.read(PHONE)).json()["code"] == "sign_in_code_expired"


def test_only_the_newest_code_is_good(client: TestClient, phones: Phones, clock: HandClock) -> None:
    client.post("auth/codes", json={"phone": PHONE})
    first = phones.read(PHONE)
    clock.turn(seconds=1)
    client.post("auth/codes", json={"phone": PHONE})

    if first != phones.read(PHONE):
        assert guess(client, first).json()["code"] == "sign_in_code_wrong"
    assert guess(client, phones.read(PHONE)).status_code == 200


def test_five_wrong_guesses_lock_the_code(client: TestClient, phones: Phones) -> None:
    client.post("auth/codes", json={"phone": PHONE})
    code = phones.read(PHONE)

    left = [guess(client, a_wrong_one(code)).json()["facts"]["tries_left"] for _ in range(5)]

    assert left == [4, 3, 2, 1, 0]
    assert guess(client, code).json()["code"] == "sign_in_code_expired"


def test_guessing_in_parallel_gains_no_tries(
    live: httpx.Client, phones: Phones, database: Database
) -> None:
    live.post("auth/codes", json={"phone": PHONE})
    wrong = a_wrong_one(phones.read(PHONE))

    with ThreadPoolExecutor(20) as guessers:
        answers = list(guessers.map(lambda _: guess(live, wrong).json()["code"], range(40)))

    assert answers.count("sign_in_code_wrong") == 5
    assert answers.count("sign_in_code_expired") == 35
    with database.reading() as session:
        assert session.exec(select(SigninCode)).one().tries == 5


def test_the_right_code_used_in_parallel_signs_in_once(live: httpx.Client, phones: Phones) -> None:
    live.post("auth/codes", json={"phone": PHONE})
    code = phones.read(PHONE)

    with ThreadPoolExecutor(10) as people:
        answers = list(people.map(lambda _: guess(live, code).status_code, range(10)))

    assert sorted(answers) == [200] + [401] * 9


def test_codes_per_phone_are_capped_for_the_hour(client: TestClient, clock: HandClock) -> None:
    sent = [client.post("auth/codes", json={"phone": PHONE}) for _ in range(6)]

    assert [answer.status_code for answer in sent] == [202] * 5 + [429]
    assert sent[-1].headers["retry-after"] == "3601"
    clock.turn(hours=1)
    assert client.post("auth/codes", json={"phone": PHONE}).status_code == 202


def test_codes_per_address_are_capped_over_many_phones(client: TestClient) -> None:
    sent = [
        client.post("auth/codes", json={"phone": f"+861380013{number:04}"}).status_code
        for number in range(31)
    ]

    assert sent == [202] * 30 + [429]


def test_the_database_does_not_hold_the_code(
    client: TestClient, phones: Phones, database: Database
) -> None:
    client.post("auth/codes", json={"phone": PHONE})

    with database.reading() as session:
        row = session.exec(select(SigninCode)).one()
    assert phones.read(PHONE) not in row.model_dump_json()


def test_only_a_demo_tells_the_code_in_its_answer(
    client: TestClient, phones: Phones, parts: Parts
) -> None:
    told = client.post("auth/codes", json={"phone": PHONE}).json()
    assert told == {"expires_in_s": 300, "demo_code": phones.read(PHONE)}

    object.__setattr__(parts, "settings", parts.settings.model_copy(update={"demo": False}))
    assert client.post("auth/codes", json={"phone": PHONE}).json() == {"expires_in_s": 300}


def test_an_access_token_ends(client: TestClient, phones: Phones, clock: HandClock) -> None:
    sign_in(client, phones)
    clock.turn(seconds=599)
    assert client.get("me").status_code == 200

    clock.turn(seconds=1)
    answer = client.get("me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def claims(**changed: object) -> dict[str, object]:
    now = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    whole = {
        "iss": "lendwatt",
        "aud": "lendwatt-api",
        "sub": "somebody",
        "sid": "something",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


@pytest.mark.parametrize(
    "forged",
    [
        jwt.encode(claims(), "x" * 64, algorithm="HS256"),
        jwt.encode(claims(), None, algorithm="none"),
        "",
        "a.b.c",
        "🔋",
    ],
)
def test_a_token_that_is_not_ours_is_refused(client: TestClient, forged: str) -> None:
    answer = client.get("me", headers={"authorization": f"Bearer {forged}".encode()})

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 2**70},
        {"iat": None},
        {"sub": None},
        {"sub": 7},
        {"sid": None},
        {"aud": None},
        {"iss": None},
    ],
)
def test_a_token_with_other_claims_is_refused(
    client: TestClient, parts: Parts, changed: dict[str, object]
) -> None:
    token = jwt.encode(claims(**changed), parts.tokens.secret, algorithm="HS256")

    answer = client.get("me", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_in_another_algorithm_is_refused(parts: Parts, client: TestClient) -> None:
    token = jwt.encode(claims(), parts.tokens.secret, algorithm="HS512")

    assert client.get("me", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_a_good_token_of_nobody_is_refused(
    client: TestClient, parts: Parts, clock: HandClock
) -> None:
    token = parts.tokens.issue(person_id="somebody", sign_in_id="something", now=clock.now())

    answer = client.get("me", headers={"authorization": f"Bearer {token}"})
    assert answer.json()["code"] == "session_ended"


def test_a_refresh_token_gives_the_next(client: TestClient, phones: Phones) -> None:
    first = sign_in(client, phones)

    second = client.post("auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert second["refresh_token"] != first["refresh_token"]
    client.headers["authorization"] = f"Bearer {second['access_token']}"
    assert client.get("me").status_code == 200


def test_an_old_refresh_token_signs_the_device_out(client: TestClient, phones: Phones) -> None:
    first = sign_in(client, phones)["refresh_token"]
    second = client.post("auth/refresh", json={"refresh_token": first}).json()["refresh_token"]

    assert client.post("auth/refresh", json={"refresh_token": first}).status_code == 401

    assert client.post("auth/refresh", json={"refresh_token": second}).status_code == 401
    assert client.get("me").json()["code"] == "session_ended"


def test_who_knows_a_device_by_name_only_can_not_sign_it_out(
    client: TestClient, phones: Phones
) -> None:
    token = sign_in(client, phones)["refresh_token"]
    sign_in_id, chance, mark = token.split(".")
    for forged in (
        f"{sign_in_id}.garbage",
        f"{sign_in_id}.{chance[::-1]}.{mark}",
        sign_in_id,
        "é..",
    ):
        client.post("auth/logout", json={"refresh_token": forged})
        assert client.post("auth/refresh", json={"refresh_token": forged}).status_code == 401
    assert client.post("auth/refresh", json={"refresh_token": token}).status_code == 200


def test_a_refresh_token_used_in_parallel_serves_one(live: httpx.Client, phones: Phones) -> None:
    token = sign_in(live, phones)["refresh_token"]

    with ThreadPoolExecutor(8) as thieves:
        answers = list(
            thieves.map(
                lambda _: live.post("auth/refresh", json={"refresh_token": token}).status_code,
                range(8),
            )
        )

    assert sorted(answers) == [200] + [401] * 7
    assert live.get("me").status_code == 401


def test_a_refresh_token_lapses(client: TestClient, phones: Phones, clock: HandClock) -> None:
    token = sign_in(client, phones)["refresh_token"]
    clock.turn(days=30)

    assert client.post("auth/refresh", json={"refresh_token": token}).status_code == 401


def test_signing_out_works_at_once_and_twice(client: TestClient, phones: Phones) -> None:
    token = sign_in(client, phones)["refresh_token"]

    assert client.post("auth/logout", json={"refresh_token": token}).status_code == 204
    assert client.get("me").json()["code"] == "session_ended"
    assert client.post("auth/logout", json={"refresh_token": token}).status_code == 204
    assert client.post("auth/refresh", json={"refresh_token": token}).status_code == 401


def test_signing_one_device_out_leaves_the_other(client: TestClient, phones: Phones) -> None:
    first = sign_in(client, phones)
    sign_in(client, phones)

    client.post("auth/logout", json={"refresh_token": first["refresh_token"]})

    assert client.get("me").status_code == 200


def test_the_person_is_written_to_in_the_language_they_signed_in_with(
    client: TestClient, phones: Phones, database: Database
) -> None:
    client.headers["accept-language"] = "zh-TW,zh;q=0.9,en;q=0.5"
    sign_in(client, phones)

    with database.reading() as session:
        assert session.exec(select(Person)).one().language == "zh"


def test_a_code_hash_needs_the_servers_secret() -> None:
    ours, theirs = (Tokens(secret=secret, access_s=1, page_s=1) for secret in ("a" * 32, "b" * 32))

    assert ours.hash_of_code(code_id="1", code="123456") != theirs.hash_of_code(
        code_id="1", code="123456"
    )


def test_an_operator_is_one_no_more_when_suspended_or_not_named_any_more(
    client: TestClient, phones: Phones, database: Database, clock: HandClock
) -> None:
    sign_in(client, phones, OPERATOR)
    person_id = client.get("me").json()["id"]
    with database.writing() as session:
        oversight.suspend(session, person_id, now=clock.now())
    assert "operator" not in client.get("me").json()["scopes"]
    with database.writing() as session:
        oversight.resume(session, person_id)
    assert "operator" in client.get("me").json()["scopes"]
    with database.writing() as session:
        people.dismiss_operators(session, but={PHONE})
    assert "operator" not in client.get("me").json()["scopes"]
