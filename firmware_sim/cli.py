"""``lendwatt-sim``: one bank, a fleet, or a hand for a bank that runs already.

A secret is never needed on the command line, where other users could read it: give it in the
environment (``LENDWATT_SIM_SECRET``), in a file, or on the standard input.
"""

import asyncio
import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import urlsplit

import httpx
import structlog
import typer
from pydantic import TypeAdapter, ValidationError

from firmware_sim.flashfile import FlashDir, FlashProblem
from firmware_sim.fleet import BankSpec, Fleet, FleetProblem
from firmware_sim.process import PortTaken, serve
from firmware_sim.settings import SimSettings

CONTROL_PORT: Final = 7790
CONTROL_TIMEOUT_S: Final = 10

app = typer.Typer(
    help="Power banks made of software.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ControlPort = Annotated[
    int, typer.Option(min=0, max=65_535, help="Where on loopback to be handled; 0: any free port.")
]
FlashOption = Annotated[
    Path | None,
    typer.Option(help="Keep the banks' flash here, so that a restart is their next boot."),
]


class Act(StrEnum):
    """What can be done to a bank by hand."""

    SHOW = "show"
    PLUG = "plug"
    UNPLUG = "unplug"
    CHARGE = "charge"
    DRAIN = "drain"
    JAM = "jam"
    UNJAM = "unjam"
    BREAK = "break"
    MEND = "mend"
    REBOOT = "reboot"
    DROP = "drop"
    RECONNECT = "reconnect"


_VALUE: Final[dict[Act, str]] = {
    Act.PLUG: "load_mw",
    Act.CHARGE: "charge_mw",
    Act.DRAIN: "to_pct",
    Act.DROP: "seconds",
    Act.BREAK: "fault",
    Act.MEND: "fault",
}
"""Acts that take a value, and what it is."""


def main() -> None:
    """Run the command line; what a person can mend is one sentence and exit code 1."""
    try:
        app()
    except (FleetProblem, FlashProblem, PortTaken) as error:
        _fail(str(error))


@app.command()
def bank(
    *,
    bank_id: Annotated[str, typer.Option("--id", help="4 to 32 of A-Z, 0-9 and -.")],
    secret: Annotated[
        str | None, typer.Option(envvar="LENDWATT_SIM_SECRET", help="Better in the environment.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="A file that holds the secret; - is the standard input.")
    ] = None,
    broker: Annotated[
        str, typer.Option(help="mqtt://HOST:PORT, or mqtts:// for TLS.")
    ] = "mqtt://127.0.0.1:1883",
    ca_file: Annotated[Path | None, typer.Option(help="Who may sign the broker's name.")] = None,
    model: Annotated[str, typer.Option(help="Of the simulated makers.")] = "LW-10K-A",
    battery: Annotated[int, typer.Option(min=0, max=100, help="Percent, when it is new.")] = 80,
    report_s: Annotated[int, typer.Option(min=1, max=86_400, help="Until configured.")] = 60,
    flash_dir: FlashOption = None,
    control_port: ControlPort = CONTROL_PORT,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent")] = False,
) -> None:
    """Run one bank, and print what it says and hears."""
    host, port, tls = _broker(broker)
    spec = _spec(
        {
            "bank_id": bank_id,
            "secret": _secret(secret, secret_file),
            "host": host,
            "port": port,
            "tls": tls,
            "ca_file": str(ca_file) if ca_file else None,
            "model": model,
            "battery": battery,
            "report_s": report_s,
        }
    )
    _log_to(sys.stdout, logging.INFO)

    def tell(control: str | None) -> None:
        typer.echo(
            f"bank {bank_id} runs. To handle it: "
            f"lendwatt-sim handle {bank_id} plug --control {control}"
        )

    fleet = _fleet([spec], flash_dir)
    asyncio.run(
        serve(fleet, control_port=control_port, on_ready=tell, exit_with_parent=exit_with_parent)
    )


@app.command()
def fleet(
    *,
    banks: Annotated[
        Path, typer.Option(help="JSON: a list of {bank_id, secret, host, port, ...}; - is stdin.")
    ],
    flash_dir: FlashOption = None,
    control_port: ControlPort = CONTROL_PORT,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="End with the process that started this.")
    ] = False,
    verbose: Annotated[bool, typer.Option(help="Say on stderr what each bank says.")] = False,
) -> None:
    """Run many banks; print one line of JSON when they run."""
    specs = _specs(_read(banks, what="the list of banks"))
    _log_to(sys.stderr, logging.INFO if verbose else logging.WARNING)
    many = _fleet(specs, flash_dir)

    def tell(control: str | None) -> None:
        typer.echo(json.dumps({"ready": True, "control": control, "banks": len(many)}))

    asyncio.run(
        serve(many, control_port=control_port, on_ready=tell, exit_with_parent=exit_with_parent)
    )


@app.command()
def handle(
    bank_id: Annotated[str, typer.Argument(metavar="BANK")],
    act: Act,
    value: Annotated[
        str | None,
        typer.Argument(
            help="plug: milliwatts. charge: milliwatts, 0 is off. drain: percent. "
            "drop: seconds. break, mend: a fault."
        ),
    ] = None,
    *,
    control: Annotated[
        str, typer.Option(envvar="LENDWATT_SIM_CONTROL", help="Where the simulator is handled.")
    ] = f"http://127.0.0.1:{CONTROL_PORT}",
) -> None:
    """Do something to a bank that runs, and print how it is then."""
    url = f"{control.rstrip('/')}/banks/{bank_id}"
    body = _body(act, value)
    try:
        if act is Act.SHOW:
            answer = httpx.get(url, timeout=CONTROL_TIMEOUT_S)
        else:
            answer = httpx.post(f"{url}/{act}", json=body, timeout=CONTROL_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL):
        _fail(f"no simulator answers at {control}: is it running, and is --control right?")
    if answer.is_error:
        _fail(_detail(answer))
    typer.echo(json.dumps(answer.json(), indent=2))


# -- reading what was given -----------------------------------------------------------


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"lendwatt-sim: {sentence}", err=True)
    raise SystemExit(1)


def _body(act: Act, value: str | None) -> dict[str, Any] | None:
    key = _VALUE.get(act)
    if value is None:
        return None
    if key is None:
        _fail(f"{act} takes no value")
    if key == "fault":
        return {key: value}
    try:
        return {key: float(value) if key == "seconds" else int(value)}
    except ValueError:
        _fail(f"{act} takes a number ({key}), not {value!r}")


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code}: it is not a simulator's control"


def _broker(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        _fail(f"{url!r} is not a broker's address: write mqtt://HOST:PORT")
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.username:
        _fail(f"{url!r} is not a broker's address: write mqtt://HOST:PORT, or mqtts:// for TLS")
    tls = parts.scheme == "mqtts"
    return parts.hostname, port or (8883 if tls else 1883), tls


def _secret(secret: str | None, file: Path | None) -> str:
    if file is not None:
        return _read(file, what="the secret").strip()
    if secret is None:
        _fail("a bank needs its secret: set LENDWATT_SIM_SECRET, or give --secret-file")
    return secret


def _read(path: Path, *, what: str) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        _fail(f"{what} can't be read from {path}: {reason}")


def _spec(values: dict[str, Any]) -> BankSpec:
    try:
        return BankSpec.model_validate(values)
    except ValidationError as error:
        _fail(_first(error))


def _specs(text: str) -> list[BankSpec]:
    try:
        return TypeAdapter(list[BankSpec]).validate_json(text)
    except ValidationError as error:
        _fail(f"the list of banks: {_first(error)}")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _fleet(specs: list[BankSpec], flash_dir: Path | None) -> Fleet:
    try:
        settings = SimSettings()
    except ValidationError as error:
        name, _, what = _first(error).partition(": ")
        _fail(f"in the environment, LENDWATT_SIM_{name.upper()}: {what}")
    many = Fleet(settings, flash=FlashDir(flash_dir) if flash_dir else None)
    for spec in specs:
        many.add(spec)
    return many


def _log_to(stream: Any, level: int) -> None:
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
