"""What a route asks for: the session, the time, and who is asking.

A router in five lines::

    router = APIRouter(prefix="/rentals", tags=["renter"], route_class=IdempotentRoute)

    @router.post("", status_code=201)
    def ask(body: AskIn, session: DbSession, who: RenterPrincipal, now: Now) -> RentalOut:
        return RentalOut.of(rentals.ask(session, who=who, qr_token=body.qr_token, now=now))

``DbSession`` is one transaction per request: a GET reads one snapshot and cannot write, any
other method commits *before* the answer leaves, and rolls back if anything was raised.
``IdempotentRoute`` (``backend.api.idempotency``) makes every POST of its router need an
``Idempotency-Key`` and repeat its answer. A rule that says no raises ``Refusal``; nobody but
``backend.api.errors`` knows a status code for it. A fact that must outlive the refusal (a
wrong code was tried) calls ``keep_despite_refusal(session)`` before raising.

Routes are plain ``def``: they run in the thread pool, so they may wait for the database.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlmodel import Session

from backend.api.hub import Hub
from backend.api.pulse import Pulse
from backend.clock import Clock
from backend.db.engine import Database
from backend.domain.errors import Code, Refusal
from backend.payments.port import Provider
from backend.principal import Principal, Scope, Standing
from backend.services import signin
from backend.settings import SESSIONS_AT_ONCE, Settings

READS = frozenset({"GET", "HEAD", "OPTIONS"})


def nobody(_session: Session, _person_id: str) -> Standing:
    """Give the standing of who neither owns nor works for a merchant."""
    return Standing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the process is made of, as the routes see it; put together in ``backend.main``."""

    settings: Settings
    database: Database
    clock: Clock
    tokens: signin.Tokens
    code_sender: signin.CodeSender
    hub: Hub
    standing_of: Callable[[Session, str], Standing] = nobody
    """Which merchants a person owns and works for."""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    """Payment providers by the name in their webhook's path."""
    mqtt: tuple[str, int] = ("127.0.0.1", 1883)
    """Where banks connect, as a merchant is told."""
    turn_clock: Callable[[int], None] | None = None
    """Turns the platform's clock forward by seconds; None: it is no demonstration."""
    probes: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """What must be so for ``/readyz`` to say yes, by name; called in a thread."""
    pulse: Pulse | None = None
    """Of the banks' messages; None: another process takes them in."""


def get_parts(request: Request) -> Parts:
    """Give the parts of the app that serves this request."""
    return cast(Parts, request.app.state.parts)


AppParts = Annotated[Parts, Depends(get_parts)]


async def whole_body(request: Request) -> None:
    """Wait until all of the request is here: nobody holds a transaction open by being slow."""
    if request.method not in READS:
        with suppress(RuntimeError):  # a form was read before: its stream is at its end
            await request.body()


def get_session(
    request: Request, parts: AppParts, _is_here: Annotated[None, Depends(whole_body)]
) -> Iterator[Session]:
    """Open this request's one transaction; it ends before the answer leaves."""
    database = parts.database
    begin = database.reading if request.method in READS else database.writing
    with begin() as session:
        yield session


DbSession = Annotated[
    Session, Depends(get_session, scope="function", max_concurrency=SESSIONS_AT_ONCE)
]


def get_clock(parts: AppParts) -> Clock:
    """Give the process's one clock."""
    return parts.clock


def get_now(parts: AppParts) -> datetime:
    """Read the clock, once per request."""
    return parts.clock.now()


Now = Annotated[datetime, Depends(get_now)]

PAGE_COOKIE = "lendwatt"
"""What our own pages hold; believed of what they send themselves, and no other."""
_bearer = HTTPBearer(auto_error=False, description="An access token from `/auth/tokens`.")


def asker(
    *,
    request: Request,
    parts: AppParts,
    session: DbSession,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal | None:
    """Tell who asks, from their token and the database as it is now; None: nobody says.

    Raises:
        Refusal: the token is not good (any more).
    """
    cookie = request.cookies.get(PAGE_COOKIE)
    if bearer is not None:
        claims = parts.tokens.read(bearer.credentials, now=now)
    elif cookie is not None and is_from_our_page(request):
        claims = parts.tokens.read_of_page(cookie, now=now)
    else:
        return None
    return signin.recognise(session, claims=claims, standing_of=parts.standing_of, now=now)


Asker = Annotated[Principal | None, Depends(asker)]


def is_from_our_page(request: Request) -> bool:
    """Tell whether a page of ours sent this: another site's page sends our cookie along, too.

    Browsers say so themselves where the connection is safe; elsewhere they name the page's
    origin with whatever changes something. Reading shows nothing to another site.
    """
    if request.method in READS:
        return True
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


def current_principal(who: Asker) -> Principal:
    """Tell who asks.

    Raises:
        Refusal: nobody is signed in.
    """
    if who is None:
        raise Refusal(Code.UNAUTHENTICATED)
    return who


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def _must_be(scope: Scope) -> Callable[[Principal], Principal]:
    def guard(who: CurrentPrincipal) -> Principal:
        if scope not in who.scopes:
            raise Refusal(Code.FORBIDDEN)
        return who

    return guard


RenterPrincipal = Annotated[Principal, Depends(_must_be(Scope.RENTER))]
MerchantPrincipal = Annotated[Principal, Depends(_must_be(Scope.MERCHANT))]
StaffPrincipal = Annotated[Principal, Depends(_must_be(Scope.STAFF))]
OperatorPrincipal = Annotated[Principal, Depends(_must_be(Scope.OPERATOR))]
