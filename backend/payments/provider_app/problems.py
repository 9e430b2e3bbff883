"""How the provider says no: problem details (RFC 9457) with a stable code."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

MEDIA_TYPE: Final = "application/problem+json"


class Code(StrEnum):
    """The reasons that software may rely on."""

    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    KEY_REUSED = "idempotency_key_reused"
    REFERENCE_TAKEN = "reference_taken"
    WRONG_STATE = "wrong_state"
    AMOUNT_TOO_LARGE = "amount_too_large"
    DECLINED = "declined"
    UNKNOWN_ACCOUNT = "unknown_account"


HTTP_STATUS: Final = {
    Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.INVALID_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.KEY_REUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.REFERENCE_TAKEN: HTTPStatus.CONFLICT,
    Code.WRONG_STATE: HTTPStatus.CONFLICT,
    Code.AMOUNT_TOO_LARGE: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.DECLINED: HTTPStatus.PAYMENT_REQUIRED,
    Code.UNKNOWN_ACCOUNT: HTTPStatus.UNPROCESSABLE_ENTITY,
}


class Refused(Exception):  # noqa: N818 - named as what it is
    """A wish that the provider does not grant."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def problem(status: int, code: str, detail: str) -> dict[str, object]:
    """The body of an error."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
