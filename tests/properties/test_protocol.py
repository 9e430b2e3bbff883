"""What holds for every message and for every run of bytes."""

import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.protocol import (
    FROM_BANK,
    MAX_PAYLOAD_BYTES,
    AnyMessage,
    BankId,
    Channel,
    ProtocolError,
    Reason,
    decode,
    encode,
    every_bank,
    is_bank_id,
    parse_topic,
    topic,
)
from tests.strategies import bank_ids, json_values, messages

REASONS_OF_A_PAYLOAD = {
    Reason.TOO_LARGE,
    Reason.NOT_JSON,
    Reason.NOT_FINITE,
    Reason.DUPLICATE_KEY,
    Reason.BAD_FIELD,
}


@given(messages)
def test_encode_then_decode_is_identity(sent: tuple[Channel, AnyMessage]) -> None:
    channel, message = sent
    assert decode(channel, encode(message)) == message


@given(messages)
def test_every_message_fits_a_payload(sent: tuple[Channel, AnyMessage]) -> None:
    assert len(encode(sent[1])) <= MAX_PAYLOAD_BYTES


@given(messages, st.dictionaries(st.text(), json_values, max_size=4), st.randoms())
def test_fields_that_nobody_knows_change_nothing(
    sent: tuple[Channel, AnyMessage], extra: dict[str, Any], random: Any
) -> None:
    channel, message = sent
    known = json.loads(encode(message))
    fields = [
        *known.items(),
        *((k, v) for k, v in extra.items() if k not in type(message).model_fields),
    ]
    random.shuffle(fields)
    payload = json.dumps(dict(fields), indent=random.choice([None, 1])).encode()
    assume(len(payload) <= MAX_PAYLOAD_BYTES)
    assume("\\ud" not in payload.decode())  # half a surrogate pair: not JSON
    assert decode(channel, payload) == message


@given(messages, st.data())
def test_a_key_that_comes_twice_is_always_refused(
    sent: tuple[Channel, AnyMessage], data: st.DataObject
) -> None:
    channel, message = sent
    fields = [
        f"{json.dumps(key)}:{json.dumps(value)}"
        for key, value in json.loads(encode(message)).items()
    ]
    twice = data.draw(st.sampled_from(fields))
    fields.insert(data.draw(st.integers(0, len(fields))), twice)
    payload = f"{{{' , '.join(fields)}}}".encode()
    assume(len(payload) <= MAX_PAYLOAD_BYTES)
    with pytest.raises(ProtocolError, match=Reason.DUPLICATE_KEY):
        decode(channel, payload)


@given(st.sampled_from(Channel), st.binary(max_size=200))
def test_bytes_never_raise_anything_but_a_protocol_error(channel: Channel, payload: bytes) -> None:
    _decoded_or_refused(channel, payload)


@given(st.sampled_from(Channel), json_values.map(json.dumps).map(str.encode))
def test_json_never_raises_anything_but_a_protocol_error(channel: Channel, payload: bytes) -> None:
    _decoded_or_refused(channel, payload)


@given(messages, st.data())
def test_a_damaged_message_never_raises_anything_but_a_protocol_error(
    sent: tuple[Channel, AnyMessage], data: st.DataObject
) -> None:
    channel, message = sent
    payload = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _decoded_or_refused(channel, bytes(payload))


@given(messages, json_values, st.data())
def test_a_field_of_anything_never_raises_anything_but_a_protocol_error(
    sent: tuple[Channel, AnyMessage], anything: Any, data: st.DataObject
) -> None:
    channel, message = sent
    fields = json.loads(encode(message))
    fields[data.draw(st.sampled_from(sorted(fields)))] = anything
    _decoded_or_refused(channel, json.dumps(fields).encode())


def _decoded_or_refused(channel: Channel, payload: bytes) -> None:
    refusal = message = None
    try:
        message = decode(channel, payload)
    except ProtocolError as error:
        refusal = error
    if refusal is None:
        assert decode(channel, encode(message)) == message
        return
    assert refusal.reason in REASONS_OF_A_PAYLOAD
    assert 0 < len(refusal.detail) <= 200
    if channel in FROM_BANK:  # these words are stored and shown
        assert refusal.detail.isprintable()


@given(bank_ids, st.sampled_from(Channel))
def test_a_topic_tells_its_bank_and_channel(bank: BankId, channel: Channel) -> None:
    assert parse_topic(topic(bank, channel)) == (bank, channel)


@given(st.text(max_size=80) | st.from_regex(r"lw/v1/[^/]*/[a-z]*(/.*)?", fullmatch=True))
@example("lw/v1/LW-1\n/state")
def test_what_is_parsed_as_a_topic_is_one(name: str) -> None:
    try:
        bank, channel = parse_topic(name)
    except ProtocolError as error:
        refusal = error
    else:
        assert is_bank_id(bank)
        assert topic(bank, channel) == name
        return
    assert refusal.reason is Reason.BAD_TOPIC
    assert refusal.detail.isprintable()


@given(st.sampled_from(Channel))
def test_the_filter_of_every_bank_is_not_a_topic(channel: Channel) -> None:
    with pytest.raises(ProtocolError, match=Reason.BAD_TOPIC):
        parse_topic(every_bank(channel))
