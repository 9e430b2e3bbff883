"""Many banks from a file: each row by itself, and the same file harmlessly again."""

import csv
import io
from typing import Any

import pytest
from httpx2 import Response

from backend.ids import new_id
from tests.integration.merchant.conftest import Shop, code_of

HEADER = "bank_id,model,batch\n"


def sent(shop: Shop, body: str | bytes, *, accept: str = "*/*", who: str = "owner") -> Response:
    headers = {
        "authorization": f"Bearer {shop.world.people[who].token}",
        "accept-language": "en",
        "content-type": "text/csv",
        "accept": accept,
        "idempotency-key": new_id(),
    }
    content = body.encode() if isinstance(body, str) else body
    path = f"/api/v1{shop.path('/banks/import')}"
    return shop.world.client.post(path, content=content, headers=headers)


def told(answer: Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_bank_of_a_file_is_registered_with_a_secret_of_its_own(shop: Shop) -> None:
    done = told(sent(shop, HEADER + "LW-0101,LW-10K-A,W40\nLW-0102,LW-20K-B,\n"))

    assert (done["registered"], done["known"], done["refused"]) == (2, 0, 0)
    assert [item["line"] for item in done["items"]] == [2, 3]
    assert len({item["secret"] for item in done["items"]} - {None}) == 2
    assert all("/b/" in item["qr_url"] for item in done["items"])
    assert shop.bank("LW-0101")["batch"] == "W40"
    assert shop.sees("/banks")["totals"]["all"] == 3


def test_a_file_from_a_spreadsheet_with_a_mark_is_read(shop: Shop) -> None:
    body = b"\xef\xbb\xbf" + b"bank_id,model,batch\r\nLW-0101,LW-10K-A,W40\r\n"
    assert told(sent(shop, body))["registered"] == 1


def test_one_bad_row_stops_no_other_and_says_where_and_why(shop: Shop) -> None:
    body = HEADER + "LW-0101,LW-10K-A,\nlw 1,LW-10K-A,\nLW-0102\nLW-0103,LW-10K-A,\nLW-0101,X,\n"
    done = told(sent(shop, body))

    assert (done["registered"], done["refused"]) == (2, 3)
    faults = [
        (item["line"], fault["column"], fault["code"])
        for item in done["items"]
        for fault in item["faults"]
    ]
    assert faults == [
        (3, "bank_id", "csv_bad_bank_id"),
        (4, "", "csv_row_width"),
        (6, "bank_id", "csv_repeated"),
    ]
    texts = [fault["text"] for item in done["items"] for fault in item["faults"]]
    assert texts[2].endswith("LW-0101 is on line 2 already.")


def test_the_reader_is_told_in_their_language(shop: Shop) -> None:
    answer = shop.in_chinese("POST", "/banks/import", content=(HEADER + "x,LW-10K-A,\n").encode())
    assert "大寫字母" in answer.json()["items"][0]["faults"][0]["text"]


def test_the_same_file_again_registers_nothing_twice(shop: Shop) -> None:
    body = HEADER + "LW-0101,LW-10K-A,W40\nLW-0102,LW-10K-A,W40\n"
    first = told(sent(shop, body))
    again = told(sent(shop, body))

    assert (again["registered"], again["known"], again["refused"]) == (0, 2, 0)
    assert [item["secret"] for item in again["items"]] == [None, None]
    assert first["items"][0]["secret"] not in str(again)
    assert shop.sees("/banks")["totals"]["all"] == 3


def test_somebody_elses_bank_is_refused_like_any_that_is_taken(shop: Shop) -> None:
    world = shop.world
    other = Shop(world=world, id=second_market(shop))
    done = told(sent(other, HEADER + "LW-0001,LW-10K-A,\nLW-0101,LW-10K-A,\n"))

    assert [item["outcome"] for item in done["items"]] == ["refused", "registered"]
    assert done["items"][0]["faults"][0]["code"] == "bank_already_registered"


def second_market(shop: Shop) -> str:
    """Another merchant of the same owner."""
    mine = shop.sees("")
    names = ("timezone", "currency", "lat", "lng", "address", "service_radius_m")
    body = {name: mine[name] for name in names} | {"name": "小紅"}
    made = shop.owner.did("/merchants", body)["id"]
    operator = shop.world.people["operator"]
    operator.did(f"/operator/merchants/{made}/approve", {"reason": "papers checked"})
    return str(made)


def test_the_answer_can_be_a_table_that_starts_no_formula(shop: Shop) -> None:
    body = HEADER + "LW-0101,LW-10K-A,\n=cmd|' /C calc'!A0,LW-10K-A,\n+1,LW-10K-A,\n"
    answer = sent(shop, body, accept="text/csv")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert header == ["line", "bank_id", "outcome", "secret", "qr_url", "problem"]
    assert [row[2] for row in rows] == ["registered", "refused", "refused"]
    assert rows[0][3] in answer.text
    assert rows[1][1].startswith("'=cmd")
    assert rows[2][1] == "'+1"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"\xff\xfe\x00", 422, "csv_unreadable"),
        (b"id,model\nLW-0101,A\n", 422, "csv_bad_header"),
        (b"", 422, "csv_bad_header"),
        (HEADER.encode() + b"A,B,C\n" * 2001, 413, "csv_too_many_rows"),
        (HEADER.encode() + b"x" * 70_000, 413, "too_large"),
    ],
)
def test_a_file_that_cannot_be_taken_in_is_refused_whole(
    shop: Shop, body: bytes, status: int, code: str
) -> None:
    assert code_of(sent(shop, body)) == (status, code)
    assert shop.sees("/banks")["totals"]["all"] == 1


def test_no_more_banks_are_taken_in_than_one_may_have(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.services.imports.BANKS_PER_MERCHANT_MAX", 2)
    done = told(sent(shop, HEADER + "LW-0101,A,\nLW-0102,A,\nLW-0001,A,\n"))
    assert [item["outcome"] for item in done["items"]] == ["registered", "refused", "known"]
    assert done["items"][1]["faults"][0]["code"] == "too_large"


def test_only_an_approved_merchants_owner_may_send_one(shop: Shop) -> None:
    assert code_of(sent(shop, HEADER, who="other")) == (404, "not_found")
    mine = shop.sees("")
    names = ("timezone", "currency", "lat", "lng", "address", "service_radius_m")
    pending = shop.owner.did("/merchants", {name: mine[name] for name in names} | {"name": "新"})
    fresh = Shop(world=shop.world, id=pending["id"])
    assert code_of(sent(fresh, HEADER)) == (409, "merchant_not_approved")
