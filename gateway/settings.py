"""The gateway's settings, from the environment: ``LENDWATT_GATEWAY_*``.

Every queue, retry and loop of the gateway has its bound here, with what happens at it.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.commands import Capabilities, CommandRules
from gateway.errors import StartError
from gateway.presence import PresenceRules

Seconds = Annotated[float, Field(gt=0, le=3600)]


class GatewaySettings(BaseSettings):
    """How one gateway process behaves."""

    model_config = SettingsConfigDict(env_prefix="LENDWATT_GATEWAY_", frozen=True)

    database_url: str = "sqlite:///data/lendwatt.sqlite"
    broker: str = "auto"
    """``auto``, ``embedded``, ``mosquitto``, or ``mqtt[s]://user:password@host:port``."""
    client_id: str = Field(default="lendwatt-gateway", pattern=r"^[a-z0-9-]{4,64}$")
    """Lower case, so that no bank's id can be it."""
    shared_group: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,32}$")
    """Replicas name one group, and the broker shares the banks' messages among them."""
    ca_file: Path | None = None
    """Certificates that may sign an ``mqtts`` broker's; the system's when not given."""

    batch_max: int = Field(default=1_000, ge=1, le=10_000)
    """Messages in one transaction; the rest waits for the next. It holds SQLite's write lock for
    some 25 ms when it is full, and then costs a fifth less per message than 500 do."""
    unacked_max: int = Field(default=4_000, ge=1, le=60_000)
    """Messages taken and not yet acknowledged. At the bound the socket is not read: the broker
    keeps what comes, and TCP holds it back."""
    store_retry_max_s: Seconds = 5
    """While the database is away a batch is tried again, at most this far apart."""

    reconnect_min_s: Seconds = 0.2
    reconnect_max_s: Seconds = 30
    """Between attempts to connect: doubled each time, with full jitter."""
    keepalive_s: int = Field(default=30, ge=5, le=600)
    echo_every_s: Seconds = 10
    """The gateway sends itself a message; when it does not hear two in a row it is deaf, and
    connects anew."""

    report_s: int = Field(default=60, ge=1, le=86_400)
    degraded_periods: int = Field(default=3, ge=1)
    offline_periods: int = Field(default=6, ge=2)
    will_grace_s: Seconds = 10
    low_battery_pct: int = Field(default=20, ge=0, le=100)
    sweep_every_s: Seconds = 2
    """Presence and commands are looked at this often, and whenever something happens."""
    sweep_max: int = Field(default=1_000, ge=1)
    """Rows that one sweep changes; the rest waits for the next."""
    samples_kept_days: int = Field(default=30, ge=1)
    dead_letters_max: int = Field(default=10_000, ge=1)
    """The oldest go first."""

    resend_after_s: Seconds = 2
    most_sendings: int = Field(default=6, ge=1, le=20)
    settle_s: Seconds = 30
    weak_models: dict[str, Capabilities] = Field(default_factory=dict)
    """Bank models that lack a capability, by the name in their birth."""

    @property
    def presence_rules(self) -> PresenceRules:
        """The presence thresholds."""
        return PresenceRules(
            report_s=self.report_s,
            degraded_periods=self.degraded_periods,
            offline_periods=self.offline_periods,
            will_grace_ms=round(self.will_grace_s * 1000),
        )

    @property
    def command_rules(self) -> CommandRules:
        """How patient to be with a command."""
        return CommandRules(
            resend_after_ms=round(self.resend_after_s * 1000),
            most_sendings=self.most_sendings,
            settle_ms=round(self.settle_s * 1000),
        )

    def capabilities(self, model: str | None) -> Capabilities:
        """What a model can be trusted with."""
        return self.weak_models.get(model or "", Capabilities())


def read_settings(**given: Any) -> GatewaySettings:
    """Read the settings: what was given, and the environment for the rest.

    Raises:
        StartError: a value cannot be used; says which.
    """
    try:
        return GatewaySettings(**given)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        name = (
            "LENDWATT_GATEWAY_" + str(first["loc"][0]).upper()
            if first["loc"]
            else "The environment"
        )
        msg = f"{name} cannot be used ({first['msg']}): mend it, or unset it for the default."
        raise StartError(msg) from wrong
