"""What every body has in common.

``In`` is strict and closed: pydantic alone would take ``true`` for 1, ``"7"`` for 7, NaN for
a number, and text that no database can store. A field that JSON has no type for (a datetime,
a word from a StrEnum) says so with ``Field(strict=False)``.
"""

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from backend.domain.bank_list import BANK_ID

_TEXT_CHARS_MAX: Final = 500
_INT_MAX: Final = 2**53
"""Beyond it, a JavaScript client reads another number than we wrote."""
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class In(BaseModel):
    """A request's body."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        str_max_length=_TEXT_CHARS_MAX,
        str_strip_whitespace=True,
    )

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if isinstance(value, str) and _UNSTORABLE.search(value):
            msg = "holds characters that cannot be stored"
            raise ValueError(msg)
        if isinstance(value, int) and abs(value) > _INT_MAX:
            msg = "is too large"
            raise ValueError(msg)
        return value


class Out(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def _as_e164(value: object) -> object:
    """Take out what people write between the digits, and read 00 as +."""
    if not isinstance(value, str):
        return value
    bare = re.sub(r"[\s()./-]", "", value)
    return "+" + bare[2:] if bare.startswith("00") else bare


Id = Annotated[
    str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", examples=["01J9ZV3C8R0000000000000000"])
]
"""A ULID. In a path, what cannot be an id is answered like one that is nobody's: 404."""
BankId = Annotated[str, Field(pattern=f"^{BANK_ID}$", examples=["LW-000123"])]
"""A bank's number, as it is printed on it."""
AnyId = Annotated[str, Field(pattern=r"^[!-~]{1,150}$")]
"""An id of one of several kinds; some were made by others."""
Phone = Annotated[
    str,
    BeforeValidator(_as_e164),
    Field(pattern=r"^\+[1-9]\d{6,14}$", examples=["+8613800138000"]),
]
"""E.164; blanks and hyphens are taken out."""
Latitude = Annotated[float, Field(ge=-90, le=90, examples=[31.2304])]
"""Degrees, WGS-84."""
Longitude = Annotated[float, Field(ge=-180, le=180, examples=[121.4737])]
"""Degrees, WGS-84."""
