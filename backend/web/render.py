"""How a page leaves: in the reader's language, escaped, and with nothing but our own files on it.

The language is what ``?lang=`` asks for, which a cookie then remembers; else the cookie's; else
what the browser prefers. All that others wrote (a merchant's name, a bank's model) goes through
Jinja's escaping, and the policy lets no script run that is not one of our files, so that what
slips through is inert. What a page sends and shows is ours, too, but for a map's tiles, if the
settings name where those come from.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlmodel import Session

from backend.api import words as api_words
from backend.api.deps import get_parts
from backend.db import notifications
from backend.domain.lang import Lang
from backend.principal import Principal, Scope
from backend.settings import Settings
from backend.web.reader import Reader
from backend.web.words import TAGS, WORDS

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
COOKIE: Final = "lang"
ZONE_COOKIE: Final = "tz"
COOKIE_S: Final = 365 * 86_400
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{tiles}; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; media-src 'self' blob:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE: Final = {
    "referrer-policy": "same-origin",  # a label's address is nobody else's business
    "x-content-type-options": "nosniff",
    "content-security-policy": _POLICY.format(tiles=""),
    "permissions-policy": "camera=(self), geolocation=(self), microphone=(), payment=()",
}
"""On everything that a browser shows."""
_LIVE: Final = {"cache-control": "no-store", "vary": "Accept-Language, Accept-Encoding, Cookie"}
_QUICKLY: Final = 4
READ: Final = ["GET", "HEAD"]
"""The methods of every page."""


def lang_of(request: Request) -> Lang:
    """Tell which language this reader wants."""
    chosen = _asked(request) or _lang(request.cookies.get(COOKIE, ""))
    return chosen or api_words.language(request.headers.get("accept-language"))


ReadersLang = Annotated[Lang, Depends(lang_of)]


def reader_of(request: Request) -> Reader:
    """Tell who reads: their language, zone and time."""
    zone = _zone(request.cookies.get(ZONE_COOKIE, ""))
    return Reader(
        lang=lang_of(request),
        zone=zone or UTC,
        is_zone_known=zone is not None,
        now=get_parts(request).clock.now(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who is signed in on this page, and from where their live events go on."""

    who: Principal
    last_event_id: int

    @classmethod
    def of(cls, session: Session, who: Principal) -> "Visit":
        """Note a visit; call it before the page's own queries, so that nothing is missed."""
        newest = notifications.last_seq(session, person_id=who.person_id)
        return cls(who=who, last_event_id=newest)


def page(
    request: Request,
    name: str,
    *,
    status: int = HTTPStatus.OK,
    keep: str = "",
    visit: Visit | None = None,
    **values: object,
) -> HTMLResponse:
    """Fill a template in.

    Args:
        request: whose reader it is for.
        name: of the template.
        status: of the answer.
        keep: a query for the language switch, encoded; by default what was asked for.
        visit: who is signed in; their page is live.
        values: the template's own.
    """
    reader = reader_of(request)
    lang = reader.lang
    others = [pair for pair in request.query_params.multi_items() if pair[0] != "lang"]
    search = urlencode(others)
    settings = get_parts(request).settings
    text = _TEMPLATES.get_template(name).render(
        w=WORDS[lang],
        tag=TAGS[lang],
        other=Lang.EN if lang is Lang.ZH else Lang.ZH,
        tags=TAGS,
        search=search,
        keep=keep or search,
        is_demo=settings.demo,
        visit=visit,
        Scope=Scope,
        path=request.url.path,
        map_tiles=settings.map_tiles,
        map_credit=settings.map_credit,
        reader=reader,
        **_said_by(reader),
        **values,
    )
    headers = {**SAFE, **_LIVE, **_policy(settings), "content-language": TAGS[lang]}
    content = text.encode()
    if takes_gzip(request):
        content = gzip.compress(content, compresslevel=_QUICKLY, mtime=0)
        headers["content-encoding"] = "gzip"
    answer = HTMLResponse(content, status_code=status, headers=headers)
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


def takes_gzip(request: Request) -> bool:
    """Tell whether what is sent may be packed."""
    return "gzip" in request.headers.get("accept-encoding", "")


def _said_by(reader: Reader) -> dict[str, object]:
    times = ("ago", "at", "until", "span", "in_minutes")
    quantities = ("money", "as_typed", "digits", "metres", "energy")
    return {name: getattr(reader, name) for name in ("t", *times, *quantities)}


def _policy(settings: Settings) -> dict[str, str]:
    """Allow pictures from where the map's tiles are, too."""
    if not settings.map_tiles:
        return {}
    tiles = urlsplit(settings.map_tiles.replace("{s}", "*"))
    return {"content-security-policy": _POLICY.format(tiles=f" {tiles.scheme}://{tiles.netloc}")}


def _asked(request: Request) -> Lang | None:
    return _lang(request.query_params.get("lang", ""))


def _lang(tag: str) -> Lang | None:
    """The language of a tag as ``zh`` or ``zh-Hant``; None if it is none of ours."""
    primary = tag.partition("-")[0].lower()
    return Lang(primary) if primary in tuple(Lang) else None


_ZONES: Final = available_timezones()


def _zone(name: str) -> tzinfo | None:
    return ZoneInfo(name) if name in _ZONES else None


def _seal() -> str:
    """Name the state that all static files are in."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


SEAL: Final = _seal()


def asset(name: str) -> str:
    """Give the address of a static file: another one as soon as any file is another.

    One folder for all, so that scripts and styles name each other as they lie.
    """
    return f"/static/{SEAL}/{name}"


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["asset"] = asset
_TEMPLATES.filters["json"] = partial(json.dumps, ensure_ascii=False)
"""For an attribute: a string, which is then escaped like any other."""
