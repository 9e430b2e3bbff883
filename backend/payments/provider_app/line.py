"""The line to the payee: how an answer goes out, well or badly.

What was asked for has been carried out and committed before any of this; only
``error_before`` strikes earlier. So a payee who hears nothing, or nonsense, knows nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from fastapi import Response
from fastapi.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from backend.payments.provider_app.faults import IN_ANSWER, At, Fault, Faults, Struck
from backend.payments.provider_app.problems import HTTP_STATUS, MEDIA_TYPE, Refused, problem
from backend.payments.provider_app.rows import Answer

_PIECES: Final = 20
_NONSENSE: Final = "<!doctype html><title>Welcome</title><p>It works."

Quiet = Callable[[float], Awaitable[None]]
"""Waits until every notice that is due has been heard, for so many seconds at most."""


class Line:
    """Where answers go out."""

    def __init__(self, *, faults: Faults, until_quiet: Quiet) -> None:
        self._faults = faults
        self._until_quiet = until_quiet

    def say(self, at: At, reference: str, act: Callable[[], Answer]) -> Response:
        """Do what was asked for, and answer it."""
        struck = self._faults.strike(at, reference, among=IN_ANSWER)
        if struck is None:
            return _plain(_done(act))
        if struck.fault is Fault.ERROR_BEFORE:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE)
        return self._badly(struck, _done(act))

    def _badly(self, struck: Struck, answer: Answer) -> Response:
        match struck.fault:
            case Fault.NO_ANSWER:
                return _Silence(struck.for_s)
            case Fault.SLOW:
                return _Trickle(answer, struck.for_s)
            case Fault.GARBLED:
                return HTMLResponse(_NONSENSE)
            case Fault.NOTICE_FIRST:
                return _AfterNotices(answer, self._until_quiet, struck.for_s)
            case _:
                return _error(HTTPStatus.INTERNAL_SERVER_ERROR)


def _done(act: Callable[[], Answer]) -> Answer:
    try:
        return act()
    except Refused as no:
        status = HTTP_STATUS[no.code]
        body = json.dumps(problem(status, no.code, no.detail))
        return Answer(wish="", status=status, body=body)


def _plain(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, media_type=_media_type(answer))


def _media_type(answer: Answer) -> str:
    return "application/json" if answer.status < HTTPStatus.BAD_REQUEST else MEDIA_TYPE


def _error(status: HTTPStatus) -> Response:
    body = problem(status, status.name.lower(), "the sandbox was told to")
    return Response(json.dumps(body), status_code=status, media_type=MEDIA_TYPE)


class _Silence(Response):
    """Nothing for a while; then the line breaks."""

    def __init__(self, for_s: float) -> None:
        super().__init__(headers={"content-length": "1"})
        self._for_s = for_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await _gone(receive, self._for_s)
        # A promise of a body that is not kept: the server closes the connection.
        await send(
            {"type": "http.response.start", "status": HTTPStatus.OK, "headers": self.raw_headers}
        )


class _Trickle(Response):
    """An answer in small pieces, each well within any time-out between two of them."""

    def __init__(self, answer: Answer, for_s: float) -> None:
        super().__init__(answer.body, status_code=answer.status, media_type=_media_type(answer))
        self._for_s = for_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        body = bytes(self.body)
        size = -(-len(body) // _PIECES)
        for start in range(0, len(body), size):
            if await _gone(receive, self._for_s / _PIECES):
                return
            piece = body[start : start + size]
            more = start + size < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


class _AfterNotices(Response):
    """An answer that the notices overtake."""

    def __init__(self, answer: Answer, until_quiet: Quiet, for_s: float) -> None:
        super().__init__(answer.body, status_code=answer.status, media_type=_media_type(answer))
        self._until_quiet = until_quiet
        self._for_s = for_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._until_quiet(self._for_s)
        await super().__call__(scope, receive, send)


async def _gone(receive: Receive, within_s: float) -> bool:
    """Wait so long; whether the payee hung up meanwhile."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while (await receive())["type"] != "http.disconnect":
                pass
            return True
    return False
