"""The page for whoever builds a bank: the contract in plain words and tables.

Tables and examples are made from the models and their schemas; the prose between them is
what no schema can say.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.contract_examples import EXAMPLES
from gateway.protocol import (
    FROM_BANK,
    MAX_PAYLOAD_BYTES,
    MODELS,
    PROTOCOL_VERSION,
    REMEMBERED_COMMANDS,
    RETAINED,
    BankId,
    Birth,
    Channel,
    Command,
    Message,
    Reason,
    Result,
    State,
    UpdateArgs,
    Will,
    encode,
    topic,
)

Json = dict[str, Any]

_UNITS: Final[Mapping[str, str]] = {
    "up_ms": "ms since boot", "lock_ms": "ms since boot", "output_ms": "ms since boot",
    "plugged_ms": "ms since boot", "not_after_ms": "ms since boot", "on_s": "s", "report_s": "s",
    "energy_mwh": "mWh", "temp_c": "°C", "voltage_mv": "mV", "current_ma": "mA",
    "rssi_dbm": "dBm", "lat": "degrees", "lng": "degrees", "battery": "percent",
    "low_battery": "percent", "min_output_battery": "percent",
}  # fmt: skip

_REASONS: Final[Mapping[Reason, str]] = {
    Reason.BAD_TOPIC: "The topic is not one of this contract.",
    Reason.TOO_LARGE: f"The payload is over {MAX_PAYLOAD_BYTES} bytes.",
    Reason.NOT_JSON: "It is not JSON in UTF-8 (a byte order mark is not JSON either).",
    Reason.NOT_FINITE: "A number is NaN, infinite, or too large to be a number.",
    Reason.DUPLICATE_KEY: "One object has a key twice.",
    Reason.BAD_FIELD: "A field is missing, of another type, or out of its bounds.",
    Reason.RETAINED: "It was published with the retain flag, on a topic that is not retained.",
    Reason.IMPLAUSIBLE: "It does not follow from what the bank said before (a leap in `boot` or "
    "`seq`). Kept aside, not obeyed; a bank that keeps to its new line is believed in the end.",
    Reason.INTERNAL: "The platform's own fault.",
}

_INTRO: Final = f"""\
<!-- Made by `python -m gateway.contract` from gateway/protocol.py. Change that, not this. -->
# The device contract, version {PROTOCOL_VERSION}

What a power bank says and hears. Any MQTT 3.1.1 or 5.0 client can speak it. You need this
page, the broker's address, and one bank's credential.

For machines: [`asyncapi.json`](asyncapi.json) (AsyncAPI 3.0.0), and one JSON Schema
(2020-12) for each message under [`schemas/`](schemas).

## The idea

A bank reports **what is so and since when**, never "this just changed". Any message may be
lost, doubled, reordered or hours late; the next one carries all that matters.

A bank needs no clock. It keeps a **boot counter** in flash (`boot`, +1 at each power-up),
counts its messages in that boot (`seq`), and tells time as **milliseconds since boot**
(`up_ms`).

## Connecting

- User name and client id are the bank's id: 4 to 32 of `A-Z`, `0-9` and `-`. The password is
  the bank's own secret, shown once when the bank is registered. A client certificate whose
  common name is the id does as well, where the broker takes certificates.
- Clean session (MQTT 3.1.1) or clean start (5.0). Nothing waits for a bank that is away.
- One connection for each bank: a second one ends the first.
- Set the Last Will, retained, QoS 1, at `{topic(BankId("{bank}"), Channel.STATUS)}`, with this
  connection's `boot` and `conn`.
- Then, in this order: subscribe to `command` and `config`, publish the birth, publish a state.
- If the connection drops, wait a second, then twice as long each time, up to a minute, each
  wait with some random part, so that a thousand banks do not come back at once.

## Topics

A bank may use the topics under its own id only. A payload never names its sender.

"""

_RULES: Final = f"""\
## Rules for every payload

- One JSON object in UTF-8, at most {MAX_PAYLOAD_BYTES} bytes, no byte order mark.
- Types are strict: `true` is not `1`, `"7"` is not `7`, and an integer has no fraction and no
  exponent (`7`, never `7.0` or `7e0`).
- Numbers are finite: no `NaN`, no `Infinity`, no `1e999`. No key comes twice.
- Fields that the reader does not know are ignored, so send your own if you like, and expect
  new ones. A field never changes its meaning.
- Optional fields may be left out or null.

What does not hold to this is kept aside with one of these reasons. It is acknowledged, it
changes nothing, and it never stops the messages behind it.

| reason | what it means |
|---|---|
"""

_CONDUCT: Final = f"""\
## When to report

Send a state right after connecting, on every change of `lock`, `output`, `plugged` or `faults`,
and every `report_s` seconds (60 until a config says otherwise). `seq` goes up by one with each
state and each result, and starts again with each boot. `conn` goes up by one with each
connection, and starts again with each boot. `sessions`, `on_s` and `energy_mwh` count over
the bank's whole life and are kept in flash: they tell how long a use was when nobody could hear.

## Carrying out a command

1. You know this `id` (remember the last {REMEMBERED_COMMANDS}, in flash): do nothing, and send
   the first result's outcome again, with a new `seq` and `up_ms`.
2. `boot` is not your own, or your `up_ms` is past `not_after_ms`: `expired`, with `wrong_boot`
   or `too_late`.
3. You do not know the kind, or its `args` make no sense: `rejected`, with `not_supported` or
   `bad_args`.
4. You may not, now: `rejected`, with `low_battery`, `faulty` or `busy`.
5. Otherwise write the id to flash, and only then carry it out. Done, its id is `last_command`:
   send the result `done`, or `failed` if you could not bring it to its end, and then a state.

The platform believes that a command happened when the *state* says so: a `charge_start` when
`output` is `on` and `last_command` is its id.

| kind | what to do |
|---|---|
| `charge_start` | unlock, and feed |
| `charge_stop` | stop feeding, and lock |
| `locate` | blink and beep |
| `report` | send a state now |
| `reboot` | restart; send the result before |
| `update` | install the firmware that `args` name, once its SHA-256 is right |

"""

_BY_HAND: Final = """\
## Try it by hand

With Debian's `mosquitto-clients`, as the bank `LW-000001`:

```sh
HOST=127.0.0.1 PORT=1883 BANK=LW-000001 SECRET=...
AS="-h $HOST -p $PORT -i $BANK -u $BANK -P $SECRET"

# Terminal 1: everything that the platform tells this bank.
mosquitto_sub $AS -q 1 -v -t "lw/v1/$BANK/command" -t "lw/v1/$BANK/config"

# Terminal 2: say who the bank is, and what is so.
mosquitto_pub $AS -q 1 -r -t "lw/v1/$BANK/status" \\
  -m 'BIRTH'
mosquitto_pub $AS -q 1 -t "lw/v1/$BANK/state" \\
  -m 'STATE'

# A command has come: copy its id into the result (and into last_command of the next state).
mosquitto_pub $AS -q 1 -t "lw/v1/$BANK/result" \\
  -m 'RESULT'
```

Each tool is a connection of its own, and a bank has one: publishing ends the `mosquitto_sub`
of terminal 1, which is back by itself a second later; a command that it missed comes again.
To stay connected while publishing, give one `mosquitto_pub ... -l` a payload on each line of
its input. Raise `seq` with each state and result, and `up_ms` with the time: a state that does
not is an old one, and changes nothing.
"""


def page(schemas: Mapping[type[Message], Json]) -> str:
    """The whole page, in Markdown, from the schema of each message."""
    return "".join(
        [
            _INTRO,
            *_topics(),
            "\n",
            _RULES,
            *(f"| `{reason}` | {_REASONS[reason]} |\n" for reason in Reason),
            "\n## Messages\n\n",
            *(part for channel in Channel for part in _channel(channel, schemas)),
            _CONDUCT,
            _BY_HAND.replace("BIRTH", _first(Birth))
            .replace("STATE", _first(State))
            .replace("RESULT", _first(Result)),
        ]
    )


def _first(model: type[Message]) -> str:
    return encode(next(iter(EXAMPLES[model].values()))).decode()


def _topics() -> Iterator[str]:
    yield "| topic | direction | QoS | retained | payload |\n|---|---|---|---|---|\n"
    for channel in Channel:
        direction = "bank to platform" if channel in FROM_BANK else "platform to bank"
        qos = "1 (0 allowed for the periodic report)" if channel is Channel.STATE else "1"
        retained = "yes" if channel in RETAINED else "no"
        payload = " or ".join(model.__name__.lower() for model in MODELS[channel])
        name = topic(BankId("{bank}"), channel)
        yield f"| `{name}` | {direction} | {qos} | {retained} | {payload} |\n"


def _channel(channel: Channel, schemas: Mapping[type[Message], Json]) -> Iterator[str]:
    for model in MODELS[channel]:
        what = "the Last Will" if model is Will else model.__name__.lower()
        title = f"`{channel}`" if what == channel else f"`{channel}`: {what}"
        yield from _message(title, model, schemas[model])
        if model is Command:
            yield from _message("`command`: `UpdateArgs`", UpdateArgs, schemas[UpdateArgs])


def _message(title: str, model: type[Message], schema: Json) -> Iterator[str]:
    yield f"### {title}\n\n{schema['description']}\n\n"
    yield "| field | type | unit | needed | meaning |\n|---|---|---|---|---|\n"
    for name, field in schema["properties"].items():
        needed = "yes" if name in schema["required"] else "no"
        kind = _type(field, schema.get("$defs", {}))
        unit = _UNITS.get(name, "")
        yield f"| `{name}` | {kind} | {unit} | {needed} | {field['description']} |\n"
    yield "\n"
    for summary, example in EXAMPLES.get(model, {}).items():
        yield f"{summary}:\n\n```json\n{encode(example).decode()}\n```\n\n"


def _type(field: Json, definitions: Json) -> str:
    """A field's type and bounds in words."""
    match field:
        case {"$ref": ref}:
            return _type(definitions[ref.rpartition("/")[2]], definitions)
        case {"anyOf": kinds}:
            return " or ".join(_type(kind, definitions) for kind in kinds)
        case {"type": "array", "items": items, "maxItems": most}:
            return f"list of at most {most} of {_type(items, definitions)}"
        case {"type": "object", "patternProperties": properties, "maxProperties": most}:
            [(key, value)] = properties.items()
            return f"object of at most {most}, keys `{key}`, values {_type(value, definitions)}"
        case _:
            return _plain_type(field)


def _plain_type(field: Json) -> str:
    match field:
        case {"enum": words}:
            return " ".join(f"`{word}`" for word in words)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "integer" | "number", "minimum": low, "maximum": high}:
            return f"{field['type']}, {low:,} to {high:,}"
        case {"type": "string", "pattern": pattern}:
            return f"text, `{pattern}`"
        case {"type": "boolean" | "null"}:
            return str(field["type"])
        case _:
            msg = f"no words for {field}"
            raise AssertionError(msg)
