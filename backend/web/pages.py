"""The pages together: their first one, their errors, their files.

``install`` has errors of these paths told as pages: the API's own problem is made first, and its
status and code are kept, so that there stays one place which knows them. Whoever is not signed in
and should be is asked to, and comes back; a form that could not be taken is shown again, with
what was typed.
"""

import gzip
import json
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import WebSocketRequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from backend.api import words as api_words
from backend.api.deps import AppParts, DbSession
from backend.api.errors import MEDIA_TYPE
from backend.api.words import EdgeCode
from backend.domain.errors import Code
from backend.web import merchant, operator, renter, signing, staff
from backend.web.render import READ, SAFE, SEAL, STATIC, Visit, lang_of, page, takes_gzip
from backend.web.renter import label_of
from backend.web.visitors import Visitor
from backend.web.words import WORDS

router = APIRouter(include_in_schema=False)
_OURS: Final = frozenset(
    {"", "b", "rentals", "me", "sign-in", "sign-out", "staff", "merchant", "operator"}
)
"""What our pages' addresses begin with."""
_SIGNED_OUT: Final = frozenset({Code.UNAUTHENTICATED, Code.SESSION_ENDED})
_TYPED_CHARS_MAX: Final = 500
"""More of what was typed is not shown again."""


# -- the pages -----------------------------------------------------------------------------


@router.api_route("/", methods=READ)
def home(
    *, request: Request, parts: AppParts, session: DbSession, visitor: Visitor, code: str = ""
) -> Response:
    """What this is, that it runs, and where to type the code under a QR."""
    typed = code.strip()
    if typed and (token := label_of(typed)) is not None:
        return RedirectResponse(f"/b/{token}", HTTPStatus.SEE_OTHER, headers=SAFE)
    shown = typed[:_TYPED_CHARS_MAX]
    return page(
        request,
        "home.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if typed else HTTPStatus.OK,
        typed=shown,
        is_ready=all(probe() for probe in parts.probes.values()),
        version=request.app.version,
        openapi_url=request.app.openapi_url,
        provider_url=parts.settings.provider_url,
        mqtt_url="mqtt://{}:{}".format(*parts.mqtt),
        visit=None if visitor is None else Visit.of(session, visitor),
    )


@router.api_route("/sw.js", methods=READ)
def worker() -> Response:
    """Give the script that keeps the pages when there is no connection; its place is its reach."""
    return Response(
        f"// {SEAL}: with other files, this is another script\n{(STATIC / 'sw.js').read_text()}",
        media_type="text/javascript",
        headers={**SAFE, "cache-control": "no-cache"},
    )


@router.api_route("/offline", methods=READ)
def offline(request: Request) -> Response:
    """Show what stands in for a page that could not be fetched."""
    return page(request, "offline.html")


# -- errors --------------------------------------------------------------------------------

_Handler = Callable[[Request, Any], Response | Awaitable[Response]]
_KEPT: Final = ("allow", "connection", "retry-after")
"""Headers of a problem that its page has too."""


def _is_for_a_person(request: Request) -> bool:
    """Whether a page should answer: on our own paths, and to any browser outside the API."""
    path = request.url.path
    ours = path.removeprefix("/").partition("/")[0] in _OURS
    accepted = request.headers.get("accept", "")
    return ours or ("text/html" in accepted and not path.startswith("/api/"))


def _as_page(tell: _Handler) -> _Handler:
    async def tell_person(request: Request, error: Exception) -> Response:
        answer = tell(request, error)
        return as_shown(request, await answer if isawaitable(answer) else answer)

    return tell_person


def as_shown(request: Request, answer: Response) -> Response:
    """Give a problem to a person as a page; to a program, and what is no problem, as it is."""
    if answer.media_type != MEDIA_TYPE or not _is_for_a_person(request):
        return answer
    return _sorry(request, answer)


def _sorry(request: Request, problem: Response) -> Response:
    """Say a problem as a page."""
    content = json.loads(bytes(problem.body))
    code = content["code"]
    lang = lang_of(request)
    if code in _SIGNED_OUT and request.method in READ:
        next_ = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(
            "/sign-in?" + urlencode({"next": next_}), HTTPStatus.SEE_OTHER, headers=SAFE
        )
    if code == Code.NOT_FOUND and request.url.path.startswith("/b/"):
        title, more, asks_code = WORDS[lang].no_bank, WORDS[lang].no_bank_more, True
    else:
        known = Code(code) if code in tuple(Code) else EdgeCode(code)
        said = api_words.words(known, lang, content["facts"])
        title, more, asks_code = said.title, said.detail, False
    form = getattr(request.state, "form", None)
    if form is not None:
        name, values = form
        answer = page(request, name, status=problem.status_code, problem=more, **values)
        return _with_headers(answer, problem)
    answer = page(
        request,
        "sorry.html",
        status=problem.status_code,
        title=title,
        more=more,
        asks_code=asks_code,
        typed="",
    )
    return _with_headers(answer, problem)


def _with_headers(answer: Response, problem: Response) -> Response:
    for name in _KEPT:
        if name in problem.headers:
            answer.headers[name] = problem.headers[name]
    return answer


# -- the app -------------------------------------------------------------------------------


class _Static(StaticFiles):
    """Our own files; their addresses change with them, so that they may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file, below the name of the state that they are all in."""
        seal, _, name = path.partition("/")
        answer = await super().get_response(name, scope)
        lasts = "public, max-age=31536000, immutable" if seal == SEAL else "no-cache"
        headers = {**SAFE, "cache-control": lasts, "vary": "Accept-Encoding"}
        if answer.status_code == HTTPStatus.OK and _is_text(name) and takes_gzip(Request(scope)):
            headers["content-encoding"] = "gzip"
            return Response(_packed(name), headers=headers, media_type=answer.media_type)
        answer.headers.update(headers)
        return answer


def _is_text(name: str) -> bool:
    return name.endswith((".js", ".css", ".svg"))


@cache
def _packed(name: str) -> bytes:
    return gzip.compress((STATIC / name).read_bytes(), mtime=0)


ROUTERS: Final = (
    router,
    signing.router,
    renter.router,
    staff.router,
    merchant.router,
    operator.router,
)
"""The pages."""


def install(app: FastAPI) -> None:
    """Serve the pages' files, and tell errors as pages; call it after ``errors.install``."""
    app.mount("/static", _Static(directory=STATIC), name="static")
    for kind, tell in list(app.exception_handlers.items()):
        if kind is not WebSocketRequestValidationError:
            app.add_exception_handler(kind, _as_page(tell))
