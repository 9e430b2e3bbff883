"""Signing in and out, and who I am."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Header, Request
from pydantic import Field

from backend import ids
from backend.api import words
from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.schemas import In, Out, Phone
from backend.db import notifications, people
from backend.domain.errors import Code, Refusal
from backend.principal import Scope
from backend.services import signin
from backend.settings import is_loopback

router = APIRouter(tags=["sign-in"])

AcceptLanguage = Annotated[str | None, Header()]


class CodeIn(In):
    """Ask for a code."""

    phone: Phone


class CodeOut(Out):
    """A code is on its way."""

    expires_in_s: int = Field(examples=[300])
    demo_code: str | None = Field(default=None, description="In a demo on loopback only.")


class TokensIn(In):
    """A code, typed in."""

    phone: Phone
    code: str = Field(pattern=r"^\d{6}$", examples=["123456"])


class RefreshIn(In):
    """A refresh token."""

    refresh_token: str = Field(max_length=200)


class TokensOut(Out):
    """What a device keeps."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    refresh_token: str = Field(description="Good once; each use gives the next.")
    token_type: str = "Bearer"  # noqa: S105 - a kind, not a secret
    expires_in: int = Field(description="Seconds that the access token is good.", examples=[600])

    @classmethod
    def of(cls, signed_in: signin.SignedIn) -> "TokensOut":
        """Show what a device is given."""
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_in=signed_in.expires_in_s,
        )


class MeOut(Out):
    """Who is signed in."""

    id: str
    phone: str
    name: str = Field(description="Empty: nobody told it.", examples=["王小明"])
    language: str
    scopes: list[Scope]
    merchant_ids: list[str] = Field(description="Merchants that are mine.")
    staff_of: list[str] = Field(description="Merchants that I work for.")
    last_event_id: int = Field(
        description="Open `/stream?after=` this, and nothing since this answer is missed."
    )


@router.post("/auth/codes", status_code=202, response_model_exclude_none=True)
def ask_for_code(
    *,
    body: CodeIn,
    request: Request,
    after: BackgroundTasks,
    parts: AppParts,
    session: DbSession,
    now: Now,
) -> CodeOut:
    """Send a one-time code to a phone."""
    code = ids.new_digits(signin.CODE_DIGITS)
    signin.request_code(
        session,
        settings=parts.settings,
        tokens=parts.tokens,
        phone=body.phone,
        address=request.client.host if request.client else "",
        code=code,
        now=now,
    )
    # Runs after the commit and the answer. Were it lost, the person would ask again; a row to
    # send it from would keep the code readable.
    after.add_task(parts.code_sender.send, phone=body.phone, code=code)
    is_told = parts.settings.demo and is_loopback(parts.settings.host)
    return CodeOut(expires_in_s=parts.settings.signin_code_s, demo_code=code if is_told else None)


@router.post("/auth/tokens")
def sign_in(
    *,
    body: TokensIn,
    parts: AppParts,
    session: DbSession,
    now: Now,
    accept_language: AcceptLanguage = None,
) -> TokensOut:
    """Sign in with the code; the first time, this makes the account."""
    return TokensOut.of(
        signin.verify(
            session,
            settings=parts.settings,
            tokens=parts.tokens,
            phone=body.phone,
            code=body.code,
            language=words.language(accept_language),
            now=now,
        )
    )


@router.post("/auth/refresh")
def refresh(body: RefreshIn, parts: AppParts, session: DbSession, now: Now) -> TokensOut:
    """Change a refresh token for new tokens. An old one signs the device out."""
    return TokensOut.of(
        signin.refresh(
            session,
            settings=parts.settings,
            tokens=parts.tokens,
            refresh_token=body.refresh_token,
            now=now,
        )
    )


@router.post("/auth/logout", status_code=204)
def sign_out(body: RefreshIn, parts: AppParts, session: DbSession, now: Now) -> None:
    """Sign this device out, at once; doing it again changes nothing."""
    signin.sign_out(session, tokens=parts.tokens, refresh_token=body.refresh_token, now=now)


@router.get("/me")
def me(session: DbSession, who: CurrentPrincipal) -> MeOut:
    """Tell who is signed in and what they may do."""
    person = people.person(session, who.person_id)
    if person is None:
        raise Refusal(Code.NOT_FOUND)
    return MeOut(
        id=person.id,
        phone=person.phone,
        name=person.name,
        language=person.language,
        scopes=sorted(who.scopes),
        merchant_ids=sorted(who.merchant_ids),
        staff_of=sorted(who.staff_of),
        last_event_id=notifications.last_seq(session, person_id=who.person_id),
    )
