r"""Whose signature is whose: the merchant's on requests, WeChat Pay's on all that it says.

The signed text of a request is ``method\npath\ntimestamp\nnonce\nbody\n``, of an answer or a
notice ``timestamp\nnonce\nbody\n``, over the bytes as sent. WeChat Pay's key is either a public
key with an id, or a certificate, of which there are two for a while when one runs out.

The library signs and decrypts. Of its verifying we keep nothing: it reads the bytes as text
first, raises ``Exception`` at a kind of signature it does not know, and takes any age.

Source: https://pay.weixin.qq.com/doc/v3/merchant/4012365342
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import Field, TypeAdapter, ValidationError
from wechatpayv3 import utils as library  # type: ignore[import-untyped]

from backend.payments.port import BadNotice, NoticeFault
from backend.payments.wechat_wire import Sealed

_API_KEY_BYTES: Final = 32
_SECONDS: Final = TypeAdapter(Annotated[int, Field(ge=0, le=10**11)])


@dataclass(frozen=True, slots=True, kw_only=True)
class WechatAccount:
    """A merchant's account, and where things lead. Keys are PEM text."""

    mchid: str
    appid: str
    service_id: str
    """Of Pay Score."""
    serial: str
    """Of the merchant's certificate."""
    private_key: str = field(repr=False)
    """The merchant's."""
    api_v3_key: str = field(repr=False)
    """Opens notices: 32 bytes."""
    platform_key: str
    """WeChat Pay's public key, or its certificates, one after another."""
    platform_key_id: str = ""
    """``PUB_KEY_ID_...``: of a public key; certificates say theirs themselves."""
    notify_url: str
    confirm_url: str
    """The page inside WeChat where a user confirms a deposit; ``package`` is added to it."""


class Keys:
    """What signs for us, and what signs for WeChat Pay.

    Raises:
        ValueError: a key cannot be used; says which.
    """

    def __init__(self, account: WechatAccount) -> None:
        self._account = account
        if len(account.api_v3_key.encode()) != _API_KEY_BYTES:
            message = f"the API v3 key is not {_API_KEY_BYTES} bytes long"
            raise ValueError(message)
        try:
            self._ours = library.load_private_key(account.private_key)
        except Exception as error:  # the library raises nothing narrower
            message = "the merchant's private key is not a key in PEM"
            raise ValueError(message) from error
        self._theirs = _platform_keys(account.platform_key, account.platform_key_id)

    @property
    def newest_of_theirs(self) -> str:
        """Which of WeChat Pay's keys we have: it signs with that."""
        return list(self._theirs)[-1]

    def authorization(self, method: str, path: str, body: str) -> str:
        """The header that vouches for a request."""
        account = self._account
        header: str = library.build_authorization(
            path, method, account.mchid, account.serial, self._ours, data=body
        )
        return header

    def verify(self, headers: Mapping[str, str], body: bytes) -> datetime:
        """Believe these bytes, or say why not.

        Returns:
            When they were signed.

        Raises:
            BadNotice: ``unsigned`` or ``forged``.
        """
        named = {name.lower(): value for name, value in headers.items()}
        try:
            timestamp = named["wechatpay-timestamp"]
            nonce = named["wechatpay-nonce"]
            serial = named["wechatpay-serial"]
            signature = named["wechatpay-signature"]
            seconds = _SECONDS.validate_python(timestamp)
        except KeyError as error:
            raise BadNotice(NoticeFault.UNSIGNED, f"there is no header {error}") from error
        except ValidationError as error:
            raise BadNotice(NoticeFault.UNSIGNED, "the timestamp is no number") from error
        key = self._theirs.get(_plain(serial))
        if key is None:
            raise BadNotice(NoticeFault.FORGED, f"signed with a key that is not ours: {serial}")
        text = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        try:
            key.verify(base64.b64decode(signature), text, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError) as error:
            detail = "the signature does not fit the body"
            raise BadNotice(NoticeFault.FORGED, detail) from error
        return datetime.fromtimestamp(seconds, UTC)

    def unseal(self, sealed: Sealed) -> str:
        """Decrypt a resource.

        Raises:
            BadNotice: ``unreadable``.
        """
        try:
            text = library.aes_decrypt(
                sealed.nonce, sealed.ciphertext, sealed.associated_data, self._account.api_v3_key
            )
        except ValueError:
            text = None
        if not isinstance(text, str):
            raise BadNotice(NoticeFault.UNREADABLE, "it does not open with our API v3 key")
        return text


def _platform_keys(pem: str, key_id: str) -> dict[str, Any]:
    """WeChat Pay's keys by the serial that their signatures name."""
    blocks = [f"-----BEGIN{block}".strip() for block in pem.split("-----BEGIN")[1:]]
    keys: dict[str, Any] = {}
    for block in blocks:
        if "CERTIFICATE" in block:
            certificate = library.load_certificate(block)
            if certificate is not None:
                keys[f"{certificate.serial_number:X}"] = certificate.public_key()
        elif key_id:
            keys[_plain(key_id)] = _public_key(block)
    if not keys:
        message = "WeChat Pay's key is neither a certificate nor a public key with its id"
        raise ValueError(message)
    return keys


def _public_key(pem: str) -> Any:
    try:
        return library.load_public_key(pem)
    except Exception as error:  # the library raises nothing narrower
        message = "WeChat Pay's public key is not a key in PEM"
        raise ValueError(message) from error


def _plain(serial: str) -> str:
    """A serial as we compare it: some are written with leading zeros, or small."""
    return serial.upper().lstrip("0")
