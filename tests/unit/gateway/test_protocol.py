"""What is read and what is refused, payload by payload."""

import json
from itertools import product
from typing import Any

import pytest

from gateway.contract_examples import EXAMPLES
from gateway.protocol import (
    MAX_PAYLOAD_BYTES,
    BankId,
    Birth,
    Channel,
    ProtocolError,
    Reason,
    State,
    Will,
    decode,
    encode,
    every_bank,
    is_bank_id,
    parse_topic,
    topic,
)

STATE: dict[str, Any] = {
    "boot": 7, "seq": 41, "up_ms": 60_500, "battery": 87, "lock": "locked", "lock_ms": 0,
    "output": "off", "output_ms": 0, "plugged": False, "plugged_ms": 0, "sessions": 118,
    "on_s": 402_310, "energy_mwh": 1_905_400, "last_command": None, "faults": [],
}  # fmt: skip
BIRTH: dict[str, Any] = {
    "online": True, "boot": 7, "conn": 3, "protocol": 1, "model": "LW-10K-A", "hw": "C",
    "fw": "1.4.2",
}  # fmt: skip
RESULT: dict[str, Any] = {"boot": 7, "seq": 42, "up_ms": 904_120, "command": "c1", "status": "done"}


def written(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def with_raw(fields: dict[str, Any], name: str, raw: str | bytes) -> bytes:
    """The payload with one field written exactly so."""
    rest = {key: value for key, value in fields.items() if key != name}
    raw = raw.encode() if isinstance(raw, str) else raw
    return written(rest)[:-1] + b', "' + name.encode() + b'": ' + raw + b"}"


def refused(channel: Channel, payload: bytes) -> Reason:
    with pytest.raises(ProtocolError) as caught:
        decode(channel, payload)
    return caught.value.reason


# -- every reason ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b" \n", Reason.NOT_JSON),
        (b"\x00", Reason.NOT_JSON),
        (b"\xff\xfe{}", Reason.NOT_JSON),
        (b"\xef\xbb\xbf" + written(STATE), Reason.NOT_JSON),
        (written(STATE).decode().encode("utf-16"), Reason.NOT_JSON),
        (written(STATE) + b"\x00", Reason.NOT_JSON),
        (written(STATE) * 2, Reason.NOT_JSON),
        (written(STATE)[:-1], Reason.NOT_JSON),
        (written(STATE)[:-1] + b",}", Reason.NOT_JSON),
        (written(STATE).replace(b'"', b"'"), Reason.NOT_JSON),
        (b"[" * 4096, Reason.NOT_JSON),
        (b'{"a":' * 600 + b"1" + b"}" * 600, Reason.NOT_JSON),
        (with_raw(STATE, "x", "[" * 1900 + "]" * 1900), Reason.NOT_JSON),
        (with_raw(STATE, "x", '"\\ud800"'), Reason.NOT_JSON),
        (with_raw(STATE, "x", b'"\xed\xa0\x80"'), Reason.NOT_JSON),
        (with_raw(STATE, "x", b'"\xc3\x28"'), Reason.NOT_JSON),
        (with_raw(STATE, "x", '"\x00"'), Reason.NOT_JSON),
        (with_raw(STATE, "x", "01"), Reason.NOT_JSON),
        (with_raw(STATE, "x", "+1"), Reason.NOT_JSON),
        (with_raw(STATE, "x", "nan"), Reason.NOT_JSON),
        (b"[]", Reason.BAD_FIELD),
        (b"{}", Reason.BAD_FIELD),
        (b"null", Reason.BAD_FIELD),
        (b"true", Reason.BAD_FIELD),
        (b"7", Reason.BAD_FIELD),
        (b'"state"', Reason.BAD_FIELD),
        (b"[" + written(STATE) + b"]", Reason.BAD_FIELD),
        (b"NaN", Reason.NOT_FINITE),
        (b"x" * (MAX_PAYLOAD_BYTES + 1), Reason.TOO_LARGE),
    ],
)  # fmt: skip
def test_a_payload_that_is_not_an_object_of_the_contract_is_refused(
    payload: bytes, reason: Reason
) -> None:
    assert refused(Channel.STATE, payload) is reason


def test_every_reason_belongs_to_someone() -> None:
    of_decode = {
        Reason.TOO_LARGE,
        Reason.NOT_JSON,
        Reason.NOT_FINITE,
        Reason.DUPLICATE_KEY,
        Reason.BAD_FIELD,
    }
    of_parse_topic = {Reason.BAD_TOPIC}
    of_the_gateway = {Reason.RETAINED, Reason.IMPLAUSIBLE, Reason.INTERNAL}
    assert of_decode | of_parse_topic | of_the_gateway == set(Reason)


@pytest.mark.parametrize("name", ["boot", "temp_c", "a_field_that_nobody_knows"])
@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "[1e999]"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(name: str, raw: str) -> None:
    assert refused(Channel.STATE, with_raw(STATE, name, raw)) is Reason.NOT_FINITE


@pytest.mark.parametrize(("spaces", "size"), [(0, 4096), (1, 4097)])
def test_a_payload_may_have_4096_bytes_and_no_more(spaces: int, size: int) -> None:
    payload = written(STATE).ljust(4096 + spaces)
    assert len(payload) == size
    if size > MAX_PAYLOAD_BYTES:
        assert refused(Channel.STATE, payload) is Reason.TOO_LARGE
    else:
        assert decode(Channel.STATE, payload).seq == 41


def test_a_refusal_says_what_to_mend() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(Channel.STATE, with_raw(STATE, "battery", "101"))
    assert str(caught.value) == "bad_field: battery: Input should be less than or equal to 100"


# -- keys -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        '"boot":7',
        '"boot" \t\r\n : 7',
        '"b\\u006fot":7',
        '"x":1,"x":1',
        '"x":{"y":1,"y":2}',
        '"x":[{"y":1,"y":2}]',
        '"x":"a:b","boot":7',
        '"":1,"":2',
        '"temp_c":1.0,"temp_c":null',
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_key_twice_in_one_object_is_refused(extra: str, first: bool) -> None:
    rest = written(STATE).decode()
    payload = f"{{{extra},{rest[1:]}" if first else f"{rest[:-1]},{extra}}}"
    assert refused(Channel.STATE, payload.encode()) is Reason.DUPLICATE_KEY


@pytest.mark.parametrize(
    "extra",
    [
        '"x":1',
        '"x":null',
        '"x":"a:b:c"',
        '"x:y":"\\u0000"',
        '"x":{"boot":1,"y":{"boot":2}}',
        '"x":[{"y":1},{"y":1}]',
        '"Boot":1',
        '"x":12345678901234567890123',
        '"x":"\\ud83d\\ude00"',
    ],
)
def test_a_field_that_nobody_knows_is_ignored(extra: str) -> None:
    payload = f"{written(STATE).decode()[:-1]},{extra}}}"
    assert decode(Channel.STATE, payload.encode()) == decode(Channel.STATE, written(STATE))


@pytest.mark.parametrize("missing", sorted(STATE))
def test_a_state_without_any_of_its_fields_is_refused(missing: str) -> None:
    rest = {key: value for key, value in STATE.items() if key != missing}
    assert refused(Channel.STATE, written(rest)) is Reason.BAD_FIELD


# -- types and bounds -----------------------------------------------------------------

NOT_UINTS = ["true", "false", '"7"', "null", "[]", "{}", "-1", "1.0", "1.5", "1e0", str(2**70)]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        *product(("boot", "seq", "up_ms", "battery", "sessions"), NOT_UINTS),
        ("boot", str(2**32)),
        ("seq", str(2**32)),
        ("up_ms", str(2**53)),
        ("on_s", str(2**53)),
        ("battery", "101"),
        ("lock", '"open"'),
        ("lock", '"LOCKED"'),
        ("lock", '"locked\\u0000"'),
        ("lock", "null"),
        ("output", "true"),
        ("plugged", "0"),
        ("plugged", "1"),
        ("plugged", '"true"'),
        ("plugged", "null"),
        ("last_command", '""'),
        ("last_command", '"a b"'),
        ("last_command", '"a\\n"'),
        ("last_command", '"a\\u0000"'),
        ("last_command", '"' + "a" * 41 + '"'),
        ("last_command", "7"),
        ("faults", "null"),
        ("faults", '"tamper"'),
        ("faults", '["on_fire"]'),
        ("faults", '{"tamper":true}'),
        ("faults", json.dumps(["tamper"] * 7)),
        ("temp_c", "true"),
        ("temp_c", '"20"'),
        ("temp_c", "-60.01"),
        ("voltage_mv", "3870.5"),
        ("current_ma", "60001"),
        ("rssi_dbm", "21"),
        ("lat", "90.000001"),
        ("lng", "-181"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_out_of_bounds_is_refused(name: str, raw: str) -> None:
    assert refused(Channel.STATE, with_raw(STATE, name, raw)) is Reason.BAD_FIELD


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("boot", "0"),
        ("boot", str(2**32 - 1)),
        ("on_s", str(2**53 - 1)),
        ("up_ms", str(2**53 - 1)),
        ("battery", "0"),
        ("battery", "100"),
        ("last_command", '"' + "a" * 40 + '"'),
        ("faults", '["tamper","lock_jammed"]'),
        ("temp_c", "-60"),
        ("temp_c", "1.5e1"),
        ("temp_c", "null"),
        ("lat", "-90.0"),
    ],
)
def test_a_value_at_its_bound_is_read(name: str, raw: str) -> None:
    state = decode(Channel.STATE, with_raw(STATE, name, raw))
    assert json.loads(encode(state))[name] == json.loads(raw)


@pytest.mark.parametrize("name", ["lock_ms", "output_ms", "plugged_ms"])
def test_nothing_is_so_since_after_the_state_was_read(name: str) -> None:
    at_once = decode(Channel.STATE, with_raw(STATE, name, str(STATE["up_ms"])))
    assert getattr(at_once, name) == at_once.up_ms
    assert (
        refused(Channel.STATE, with_raw(STATE, name, str(STATE["up_ms"] + 1))) is Reason.BAD_FIELD
    )


# -- status ---------------------------------------------------------------------------


def test_online_tells_a_birth_from_a_will() -> None:
    assert isinstance(decode(Channel.STATUS, written(BIRTH)), Birth)
    assert isinstance(decode(Channel.STATUS, written(BIRTH | {"online": False})), Will)


@pytest.mark.parametrize(
    "raw", ["1", "0", "1.0", "0.0", "-0", "1e0", '"true"', "null", "[]", "[true]"]
)
def test_online_is_a_bool_and_nothing_like_it(raw: str) -> None:
    assert refused(Channel.STATUS, with_raw(BIRTH, "online", raw)) is Reason.BAD_FIELD


@pytest.mark.parametrize("payload", [b"[]", b"{}", b"1", b"null", b'{"boot":7,"conn":3}'])
def test_a_status_says_whether_the_bank_is_online(payload: bytes) -> None:
    assert refused(Channel.STATUS, payload) is Reason.BAD_FIELD


@pytest.mark.parametrize("name", ["model", "hw", "fw"])
@pytest.mark.parametrize(
    "raw", ['""', '"a b"', '"<b>"', '"a\\n"', '"\\u0000"', '"' + "a" * 33 + '"', "7"]
)
def test_a_birth_names_things_in_plain_words(name: str, raw: str) -> None:
    assert refused(Channel.STATUS, with_raw(BIRTH, name, raw)) is Reason.BAD_FIELD


# -- result, command, config ----------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "rejected", "expired"])
def test_a_no_says_why(status: str) -> None:
    no = RESULT | {"status": status}
    assert decode(Channel.RESULT, written(no | {"reason": "busy"})).reason == "busy"
    assert refused(Channel.RESULT, written(no)) is Reason.BAD_FIELD
    assert refused(Channel.RESULT, written(no | {"reason": None})) is Reason.BAD_FIELD
    assert refused(Channel.RESULT, written(no | {"reason": "because"})) is Reason.BAD_FIELD


def test_a_yes_says_no_why() -> None:
    assert decode(Channel.RESULT, written(RESULT)).reason is None
    assert decode(Channel.RESULT, written(RESULT | {"reason": None})).reason is None
    assert refused(Channel.RESULT, written(RESULT | {"reason": "busy"})) is Reason.BAD_FIELD


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "explode"),
        ("id", "a/b"),
        ("not_after_ms", -1),
        ("args", None),
        ("args", []),
        ("args", {"a b": 1}),
        ("args", {"a": 1.5}),
        ("args", {"a": None}),
        ("args", {"a": {"b": 1}}),
        ("args", {"a": "x" * 513}),
        ("args", {"a": "\u5145"}),
        ("args", {f"a{n}": n for n in range(7)}),
    ],
)
def test_a_command_that_is_not_one_is_refused(name: str, value: Any) -> None:
    command = {"id": "c1", "kind": "locate", "boot": 7, "not_after_ms": 1, "args": {}}
    assert decode(Channel.COMMAND, written(command)).kind == "locate"
    assert refused(Channel.COMMAND, written(command | {name: value})) is Reason.BAD_FIELD


def test_a_config_has_defaults_and_bounds() -> None:
    assert decode(Channel.CONFIG, b'{"version":1}').report_s == 60
    assert refused(Channel.CONFIG, b'{"version":1,"report_s":0}') is Reason.BAD_FIELD


# -- writing --------------------------------------------------------------------------


def test_a_state_says_that_there_was_no_last_command() -> None:
    state = decode(Channel.STATE, written(STATE))
    assert json.loads(encode(state)) == STATE


def test_a_sensor_that_a_bank_has_not_is_left_out() -> None:
    assert b"temp_c" not in encode(decode(Channel.STATE, written(STATE)))


def test_a_message_is_written_compactly() -> None:
    for example in EXAMPLES[State].values():
        assert b" " not in encode(example)


# -- topics ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "lw/v1/LW-1",
        "lw/v1/LW-1/",
        "lw/v1/LW-1/state/",
        "lw/v1/LW-1/state/x",
        "/lw/v1/LW-1/state",
        "lw/v2/LW-1/state",
        "LW/v1/LW-1/state",
        "lw/v1/LW-1/State",
        "lw/v1/LW-1/states",
        "lw/v1/+/state",
        "lw/v1/#",
        "lw/v1/LW-1/#",
        "lw/v1/LW-1/+",
        "$share/gateway/lw/v1/LW-1/state",
        "$SYS/broker/uptime",
        "lw/v1//state",
        "lw/v1/LW1/state",
        "lw/v1/lw-1/state",
        "lw/v1/LW_1/state",
        "lw/v1/LW-1\n/state",
        "lw/v1/LW-1\x00/state",
        "lw/v1/LW-\u0661/state",
        "lw/v1/\uff2c\uff37-1/state",
        "lw/v1/" + "A" * 33 + "/state",
    ],
)
def test_what_is_not_a_topic_of_the_contract_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError, match=Reason.BAD_TOPIC):
        parse_topic(name)


def test_topics_are_as_the_contract_writes_them() -> None:
    assert topic(BankId("LW-1"), Channel.STATE) == "lw/v1/LW-1/state"
    assert every_bank(Channel.RESULT) == "lw/v1/+/result"
    assert parse_topic("lw/v1/LW-1/status") == ("LW-1", Channel.STATUS)


@pytest.mark.parametrize(("text", "is_one"), [("A" * 4, True), ("9-" * 16, True), ("A" * 3, False)])
def test_a_bank_id_is_4_to_32_of_capitals_digits_and_hyphen(text: str, is_one: bool) -> None:
    assert is_bank_id(text) is is_one
