"""The published contract, read as a hardware maker would: from its files."""

import json
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

HERE: Final = Path(__file__).parents[2] / "gateway" / "contract"
ASYNCAPI: Final[dict[str, Any]] = json.loads((HERE / "asyncapi.json").read_text())
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text()) for path in (HERE / "schemas").iterdir()
}


def fits(kind: str, payload: dict[str, Any]) -> None:
    """See that a payload is what its schema says, and holds nothing that is not in it."""
    Draft202012Validator(SCHEMAS[kind]).validate(payload)
    assert payload.keys() <= SCHEMAS[kind]["properties"].keys()


def required(kind: str) -> set[str]:
    """What every message of this kind has."""
    return set(SCHEMAS[kind]["required"])


def binding(operation: str) -> tuple[int, bool]:
    """QoS and retention of an operation, as published."""
    mqtt = ASYNCAPI["operations"][operation]["bindings"]["mqtt"]
    return mqtt["qos"], mqtt["retain"]
