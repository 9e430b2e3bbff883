"""The whole platform in one process: broker, gateway, backend, and the sandbox provider.

One asyncio loop runs them all; database work runs in threads. Everything that must outlive the
process is in the data directory: one SQLite file, the sandbox provider's own memory (it stands
for another company), and the secrets that were made at the first start. Kill it anywhere and
start it again: it goes on.
"""

import asyncio
import base64
import logging
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from apscheduler.schedulers.background import BackgroundScheduler
from pydantic import SecretStr

from backend import sweeps
from backend.clock import Clock, DemoClock, SystemClock
from backend.db import hooks, outbox, people, seam
from backend.db.engine import Database, make_engine
from backend.db.market import standing
from backend.db.migrate import migrate
from backend.follow import Follower
from backend.limits import FollowLimits, OutboxLimits
from backend.main import create_app, make_parts
from backend.payments import choose
from backend.payments.choose import SANDBOX
from backend.payments.port import Provider
from backend.payments.provider_app import (
    MemoryUnusableError,
    ProviderSettings,
    create_provider_app,
)
from backend.problems import StartError
from backend.server import Plain, Server, listen, make_server
from backend.settings import Settings, kept_secret, read_settings, token_secret
from backend.sweeps.hooks import SENDERS, send_hooks
from backend.worker import Worker
from gateway.broker import RunningBroker, start_broker
from gateway.clock import set_forward
from gateway.errors import StartError as GatewayStartError
from gateway.health import GatewayFigures
from gateway.service import Gateway
from gateway.settings import read_settings as read_gateway_settings

READY_WITHIN_S: Final = 15.0
STOP_WITHIN_S: Final = 15.0
_LINK_LOG: Final = logging.getLogger("gateway.link")


DEMO_CAPS: Final = {
    "signin_sends_per_phone_max": 1_000,
    "signin_sends_per_address_max": 10_000,
    "signins_per_minute_max": 10_000,
}
"""No code leaves the machine in a demo, so they need not be rationed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may ask of ``lendwatt up``. No port: the usual one, or a free one."""

    data_dir: Path = Path("lendwatt-data")
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int | None = None
    provider_port: int | None = None
    bank_port: int | None = None
    broker: str = "auto"
    allow_remote: bool = False
    demo: bool = False
    """Sign-in codes are told in the answer; loopback only."""
    operator_phones: frozenset[str] = frozenset()
    """Operators, beside those of the settings."""


USUAL_PORT: Final = 8000
USUAL_PROVIDER_PORT: Final = 8001
USUAL_BANK_PORT: Final = 1883


@dataclass(slots=True, kw_only=True)
class Platform:
    """A platform at work."""

    url: str
    provider_url: str
    """The sandbox's; empty if it is not among the providers."""
    providers: tuple[str, ...]
    broker: RunningBroker
    gateway: Gateway
    database: Database
    clock: Clock
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def api(self) -> str:
        """Where the API is."""
        return f"{self.url}/api/v1"

    @property
    def bank_url(self) -> str:
        """Where banks connect."""
        return f"mqtt://{self.broker.bank_host}:{self.broker.bank_port}"

    async def until_stopped(self) -> None:
        """Wait for SIGTERM or SIGINT; a part that dies by itself is raised."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([told, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        for task in self.tasks:
            if task.done():
                task.result()


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Platform]:
    """Start everything, hand it over ready, and stop it at the end.

    Raises:
        StartError: what is wrong and what to do, in one sentence.
    """
    async with AsyncExitStack() as stack:
        listener = _listen(options.host, options.port, USUAL_PORT, option="--port")
        stack.callback(listener.close)
        given = _given(options)
        sandbox_listener = None
        if SANDBOX in given.providers:
            sandbox_listener = _listen(
                "127.0.0.1", options.provider_port, USUAL_PROVIDER_PORT, option="--provider-port"
            )
            stack.callback(sandbox_listener.close)
        settings = _settings(options, given, _url(listener), sandbox_listener)
        database = await asyncio.to_thread(_open, settings)
        stack.callback(database.engine.dispose)
        with _in_our_words():
            gateway_settings = read_gateway_settings()
        broker = await stack.enter_async_context(await _start_broker(options, database))
        platform = Platform(
            url=settings.public_url,
            provider_url=settings.provider_url,
            providers=settings.providers,
            broker=broker,
            gateway=Gateway(database.engine, broker.gateway_url, gateway_settings),
            database=database,
            clock=_clock(settings),
        )
        providers = stack.enter_context(choose.opened(settings, database))
        sandbox = _sandbox_server(settings, platform.clock) if sandbox_listener else None
        backend = _backend_server(settings, platform, providers, stack)
        stack.callback(_LINK_LOG.setLevel, logging.NOTSET)
        _LINK_LOG.setLevel(logging.ERROR)  # what goes wrong before it is ready, a StartError tells
        servers: list[uvicorn.Server] = [backend]
        platform.tasks += [
            asyncio.create_task(platform.gateway.run(), name="gateway"),
            asyncio.create_task(backend.serve([listener]), name="backend"),
        ]
        if sandbox is not None and sandbox_listener is not None:
            servers.append(sandbox)
            serving = sandbox.serve([sandbox_listener])
            platform.tasks.append(asyncio.create_task(serving, name="sandbox"))
        stack.push_async_callback(_stop, platform, servers)
        await _until_ready(platform, servers)
        _LINK_LOG.setLevel(logging.NOTSET)
        yield platform


# -- the parts ----------------------------------------------------------------------------


def _listen(host: str, port: int | None, usual: int, *, option: str) -> socket.socket:
    """The port that was asked for; else the usual one; else, if that is taken, a free one."""
    if port is not None:
        return listen(host, port, option=option)
    try:
        return listen(host, usual)
    except StartError:
        return listen(host, 0)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104


def _given(options: Options) -> Settings:
    """The settings as they are given; a demo's payers press the sandbox's buttons."""
    given = read_settings(data_dir=options.data_dir)
    return given.model_copy(update={"providers": (SANDBOX,)}) if options.demo else given


def _settings(
    options: Options, given: Settings, url: str, sandbox_listener: socket.socket | None
) -> Settings:
    settings = given.model_copy(
        update={
            "host": options.host,
            "database_url": options.database_url or given.database_url,
            "public_url": given.public_url if "public_url" in given.model_fields_set else url,
            "provider_url": _url(sandbox_listener) if sandbox_listener else "",
            "demo": options.demo or given.demo,
            "operator_phones": given.operator_phones | options.operator_phones,
            "token_secret": given.token_secret
            or SecretStr(kept_secret(options.data_dir / "token-secret")),
        }
    )
    if settings.demo:
        settings = settings.model_copy(update={"access_token_s": settings.refresh_token_s})
    if options.demo:
        settings = settings.model_copy(update=DEMO_CAPS)
    settings = settings.model_copy(update={"token_secret": SecretStr(token_secret(settings))})
    return _with_sandbox_keys(settings) if sandbox_listener else settings


def _with_sandbox_keys(settings: Settings) -> Settings:
    """What the sandbox and its client share: made here, and kept."""
    folder = settings.data_dir
    return settings.model_copy(
        update={
            "provider_api_key": SecretStr(kept_secret(folder / "provider-api-key")),
            "provider_webhook_secret": SecretStr(
                kept_secret(folder / "provider-webhook-secret", make=_webhook_secret)
            ),
        }
    )


def _webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _open(settings: Settings) -> Database:
    engine = make_engine(settings.url_of_database())
    migrate(engine)
    database = Database(engine)
    with database.writing() as session:
        people.dismiss_operators(session, but=settings.operator_phones)
    return database


@contextmanager
def _in_our_words() -> Iterator[None]:
    """What keeps the gateway from starting keeps us from starting."""
    try:
        yield
    except GatewayStartError as wrong:
        raise StartError(str(wrong)) from wrong


async def _start_broker(options: Options, database: Database) -> RunningBroker:
    port = options.bank_port
    if port is None:
        port = 0 if _is_taken(options.host, USUAL_BANK_PORT) else USUAL_BANK_PORT
    with _in_our_words():
        return await start_broker(
            options.broker,
            engine=database.engine,
            host=options.host,
            port=port,
            allow_remote=options.allow_remote,
        )


def _is_taken(host: str, port: int) -> bool:
    try:
        listen(host, port).close()
    except StartError:
        return True
    return False


def _clock(settings: Settings) -> Clock:
    """The machine's clock; in a demo, one that goes ahead of it as far as it was turned."""
    if not settings.demo:
        return SystemClock()
    clock = DemoClock(settings.data_dir / "clock-forward-s")
    set_forward(clock.forward // timedelta(milliseconds=1))
    return clock


def _turn(clock: DemoClock, scheduler: BackgroundScheduler, forward_s: int) -> None:
    """Turn the clock of the whole platform: banks have their own. Every sweep looks at once."""
    clock.turn(timedelta(seconds=forward_s))
    set_forward(clock.forward // timedelta(milliseconds=1))
    for job in scheduler.get_jobs():
        job.modify(next_run_time=SystemClock().now())


def _sandbox_server(settings: Settings, clock: Clock) -> Plain:
    """The sandbox provider, which knows the backend by its webhook's address only."""
    assert settings.provider_api_key is not None  # noqa: S101  # see _with_sandbox_keys
    assert settings.provider_webhook_secret is not None  # noqa: S101
    try:
        app = create_provider_app(
            ProviderSettings(
                database=settings.data_dir / "sandbox-provider.sqlite",
                public_url=settings.provider_url,
                api_key=settings.provider_api_key.get_secret_value(),
                webhook_url=f"{settings.public_url}/api/v1/webhooks/{SANDBOX}",
                webhook_secret=settings.provider_webhook_secret.get_secret_value(),
                may_misbehave=settings.demo,
            ),
            clock=clock.now,
        )
    except MemoryUnusableError as wrong:
        raise StartError(str(wrong)) from wrong
    return Plain(uvicorn.Config(app, ws="none", log_config=None, access_log=False))


def _backend_server(
    settings: Settings,
    platform: Platform,
    providers: Mapping[str, Provider],
    stack: AsyncExitStack,
) -> Server:
    """The HTTP side, its workers and its sweeps, woken by each other's commits."""
    database, clock, limits = platform.database, platform.clock, OutboxLimits()
    following = FollowLimits()
    follower = Worker("follow", Follower(database, clock, following).work, poll_s=following.poll_s)
    sender = Worker(
        "outbox",
        lambda: sweeps.send_outbox(
            database,
            providers,
            public_url=settings.public_url,
            limits=limits,
            now=clock.now(),
        ),
        poll_s=limits.poll_s,
    )
    posters = [
        Worker(
            f"hooks-{number}",
            lambda: send_hooks(database, may_be_private=settings.demo, now=clock.now()),
            poll_s=limits.poll_s,
        )
        for number in range(SENDERS)
    ]

    def wake(topics: frozenset[str]) -> None:
        if seam.COMMANDS in topics:
            platform.gateway.wake_sender()
        if seam.CREDENTIALS in topics:
            platform.broker.poke()
        if outbox.OUTBOX in topics:
            sender.wake()
        if hooks.HOOKS in topics:
            for poster in posters:
                poster.wake()

    database.listen(wake)
    platform.gateway.on_events = follower.wake
    for worker in (follower, sender, *posters):
        worker.start()
        stack.callback(worker.stop, STOP_WITHIN_S)
    for worker in posters:  # before they are waited for, one after the other
        stack.callback(worker.begin_stop)
    tools = sweeps.Tools(database=database, providers=providers, settings=settings, outbox=limits)
    scheduler = _sweep(tools, clock)
    stack.callback(scheduler.shutdown)
    parts = make_parts(
        settings,
        database=database,
        clock=clock,
        standing_of=standing,
        turn_clock=partial(_turn, clock, scheduler) if isinstance(clock, DemoClock) else None,
        mqtt=(platform.broker.bank_host, platform.broker.bank_port),
        providers=providers,
        probes={
            "hears_banks": lambda: platform.gateway.is_ready,
            "follows_events": lambda: follower.is_well,
            "asks_providers": lambda: sender.is_well,
            "tells_merchants": lambda: all(poster.is_well for poster in posters),
        },
        messages=lambda: platform.gateway.ingest.tally.messages,
    )
    app = create_app(parts)
    app.state.metrics.registry.register(GatewayFigures(platform.gateway))
    return make_server(app, settings=settings, hub=parts.hub)


def _sweep(tools: sweeps.Tools, clock: Clock) -> BackgroundScheduler:
    """Start the periodic jobs: only a clock, since what is due stands in the database.

    One that runs while the clock is turned does not keep the next one from looking.
    """
    at_once = 2 if isinstance(clock, DemoClock) else 1
    scheduler = BackgroundScheduler(
        job_defaults={"max_instances": at_once, "coalesce": True, "misfire_grace_time": None},
        timezone=UTC,
    )
    for each in sweeps.ALL:
        scheduler.add_job(
            lambda run=each.run: run(tools, clock.now()), "interval", seconds=each.every_s
        )
    scheduler.start()
    return scheduler


# -- starting and stopping ----------------------------------------------------------------


async def _until_ready(platform: Platform, servers: Iterable[uvicorn.Server]) -> None:
    """Wait until banks are heard and pages are served.

    Raises:
        StartError: not within the bound; says what is missing.
    """
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not (platform.gateway.is_ready and all(server.started for server in servers)):
                for task in platform.tasks:
                    if task.done():
                        task.result()
                if platform.gateway.link.problem is not None:
                    break
                await asyncio.sleep(0.01)
    except TimeoutError as late:
        msg = f"Lendwatt was not ready within {READY_WITHIN_S:.0f} s: look at the log above."
        raise StartError(msg) from late
    problem = platform.gateway.link.problem
    if problem is not None:
        msg = f"{problem}; mend that, or have one started here with --broker auto."
        raise StartError(msg[0].upper() + msg[1:])


async def _stop(platform: Platform, servers: Iterable[uvicorn.Server]) -> None:
    """Stop taking requests, let the running ones end, then stop the rest."""
    for server in servers:
        server.should_exit = True
    _gateway, *serving = platform.tasks
    await asyncio.wait(serving, timeout=STOP_WITHIN_S)
    for task in platform.tasks:
        task.cancel()
    await asyncio.gather(*platform.tasks, return_exceptions=True)
