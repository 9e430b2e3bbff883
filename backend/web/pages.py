"""The root of the pages: what this is, what a label opens, where a payer comes back to.

They read, so far; asking for a bank is the API's. ``install`` also has errors of these paths
told as pages: the API's own problem is made first, and its status and code are kept, so that
there stays one place which knows them.
"""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import WebSocketRequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope

from backend.api import words as api_words
from backend.api.deps import AppParts, DbSession, Now
from backend.api.errors import MEDIA_TYPE
from backend.api.shapes import QrToken
from backend.api.words import EdgeCode
from backend.domain.errors import Code, Refusal
from backend.services import rentals
from backend.web import offer as told
from backend.web.render import SAFE, STATIC, ReadersLang, lang_of, page
from backend.web.words import WORDS

router = APIRouter(include_in_schema=False)
_READ: Final = ["GET", "HEAD"]
_LABEL: Final[TypeAdapter[str]] = TypeAdapter(QrToken)
_TYPED_CHARS_MAX: Final = 500
"""More of what was typed is not shown again."""


# -- the pages -----------------------------------------------------------------------------


@router.api_route("/", methods=_READ)
def home(request: Request, parts: AppParts, code: str = "") -> Response:
    """What this is, that it runs, and where to type the code under a QR."""
    typed = code.strip()
    if typed and (token := _token(typed)) is not None:
        return RedirectResponse(f"/b/{token}", HTTPStatus.SEE_OTHER, headers=SAFE)
    shown = typed[:_TYPED_CHARS_MAX]
    return page(
        request,
        "home.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if typed else HTTPStatus.OK,
        keep=f"&code={quote_plus(shown)}" if shown else "",
        typed=shown,
        is_ready=all(probe() for probe in parts.probes.values()),
        version=request.app.version,
        openapi_url=request.app.openapi_url,
        provider_url=parts.settings.provider_url,
        mqtt_url="mqtt://{}:{}".format(*parts.mqtt),
    )


@router.api_route("/b/{qr_token}", methods=_READ)
def bank(
    *, request: Request, qr_token: str, session: DbSession, now: Now, lang: ReadersLang
) -> Response:
    """What a scanned label opens: the bank, its price, and why it cannot be rented now.

    Raises:
        Refusal: NOT_FOUND.
    """
    token = _token(qr_token)
    if token is None:
        raise Refusal(Code.NOT_FOUND)
    offer = rentals.look(session, qr_token=token, asker_id=None, here=None, now=now)
    return page(
        request,
        "bank.html",
        offer=offer,
        reasons=told.reasons(offer.why_not, lang),
        news=None if offer.seen is None else told.news(offer.seen, lang, now=now),
        costs=None if offer.terms is None else told.costs(offer.terms, lang, now=now),
        reach=told.reach(offer.merchant.service_radius_m, WORDS[lang]),
        request_example=told.request_example(offer),
        openapi_url=request.app.openapi_url,
    )


@router.api_route("/rentals/{rental_id}", methods=_READ)
def back_from_paying(request: Request) -> Response:
    """Where the payment provider sends people: nobody is signed in, so it tells nothing."""
    return page(request, "thanks.html")


def _token(typed: str) -> str | None:
    """The token of a label, from itself or its link; None if it is none."""
    try:
        return _LABEL.validate_python(urlsplit(typed).path.rstrip("/"))
    except (ValidationError, ValueError):  # ValueError: a link that is none
        return None


# -- errors --------------------------------------------------------------------------------

_Handler = Callable[[Request, Any], Response | Awaitable[Response]]
_KEPT: Final = ("allow", "retry-after")
"""Headers of a problem that its page has too."""


def _is_for_a_person(request: Request) -> bool:
    """Whether a page should answer: on our own paths, and to any browser outside the API."""
    path = request.url.path
    ours = path == "/" or path.startswith(("/b/", "/rentals/"))
    accepted = request.headers.get("accept", "")
    return ours or ("text/html" in accepted and not path.startswith("/api/"))


def _as_page(tell: _Handler) -> _Handler:
    async def tell_person(request: Request, error: Exception) -> Response:
        answer = tell(request, error)
        if isawaitable(answer):
            answer = await answer
        if answer.media_type != MEDIA_TYPE or not _is_for_a_person(request):
            return answer
        return _sorry(request, answer)

    return tell_person


def _sorry(request: Request, problem: Response) -> Response:
    """Say a problem as a page."""
    content = json.loads(bytes(problem.body))
    code = content["code"]
    lang = lang_of(request)
    if code == Code.NOT_FOUND and request.url.path.startswith("/b/"):
        title, more, asks_code = WORDS[lang].no_bank, WORDS[lang].no_bank_more, True
    else:
        known = Code(code) if code in tuple(Code) else EdgeCode(code)
        said = api_words.words(known, lang, content["facts"])
        title, more, asks_code = said.title, said.detail, False
    answer = page(
        request,
        "sorry.html",
        status=problem.status_code,
        title=title,
        more=more,
        asks_code=asks_code,
        typed="",
    )
    for name in _KEPT:
        if name in problem.headers:
            answer.headers[name] = problem.headers[name]
    return answer


# -- the app -------------------------------------------------------------------------------


class _Static(StaticFiles):
    """Our own files; their addresses change with them, so that they may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        answer = await super().get_response(path, scope)
        answer.headers.update({**SAFE, "cache-control": "public, max-age=31536000, immutable"})
        return answer


def install(app: FastAPI) -> None:
    """Serve the pages, and tell their errors as pages; call it after ``errors.install``."""
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.include_router(router)
    for kind, tell in list(app.exception_handlers.items()):
        if kind is not WebSocketRequestValidationError:
            app.add_exception_handler(kind, _as_page(tell))
