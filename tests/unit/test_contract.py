"""The published files say what the models say, and what AsyncAPI 3.0.0 allows."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from pydantic import ValidationError

from gateway import contract
from gateway.contract_examples import EXAMPLES
from gateway.protocol import (
    MAX_PAYLOAD_BYTES,
    MODELS,
    AnyMessage,
    BankId,
    Channel,
    Command,
    CommandKind,
    Message,
    Outcome,
    ProtocolError,
    Refused,
    Result,
    State,
    UpdateArgs,
    decode,
    encode,
    topic,
)
from tests.strategies import commands, json_values, messages, update_args

VENDOR = Path(__file__).parents[1] / "vendor" / "asyncapi"
CHANNEL_OF = {model: channel for channel, models in MODELS.items() for model in models}
SCHEMAS = {
    model: Draft202012Validator(contract.schema(model)) for model in (*CHANNEL_OF, UpdateArgs)
}


def document() -> Any:
    return json.loads((contract.HERE / "asyncapi.json").read_text(encoding="utf-8"))


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


# -- the files ------------------------------------------------------------------------


def test_the_committed_files_are_what_the_models_say() -> None:
    assert contract.stale(contract.HERE) == [], "run: python -m gateway.contract"


def test_writing_mends_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "birth.json").write_text("{}", encoding="utf-8")
    (tmp_path / "schemas" / "gone.json").write_text("{}", encoding="utf-8")
    assert {"schemas/birth.json", "schemas/gone.json", "README.md"} <= set(contract.stale(tmp_path))
    contract.write(tmp_path)
    assert contract.stale(tmp_path) == []


def test_the_command_line_checks() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.contract", "--check"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


# -- AsyncAPI -------------------------------------------------------------------------


def test_the_vendored_schema_is_the_published_one() -> None:
    told = re.search("[0-9a-f]{64}", (VENDOR / "README.md").read_text(encoding="utf-8"))
    assert told
    assert hashlib.sha256((VENDOR / "3.0.0.json").read_bytes()).hexdigest() == told[0]


def test_the_document_is_valid_asyncapi() -> None:
    published = json.loads((VENDOR / "3.0.0.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft7Validator(published).iter_errors(document())] == []


def test_an_invalid_document_would_show() -> None:
    published = json.loads((VENDOR / "3.0.0.json").read_text(encoding="utf-8"))
    broken = document()
    broken["operations"]["bankSendsState"]["bindings"]["mqtt"]["qos"] = 3
    assert not Draft7Validator(published).is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    for ref in refs(document()):
        node = document()
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]


def test_the_document_has_every_topic_and_both_sides_of_it() -> None:
    found = document()
    addresses = {channel["address"] for channel in found["channels"].values()}
    assert addresses == {topic(BankId("{bank}"), channel) for channel in Channel}
    actions = sorted((o["channel"]["$ref"], o["action"]) for o in found["operations"].values())
    assert actions == sorted(
        (f"#/channels/{channel}", action) for channel in Channel for action in ("send", "receive")
    )


def test_every_example_of_the_document_is_a_message_of_its_channel() -> None:
    found = document()
    for name, channel in found["channels"].items():
        for ref in channel["messages"].values():
            message = found["components"]["messages"][ref["$ref"].rpartition("/")[2]]
            assert message["examples"]
            for example in message["examples"]:
                read = decode(Channel(name), json.dumps(example["payload"]).encode())
                assert type(read).__name__ == message["title"]


def test_the_last_will_of_the_document_is_one() -> None:
    for server in document()["servers"].values():
        will = server["bindings"]["mqtt"]["lastWill"]
        assert decode(Channel.STATUS, will["message"].encode()).online is False


# -- schemas --------------------------------------------------------------------------


@pytest.mark.parametrize("model", SCHEMAS)
def test_a_schema_is_one(model: type[Message]) -> None:
    Draft202012Validator.check_schema(SCHEMAS[model].schema)


@pytest.mark.parametrize("model", SCHEMAS)
def test_every_field_is_described(model: type[Message]) -> None:
    fields = SCHEMAS[model].schema["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


@pytest.mark.parametrize("model", CHANNEL_OF)
def test_every_example_of_a_schema_is_valid_and_read(model: type[Message]) -> None:
    examples = SCHEMAS[model].schema["examples"]
    assert len(examples) == len(EXAMPLES[model])
    for example in examples:
        SCHEMAS[model].validate(example)
        assert isinstance(decode(CHANNEL_OF[model], json.dumps(example).encode()), model)


def test_the_example_of_an_update_has_the_args_of_one() -> None:
    updates = [
        command
        for command in EXAMPLES[Command].values()
        if isinstance(command, Command) and command.kind is CommandKind.UPDATE
    ]
    assert updates
    for update in updates:
        UpdateArgs.model_validate(update.args)


@given(messages)
def test_every_valid_message_is_valid_by_its_schema(sent: tuple[Channel, AnyMessage]) -> None:
    SCHEMAS[type(sent[1])].validate(json.loads(encode(sent[1])))


@given(messages, json_values, st.data())
def test_schema_and_model_agree_on_a_field_of_anything(
    sent: tuple[Channel, AnyMessage], anything: Any, data: st.DataObject
) -> None:
    _, message = sent
    fields = json.loads(encode(message))
    fields[data.draw(st.sampled_from(sorted(type(message).model_fields)))] = anything
    assert_agreed(type(message), fields)


@given(messages, messages, st.data())
def test_schema_and_model_agree_on_another_message_s_value(
    sent: tuple[Channel, AnyMessage], other: tuple[Channel, AnyMessage], data: st.DataObject
) -> None:
    fields, others = json.loads(encode(sent[1])), json.loads(encode(other[1]))
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = others[data.draw(st.sampled_from(sorted(others)))]
    assert_agreed(type(sent[1]), fields)


@pytest.mark.parametrize("model", CHANNEL_OF)
def test_schema_and_model_agree_on_what_may_be_missing(model: type[Message]) -> None:
    fields = richest(model)
    for name in fields:
        assert_agreed(model, {key: value for key, value in fields.items() if key != name})


@pytest.mark.parametrize("model", CHANNEL_OF)
def test_schema_and_model_agree_at_every_bound(model: type[Message]) -> None:
    fields = richest(model)
    for name, field in SCHEMAS[model].schema["properties"].items():
        field = field.get("anyOf", [field])[0]  # noqa: PLW2901  the other is null
        for bound in {field.get("minimum", 0), field.get("maximum", 0)}:
            for value in (bound - 1, bound, bound + 1):
                assert_agreed(model, fields | {name: value})


@pytest.mark.parametrize("model", CHANNEL_OF)
def test_schema_and_model_agree_on_every_word(model: type[Message]) -> None:
    fields = richest(model)
    known = [
        word for kind in SCHEMAS[model].schema.get("$defs", {}).values() for word in kind["enum"]
    ]
    for name in fields:
        for value in (None, True, False, "", "a word that nobody knows", "LOCKED", *known):
            assert_agreed(model, fields | {name: value})
            assert_agreed(model, fields | {name: [value]})


@pytest.mark.parametrize("status", Outcome)
def test_schema_and_model_agree_on_when_a_result_says_why(status: Outcome) -> None:
    fields = {"boot": 7, "seq": 42, "up_ms": 904_120, "command": "c1", "status": status}
    assert_agreed(Result, fields)
    for reason in (None, *Refused):
        assert_agreed(Result, fields | {"reason": reason})


@given(commands, st.dictionaries(st.text(max_size=40), json_values, max_size=8))
def test_schema_and_model_agree_on_args_of_anything(command: Command, args: dict[str, Any]) -> None:
    assert_agreed(Command, json.loads(encode(command)) | {"args": args})


@given(update_args, json_values, st.sampled_from(sorted(UpdateArgs.model_fields)))
def test_schema_and_model_agree_on_an_update_s_args(
    args: UpdateArgs, anything: Any, name: str
) -> None:
    for fields in (args.model_dump(), args.model_dump() | {name: anything}):
        try:
            UpdateArgs.model_validate(fields)
            valid = True
        except ValidationError:
            valid = False
        assert SCHEMAS[UpdateArgs].is_valid(fields) is valid


def richest(model: type[Message]) -> dict[str, Any]:
    """The example with the most fields."""
    found: list[dict[str, Any]] = SCHEMAS[model].schema["examples"]
    return max(found, key=len)


def assert_agreed(model: type[Message], fields: dict[str, Any]) -> None:
    """Both take it or both refuse it, where a schema can say it."""
    text = json.dumps(fields)
    if len(text) > MAX_PAYLOAD_BYTES or beyond_a_schema(model, fields):
        return
    try:
        read = isinstance(decode(CHANNEL_OF[model], text.encode()), model)
    except ProtocolError:
        read = False
    assert SCHEMAS[model].is_valid(fields) is read


def beyond_a_schema(model: type[Message], fields: dict[str, Any]) -> bool:
    """Whether the contract says more of this than a schema can."""
    if model is State and type(fields.get("up_ms")) is int:
        since = [fields.get(name) for name in ("lock_ms", "output_ms", "plugged_ms")]
        if any(type(ms) is int and ms > fields["up_ms"] for ms in since):
            return True  # nothing is so since after the state was read
    return any(
        (isinstance(leaf, float) and leaf.is_integer())  # to a schema 1.0 is an integer
        or (isinstance(leaf, str) and leaf.endswith("\n"))  # Python's $ matches before it
        or (isinstance(leaf, str) and "\\ud" in json.dumps(leaf))  # half a surrogate pair
        for leaf in leaves(fields)
    )


def leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node
        node = list(node.values())
    if not isinstance(node, list):
        yield node
        return
    for value in node:
        yield from leaves(value)


# -- the page -------------------------------------------------------------------------


def test_the_page_has_every_field_of_every_message() -> None:
    page = (contract.HERE / "README.md").read_text(encoding="utf-8")
    for model in SCHEMAS:
        for name in model.model_fields:
            assert f"| `{name}` |" in page


def test_every_payload_on_the_page_is_a_message() -> None:
    page = (contract.HERE / "README.md").read_text(encoding="utf-8")
    payloads = re.findall(r"^```json\n(.*)\n```$|^  -m '(.*)'$", page, re.MULTILINE)
    assert len(payloads) == sum(map(len, EXAMPLES.values())) + 3
    known = {encode(example).decode() for of in EXAMPLES.values() for example in of.values()}
    assert {block or argument for block, argument in payloads} == known
