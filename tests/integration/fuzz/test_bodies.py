"""No body does harm: what is too much, too deep or no JSON is refused, and named.

Nor does one assign what is not its sender's to say: the names of all columns of all tables are
tried on every body, and none is taken that the document does not have.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response
from sqlmodel import SQLModel

import backend.db.tables  # noqa: F401  fills the metadata
from tests.integration.fuzz.conftest import Stage, code_of

COLUMNS = {column.name for table in SQLModel.metadata.tables.values() for column in table.columns}


def refused(answer: Response, *statuses: int) -> bool:
    return answer.status_code in statuses and code_of(answer) != ""


# -- what is no body -----------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "five megabytes": (b'{"reason": "' + b"x" * 5_000_000 + b'"}', {}, 413),
    "ten thousand brackets": (b"[" * 10_000 + b"]" * 10_000, {}, 400),
    "ten thousand objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, {}, 400),
    "not UTF-8": (b'{"reason": "\xff\xfe"}', {}, 400),
    "a number of ten thousand digits": (b"1" * 10_000, {}, 400),
    "nothing but a blank": (b" ", {}, 400),
    "not JSON": (b"reason=x", {}, 400),
    "NaN": (b'{"lat": NaN, "lng": Infinity, "amount_minor": -Infinity}', {}, 422),
    "a list": (b"[]", {}, 422),
    "a word": (b'"reason"', {}, 422),
    "gzip": (gzip.compress(b'{"reason": "x"}'), {"content-encoding": "gzip"}, 400),
    "a form": (b"reason=x", {"content-type": "application/x-www-form-urlencoded"}, 422),
    "text": (b'{"reason": "x"}', {"content-type": "text/plain"}, 422),
    "a type that is none": (b'{"reason": "x"}', {"content-type": ";"}, 422),
}


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_body_is_refused_by_every_route(stage: Stage, body: str) -> None:
    content, headers, status = BODIES[body]
    answers = {path: stage.send(path, content, **headers) for path, _, _ in stage.bodies()}

    assert {
        path: answer.text for path, answer in answers.items() if not refused(answer, status)
    } == {}


def test_an_empty_body_is_refused_where_one_is_needed(stage: Stage) -> None:
    told = {
        path: stage.send(path, b"").status_code
        for path, operation, _ in stage.bodies()
        if operation["requestBody"].get("required")
    }

    assert set(told.values()) == {422}


def test_of_a_key_that_is_there_twice_the_last_counts(stage: Stage) -> None:
    good, bad = b'{"reason": 7, "reason": "papers"}', b'{"reason": "papers", "reason": 7}'
    path = "/api/v1/operator/merchants/{merchant_id}/suspend"

    assert stage.send(path, good).status_code == 200
    assert refused(stage.send(path, bad), 422)


# -- what is not the sender's to say -------------------------------------------------------


def objects(
    stage: Stage, schema: Any, value: Any, where: str
) -> Iterator[tuple[str, Any, set[str]]]:
    """Each object in a body: where it is, the object itself, the names that it may have."""
    if "$ref" in schema:
        named = stage.doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        yield from objects(stage, named, value, where)
    for choice in schema.get("anyOf", []):
        yield from objects(stage, choice, value, where)
    if "properties" in schema and isinstance(value, dict):
        yield where, value, set(schema["properties"])
        for name, field in schema["properties"].items():
            if name in value:
                yield from objects(stage, field, value[name], f"{where}.{name}")


def test_no_body_takes_a_column_that_the_document_does_not_have(stage: Stage) -> None:
    assert len(COLUMNS) > 100
    taken = {}
    for path, _, schema in stage.bodies():
        body = stage.example(schema)
        for where, found, names in objects(stage, schema, body, "body"):
            extra = dict.fromkeys(COLUMNS - names, "x")
            found.update(extra)
            answer = stage.post(path, body)
            for name in extra:
                del found[name]
            told = {each["field"] for each in answer.json().get("errors", [])}
            missed = {f"{where}.{name}" for name in extra} - told
            if answer.status_code != 422 or missed:
                taken[path, where] = (answer.status_code, missed)

    assert taken == {}


def test_every_body_with_an_example_alone_is_let_in(stage: Stage) -> None:
    """Else the test above would prove nothing."""
    kept_out = {}
    for path, _, schema in stage.bodies():
        answer = stage.post(path, stage.example(schema))
        if code_of(answer) in {"invalid_request", "malformed", "not_found"}:
            kept_out[path] = answer.text

    assert kept_out == {}


# -- numbers and text ----------------------------------------------------------------------

NUMBERS = [0, -1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 1e300, 0.5]
TEXTS = ["\x00", "\ud800", "x" * 60_000, "\u202e", "'; DROP TABLE rental; --"]


@dataclass(frozen=True)
class Field:
    """One value in a body that would do."""

    stage: Stage
    path: str
    body: Any
    within: dict[str, Any]
    name: str

    @property
    def value(self) -> Any:
        return self.within[self.name]

    def post(self, value: Any) -> Response:
        """Send the body with another value here."""
        before = self.value
        self.within[self.name] = value
        answer = self.stage.post(self.path, self.body)
        self.within[self.name] = before
        return answer


def fields(stage: Stage, kind: type) -> Iterator[Field]:
    """Each field of this kind in a body."""
    for path, _, schema in stage.bodies():
        body = stage.example(schema)
        for _, within, _ in list(objects(stage, schema, body, "body")):
            for name, value in list(within.items()):
                if type(value) is kind:
                    yield Field(stage, path, body, within, name)


def test_no_number_is_too_large_for_us(either_stage: Stage) -> None:
    """Beyond 2^53, a program that reads JSON's numbers as doubles reads another one."""
    wrong = {}
    for field in fields(either_stage, int):
        is_amount = field.name.endswith("_minor") and not field.path.endswith("/preview")
        for number in NUMBERS:
            answer = field.post(number)
            is_none = number > 2**53 or isinstance(number, float) or (is_amount and number < 0)
            if answer.status_code >= 500 or (is_none and not refused(answer, 422)):
                wrong[field.path, field.name, number] = answer.text

    assert wrong == {}


def test_every_amount_that_is_taken_was_tried(stage: Stage) -> None:
    taken = {
        name
        for schema in stage.doc["components"]["schemas"].values()
        if schema.get("additionalProperties") is False
        for name in schema["properties"]
        if name.endswith("_minor")
    }

    assert taken
    assert taken <= {field.name for field in fields(stage, int)}


@pytest.mark.parametrize("kind", [str, list, dict])
def test_no_text_is_too_much_for_us(either_stage: Stage, kind: type) -> None:
    wrong = {}
    for field in fields(either_stage, kind):
        for text in TEXTS:
            answer = field.post(_with(field.value, text))
            if answer.status_code >= 500 or (text == TEXTS[0] and not refused(answer, 422)):
                wrong[field.path, field.name, text[:10]] = answer.text

    assert wrong == {}


def _with(value: Any, text: str) -> Any:
    """The value, with this text for each text in it."""
    if isinstance(value, dict):
        return {key: _with(each, text) for key, each in value.items()} | {text: []}
    if isinstance(value, list):
        return [_with(each, text) for each in value]
    return text
