"""What shows a secret is done once under one key, and shows it once."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from sqlmodel import select

from backend.db.tables.platform import IdempotencyRecord
from backend.ids import new_id
from gateway.tables import BankCredential
from tests.integration.merchant.conftest import Shop, code_of

CSV = "bank_id,model,batch\nLW-0101,LW-10K-A,\n"
Ask = Callable[[Shop, str], Response]


def _report(shop: Shop, key: str) -> Response:
    body = {"bank_id": "LW-0009", "model": "LW-10K-A"}
    return shop.owner.post(shop.path("/banks"), body, key=key)


def _rotate(shop: Shop, key: str) -> Response:
    return shop.owner.post(shop.path("/banks/LW-0001/secret"), key=key)


def _hook(shop: Shop, key: str) -> Response:
    return shop.owner.post(shop.path("/webhooks"), {"url": "https://shop.example/hook"}, key=key)


def _import(shop: Shop, key: str) -> Response:
    headers = {"idempotency-key": key, "content-type": "text/csv"}
    return shop.in_chinese("POST", "/banks/import", content=CSV.encode(), headers=headers)


ALL = pytest.mark.parametrize("ask", [_report, _rotate, _hook, _import])


def _secret(answer: Response) -> str:
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return str(told["secret"] if "secret" in told else told["items"][0]["secret"])


@ALL
def test_a_repeat_does_nothing_and_hears_that_it_is_done(shop: Shop, ask: Ask) -> None:
    key = new_id()
    first = ask(shop, key)
    before = _credentials(shop)
    again = ask(shop, key)

    assert code_of(again) == (409, "already_done")
    assert _secret(first) not in again.text
    assert _credentials(shop) == before


@ALL
def test_no_answer_with_a_secret_is_kept(shop: Shop, ask: Ask) -> None:
    secret = _secret(ask(shop, new_id()))
    with shop.world.database.reading() as session:
        kept = session.exec(select(IdempotencyRecord.body)).all()
    assert not any(secret.encode() in body for body in kept)


def test_a_new_key_makes_a_new_secret(shop: Shop) -> None:
    first, second = _secret(_rotate(shop, new_id())), _secret(_rotate(shop, new_id()))
    assert first != second


def test_a_key_is_for_one_thing_here_too(shop: Shop) -> None:
    key = new_id()
    assert _rotate(shop, key).is_success
    assert code_of(_report(shop, key)) == (422, "idempotency_key_reused")


def test_without_a_key_nothing_is_rotated(shop: Shop) -> None:
    headers = {"authorization": f"Bearer {shop.owner.token}"}
    path = f"/api/v1{shop.path('/banks/LW-0001/secret')}"
    answer = shop.world.client.post(path, headers=headers)
    assert code_of(answer) == (400, "idempotency_key_missing")


def test_what_was_refused_may_be_tried_again_with_its_key(shop: Shop) -> None:
    key = new_id()
    _report(shop, new_id())
    assert code_of(_report(shop, key)) == (409, "bank_already_registered")
    assert code_of(_report(shop, key)) == (409, "bank_already_registered")


def _credentials(shop: Shop) -> list[str]:
    with shop.world.database.reading() as session:
        rows = session.exec(select(BankCredential)).all()
    return sorted(row.model_dump_json() for row in rows)
