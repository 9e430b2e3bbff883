"""No path, query or header is our fault, on either database: each is refused at the edge.

PostgreSQL refuses what SQLite takes: the character NUL, and numbers beyond its integers.
"""

from collections.abc import Iterator
from itertools import cycle

import pytest

from tests.integration.fuzz.conftest import Operation, Stage

NUL = b"\x00"
NASTY = [
    b"01J9ZV3C8R\x00000000000000000",
    b"x" * 5_000,
    b"9" * 30,
    str(2**63).encode(),
    str(-(2**63)).encode(),
    b"..%2F..%2Fetc",
    b"'; DROP TABLE rental; --",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a surrogate pair
    "\u202e﷽".encode(),
    b"%",
]


def quoted(nasty: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in nasty)


def asked(stage: Stage, where: str) -> Iterator[tuple[str, str, Operation, str, list[bytes]]]:
    """Each parameter in this part of a request, with NUL for it and two others in turn."""
    turns = cycle(NASTY)
    for method, path, operation in stage.operations():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == where:
                yield method, path, operation, parameter["name"], [NUL, next(turns), next(turns)]


def test_a_path_that_cannot_be_is_not_found(either_stage: Stage) -> None:
    told = {}
    for method, path, operation, name, nasties in asked(either_stage, "path"):
        if name == "qr_token":
            continue  # what a camera read: any text
        for nasty in nasties:
            at = either_stage.at(path.replace(f"{{{name}}}", "@"))
            url = at.replace("@", quoted(nasty))
            headers = either_stage.headers(path)
            how = either_stage.json_of(operation)
            answer = either_stage.ask(method, url, headers=headers, **how)
            if answer.status_code != 404:
                told[method, path, name, nasty] = answer.text

    assert told == {}


def test_a_query_that_cannot_be_is_refused_with_its_name(either_stage: Stage) -> None:
    told = {}
    for _, path, _, name, nasties in asked(either_stage, "query"):
        for nasty in nasties:
            url = f"{either_stage.at(path)}?{name}={quoted(nasty)}"
            answer = either_stage.ask("GET", url, headers=either_stage.headers(path))
            is_refused = answer.status_code == 422 and name in answer.text
            if answer.status_code >= 500 or (nasty == NUL and not is_refused):
                told[path, name, nasty] = answer.text

    assert told == {}


def test_what_a_camera_read_may_be_anything(either_stage: Stage) -> None:
    for nasty in [NUL, *NASTY]:
        answer = either_stage.ask("GET", f"/api/v1/qr/{quoted(nasty)}")
        assert answer.status_code in {404, 422}, answer.text


@pytest.mark.parametrize("key", [b"\x80\xff", b"k" * 129, b"a key", b""], ids=range(4))
def test_a_key_that_cannot_be_is_refused(stage: Stage, key: bytes) -> None:
    told = {}
    for path, operation in posts(stage):
        names = {each["name"] for each in operation.get("parameters", [])}
        if "Idempotency-Key" in names:
            headers = {**stage.headers(path), "idempotency-key": key}
            answer = stage.ask("POST", stage.at(path), headers=headers, **stage.json_of(operation))
            if answer.status_code != 422:
                told[path] = answer.text

    assert told == {}


def posts(stage: Stage) -> Iterator[tuple[str, Operation]]:
    for method, path, operation in stage.operations():
        if method == "POST":
            yield path, operation


TOKENS = [b"Bearer \xff", b"Bearer " + b"x" * 10_000, b"Bearer e30.e30.e30", b"Basic e30=", b""]


@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
def test_nobody_is_let_in_with_a_token_that_is_none(stage: Stage, token: bytes) -> None:
    told = {}
    for method, path, operation in stage.operations():
        if operation.get("security") and "{qr_token}" not in path:  # open to all
            headers = {**stage.headers(path), "authorization": token}
            how = stage.json_of(operation)
            answer = stage.ask(method, stage.at(path), headers=headers, **how)
            if answer.status_code != 401 or "www-authenticate" not in answer.headers:
                told[method, path] = answer.text

    assert told == {}
