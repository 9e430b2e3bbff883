"""What a bank is made of: what the maker built, what it remembers, what it only knows now.

Five parts, apart because they live and die apart:

- :class:`Model`: what the maker built. Never changes.
- :class:`Flash`: survives a loss of power.
- :class:`Ram`: gone with the power.
- :class:`World`: the physical thing and what is attached to it. Nothing in it needs power: a
  bolt stays where it is.
- :class:`Bank`: the four together.

:mod:`firmware_sim.bank` opens with how they move.
"""

from dataclasses import dataclass, field
from typing import Final

from firmware_sim.battery import Battery, Pack
from gateway.protocol import (
    Command,
    CommandId,
    CommandKind,
    Config,
    Fault,
    Lock,
    Outcome,
    Output,
    Refused,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the maker built, and where it falls short of the contract."""

    name: str
    hw: str = "C"
    fw: str = "1.4.2"
    """Firmware from the factory."""
    pack: Pack = field(default_factory=Pack)
    max_output_mw: int = 22_500
    lock_travel_ms: int = 300
    """How long the bolt takes to open or close."""
    install_ms: int = 3_000
    """How long fetching and writing new firmware takes."""
    kinds: frozenset[CommandKind] = frozenset(CommandKind)
    """What it can be told to do."""
    honours_deadline: bool = True
    """False imitates a bank that acts whatever ``boot`` and ``not_after_ms`` say."""
    deduplicates: bool = True
    """False imitates a bank that acts again on each repeat of a command."""
    restores_output: bool = True
    """Whether it feeds again by itself after a power-up, where it was feeding before."""


MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model(name="LW-10K-A"),
        Model(name="LW-20K-A", pack=Pack(design_energy_mwh=74_000, heat_capacity_j_per_k=400.0)),
        Model(name="LW-10K-OLD", fw="0.9.0", honours_deadline=False, deduplicates=False),
    )
}
"""The simulated makers' catalogue. ``LW-10K-OLD`` keeps neither deadlines nor a memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a bank counts over its whole life."""

    sessions: int = 0
    on_ms: int = 0
    """With the output on."""
    energy_uj: int = 0
    """Delivered to loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command: the first result, which every repeat of it is answered with."""

    command: CommandId
    status: Outcome | None
    """None while it is being carried out."""
    reason: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """What is kept when the power goes."""

    fw: str
    """Starts at the next power-up."""
    boot: int = 0
    counters: Counters = Counters()
    """As of the last checkpoint."""
    answers: tuple[Answer, ...] = ()
    """Of the last 32 commands, oldest first."""
    last_command: CommandId | None = None
    config: Config = field(default_factory=lambda: Config(version=0))
    """Version 0 is the factory's."""
    output_is_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command that takes time; one at most."""

    command: Command
    ends_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ram:
    """What the firmware knows since it was powered up."""

    fw: str
    """Running now."""
    counters: Counters
    lock: Lock
    output: Output = Output.OFF
    plugged: bool = False
    is_powered: bool = True
    """False: the cells are empty, and nothing runs."""
    up_ms: int = 0
    lock_ms: int = 0
    output_ms: int = 0
    plugged_ms: int = 0
    faults: frozenset[Fault] = frozenset()
    is_online: bool = False
    conn: int = 0
    seq: int = 0
    told: tuple[object, ...] | None = None
    """What the last state said of the things whose change is news; None: nothing yet."""
    reported_ms: int = 0
    saved_ms: int = 0
    """When the counters were last written to flash."""
    job: Job | None = None
    reboot_at_ms: int | None = None
    locating_until_ms: int = 0
    """It blinks and beeps until then."""
    owed: tuple[CommandId, ...] = ()
    """Commands whose result the broker has not acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command that was acted on: the simulator's own log, which no firmware has."""

    command: CommandId
    kind: CommandKind
    boot: int
    up_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The thing itself and what surrounds it."""

    battery: Battery
    load_mw: int = 0
    """What is attached to the output would draw this; 0 is nothing attached."""
    charge_mw: int = 0
    """What a charger offers; 0 is none."""
    ambient_c: float = 22.0
    rssi_dbm: int = -67
    bolt: Lock = Lock.LOCKED
    """Where the bolt stands: locked or unlocked."""
    is_jammed: bool = False
    """The bolt can't move."""
    broken: frozenset[Fault] = field(default_factory=frozenset)
    """What somebody broke."""
    acts: tuple[Act, ...] = ()
    """The last 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """A whole bank."""

    model: Model
    flash: Flash
    ram: Ram
    world: World
