"""Signing in and out on a page: a phone, a code, and a cookie that no script reads.

Plain forms, so that they work before any script has come; what was typed is still there when
something was wrong with it.
"""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, BackgroundTasks, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from backend import ids
from backend.api.deps import PAGE_COOKIE, AppParts, DbSession, Now, is_from_our_page
from backend.api.schemas import Phone
from backend.domain.errors import Code, Refusal
from backend.services import signin
from backend.settings import is_loopback
from backend.web.render import SAFE, ReadersLang, page, reader_of
from backend.web.visitors import Visitor

router = APIRouter(include_in_schema=False)
_PHONE: Final[TypeAdapter[str]] = TypeAdapter(Phone)
_MAINLAND_DIGITS: Final = 11
_TYPED_CHARS_MAX: Final = 40
_HOME: Final = "/rentals"
Typed = Annotated[str, Form(max_length=200)]
"""A field of one of these forms; wrong ones are told on the page."""
_NEXT_CHARS_MAX: Final = 500
Next = Annotated[str, Form(max_length=_NEXT_CHARS_MAX)]
"""Where to go on after signing in."""


@router.get("/sign-in")
def ask_phone(request: Request, who: Visitor, next: str = _HOME) -> Response:  # noqa: A002 - its name in the address
    """Ask for a phone number."""
    if who is not None:
        return RedirectResponse(_inside(next), HTTPStatus.SEE_OTHER, headers=SAFE)
    return _phone_form(request, next=_inside(next))


def _phone_form(request: Request, *, next: str, phone: str = "", problem: str = "") -> Response:  # noqa: A002
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return page(
        request,
        "sign_in.html",
        status=status,
        keep=urlencode({"next": next}),
        next=next,
        phone=phone,
        problem=problem,
    )


@router.post("/sign-in/code")
def send_code(
    *,
    request: Request,
    after: BackgroundTasks,
    parts: AppParts,
    session: DbSession,
    now: Now,
    phone: Typed = "",
    next: Next = _HOME,  # noqa: A002
) -> Response:
    """Send a code to the phone, and ask for it."""
    _guard(request)
    number = as_number(phone)
    if number is None:
        problem = reader_of(request).t(
            "這不是手機號碼。請連同國家代碼輸入，例如 +86 138 0000 0000。",
            "This is not a phone number. Type it with its country code, as +86 138 0000 0000.",
        )
        return _phone_form(
            request, next=_inside(next), phone=phone[:_TYPED_CHARS_MAX], problem=problem
        )
    request.state.form = ("sign_in.html", {"next": _inside(next), "phone": number})
    code = ids.new_digits(signin.CODE_DIGITS)
    signin.request_code(
        session,
        settings=parts.settings,
        tokens=parts.tokens,
        phone=number,
        address=request.client.host if request.client else "",
        code=code,
        now=now,
    )
    # After the commit, as the API does it.
    after.add_task(parts.code_sender.send, phone=number, code=code)
    is_told = parts.settings.demo and is_loopback(parts.settings.host)
    return page(
        request,
        "sign_in_code.html",
        next=_inside(next),
        phone=number,
        demo_code=code if is_told else "",
        problem="",
    )


@router.post("/sign-in")
def sign_in(
    *,
    request: Request,
    parts: AppParts,
    session: DbSession,
    now: Now,
    lang: ReadersLang,
    phone: Typed = "",
    code: Typed = "",
    next: Next = _HOME,  # noqa: A002
) -> Response:
    """Sign in with the code, and go on."""
    _guard(request)
    number = as_number(phone)
    if number is None:
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER, headers=SAFE)
    request.state.form = (
        "sign_in_code.html",
        {"next": _inside(next), "phone": number, "demo_code": ""},
    )
    signed_in = signin.verify(
        session,
        settings=parts.settings,
        tokens=parts.tokens,
        phone=number,
        code="".join(code.split())[: signin.CODE_DIGITS],
        language=lang,
        now=now,
    )
    answer = RedirectResponse(_inside(next), HTTPStatus.SEE_OTHER, headers=SAFE)
    token = parts.tokens.issue_to_page(
        person_id=signed_in.person_id, sign_in_id=signed_in.sign_in_id, now=now
    )
    answer.set_cookie(
        PAGE_COOKIE,
        token,
        max_age=parts.tokens.page_s,
        httponly=True,  # from scripts
        samesite="lax",  # and from other sites
        secure=parts.settings.public_url.startswith("https:"),
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, session: DbSession, now: Now, who: Visitor) -> Response:
    """Sign this browser out, at once; doing it again, or late, changes nothing."""
    _guard(request)
    if who is not None:
        signin.end(session, sign_in_id=who.sign_in_id, now=now)
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, headers=SAFE)
    answer.delete_cookie(PAGE_COOKIE)
    return answer


def _guard(request: Request) -> None:
    if not is_from_our_page(request):
        raise Refusal(Code.FORBIDDEN)


def as_number(typed: str) -> str | None:
    """Read a phone number as people type it, one of mainland China also without its country.

    Returns:
        E.164, or None if it is none.
    """
    digits = "".join(each for each in typed if each not in " -()\u3000\t")
    if len(digits) == _MAINLAND_DIGITS and digits.startswith("1") and digits.isdecimal():
        digits = f"+86{digits}"
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    try:
        return _PHONE.validate_python(digits)
    except ValidationError:
        return None


def _inside(path: str) -> str:
    """Keep to our own pages."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_ours and path.isprintable() and len(path) <= _NEXT_CHARS_MAX else _HOME
