"""What a power bank and the platform say to each other, and nothing else.

The theory
----------
A bank reports *what is so and since when*, never "this just changed". Any message may be
lost, doubled, reordered or come hours late; the next one carries all that matters. So
nothing here needs a durable broker, and nothing here is a delta.

A bank has no trustworthy wall clock: a message carries ``boot`` (a counter kept in flash,
+1 at each power-up), ``seq`` (+1 for each message in that boot) and ``up_ms``
(milliseconds since that power-up). ``(boot, seq)`` orders a bank's messages.

The subject of a message is who published it, which the broker knows: a payload never
names its sender, and the topic does.

Reading is strict: bounded, finite, no duplicate keys, no coercion (``true`` is not 1,
``"7"`` is not 7). Unknown fields are ignored, so that a newer bank can talk to an older
platform. What does not validate raises :class:`ProtocolError` with a reason; it never
stops the messages behind it.

This is the only file in the project that knows a topic string or a JSON key. The AsyncAPI
document, the JSON Schemas and the hardware maker's page are made from it.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Final, Literal, NewType, NoReturn, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

PROTOCOL_VERSION: Final = 1
ROOT: Final = "lw/v1"
MAX_PAYLOAD_BYTES: Final = 4096
REMEMBERED_COMMANDS: Final = 32
"""How many command ids a bank remembers, so that a repeat is not carried out again."""

BANK_ID_PATTERN: Final = r"^[A-Z0-9-]{4,32}$"
_BANK_ID_LENGTHS: Final = range(4, 33)
_BANK_ID_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")

BankId = NewType("BankId", str)
CommandId = NewType("CommandId", str)

Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Uint53 = Annotated[int, Field(ge=0, le=2**53 - 1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,32}$")]
CommandIdText = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Reason(StrEnum):
    """Why a message was not believed: the ``reason`` of a dead letter."""

    BAD_TOPIC = "bad_topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_FINITE = "not_finite"
    DUPLICATE_KEY = "duplicate_key"
    BAD_FIELD = "bad_field"
    RETAINED = "retained"
    IMPLAUSIBLE = "implausible"
    INTERNAL = "internal"
    """Ours: it could not be stored. The message is kept for whoever mends it."""


class ProtocolError(ValueError):
    """A peer's bytes that are not what the contract says.

    ``reason`` is stable and counted; ``detail`` is a sentence for the hardware maker.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Channel(StrEnum):
    """The last part of a topic, and so the kind of the message on it."""

    STATUS = "status"
    STATE = "state"
    RESULT = "result"
    COMMAND = "command"
    CONFIG = "config"


FROM_BANK: Final = (Channel.STATUS, Channel.STATE, Channel.RESULT)
TO_BANK: Final = (Channel.COMMAND, Channel.CONFIG)
RETAINED: Final = (Channel.STATUS, Channel.CONFIG)
_CHANNELS: Final[dict[str, Channel]] = {channel.value: channel for channel in Channel}


def is_bank_id(text: str) -> bool:
    """Whether ``text`` is 4 to 32 of ``A-Z 0-9 -``."""
    return len(text) in _BANK_ID_LENGTHS and _BANK_ID_CHARS.issuperset(text)


def topic(bank: BankId, channel: Channel) -> str:
    """The topic of one bank's channel."""
    return f"{ROOT}/{bank}/{channel}"


def every_bank(channel: Channel) -> str:
    """The filter that matches this channel of every bank."""
    return f"{ROOT}/+/{channel}"


@lru_cache(maxsize=65_536)
def parse_topic(name: str) -> tuple[BankId, Channel]:
    """Whose topic this is, and which channel.

    Raises:
        ProtocolError: ``bad_topic``, when it is not a topic of this contract.
    """
    parts = name.split("/")
    if len(parts) == 4 and parts[0] == "lw" and parts[1] == "v1" and is_bank_id(parts[2]):  # noqa: PLR2004
        channel = _CHANNELS.get(parts[3])
        if channel is not None:
            return BankId(parts[2]), channel
    raise ProtocolError(
        Reason.BAD_TOPIC, f"topics look like {ROOT}/BANK-ID/state, not {name[:80]!r}"
    )


class Message(BaseModel):
    """What every payload has in common: strict, immutable, unknown fields ignored."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )


# -- status: birth and Last Will ------------------------------------------------------


class Birth(Message):
    """Published right after connecting, retained: who the bank is."""

    online: Literal[True] = True
    """True: the bank is here."""
    boot: Uint32
    """Boot counter, kept in flash."""
    conn: Uint32
    """Connections within this boot, from 1."""
    protocol: Uint32 = PROTOCOL_VERSION
    """Version of this contract."""
    model: Word
    """Device model, as the maker names it."""
    hw: Word
    """Hardware revision."""
    fw: Word
    """Firmware version."""


class Will(Message):
    """The Last Will, set at connect, retained. Stale unless it names the newest connection."""

    online: Literal[False] = False
    """False: the bank is gone."""
    boot: Uint32
    """Boot counter at the connect that set this will."""
    conn: Uint32
    """Connection, within that boot, that set this will."""


# -- state: everything that is so, and since when -------------------------------------


class Lock(StrEnum):
    """The output lock."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    JAMMED = "jammed"


class Output(StrEnum):
    """Whether the bank may feed a load."""

    ON = "on"
    OFF = "off"


class Fault(StrEnum):
    """What is now wrong with the bank."""

    OVER_TEMPERATURE = "over_temperature"
    OVER_CURRENT = "over_current"
    CELL_IMBALANCE = "cell_imbalance"
    TAMPER = "tamper"
    LOCK_JAMMED = "lock_jammed"
    LOW_VOLTAGE = "low_voltage"


class State(Message):
    """The whole state: on connecting, on every change, and every ``report_s``.

    ``lock_ms``, ``output_ms`` and ``plugged_ms`` are never after ``up_ms``.
    """

    boot: Uint32
    """Boot counter, kept in flash."""
    seq: Uint32
    """+1 for each state or result of this bank in this boot."""
    up_ms: Uint53
    """Milliseconds since boot, when the state was read."""
    battery: Percent
    """Charge level, percent."""
    lock: Lock
    """How the output lock stands."""
    lock_ms: Uint53
    """``up_ms`` at which ``lock`` took this value."""
    output: Output
    """Whether a load may be fed."""
    output_ms: Uint53
    """``up_ms`` at which ``output`` took this value."""
    plugged: bool
    """A load draws current."""
    plugged_ms: Uint53
    """``up_ms`` at which ``plugged`` took this value."""
    sessions: Uint32
    """Times ``plugged`` became true with ``output`` on, lifetime."""
    on_s: Uint53
    """Seconds with ``output`` on, lifetime, kept in flash."""
    energy_mwh: Uint53
    """Energy delivered to loads, milliwatt-hours, lifetime."""
    last_command: CommandIdText | None
    """Id of the last command carried out, or null."""
    faults: Annotated[tuple[Fault, ...], Field(max_length=len(Fault))]
    """Now present."""
    temp_c: Annotated[float, Field(ge=-60, le=150)] | None = None
    """Cell temperature, degrees Celsius."""
    voltage_mv: Annotated[int, Field(ge=0, le=60_000)] | None = None
    """Pack voltage, millivolts."""
    current_ma: Annotated[int, Field(ge=-60_000, le=60_000)] | None = None
    """Output current, milliamperes; negative while the bank itself is being charged."""
    cycles: Uint32 | None = None
    """Full charge cycles, lifetime."""
    rssi_dbm: Annotated[int, Field(ge=-150, le=20)] | None = None
    """Radio signal strength, dBm."""
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    """Latitude, WGS-84 degrees."""
    lng: Annotated[float, Field(ge=-180, le=180)] | None = None
    """Longitude, WGS-84 degrees."""
    config_version: Uint32 | None = None
    """``version`` of the config in force."""

    @model_validator(mode="after")
    def _nothing_is_since_the_future(self) -> Self:
        if max(self.lock_ms, self.output_ms, self.plugged_ms) > self.up_ms:
            msg = "lock_ms, output_ms and plugged_ms are not after up_ms"
            raise ValueError(msg)
        return self


# -- command and result ---------------------------------------------------------------


class CommandKind(StrEnum):
    """What a bank can be told to do."""

    CHARGE_START = "charge_start"
    CHARGE_STOP = "charge_stop"
    LOCATE = "locate"
    REPORT = "report"
    REBOOT = "reboot"
    UPDATE = "update"


PHYSICAL: Final = frozenset({CommandKind.CHARGE_START, CommandKind.CHARGE_STOP})
"""Kinds that move the lock: one in flight per bank, and never guessed about."""


class UpdateArgs(Message):
    """``args`` of ``update``."""

    url: Annotated[str, Field(pattern=r"^https://[!#-\[\]-~]{1,500}$")]
    """Where the firmware is."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the file, in hexadecimal."""
    version: Word
    """The firmware version that it holds."""


# Bounded, and ASCII that JSON never escapes, so that no command outgrows a payload.
Scalar = bool | Uint53 | Annotated[str, Field(pattern=r"^[ !#-\[\]-~]{0,512}$")]


class Command(Message):
    """One instruction. Carried out only in boot ``boot`` and until ``not_after_ms``.

    ``args`` is loose here, so that a bank can answer ``bad_args`` to what it does not
    understand. Only ``update`` has any: :class:`UpdateArgs`.
    """

    id: CommandIdText
    """The command's id: a repeat of it is not carried out again, its first result is sent again."""
    kind: CommandKind
    """What to do."""
    boot: Uint32
    """The boot this is meant for; in any other it does nothing."""
    not_after_ms: Uint53
    """The bank's own ``up_ms`` after which it does nothing."""
    args: Annotated[dict[Word, Scalar], Field(max_length=6)] = {}
    """What the kind needs to know; empty for all but ``update``."""


class Outcome(StrEnum):
    """What became of a command, as the bank tells it."""

    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Refused(StrEnum):
    """Why a bank did not carry a command out."""

    WRONG_BOOT = "wrong_boot"
    TOO_LATE = "too_late"
    NOT_SUPPORTED = "not_supported"
    LOW_BATTERY = "low_battery"
    FAULTY = "faulty"
    BUSY = "busy"
    BAD_ARGS = "bad_args"
    INTERNAL = "internal"


class Result(Message):
    """A command's outcome. The platform believes the state, not this; but it believes a no."""

    boot: Uint32
    """Boot counter, kept in flash."""
    seq: Uint32
    """+1 for each state or result of this bank in this boot."""
    up_ms: Uint53
    """Milliseconds since boot, when this was written."""
    command: CommandIdText
    """Id of the command this answers."""
    status: Outcome
    """What became of it."""
    reason: Refused | None = None
    """Present unless ``status`` is ``done``."""

    @model_validator(mode="after")
    def _a_no_says_why(self) -> Self:
        if (self.reason is None) != (self.status is Outcome.DONE):
            msg = "reason is given when, and only when, status is not done"
            raise ValueError(msg)
        return self


# -- config ---------------------------------------------------------------------------


class Config(Message):
    """Desired settings, retained; the bank applies them and reports ``config_version``."""

    version: Uint32
    """+1 for each change; the bank reports it back as ``config_version``."""
    report_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Seconds between periodic states."""
    low_battery: Percent = 20
    """At or under this level the bank counts as low."""
    min_output_battery: Percent = 10
    """Under this level the bank feeds no load."""


# -- encode and decode ----------------------------------------------------------------

Status = Birth | Will
FromBank = Birth | Will | State | Result
ToBank = Command | Config
AnyMessage = FromBank | ToBank

MODELS: Final[dict[Channel, tuple[type[Message], ...]]] = {
    Channel.STATUS: (Birth, Will),
    Channel.STATE: (State,),
    Channel.RESULT: (Result,),
    Channel.COMMAND: (Command,),
    Channel.CONFIG: (Config,),
}


def _which_status(raw: Any) -> str | None:
    online = raw.get("online") if isinstance(raw, dict) else None
    if not isinstance(online, bool):  # to Python 1 is True, and so it is to ``Literal[True]``
        return None
    return "birth" if online else "will"


_STATUS: Final[TypeAdapter[Any]] = TypeAdapter(
    Annotated[
        Annotated[Birth, Tag("birth")] | Annotated[Will, Tag("will")],
        Discriminator(
            _which_status,
            custom_error_type="online",
            custom_error_message="a status is an object whose online is true or false",
        ),
    ]
)
_READ: Final[dict[Channel, Callable[[bytes], Any]]] = {
    Channel.STATUS: _STATUS.validate_json,
    Channel.STATE: State.__pydantic_validator__.validate_json,
    Channel.RESULT: Result.model_validate_json,
    Channel.COMMAND: Command.model_validate_json,
    Channel.CONFIG: Config.model_validate_json,
}


def encode(message: AnyMessage) -> bytes:
    """The payload of a message: compact JSON in UTF-8; optional fields only where they are set."""
    if isinstance(message, State):  # its last_command is null, not absent
        return message.model_dump_json(exclude_unset=True).encode()
    return message.model_dump_json(exclude_none=True).encode()


def decode(channel: Channel, payload: bytes) -> Any:
    """The message in a payload that came on a channel.

    Args:
        channel: the last part of its topic.
        payload: at most 4,096 bytes of JSON.

    Returns:
        ``Birth | Will``, ``State``, ``Result``, ``Command`` or ``Config``, by channel.

    Raises:
        ProtocolError: the payload is not what the contract says; its reason tells how.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        detail = f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are allowed"
        raise ProtocolError(Reason.TOO_LARGE, detail)
    try:
        message = _READ[channel](payload)
    except ValidationError as error:
        _refuse_bad_json(payload)
        raise _first_complaint(error) from None
    # Every key has one colon. As many colons as known fields: no key came twice, none is unknown.
    if payload.count(b":") != len(message.model_fields_set):
        _refuse_bad_json(payload)
    return message


def _refuse_bad_json(payload: bytes) -> None:
    """Raise unless the payload is JSON with finite numbers and no key twice in one object."""
    try:
        json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_float=_refuse_infinite,
            parse_constant=_refuse_constant,
        )
    except ProtocolError:
        raise
    except (ValueError, RecursionError) as error:
        raise ProtocolError(Reason.NOT_JSON, f"not JSON in UTF-8: {error}"[:200]) from None


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = dict(pairs)
    if len(seen) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProtocolError(Reason.DUPLICATE_KEY, f"the key {twice[:40]!r} comes twice")
    return seen


def _refuse_constant(name: str) -> NoReturn:
    raise ProtocolError(Reason.NOT_FINITE, f"{name} is not a number that JSON knows")


def _refuse_infinite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):  # 1e999
        raise ProtocolError(Reason.NOT_FINITE, f"{digits[:40]} is too large a number")
    return number


def _first_complaint(error: ValidationError) -> ProtocolError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":  # nested past its limit, or half a surrogate pair
        return ProtocolError(Reason.NOT_JSON, first["msg"][:200])
    where = ".".join(str(part) for part in first["loc"]) or "payload"
    return ProtocolError(Reason.BAD_FIELD, f"{where}: {first['msg']}"[:200])
