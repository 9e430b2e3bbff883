"""Two signers written apart, the published vector, and what must not be believed."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.payments import signing
from backend.payments.port import BadNotice, NoticeFault
from backend.payments.provider_app import signer

# The example of the Standard Webhooks specification and its libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": ID,
    "webhook-timestamp": "1614265330",
    "webhook-signature": SIGNATURE,
}


def fault(*, headers=HEADERS, body=BODY, now=AT):
    with pytest.raises(BadNotice) as bad:
        signing.verify(SECRET, headers=headers, body=body, now=now)
    return bad.value.fault


def test_both_signers_give_the_published_signature():
    assert signing.sign(SECRET, message_id=ID, sent_at=AT, body=BODY) == HEADERS
    assert signer.signed_headers(SECRET, notice_id=ID, now=AT, body=BODY) == HEADERS


def test_the_published_message_is_believed():
    signed = signing.verify(SECRET, headers=HEADERS, body=BODY, now=AT)

    assert signed == signing.Signed(id=ID, sent_at=AT)


def test_header_names_are_read_in_any_case():
    headers = {name.title(): value for name, value in HEADERS.items()}

    assert signing.verify(SECRET, headers=headers, body=BODY, now=AT).id == ID


@given(
    key=st.binary(min_size=24, max_size=64),
    notice_id=st.from_regex(r"msg_[a-z0-9]{1,30}", fullmatch=True),
    body=st.binary(max_size=200),
    now=st.datetimes(
        min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
)
def test_what_one_signer_signs_the_other_believes(key, notice_id, body, now):
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = signer.signed_headers(secret, notice_id=notice_id, now=now, body=body)

    assert signing.verify(secret, headers=headers, body=body, now=now).id == notice_id


def test_one_fitting_signature_among_several_is_enough():
    headers = HEADERS | {"webhook-signature": f"v1a,ZWQyNTUxOQ== v1,c29tZW9uZQ== {SIGNATURE}"}

    assert signing.verify(SECRET, headers=headers, body=BODY, now=AT).id == ID


@pytest.mark.parametrize("name", HEADERS)
def test_a_missing_header_is_unsigned(name):
    headers = {other: value for other, value in HEADERS.items() if other != name}

    assert fault(headers=headers) is NoticeFault.UNSIGNED


@pytest.mark.parametrize("stamp", ["", "-1", "1e9", "١٦١٤٢٦٥٣٣٠", "9" * 30, " 1614265330"])
def test_a_timestamp_that_is_none_is_unsigned(stamp):
    assert fault(headers=HEADERS | {"webhook-timestamp": stamp}) is NoticeFault.UNSIGNED


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": "v1,"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,é"},
    ],
)
def test_any_change_is_forged(change):
    assert fault(headers=HEADERS | change) is NoticeFault.FORGED


def test_the_same_json_written_otherwise_is_forged():
    assert fault(body=BODY.replace(b" ", b"")) is NoticeFault.FORGED


@pytest.mark.parametrize("sign", [1, -1])
def test_five_minutes_off_is_believed_and_more_is_stale(sign):
    edge = AT + sign * signing.TOLERANCE

    assert signing.verify(SECRET, headers=HEADERS, body=BODY, now=edge).id == ID
    assert fault(now=edge + sign * timedelta(seconds=1)) is NoticeFault.STALE
