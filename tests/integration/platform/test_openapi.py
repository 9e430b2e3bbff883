"""The API describes itself: every route, with examples that fit."""

import jsonschema
import pytest

from backend import main
from backend.api.deps import Parts

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def doc(parts: Parts):
    return main.create_app(parts).openapi()


def media(doc):
    """Each JSON body: where it is, and what it is."""
    for path, operations in doc["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                continue
            bodies = {"asks": operation.get("requestBody", {})}
            bodies |= {
                status: answer
                for status, answer in operation["responses"].items()
                if status.startswith("2")
            }
            for where, body in bodies.items():
                for kind, content in body.get("content", {}).items():
                    if kind == "application/json":
                        yield f"{method} {path} {where}", content


def test_every_body_of_every_route_has_an_example(doc):
    assert [where for where, content in media(doc) if "example" not in content] == []


def test_every_example_fits_its_schema(doc):
    wrong = []
    for where, content in media(doc):
        schema = {**content["schema"], "components": doc["components"]}
        try:
            jsonschema.validate(content["example"], schema, jsonschema.Draft202012Validator)
        except jsonschema.ValidationError as error:
            wrong.append((where, error.json_path, error.message[:120]))
    assert wrong == []


def test_every_route_says_what_it_does_and_how_it_refuses(doc):
    for path, operations in doc["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path}"
            if path.startswith("/api/"):
                assert "default" in operation["responses"], f"{method} {path}"


def test_every_operation_has_a_name_of_its_own(doc):
    names = [
        operation["operationId"] for each in doc["paths"].values() for operation in each.values()
    ]
    assert len(names) == len(set(names))
