"""An example of each body, on each route of the OpenAPI document.

Examples stand beside the fields, where they are true. A body's example is put together from
them: what a field's model says, else its default, its first word, or a value of its type. So an
example cannot go stale beside a model that has changed; a test checks each against its schema.
"""

from collections.abc import Mapping
from typing import Any, Final

Doc = dict[str, Any]

_BY_FORMAT: Final = {"date-time": "2026-11-22T12:00:00Z", "date": "2026-11-22", "binary": ""}
_BY_TYPE: Final[Mapping[str, Any]] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": False,
    "null": None,
}
_DEEPEST: Final = 20


def add_examples(doc: Doc) -> Doc:
    """Give each JSON body of each operation its example, where it has none."""
    for operations in doc["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {})]
            bodies += [
                answer for status, answer in operation["responses"].items() if status[0] == "2"
            ]
            for body in bodies:
                media = body.get("content", {}).get("application/json", {})
                if "schema" in media and not {"example", "examples"} & media.keys():
                    media["example"] = example_of(doc, media["schema"])
    return doc


def example_of(doc: Doc, schema: Doc, depth: int = 0) -> Any:
    """Put together an example of what a schema describes."""
    if "$ref" in schema:
        return example_of(doc, _named(doc, schema["$ref"]), depth + 1)
    for said in ("example", "const", "default"):
        if said in schema:
            return schema[said]
    for several in ("examples", "enum"):
        if schema.get(several):
            return schema[several][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example_of(doc, schema[choice][0], depth + 1)
    return _of_type(doc, schema, depth)


def _of_type(doc: Doc, schema: Doc, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {}) if depth < _DEEPEST else {}
        return {name: example_of(doc, field, depth + 1) for name, field in properties.items()}
    if kind == "array":
        items = schema.get("items")
        return [example_of(doc, items, depth + 1)] if items and depth < _DEEPEST else []
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if kind in {"integer", "number"} and "minimum" in schema:
        return schema["minimum"]
    return _BY_TYPE.get(kind or "", {})


def _named(doc: Doc, reference: str) -> Doc:
    """The schema that ``#/components/schemas/Name`` points to."""
    named: Doc = doc["components"]["schemas"][reference.rpartition("/")[2]]
    return named
