"""What happens to each request before any route: its size is bounded, its time is taken."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import Shown, too_large


class BodyLimit:
    """Refuses a body over the limit with a problem, by what it says it is or by what it is.

    FastAPI's own ``max_body_size`` answers in plain text.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int, shown: Shown) -> None:
        self._app = app
        self._shown = shown
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._said(scope) > self._bytes_max:
            request = Request(scope)
            await self._shown(request, too_large(request))(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _said(self, scope: Scope) -> int:
        length = Headers(scope=scope).get("content-length", "0")
        return int(length) if length.isdecimal() else 0

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._bytes_max:
                raise HTTPException(413)
            return message

        return receive_counted


class Metrics:
    """The HTTP edge's figures, in a registry of their own."""

    def __init__(self, *, streams: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lendwatt_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "lendwatt_http_request_seconds",
            "Until the answer began.",
            ["method", "route"],
            registry=self.registry,
        )
        Gauge("lendwatt_streams", "Open event streams.", registry=self.registry).set_function(
            streams
        )


class Measured:
    """Counts each request under its route's template, never under the path that was asked."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_measured)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
