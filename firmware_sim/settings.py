"""What can be set from the environment, each with its bound."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SimSettings(BaseSettings):
    """Read from ``LENDWATT_SIM_…``."""

    model_config = SettingsConfigDict(env_prefix="LENDWATT_SIM_", frozen=True, extra="ignore")

    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30
    """A broker that hears nothing for one and a half of these publishes the will."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """For the network, and then again for the broker's answer."""
    reconnect_first_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    """The longest wait before the first attempt to connect again; doubled for each further one."""
    reconnect_max_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """The longest wait of all. A bank never gives up."""
    tick_s: Annotated[float, Field(gt=0, le=10)] = 1.0
    """The longest time between two looks at the cells."""
    battery_speed: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    """The cells, and the energy counted, live this much faster than the clock: an hour's drain
    to be watched in a minute. Nothing else is faster."""
    max_banks: Annotated[int, Field(ge=1, le=15_000)] = 10_000
    """In one process: each holds a socket open."""
