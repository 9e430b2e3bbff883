"""Plays written exchanges back: each request is checked against the script, then answered.

A script is a list of ``{"request": {...}, "response": {...}}``. What a request's ``form`` and
``headers`` name must be there and be equal; of a form, nothing else may be there.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.http import Answering, serving


class _Handler(Answering):
    script: list[dict[str, Any]]
    wrong: list[str]

    def serve(self, form: str) -> None:
        if not self.script:
            self.wrong.append(f"not in the script: {self.command} {self.path}")
            self._answer(500, {})
            return
        exchange = self.script.pop(0)
        self._check(exchange["request"], dict(parse_qsl(form, keep_blank_values=True)))
        self._answer(exchange["response"]["status"], exchange["response"]["body"])

    def _check(self, wanted: dict[str, Any], form: dict[str, str]) -> None:
        asked = f"{self.command} {urlsplit(self.path).path}"
        if asked != f"{wanted['method']} {wanted['path']}":
            self.wrong.append(f"{asked} instead of {wanted['method']} {wanted['path']}")
        if form != wanted.get("form", {}):
            self.wrong.append(f"{asked}: {form} instead of {wanted.get('form', {})}")
        for name, value in wanted.get("headers", {}).items():
            if self.headers[name] != value:
                self.wrong.append(f"{asked}: {name} is {self.headers[name]!r}, not {value!r}")

    def _answer(self, status: int, body: Any) -> None:
        self.send(status, json.dumps(body).encode())


@contextmanager
def replayed(script: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Play a script back on loopback; at the end, all of it must have been asked for."""
    state = {"script": list(script), "wrong": []}
    with serving(type("Handler", (_Handler,), state)) as (url, _stop):
        yield url
    assert not state["wrong"], state["wrong"]
    assert not state["script"], f"never asked: {[each['request'] for each in state['script']]}"
