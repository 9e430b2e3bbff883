"""Whatever is sent, every route answers as the OpenAPI document says.

Schemathesis makes the requests: what the document allows, what it forbids, and methods that a
path has not. The document that it is given names things that are there, so that requests get
past "not found". Left out are what does not end (``/stream``), what is signed otherwise
(providers' webhooks) and what says 503 by design (``/readyz``).

In CI the same requests are made each time. For a longer look, with new ones each time::

    LENDWATT_FUZZ_EXAMPLES=300 pytest --timeout 0 tests/integration/fuzz/test_schema.py
"""

import copy
import os
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from backend import main
from tests.conftest import CI
from tests.integration.fuzz.conftest import API, Operation, Stage, code_of, who_asks

EXAMPLES = int(os.environ.get("LENDWATT_FUZZ_EXAMPLES", "4"))
LEFT_OUT = (f"{API}/stream", f"{API}/webhooks/{{provider}}", "/readyz")


def _document() -> dict[str, Any]:
    """The document of the routes alone, to name a test for each."""
    app = FastAPI()
    for router in main.ROUTERS:
        app.include_router(router, prefix=API)
    return app.openapi()


REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "429"]
"""What may be answered to what the document forbids; 413 to that at great length."""
WORDS = ("kind", "act")
"""Parts of a path that are words of the document."""
ROUTES = [
    f"{method} {path}"
    for path, operations in _document()["paths"].items()
    if path not in LEFT_OUT
    for method in operations
]
BASE = "http://testserver"

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    ]
)


def naming_what_is_there(stage: Stage) -> dict[str, Any]:
    """The document, in which an id is one of those that are there, or any other."""
    doc: dict[str, Any] = copy.deepcopy(stage.doc)
    for path in LEFT_OUT:
        doc["paths"].pop(path)
    for operations in doc["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _named(stage, parameter["name"], parameter["schema"])
    for schema in doc["components"]["schemas"].values():
        if schema.get("additionalProperties") is False:  # what comes in
            for name, field in schema["properties"].items():
                schema["properties"][name] = _named(stage, name, field)
    return doc


def _named(stage: Stage, name: str, schema: Operation) -> Operation:
    known = stage.ids.get(name)
    if known is None or name in WORDS:
        return schema
    return {"anyOf": [{"enum": known}, *schema.get("anyOf", [schema])]}


@pytest.fixture(scope="module")
def api(stage: Stage) -> OpenApiSchema:
    config = schemathesis.Config.from_dict(
        {
            "generation": {"with-security-parameters": False},
            "phases": {"coverage": {"unexpected-methods": ["put", "delete", "trace"]}},
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
        }
    )
    return schemathesis.openapi.from_dict(naming_what_is_there(stage), config=config)


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_answers_as_the_document_says(route: str, api: OpenApiSchema, stage: Stage) -> None:
    method, _, path = route.partition(" ")
    signed_in = {"authorization": f"Bearer {stage.tokens[who_asks(path)]}"}

    @settings(max_examples=EXAMPLES)
    def holds(case: schemathesis.Case) -> None:
        told = case.as_transport_kwargs(base_url=BASE, headers=signed_in)
        sent = requests.Request(**told).prepare()
        headers = {name: value.encode("latin-1") for name, value in sent.headers.items()}
        answer = stage.ask(str(sent.method), sent.path_url, headers=headers, content=sent.body)
        case.validate_response(answer, checks=CHECKED)
        if code_of(answer) == "invalid_request":
            assert answer.json()["errors"], "it does not say what is wrong"

    modes = [*HypothesisTestMode]
    config = HypothesisTestConfig(project=api.config, modes=modes, seed=1 if CI else None)
    create_test(operation=api[path][method], test_func=holds, config=config)()
