"""A POST that is sent again: one effect, one answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from backend.db import idempotency
from backend.db.engine import Database
from tests.integration.platform.conftest import OPERATOR, HandClock, Phones, sign_in


@pytest.fixture(autouse=True)
def _signed_in(client: TestClient, phones: Phones) -> None:
    sign_in(client, phones)


def write(client: Any, text: str = "hello", key: str = "k1") -> Any:
    return client.post("notes", json={"text": text}, headers={"Idempotency-Key": key})


def effects(client: Any) -> int:
    count: int = client.get("me").json()["last_event_id"]
    return count


def test_the_same_key_and_body_get_the_same_bytes(client: TestClient, clock: HandClock) -> None:
    first = write(client)
    clock.turn(seconds=30)
    second = write(client)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"]
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert effects(client) == 1


def test_another_key_is_another_thing(client: TestClient) -> None:
    write(client, key="k1")
    write(client, key="k2")

    assert effects(client) == 2


def test_the_same_key_with_another_body_is_refused(client: TestClient) -> None:
    write(client, text="hello")
    answer = write(client, text="good-bye")

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert effects(client) == 1


def test_another_person_may_use_the_same_key(client: TestClient, phones: Phones) -> None:
    write(client)
    sign_in(client, phones, OPERATOR)

    assert "idempotency-replayed" not in write(client).headers
    assert effects(client) == 1


def test_a_post_without_a_key_is_refused(client: TestClient) -> None:
    answer = client.post("notes", json={})

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "two words"])
def test_an_odd_key_is_refused(client: TestClient, key: str) -> None:
    answer = write(client, key=key)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.Idempotency-Key"


def test_a_key_is_not_asked_of_a_get(client: TestClient) -> None:
    assert client.get("notes/1").status_code == 200


def test_a_refusal_keeps_neither_effect_nor_key(client: TestClient) -> None:
    assert write(client, text="refuse").status_code == 404

    assert effects(client) == 0
    assert write(client, text="hello").status_code == 201


def test_a_refusal_that_is_a_fact_is_kept_and_told_again(client: TestClient) -> None:
    first = write(client, text="refuse, but keep")
    second = write(client, text="refuse, but keep")

    assert first.status_code == 422
    assert first.json()["facts"] == {"tries_left": 3}
    assert first.content == second.content
    assert second.headers["content-type"] == "application/problem+json"
    assert effects(client) == 1


def test_a_body_that_is_not_valid_uses_no_key_up(client: TestClient) -> None:
    assert client.post("notes", json={"text": 1}, headers={"Idempotency-Key": "k1"}).is_error
    assert write(client).status_code == 201


def test_a_failure_keeps_neither_effect_nor_key(client: TestClient) -> None:
    assert write(client, text="break").status_code == 500

    assert effects(client) == 0
    assert write(client).status_code == 201


def test_fifty_at_once_have_one_effect(live: httpx.Client, phones: Phones) -> None:
    sign_in(live, phones)

    with ThreadPoolExecutor(50) as senders:
        answers = list(senders.map(lambda _: write(live), range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert effects(live) == 1


def test_an_old_answer_is_forgotten(
    client: TestClient, database: Database, clock: HandClock
) -> None:
    write(client)
    with database.writing() as session:
        idempotency.prune(session, before=clock.now() + timedelta(seconds=1))
    write(client)

    assert effects(client) == 2
