"""How many requests one caller may make: more are answered 429, and cost nothing else.

A caller is who a genuine access token names; without one, the network address, an IPv6 home
counted as one. Whoever has a token counts against its own share only, so that a hundred renters
behind one address do not starve each other; whoever invents tokens is an address like any other.

Requests fall into classes, each with a share of its own: reading, writing, signing in, and
opening streams. Providers' webhooks are a class too, with a generous share: a provider repeats
what it is refused. That share is each address's own like any other, since whoever knocks there has
not shown yet who they are: were it one for all, anybody could spend the provider's. Health and
figures are not limited. Windows slide (of the minute before, what is left
of it counts); counts are of this process: with N processes behind a proxy a caller gets up to N
shares, which is still a bound.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.deps import PAGE_COOKIE
from backend.api.errors import Shown, problem
from backend.clock import Clock, SystemClock
from backend.domain.errors import Code, Refusal
from backend.services.signin import Tokens, home_of
from backend.settings import Settings

_FREE: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class Kind(StrEnum):
    """A class of requests with a share of its own."""

    READ = "read"
    WRITE = "write"
    SIGN_IN = "sign_in"
    STREAM = "stream"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Requests a minute for each caller, by class."""

    per_minute: Mapping[Kind, int]

    @classmethod
    def of(cls, settings: Settings) -> "Shares":
        """Read them from the settings."""
        return cls(
            per_minute={
                Kind.READ: settings.reads_per_minute_max,
                Kind.WRITE: settings.writes_per_minute_max,
                Kind.SIGN_IN: settings.signins_per_minute_max,
                Kind.STREAM: settings.stream_opens_per_minute_max,
                Kind.WEBHOOK: settings.webhooks_per_minute_max,
            }
        )


def kind_of(method: str, path: str) -> Kind | None:
    """Give a request's class; None: it is not limited."""
    if path in _FREE or path.startswith("/static/"):
        return None
    if "/webhooks/" in path and "/merchants/" not in path:
        return Kind.WEBHOOK
    if "/auth/" in path or path.startswith("/sign-in"):
        return Kind.SIGN_IN
    if path.endswith("/stream"):
        return Kind.STREAM
    return Kind.READ if method in {"GET", "HEAD", "OPTIONS"} else Kind.WRITE


class RateLimit:
    """Refuses a request over its caller's share with a problem that says when to come back.

    Args:
        app: what it stands before.
        shares: how many.
        tokens: to tell a genuine access token.
        clock: what tokens run out by. Windows are the library's, by the system's clock.
        shown: makes of the problem what this caller is to see.
    """

    def __init__(
        self, app: ASGIApp, *, shares: Shares, tokens: Tokens, clock: Clock, shown: Shown
    ) -> None:
        self._app = app
        self._shown = shown
        self._limits = {
            kind: RateLimitItemPerMinute(count, namespace=kind.value)
            for kind, count in shares.per_minute.items()
        }
        self._tokens = tokens
        self._clock = clock
        self._counts = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = kind_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        if self._counts.hit(self._limits[kind], caller):
            await self._app(scope, receive, send)
            return
        facts = {"retry_after_s": self._wait_s(kind, caller)}
        request = Request(scope)
        refusal = problem(request, Code.TOO_MANY_REQUESTS, facts=facts)
        await self._shown(request, refusal)(scope, receive, send)

    def _caller(self, scope: Scope) -> str:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        cookie = Request(scope).cookies.get(PAGE_COOKIE)
        now = self._clock.now()
        with suppress(Refusal):
            if scheme.lower() == "bearer":
                return f"person:{self._tokens.read(token, now=now).person_id}"
            if cookie is not None:
                return f"person:{self._tokens.read_of_page(cookie, now=now).person_id}"
        client: tuple[str, int] | None = scope.get("client")
        return f"address:{home_of(client[0] if client else '')}"

    def _wait_s(self, kind: Kind, caller: str) -> int:
        window = self._counts.get_window_stats(self._limits[kind], caller)
        return max(1, ceil(window.reset_time - SystemClock().now().timestamp()))
