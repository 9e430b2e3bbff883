"""Places in the datum that who asks works in: WGS-84, or GCJ-02 for a map published in China.

Inside, every place is WGS-84. Here, at the edge, a request that says ``datum=gcj02`` has all places
of its query and its JSON body read as GCJ-02, and all places of its JSON answer written as such. A
place is what has a ``lat`` and a ``lng``: so no route has to think of it, and none can forget it.
One word for both ways, for whoever had to say it twice would one day say two different things; and
a datum that is not known is refused, never taken for WGS-84.

What must always hold: what is stored, and what is kept to be answered again, is WGS-84.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isfinite
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import problem
from backend.domain.errors import Code
from backend.domain.gcj02 import Datum, to_gcj02, to_wgs84
from backend.domain.geo import Point

MEANING: Final = (
    "In what all places of this request and its answer are: `gcj02` as maps published in China "
    "have them, of which outside China nothing differs. Stored, and told without this, is WGS-84."
)
_DIGITS: Final = 7
"""Of a degree: a centimetre."""
_JSON: Final = "application/json"

Move = Callable[[Point], Point]


def shown_in(told: Any, datum: Datum) -> Any:
    """The same JSON value, its places in this datum."""
    return told if datum is Datum.WGS84 else _moved(told, to_gcj02)


def _moved(told: Any, move: Move) -> Any:
    if isinstance(told, list):
        return [_moved(each, move) for each in told]
    if not isinstance(told, dict):
        return told
    rest = {name: _moved(value, move) for name, value in told.items()}
    here = _point(told.get("lat"), told.get("lng"))
    return rest if here is None else rest | _degrees(move(here))


def _point(lat: object, lng: object) -> Point | None:
    """None: this is no place on earth; whoever reads it next may say so."""
    if not isinstance(lat, float | int) or not isinstance(lng, float | int):
        return None
    if isinstance(lat, bool) or isinstance(lng, bool) or not isfinite(lat) or not isfinite(lng):
        return None
    return Point(lat=lat, lng=lng) if abs(lat) <= 90 and abs(lng) <= 180 else None  # noqa: PLR2004


def _degrees(at: Point) -> dict[str, float]:
    return {"lat": round(at.lat, _DIGITS), "lng": round(at.lng, _DIGITS)}


class InDatum:
    """Moves the places of a request that names another datum, and those of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        query = QueryParams(scope.get("query_string", b""))
        wished = query.get("datum", Datum.WGS84)
        if scope["type"] != "http" or wished == Datum.WGS84:
            await self._app(scope, receive, send)
        elif wished == Datum.GCJ02:
            scope["query_string"] = _query(query)
            await self._app(scope, _reading(scope, receive), _Writing(send))
        else:
            await _unknown(scope, receive, send)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    known = " / ".join(Datum)
    wrong = {"loc": ("query", "datum"), "type": "enum", "ctx": {"expected": known}}
    answer = problem(Request(scope), Code.INVALID_REQUEST, errors=[wrong])
    await answer(scope, receive, send)


def _query(query: QueryParams) -> bytes:
    """The same query, its place WGS-84."""
    told = dict(query.multi_items())
    with suppress(KeyError, ValueError):
        here = _point(float(told["lat"]), float(told["lng"]))
        at = {} if here is None else _degrees(to_wgs84(here))
        items = [(name, at.get(name, value)) for name, value in query.multi_items()]
        return urlencode(items).encode()
    return urlencode(query.multi_items()).encode()


def _reading(scope: Scope, receive: Receive) -> Receive:
    """Read the body whole, when it is asked for, and hand it on with its places WGS-84."""
    if "json" not in Headers(scope=scope).get("content-type", _JSON):
        return receive
    is_read = False

    async def receive_moved() -> Message:
        nonlocal is_read
        message = await receive()
        if is_read or message["type"] != "http.request":
            return message
        body = bytearray(message.get("body", b""))
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
        is_read = True
        return {"type": "http.request", "body": _body(bytes(body), to_wgs84), "more_body": False}

    return receive_moved


def _body(body: bytes, move: Move) -> bytes:
    """The same JSON text, its places moved; what is none is left for others to refuse."""
    with suppress(ValueError, RecursionError):
        return json.dumps(_moved(json.loads(body), move), separators=(",", ":")).encode()
    return body


class _Writing:
    """Sends an answer on; one that is JSON when it is whole, with its places GCJ-02."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            await self._add(self._start, message)
        else:
            await self._send(message)

    async def _add(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        body = _body(bytes(self._body), to_gcj02)
        MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
        await self._send(start)
        await self._send({**message, "body": body})


def _is_json(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith(_JSON)


# -- what the document says ------------------------------------------------------------------


def add_datum(doc: dict[str, Any]) -> dict[str, Any]:
    """Say of each operation that takes or gives a place that it may be asked for in a datum."""
    for operations in doc["paths"].values():
        for operation in operations.values():
            parameters = operation.setdefault("parameters", [])
            names = {each["name"] for each in parameters}
            has_place = {"lat", "lng"} <= names or any(
                _has_place(doc, schema, frozenset()) for schema in _schemas(operation)
            )
            if has_place and "datum" not in names:
                parameters.append(_PARAMETER)
            if not parameters:
                del operation["parameters"]
    return doc


_PARAMETER: Final = {
    "name": "datum",
    "in": "query",
    "required": False,
    "description": MEANING,
    "schema": {
        "type": "string",
        "title": "Datum",
        "enum": list(Datum),
        "default": Datum.WGS84.value,
    },
}


def _schemas(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What its JSON bodies are."""
    answers = [each for status, each in operation["responses"].items() if status.startswith("2")]
    for body in (operation.get("requestBody", {}), *answers):
        yield body.get("content", {}).get(_JSON, {}).get("schema", {})


def _has_place(doc: dict[str, Any], schema: Any, seen: frozenset[str]) -> bool:
    """Whether a place stands anywhere in what a schema describes."""
    if isinstance(schema, list):
        return any(_has_place(doc, each, seen) for each in schema)
    if not isinstance(schema, dict):
        return False
    if {"lat", "lng"} <= schema.get("properties", {}).keys():
        return True
    reference = schema.get("$ref", "")
    if reference and reference not in seen:
        named = doc["components"]["schemas"][reference.rpartition("/")[2]]
        return _has_place(doc, named, seen | {reference})
    return any(_has_place(doc, each, seen) for each in schema.values())
