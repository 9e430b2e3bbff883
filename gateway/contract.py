"""The contract as published files, made from :mod:`gateway.protocol` and from nothing else.

The models are the contract. From them come the AsyncAPI 3 document, one JSON Schema for
each message, and the page for whoever builds a bank. They are committed under
``gateway/contract/``, so that a change of the contract shows in a review, and a test fails
when they differ from what the models say::

    python -m gateway.contract           # write them again
    python -m gateway.contract --check   # say whether they are what the models say

What a schema cannot say (a payload's size, a repeated key, ``1.0`` for an integer, one
field never after another) is said in words, and :func:`gateway.protocol.decode` holds it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from gateway.contract_examples import EXAMPLES
from gateway.contract_page import page
from gateway.protocol import (
    FROM_BANK,
    MAX_PAYLOAD_BYTES,
    MODELS,
    PROTOCOL_VERSION,
    RETAINED,
    AnyMessage,
    BankId,
    Channel,
    Command,
    Message,
    Outcome,
    Result,
    UpdateArgs,
    Will,
    encode,
    topic,
)

HERE: Final = Path(__file__).with_name("contract")
"""Where the published files are committed."""

Json = dict[str, Any]

_RULES: Final[Mapping[type[Message], Json]] = {
    Result: {
        "if": {"properties": {"status": {"const": Outcome.DONE.value}}},
        "then": {"properties": {"reason": {"type": "null"}}},
        "else": {"properties": {"reason": {"type": "string"}}, "required": ["reason"]},
    },
}
"""What a model's validator says that a schema can say too."""

_PUBLISHED: Final[Sequence[type[Message]]] = (*chain(*MODELS.values()), UpdateArgs)

_SUMMARIES: Final[Mapping[Channel, str]] = {
    Channel.STATUS: "Who the bank is, right after it connects; and its Last Will.",
    Channel.STATE: "Everything that is so, and since when.",
    Channel.RESULT: "What became of a command.",
    Channel.COMMAND: "One instruction.",
    Channel.CONFIG: "Desired settings.",
}


# -- JSON Schema ----------------------------------------------------------------------


class _Plain(GenerateJsonSchema):
    """Without the titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def schema(model: type[Message]) -> Json:
    """The JSON Schema (2020-12) of one message."""
    made = model.model_json_schema(schema_generator=_Plain)
    made = _in_markdown(made) | _RULES.get(model, {})
    for name, field in made["properties"].items():
        if "const" in field:  # it tells one message from another, so it is never left out
            del field["default"]
            made["required"] = [name, *made["required"]]
        if "patternProperties" in field:
            field["additionalProperties"] = False
    examples = [_payload(example) for example in EXAMPLES.get(model, {}).values()]
    return {"$schema": GenerateJsonSchema.schema_dialect, **made} | (
        {"examples": examples} if examples else {}
    )


def _in_markdown(node: Any) -> Any:
    """The same schema with docstrings' ``code`` as Markdown's `code`, and lines joined."""
    if isinstance(node, dict):
        return {key: _in_markdown(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_in_markdown(value) for value in node]
    if isinstance(node, str) and "`" in node:
        node = re.sub(r":\w+:`(\w+)`", r"`\1`", node).replace("``", "`")
    return re.sub(r"(?<!\n)\n(?!\n)", " ", node) if isinstance(node, str) else node


def _payload(message: AnyMessage) -> Json:
    made: Json = json.loads(encode(message))
    return made


# -- AsyncAPI 3 -----------------------------------------------------------------------


def asyncapi() -> Json:
    """The AsyncAPI 3.0.0 document: both sides of the contract."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lendwatt device contract",
            "version": f"{PROTOCOL_VERSION}.0.0",
            "description": (
                "What a power bank and the platform say to each other over MQTT 3.1.1 or 5.0. "
                "A bank reports what is so and since when, never what just changed: any message "
                "may be lost, doubled, reordered or late. Payloads are JSON in UTF-8, at most "
                f"{MAX_PAYLOAD_BYTES} bytes, numbers finite, no key twice; fields that a reader "
                "does not know are ignored."
            ),
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": {
            "tls": _server("secure-mqtt", "8883", "Over TLS 1.2 or newer.", ["secret", "x509"]),
            "plain": _server("mqtt", "1883", "For loopback and the bench only.", ["secret"]),
        },
        "channels": {channel.value: _channel(channel) for channel in Channel},
        "operations": dict(_operations()),
        "components": {
            "messages": {_name(model): _message(channel, model) for channel, model in _models()},
            "schemas": _components(),
            "parameters": {
                "bank": {
                    "description": (
                        "The bank's id: 4 to 32 of `A-Z`, `0-9` and `-`. It is also the MQTT user "
                        "name and client id; a bank may use the topics under its own id only."
                    ),
                    "examples": ["LW-000001"],
                }
            },
            "correlationIds": {
                "command": {
                    "description": "The command's id.",
                    "location": "$message.payload#/id",
                },
                "result": {
                    "description": "The id of the command that it answers.",
                    "location": "$message.payload#/command",
                },
            },
            "securitySchemes": {
                "secret": {
                    "type": "userPassword",
                    "description": (
                        "User name: the bank's id. Password: the bank's own secret, shown once "
                        "when the bank is registered. There is no fleet password."
                    ),
                },
                "x509": {
                    "type": "X509",
                    "description": "A client certificate whose common name is the bank's id.",
                },
            },
        },
    }


def _ref(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _name(model: type[Message]) -> str:
    return model.__name__.lower()


def _models() -> Iterator[tuple[Channel, type[Message]]]:
    return ((channel, model) for channel, models in MODELS.items() for model in models)


def _server(protocol: str, port: str, description: str, security: list[str]) -> Json:
    will = next(iter(EXAMPLES[Will].values()))
    return {
        "host": f"{{host}}:{port}",
        "protocol": protocol,
        "protocolVersion": "3.1.1",
        "description": description,
        "variables": {"host": {"description": "Told when the bank is registered."}},
        "security": [_ref("components", "securitySchemes", name) for name in security],
        "bindings": {
            "mqtt": {
                "clientId": "{bank}",
                "cleanSession": True,
                "lastWill": {
                    "topic": topic(BankId("{bank}"), Channel.STATUS),
                    "qos": 1,
                    "message": encode(will).decode(),
                    "retain": True,
                },
                "bindingVersion": "0.2.0",
            }
        },
    }


def _channel(channel: Channel) -> Json:
    return {
        "address": topic(BankId("{bank}"), channel),
        "summary": _SUMMARIES[channel],
        "parameters": {"bank": _ref("components", "parameters", "bank")},
        "messages": {
            _name(model): _ref("components", "messages", _name(model)) for model in MODELS[channel]
        },
    }


def _operations() -> Iterator[tuple[str, Json]]:
    """Each channel twice: as the bank's operation and as the platform's."""
    for channel in Channel:
        sender, receiver = ("bank", "platform") if channel in FROM_BANK else ("platform", "bank")
        for side, action in ((sender, "send"), (receiver, "receive")):
            operation: Json = {
                "action": action,
                "channel": _ref("channels", channel.value),
                "summary": _SUMMARIES[channel],
                "tags": [{"name": side}],
                "messages": [
                    _ref("channels", channel.value, "messages", _name(model))
                    for model in MODELS[channel]
                ],
                "bindings": {
                    "mqtt": {"qos": 1, "retain": channel in RETAINED, "bindingVersion": "0.2.0"}
                },
            }
            if channel is Channel.STATE:
                operation["description"] = "QoS 0 is allowed for the periodic report."
            if channel is Channel.COMMAND:
                operation["reply"] = {
                    "channel": _ref("channels", Channel.RESULT),
                    "messages": [_ref("channels", Channel.RESULT, "messages", _name(Result))],
                }
            yield f"{side}{action.title()}s{channel.value.title()}", operation


def _message(channel: Channel, model: type[Message]) -> Json:
    made: Json = {
        "name": _name(model),
        "title": model.__name__,
        "summary": _SUMMARIES[channel]
        if len(MODELS[channel]) == 1
        else schema(model)["description"],
        "contentType": "application/json",
        "payload": _ref("components", "schemas", model.__name__),
        "x-max-payload-bytes": MAX_PAYLOAD_BYTES,
        "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
        "examples": [
            {"summary": summary, "payload": _payload(example)}
            for summary, example in EXAMPLES[model].items()
        ],
    }
    if model in {Command, Result}:
        made["correlationId"] = _ref("components", "correlationIds", _name(model))
    return made


def _components() -> Json:
    """Every schema under one roof: a message's own definitions become its neighbours."""
    made: Json = {}
    for model in _PUBLISHED:
        whole = schema(model)
        made |= whole.pop("$defs", {})
        del whole["$schema"]
        made[model.__name__] = _moved(whole)
    return made


def _moved(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _moved(value)
            for key, value in node.items()
        }
    return [_moved(value) for value in node] if isinstance(node, list) else node


# -- the files ------------------------------------------------------------------------


def files() -> dict[str, str]:
    """Every published file: its path under ``gateway/contract/`` and its text."""
    schemas = {model: schema(model) for model in _PUBLISHED}
    documents: Json = {"asyncapi.json": asyncapi()}
    documents |= {f"schemas/{_file_name(model)}.json": made for model, made in schemas.items()}
    made = {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }
    return made | {"README.md": page(schemas)}


def _file_name(model: type[Message]) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", model.__name__).lower()


def write(directory: Path) -> None:
    """Write every published file under a directory, and take away what is there no more."""
    made = files()
    for name in stale(directory):
        path = directory / name
        if name not in made:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[name], encoding="utf-8")


def stale(directory: Path) -> list[str]:
    """The files under a directory that are missing, too many, or not what the models say."""
    found = {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
        for path in directory.rglob("*")
        if path.is_file()
    }
    made = files()
    return sorted(name for name in found.keys() | made.keys() if found.get(name) != made.get(name))


def main() -> int:
    """Write the published files, or with ``--check`` say which are stale."""
    parser = argparse.ArgumentParser(prog="python -m gateway.contract", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if stale")
    if not parser.parse_args().check:
        write(HERE)
        return 0
    differ = stale(HERE)
    if differ:
        sys.stderr.write(
            "Not what gateway/protocol.py says: "
            + ", ".join(differ)
            + ". Run: python -m gateway.contract\n"
        )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
