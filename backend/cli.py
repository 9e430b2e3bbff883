"""``lendwatt``: the platform from the command line."""

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from backend import checks, logs
from backend.db.engine import make_engine
from backend.db.migrate import migrate as migrate_to_newest
from backend.demo.city import BANKS
from backend.demo.run import Wishes
from backend.demo.run import demo as run_demo
from backend.demo.stage import PACE_S
from backend.demo.story import StepFailed
from backend.domain.lang import Lang
from backend.payments.choose import SANDBOX
from backend.problems import StartError
from backend.settings import read_settings
from backend.up import Options, Platform, running

app = typer.Typer(
    help="Share your own power banks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path, typer.Option(envvar="LENDWATT_DATA_DIR", help="Where everything is kept.")
]
Database = Annotated[
    str, typer.Option(envvar="LENDWATT_DATABASE_URL", help="URL; a SQLite file there if not given.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="0: a free one. Not given: the usual, or a free one."),
]
Broker = Annotated[
    str,
    typer.Option(help="auto, embedded, mosquitto, or mqtt[s]://user:password@host:port."),
]


@app.command()
def up(
    *,
    data_dir: DataDir = Path("lendwatt-data"),
    database: Database = "",
    host: Annotated[str, typer.Option(help="Address for apps and banks.")] = "127.0.0.1",
    port: Port = None,
    bank_port: Port = None,
    provider_port: Port = None,
    broker: Broker = "auto",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Banks may connect from elsewhere, unencrypted.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where things are in one line of JSON.")
    ] = False,
) -> None:
    """Start everything: broker, gateway, backend, and the sandbox payment provider."""
    logs.set_up()
    options = Options(
        data_dir=data_dir,
        database_url=database,
        host=host,
        port=port,
        bank_port=bank_port,
        provider_port=provider_port,
        broker=broker,
        allow_remote=allow_remote,
    )
    asyncio.run(_up(options, as_json=as_json))


async def _up(options: Options, *, as_json: bool) -> None:
    async with running(options) as platform:
        typer.echo(json.dumps(_where(platform)) if as_json else _tell(platform))
        await platform.until_stopped()


def _where(platform: Platform) -> dict[str, str]:
    return {
        "url": platform.url,
        "api": platform.api,
        "banks": platform.bank_url,
        "broker": platform.broker.kind,
        "provider": platform.provider_url,
    }


def _tell(platform: Platform) -> str:
    return (
        f"Lendwatt is up.\n"
        f"  pages and API   {platform.url}   {platform.api}\n"
        f"  banks           {platform.bank_url}   ({platform.broker.kind} broker)\n"
        f"  payments        {_payments(platform)}\n"
        f"Stop with Ctrl-C."
    )


def _payments(platform: Platform) -> str:
    told = {SANDBOX: f"{platform.provider_url}   (sandbox: no real money)"}
    return ", ".join(told.get(name, name) for name in platform.providers)


@app.command()
def migrate(*, data_dir: DataDir = Path("lendwatt-data"), database: Database = "") -> None:
    """Bring a database to this version; ``up`` does so by itself."""
    settings = read_settings(data_dir=data_dir)
    engine = make_engine(database or settings.url_of_database())
    migrate_to_newest(engine)
    typer.echo(f"{engine.url.render_as_string(hide_password=True)} is at this version.")


@app.command()
def verify(
    *,
    data_dir: DataDir = Path("lendwatt-data"),
    database: Database = "",
    provider: Annotated[
        bool,
        typer.Option("--provider", help="Ask the payment providers too (LENDWATT_PROVIDERS)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell it in one line of JSON.")] = False,
) -> None:
    """Check that the books balance and agree with everything else; only reads."""
    settings = read_settings(data_dir=data_dir)
    url = database or settings.url_of_database()
    with ExitStack() as stack:
        asked = stack.enter_context(checks.asked(settings, url)) if provider else None
        report = checks.check(url, asked)
    typer.echo(report.as_json() if as_json else "\n".join(report.lines()))
    sys.exit(report.exit_code)


@app.command()
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="One rental to its receipt, then end.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Go on with what is there; not given: fresh, and removed.")
    ] = None,
    port: Port = None,
    bank_port: Port = None,
    provider_port: Port = None,
    broker: Broker = "auto",
    banks: Annotated[int, typer.Option(min=3, max=200, help="How many, in all.")] = BANKS,
    lang: Annotated[Lang | None, typer.Option(help="Not given: that of LANG, or en.")] = None,
    pace: Annotated[float, typer.Option(min=0, max=60, help="Seconds to read a step.")] = PACE_S,
    picture: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Show it: a city of simulated banks, and one rental told step by step."""
    wishes = Wishes(
        once=once,
        data_dir=data_dir,
        port=port,
        bank_port=bank_port,
        provider_port=provider_port,
        broker=broker,
        banks=banks,
        lang=lang,
        pace_s=pace,
        picture=picture,
    )
    sys.exit(run_demo(wishes))


def main() -> None:
    """Run the command line; what can't start is told in one sentence."""
    try:
        app()
    except (StartError, StepFailed) as wrong:
        typer.echo(f"lendwatt: {wrong}", err=True)
        sys.exit(1)
