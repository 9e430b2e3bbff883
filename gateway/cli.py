"""``lendwatt-gateway``: the gateway as a process of its own."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from gateway.broker import RunningBroker, start_broker
from gateway.database import open_database
from gateway.errors import StartError
from gateway.health import health_app
from gateway.service import Gateway
from gateway.settings import GatewaySettings, read_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """What banks say becomes domain events; what the backend wishes reaches them."""


@app.command()
def run(
    *,
    database: Annotated[
        str | None, typer.Option(help="URL of the migrated database, the backend's own.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="auto, embedded, mosquitto, or mqtt[s]://user:password@host:port."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address for the banks, when we start the broker.")
    ] = "127.0.0.1",
    bank_port: Annotated[
        int, typer.Option(help="Port for the banks, when we start the broker; 0: a free one.")
    ] = 1883,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Banks may connect from elsewhere, unencrypted.")
    ] = False,
    passwords: Annotated[
        Path | None,
        typer.Option(help="The password file of a Mosquitto of yours, to keep in step."),
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help="Serve /healthz, /readyz and /metrics on this port.")
    ] = None,
) -> None:
    """Run until told to stop. Settings: the environment, ``LENDWATT_GATEWAY_*``."""
    given: dict[str, Any] = {"database_url": database, "broker": broker}
    settings = read_settings(**{key: value for key, value in given.items() if value is not None})
    broker_at = partial(
        start_broker, settings.broker, host=host, port=bank_port, allow_remote=allow_remote,
        passwords=passwords,
    )  # fmt: skip
    asyncio.run(_run(settings, broker_at, health_port=health_port))


async def _run(
    settings: GatewaySettings,
    broker_at: Callable[..., Awaitable[RunningBroker]],
    *,
    health_port: int | None,
) -> None:
    engine = open_database(settings.database_url)
    async with await broker_at(engine=engine) as broker:
        gateway = Gateway(engine, broker.gateway_url, settings)
        typer.echo(f"banks connect to mqtt://{broker.bank_host}:{broker.bank_port}", err=True)
        work = asyncio.create_task(gateway.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        health = asyncio.create_task(_serve_health(gateway, health_port))
        try:
            await work
        except asyncio.CancelledError:
            typer.echo("stopped", err=True)
        finally:
            health.cancel()
            await asyncio.gather(health, return_exceptions=True)
            engine.dispose()


async def _serve_health(gateway: Gateway, port: int | None) -> None:
    if port is not None:
        config = uvicorn.Config(health_app(gateway), host="127.0.0.1", port=port, log_config=None)
        await uvicorn.Server(config).serve()


def main() -> None:
    """Run the command line; what can't start is told in one sentence."""
    try:
        app()
    except StartError as wrong:
        sys.exit(f"lendwatt-gateway: {wrong}")
