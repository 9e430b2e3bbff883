"""How refusals and failures look on HTTP: RFC 9457 problem details.

The only place that knows a status code for a ``Code``. A problem has a stable ``code`` for
programs, ``title`` and ``detail`` in the reader's language for people, and the facts of the
refusal in ``facts``. Nothing of our insides is ever in one.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from backend.api import words
from backend.api.words import EdgeCode
from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang

_log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
Shown = Callable[[Request, Response], Response]
"""What a caller is to see of a problem: to a person it is a page."""
_UNIQUE_VIOLATION: Final = "23505"
"""PostgreSQL's; on SQLite, where one writes at a time, it would be a bug of ours."""
RETRY_AFTER_S: Final = 1
"""What a client is told to wait when the database is busy or away."""

STATUS: Final[Mapping[Code | EdgeCode, int]] = MappingProxyType(
    {
        Code.UNAUTHENTICATED: 401,
        Code.SIGN_IN_CODE_WRONG: 401,
        Code.SIGN_IN_CODE_EXPIRED: 401,
        Code.SESSION_ENDED: 401,
        Code.FORBIDDEN: 403,
        Code.NOT_FOUND: 404,
        Code.STILL_OPEN: 409,
        Code.INVALID_REQUEST: 422,
        Code.TOO_LARGE: 413,
        Code.TOO_MANY_REQUESTS: 429,
        Code.IDEMPOTENCY_KEY_MISSING: 400,
        Code.IDEMPOTENCY_KEY_REUSED: 422,
        Code.ALREADY_DONE: 409,
        Code.TRY_AGAIN: 503,
        EdgeCode.MALFORMED: 400,
        EdgeCode.METHOD_NOT_ALLOWED: 405,
        EdgeCode.INTERNAL: 500,
        Code.WRONG_STATE: 409,
        Code.BANK_UNAVAILABLE: 409,
        Code.ALREADY_TAKEN: 409,
        Code.BANK_BUSY: 409,
        Code.JOB_ENDED: 409,
        Code.NOT_AT_DOOR: 409,
        Code.RENTER_MAY_COME: 409,
        Code.BANK_IN_HAND: 409,
        Code.CANCEL_COSTS: 409,
        Code.NOBODY_NEAR: 409,
        Code.SWAPPED_TOO_OFTEN: 409,
        Code.CLAIMED_TOO_OFTEN: 409,
        Code.OPERATOR_DECIDES: 409,
        Code.NOT_IN_DOUBT: 409,
        Code.WRONG_BANK: 409,
        Code.BAD_CODE: 422,
        Code.CODE_LOCKED: 409,
        Code.PROOF_REQUIRED: 422,
        Code.WRONG_HANDS: 409,
        Code.CUSTODY_DISAGREES: 409,
        Code.SOLD_FOR_GOOD: 409,
        Code.DISCLOSURE_NOT_ACCEPTED: 422,
        Code.DEPOSIT_NOT_HELD: 409,
        Code.PAYMENT_IN_DOUBT: 409,
        Code.NOTHING_TO_PAY: 409,
        Code.NOTHING_TO_REFUND: 409,
        Code.MORE_THAN_BILLED: 422,
        Code.MORE_THAN_DISPUTED: 422,
        Code.DISPUTE_TOO_LATE: 409,
        Code.ALREADY_DISPUTED: 409,
        Code.AMOUNT_MISMATCH: 409,
        Code.UNKNOWN_CURRENCY: 422,
        Code.OVERDRAWN: 409,
        Code.NO_PAYOUT_ACCOUNT: 409,
        Code.WITHDRAWAL_TOO_SMALL: 422,
        Code.WITHDRAWAL_TOO_LARGE: 409,
        Code.PROVIDER_AWAY: 503,
        Code.BAD_SIGNATURE: 401,
        Code.MERCHANT_NOT_APPROVED: 409,
        Code.MERCHANT_NAME_TAKEN: 409,
        Code.UNKNOWN_TIMEZONE: 422,
        Code.BANK_ALREADY_REGISTERED: 409,
        Code.STAFF_ALREADY_HIRED: 409,
        Code.STAFF_HAS_BANK: 409,
        Code.BANK_WITH_RENTAL: 409,
        Code.BANK_NOT_AT_HOME: 409,
        Code.BANK_RECALLED: 409,
        Code.TOO_MANY_BANKS: 413,
        Code.BANK_TO_INSPECT: 409,
        Code.BAD_HOURS: 422,
        Code.PLACE_INCOMPLETE: 422,
        Code.WEBHOOK_REFUSED: 422,
        Code.BAD_TARIFF: 422,
        Code.TARIFF_NEGATIVE: 422,
        Code.TARIFF_GAP: 422,
        Code.TARIFF_CAP_UNDER_BLOCK: 422,
        Code.TARIFF_TOTAL_UNDER_CAP: 422,
        Code.TARIFF_NO_DEPOSIT: 422,
        Code.TARIFF_DEPOSIT_OVER_TOTAL: 422,
        Code.TARIFF_OUT_OF_RANGE: 422,
        Code.TARIFF_CANCEL_OVER_TOTAL: 422,
        Code.TARIFF_CANCEL_FALLS: 422,
        Code.TARIFF_BAD_BATTERY: 422,
        Code.TARIFF_MARKET_CURRENCY: 422,
        Code.TARIFF_MARKET_BLOCK: 422,
        Code.TARIFF_MARKET_FREE: 422,
        Code.TARIFF_MARKET_ROUNDING: 422,
        Code.TARIFF_MARKET_BATTERY: 422,
        Code.CSV_UNREADABLE: 422,
        Code.CSV_BAD_HEADER: 422,
        Code.CSV_TOO_MANY_ROWS: 413,
        Code.CSV_ROW_WIDTH: 422,
        Code.CSV_BAD_BANK_ID: 422,
        Code.CSV_BAD_MODEL: 422,
        Code.CSV_BAD_BATCH: 422,
        Code.CSV_REPEATED: 422,
    }
)
_OF_HTTP: Final[Mapping[int, Code | EdgeCode]] = MappingProxyType(
    {
        400: EdgeCode.MALFORMED,
        401: Code.UNAUTHENTICATED,
        403: Code.FORBIDDEN,
        404: Code.NOT_FOUND,
        405: EdgeCode.METHOD_NOT_ALLOWED,
        413: Code.TOO_LARGE,
        429: Code.TOO_MANY_REQUESTS,
        503: Code.TRY_AGAIN,
    }
)


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["body.lat"])
    problem: str = Field(examples=["must be at most 90"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:lendwatt:problem:wrong_state"])
    title: str = Field(examples=["Not now"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["This cannot be done while it is “completed”."])
    instance: str = Field(examples=["/api/v1/rentals/01J9ZV3C8R0000000000000000/return"])
    code: str = Field(examples=["wrong_state"], description="Stable: decide by this.")
    facts: dict[str, str | int] = Field(examples=[{"state": "completed"}])
    errors: list[FieldProblem] = Field(default=[], description="With `invalid_request`.")


def problem(
    request: Request,
    code: Code | EdgeCode,
    *,
    facts: Mapping[str, str | int] = MappingProxyType({}),
    headers: Mapping[str, str] | None = None,
    errors: list[Any] | None = None,
) -> JSONResponse:
    """Answer with a problem, in the reader's language."""
    lang = words.language(request.headers.get("accept-language"))
    text = words.words(code, lang, facts)
    status = STATUS[code]
    told = Problem(
        type=f"urn:lendwatt:problem:{code}",
        title=text.title,
        status=status,
        detail=text.detail,
        instance=request.url.path,
        code=code,
        facts=dict(facts),
        errors=[_field_problem(error, lang) for error in errors or []],
    )
    extra = {"content-language": lang.value, "vary": "Accept-Language", **(headers or {})}
    if status == 401:  # noqa: PLR2004
        extra["www-authenticate"] = "Bearer"
    if "retry_after_s" in facts:
        extra["retry-after"] = str(facts["retry_after_s"])
    content = told.model_dump(exclude_defaults=True)
    return JSONResponse(content, status_code=status, headers=extra, media_type=MEDIA_TYPE)


def _field_problem(error: Mapping[str, Any], lang: Lang) -> FieldProblem:
    return FieldProblem(
        field=".".join(str(part) for part in error["loc"]),
        problem=words.field_words(error["type"], lang, error.get("ctx", {})),
    )


def refused(request: Request, refusal: Refusal) -> JSONResponse:
    """Answer with a rule's no."""
    return problem(request, refusal.code, facts=refusal.detail)


def too_large(request: Request) -> JSONResponse:
    """Answer to a body over the limit; the rest of it is not read."""
    return problem(request, Code.TOO_LARGE, headers={"connection": "close"})


def _on_refusal(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)  # noqa: S101 - it is registered for these
    return refused(request, refusal)


def _on_invalid(request: Request, invalid: Exception) -> JSONResponse:
    """A path that names nothing is 404, whatever else is wrong."""
    assert isinstance(invalid, RequestValidationError)  # noqa: S101
    errors = list(invalid.errors())
    if any(error["loc"][0] == "path" for error in errors):
        return problem(request, Code.NOT_FOUND)
    if any(error["type"] == "json_invalid" for error in errors):
        return problem(request, EdgeCode.MALFORMED)
    if any(
        error["type"] == "missing" and error["loc"] == ("header", "Idempotency-Key")
        for error in errors
    ):
        return problem(request, Code.IDEMPOTENCY_KEY_MISSING)
    return problem(request, Code.INVALID_REQUEST, errors=errors)


def _on_http(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, HTTPException)  # noqa: S101
    code = _OF_HTTP.get(refusal.status_code, EdgeCode.INTERNAL)
    facts = {"retry_after_s": RETRY_AFTER_S} if STATUS[code] in {429, 503} else {}
    return problem(request, code, facts=facts, headers=refusal.headers)


def _on_database(request: Request, failure: Exception) -> JSONResponse:
    """The database is busy, full, read-only or away: nothing was done, ask again."""
    _log.warning("database_unavailable", path=request.url.path, reason=str(failure))
    return problem(request, Code.TRY_AGAIN, facts={"retry_after_s": RETRY_AFTER_S})


def _on_conflict(request: Request, conflict: Exception) -> JSONResponse:
    """Somebody else wrote the same thing at the same moment: asked again, it will be seen."""
    assert isinstance(conflict, IntegrityError)  # noqa: S101
    if getattr(conflict.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
        raise conflict
    return _on_database(request, conflict)


def _on_failure(request: Request, _failure: Exception) -> JSONResponse:
    """Ours: the server logs it with its traceback; the client learns nothing of it."""
    return problem(request, EdgeCode.INTERNAL)


def describe(doc: dict[str, Any]) -> dict[str, Any]:
    """Say in an OpenAPI document that problems come under a media type of their own."""
    for operations in doc["paths"].values():
        for operation in operations.values():
            answer = operation["responses"].get("default")
            if answer is not None:
                [said] = answer["content"].values()
                answer["content"] = {MEDIA_TYPE: said}
    return doc


async def _on_nobody(_request: Request, _error: Exception) -> Response:
    """Who sent a part of a request and left hears nothing."""
    return Response(status_code=400)


def install(app: FastAPI) -> None:
    """Have every refusal and failure of this app told as a problem."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OperationalError, _on_database)
    app.add_exception_handler(PoolTimeoutError, _on_database)
    app.add_exception_handler(IntegrityError, _on_conflict)
    app.add_exception_handler(ClientDisconnect, _on_nobody)
    app.add_exception_handler(Exception, _on_failure)
