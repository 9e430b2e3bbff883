"""Settings to engine to routes: the wiring, nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from sqlmodel import Session
from starlette.routing import BaseRoute

from backend.api import (
    auth,
    delivery,
    demo,
    disputes,
    erasure,
    errors,
    health,
    hooks,
    labels,
    losses,
    merchant,
    operator,
    orders,
    renter,
    settlement,
    staff,
    stock,
    stream,
    tariffs,
    webhooks,
)
from backend.api.datum import InDatum, add_datum
from backend.api.deps import Parts, nobody
from backend.api.examples import add_examples
from backend.api.figures import Backlog
from backend.api.hub import Hub
from backend.api.middleware import BodyLimit, Measured, Metrics
from backend.api.pulse import Pulse
from backend.api.rates import RateLimit, Shares
from backend.clock import Clock, SystemClock
from backend.db.engine import Database
from backend.db.migrate import is_current
from backend.payments.port import Provider
from backend.principal import Standing
from backend.senders import ConsoleSender
from backend.services.signin import CodeSender, Tokens
from backend.settings import Settings, token_secret
from backend.web import pages

API = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    erasure.router,
    stream.router,
    renter.router,
    delivery.router,
    disputes.router,
    merchant.router,
    stock.router,
    stock.secrets,
    tariffs.router,
    orders.router,
    labels.router,
    losses.router,
    settlement.router,
    hooks.router,
    hooks.secrets,
    staff.router,
    operator.router,
    webhooks.router,
)
"""What is served under ``API``."""


def make_parts(
    settings: Settings,
    *,
    database: Database,
    clock: Clock | None = None,
    code_sender: CodeSender | None = None,
    standing_of: Callable[[Session, str], Standing] = nobody,
    providers: Mapping[str, Provider] | None = None,
    mqtt: tuple[str, int] = ("127.0.0.1", 1883),
    turn_clock: Callable[[int], None] | None = None,
    probes: Mapping[str, Callable[[], bool]] | None = None,
    messages: Callable[[], int] | None = None,
) -> Parts:
    """Put together what the routes need.

    Raises:
        StartError: the token secret will not do.
    """
    hub = Hub(seats_max=settings.streams_max, seats_per_person_max=settings.streams_per_person_max)
    database.listen(hub.wake)
    clock = clock or SystemClock()
    return Parts(
        settings=settings,
        database=database,
        clock=clock,
        tokens=Tokens(
            secret=token_secret(settings),
            access_s=settings.access_token_s,
            page_s=settings.refresh_token_s,
        ),
        code_sender=code_sender or ConsoleSender(),
        hub=hub,
        standing_of=standing_of,
        providers=providers or {},
        mqtt=mqtt,
        turn_clock=turn_clock,
        probes={"migrated": lambda: is_current(database.engine), **(probes or {})},
        pulse=None if messages is None else Pulse(messages, clock),
    )


def create_app(parts: Parts) -> FastAPI:
    """Make the HTTP application."""
    app = FastAPI(
        title="Lendwatt",
        version=version("lendwatt"),
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        routes=list(_routes(has_demo=parts.turn_clock is not None)),
    )
    app.state.parts = parts
    app.state.metrics = Metrics(streams=parts.hub.count)
    app.state.metrics.registry.register(Backlog(parts.database, parts.clock))
    app.add_middleware(InDatum)
    app.add_middleware(
        RateLimit,
        shares=Shares.of(parts.settings),
        tokens=parts.tokens,
        clock=parts.clock,
        shown=pages.as_shown,
    )
    app.add_middleware(BodyLimit, bytes_max=parts.settings.body_bytes_max, shown=pages.as_shown)
    app.add_middleware(Measured, metrics=app.state.metrics)
    errors.install(app)
    pages.install(app)
    _describe(app)
    return app


@cache
def _routes(*, has_demo: bool) -> tuple[BaseRoute, ...]:
    """Make the routes once: they know nothing of the application, and are half a second's work."""
    problem = {"model": errors.Problem, "description": "A problem (RFC 9457)."}
    made = APIRouter(responses={"default": problem})
    made.include_router(health.router)
    for router in (*ROUTERS, demo.router) if has_demo else ROUTERS:
        made.include_router(router, prefix=API)
    for router in pages.ROUTERS:
        made.include_router(router)
    return tuple(made.routes)


def _describe(app: FastAPI) -> None:
    """Have the OpenAPI document, made once, show an example of each body, and problems as such."""
    plain = app.openapi
    app.openapi = cache(  # type: ignore[method-assign]
        lambda: errors.describe(add_examples(add_datum(plain())))
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    tasks = [
        asyncio.create_task(
            stream.poll(parts.database, parts.hub, period_s=parts.settings.stream_poll_s)
        )
    ]
    if parts.pulse is not None:
        tasks.append(asyncio.create_task(parts.pulse.beat()))
    try:
        yield
    finally:
        parts.hub.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
