"""Any number of banks in one process, on one loop; more can join while it runs."""

import asyncio
import ssl
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from firmware_sim import bank as firmware
from firmware_sim.anatomy import MODELS, Bank
from firmware_sim.connection import Address, Identity
from firmware_sim.flashfile import FlashDir
from firmware_sim.link import Link
from firmware_sim.settings import SimSettings
from gateway.protocol import BankId, Config, is_bank_id


class FleetProblem(Exception):  # noqa: N818 - named as what it is
    """A bank that can't join; its text says what to do."""


def _bank_id(text: str) -> str:
    if not is_bank_id(text):
        msg = "a bank's id is 4 to 32 of A-Z, 0-9 and -"
        raise ValueError(msg)
    return text


def _model(name: str) -> str:
    if name not in MODELS:
        msg = f"there is no model {name}; there are {', '.join(MODELS)}"
        raise ValueError(msg)
    return name


class BankSpec(BaseModel):
    """One bank of a fleet: who it is, where its broker is, how it starts."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )  # fmt: skip

    bank_id: Annotated[str, AfterValidator(_bank_id)]
    secret: Annotated[SecretStr, Field(min_length=1, max_length=256)]
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    tls: bool = False
    ca_file: str | None = None
    """Certificates that may sign the broker's; the system's when not given."""
    model: Annotated[str, AfterValidator(_model)] = "LW-10K-A"
    battery: Annotated[int, Field(ge=0, le=100)] = 80
    """Charge level, percent, when there is no flash file yet."""
    report_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    """The factory's setting, until a config says otherwise."""


class Fleet:
    """The banks of this process."""

    def __init__(self, settings: SimSettings, *, flash: FlashDir | None = None) -> None:
        """An empty fleet.

        Args:
            settings: bounds and speeds.
            flash: where the banks' flash outlives the process; None forgets it.
        """
        self._settings = settings
        self._flash = flash
        self._links: dict[BankId, Link] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def links(self) -> Iterable[Link]:
        """Every bank, in the order they joined."""
        return self._links.values()

    def __len__(self) -> int:
        return len(self._links)

    def find(self, bank_id: str) -> Link | None:
        """The bank with this id, or None."""
        return self._links.get(BankId(bank_id))

    def add(self, spec: BankSpec) -> Link:
        """Make a bank; it lives as soon as the fleet runs.

        Raises:
            FleetProblem: the id is taken, the fleet is full, or the certificates can't be read.
            FlashProblem: its flash file can't be used.
        """
        bank_id = BankId(spec.bank_id)
        if bank_id in self._links:
            msg = f"bank {bank_id} is here already"
            raise FleetProblem(msg)
        if len(self._links) >= self._settings.max_banks:
            msg = f"{len(self._links)} banks are all that LENDWATT_SIM_MAX_BANKS allows"
            raise FleetProblem(msg)
        link = Link(
            self._power_up(spec),
            identity=Identity(bank_id=bank_id, secret=spec.secret.get_secret_value()),
            address=Address(
                host=spec.host, port=spec.port, tls=_tls(spec.ca_file) if spec.tls else None
            ),
            settings=self._settings,
            jitter=Random(bank_id),  # noqa: S311 - it spreads load and keeps no secret
            save=lambda bank: self._save(bank_id, bank),
        )
        self._links[bank_id] = link
        if self._tasks is not None:
            self._tasks.create_task(link.run(), name=bank_id)
        return link

    async def run(self) -> None:
        """Let every bank live, and those that join later, until cancelled.

        Raises:
            FlashProblem: a flash file can't be written; all banks stop.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for link in self._links.values():
                    tasks.create_task(link.run(), name=link.bank_id)
                await asyncio.Event().wait()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    def _power_up(self, spec: BankSpec) -> Bank:
        bank_id, model = BankId(spec.bank_id), MODELS[spec.model]
        kept = self._flash.load(bank_id) if self._flash else None
        if kept is None:
            factory = Config(version=0, report_s=spec.report_s)
            bank = firmware.new_bank(model, battery_pct=spec.battery, config=factory)
        else:
            bank = firmware.power_up(kept.flash, model=model, world=kept.world)
        self._save(bank_id, bank)
        return bank

    def _save(self, bank_id: BankId, bank: Bank) -> None:
        if self._flash is not None:
            self._flash.save(bank_id, bank)


@cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate and name checked; one context for all banks."""
    if ca_file is not None and not Path(ca_file).is_file():
        msg = f"there is no certificate file {ca_file}"
        raise FleetProblem(msg)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificates in {ca_file} can't be read"
        raise FleetProblem(msg) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
