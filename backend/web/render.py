"""How a page leaves: in the reader's language, escaped, and with nothing but our own files on it.

The language is what ``?lang=`` asks for, which a cookie then remembers; else the cookie's; else
what the browser prefers. All that others wrote (a merchant's name, a bank's model) goes through
Jinja's escaping, and the policy allows no script at all, so that what slips through is inert.
"""

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.api import words as api_words
from backend.api.deps import get_parts
from backend.domain.lang import Lang
from backend.web.words import TAGS, WORDS

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
COOKIE: Final = "lang"
COOKIE_S: Final = 365 * 86_400
SAFE: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # a label's address is nobody else's business
    "x-content-type-options": "nosniff",
}
"""On everything that a browser shows."""
_LIVE: Final = {"cache-control": "no-store", "vary": "Accept-Language, Cookie"}


def lang_of(request: Request) -> Lang:
    """Tell which language this reader wants."""
    chosen = _asked(request) or _lang(request.cookies.get(COOKIE, ""))
    return chosen or api_words.language(request.headers.get("accept-language"))


ReadersLang = Annotated[Lang, Depends(lang_of)]


def page(
    request: Request,
    name: str,
    *,
    status: int = HTTPStatus.OK,
    keep: str = "",
    **values: object,
) -> HTMLResponse:
    """Fill a template in.

    Args:
        request: whose reader it is for.
        name: of the template.
        status: of the answer.
        keep: what the language switch must not lose of the query, encoded.
        values: the template's own.
    """
    lang = lang_of(request)
    settings = get_parts(request).settings
    text = _TEMPLATES.get_template(name).render(
        w=WORDS[lang],
        tag=TAGS[lang],
        other=Lang.EN if lang is Lang.ZH else Lang.ZH,
        tags=TAGS,
        keep=keep,
        is_demo=settings.demo,
        **values,
    )
    headers = {**SAFE, **_LIVE, "content-language": TAGS[lang]}
    answer = HTMLResponse(text, status_code=status, headers=headers)
    if _asked(request) is not None:
        answer.set_cookie(
            COOKIE,
            lang,
            max_age=COOKIE_S,
            httponly=True,
            samesite="lax",
            secure=settings.public_url.startswith("https:"),
        )
    return answer


def _asked(request: Request) -> Lang | None:
    return _lang(request.query_params.get("lang", ""))


def _lang(tag: str) -> Lang | None:
    """The language of a tag as ``zh`` or ``zh-Hant``; None if it is none of ours."""
    primary = tag.partition("-")[0].lower()
    return Lang(primary) if primary in tuple(Lang) else None


def _asset(name: str) -> str:
    """The address of a static file, which changes when the file does."""
    seal = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={seal[:12]}"


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["css"] = _asset("page.css")
_TEMPLATES.globals["mark"] = _asset("mark.svg")
