"""Signs notices as Standard Webhooks 1.0 says, so that the payee can tell them from others'."""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Final

_KEY_BYTES: Final = range(24, 65)


def key_of(secret: str) -> bytes:
    """The key inside ``whsec_…``.

    Raises:
        ValueError: it is not base64, or not 24 to 64 bytes.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    if len(key) not in _KEY_BYTES:
        message = f"a webhook secret holds 24 to 64 bytes, this one {len(key)}"
        raise ValueError(message)
    return key


def signed_headers(secret: str, *, notice_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of one delivery: each attempt carries its own time."""
    stamp = str(int(now.timestamp()))
    text = b".".join((notice_id.encode(), stamp.encode(), body))
    digest = hmac.digest(key_of(secret), text, hashlib.sha256)
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
