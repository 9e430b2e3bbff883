"""Signatures of webhooks, as Standard Webhooks 1.0 lays them down.

The signed text is ``id.timestamp.body`` over the raw bytes: parsing and writing the JSON
again would change them. The header may carry several signatures, one of which must fit: a
sender that changes its secret signs with both for a while. The timestamp is when the
message was sent, in whole seconds; one further than five minutes from our clock is refused,
so that a recorded message cannot be played again later. Within that time, the receiver
knows a repeat by its id.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from backend.payments.port import BadNotice, NoticeFault

TOLERANCE: Final = timedelta(minutes=5)
_KEY_BYTES: Final = range(24, 65)
_MAX_TIMESTAMP_DIGITS: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the signature vouches for beside the body."""

    id: str
    sent_at: datetime


def key_of(secret: str) -> bytes:
    """The key in ``whsec_`` and base64.

    Raises:
        ValueError: it is not written like that, or the key is not 24 to 64 bytes long.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        message = "a webhook secret is 'whsec_' and base64"
        raise ValueError(message) from error
    if len(key) not in _KEY_BYTES:
        message = f"a webhook secret holds 24 to 64 bytes, this one {len(key)}"
        raise ValueError(message)
    return key


def sign(secret: str, *, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that vouch for this message."""
    timestamp = str(int(sent_at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + _digest(secret, f"{message_id}.{timestamp}", body),
    }


def verify(secret: str, *, headers: Mapping[str, str], body: bytes, now: datetime) -> Signed:
    """Believe these bytes, or say why not.

    Raises:
        BadNotice: ``unsigned``, ``stale`` or ``forged``.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = named["webhook-id"]
        timestamp = named["webhook-timestamp"]
        signatures = named["webhook-signature"]
    except KeyError as error:
        raise BadNotice(NoticeFault.UNSIGNED, f"there is no header {error}") from error
    sent_at = _instant(timestamp)
    expected = _digest(secret, f"{message_id}.{timestamp}", body).encode()
    if not any(hmac.compare_digest(expected, given) for given in _version_1(signatures)):
        raise BadNotice(NoticeFault.FORGED, "no signature fits the body and our secret")
    if abs(now - sent_at) > TOLERANCE:
        raise BadNotice(NoticeFault.STALE, f"sent at {sent_at.isoformat()}, now {now.isoformat()}")
    return Signed(id=message_id, sent_at=sent_at)


def _digest(secret: str, head: str, body: bytes) -> str:
    text = head.encode() + b"." + body
    return base64.b64encode(hmac.digest(key_of(secret), text, hashlib.sha256)).decode()


def _instant(timestamp: str) -> datetime:
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > _MAX_TIMESTAMP_DIGITS:
        raise BadNotice(NoticeFault.UNSIGNED, "the timestamp is not a number of seconds")
    return datetime.fromtimestamp(int(timestamp), UTC)


def _version_1(header: str) -> list[bytes]:
    """The symmetric signatures in the header; other versions are not ours to judge."""
    pairs = (item.partition(",") for item in header.split(" "))
    return [value.encode() for version, _, value in pairs if version == "v1"]
