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
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlmodel import Session

from backend.api.hub import Hub
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


def get_parts(request: Request) -> Parts:
    """Give the parts of the app that serves this request."""
    return cast(Parts, request.app.state.parts)


AppParts = Annotated[Parts, Depends(get_parts)]


async def whole_body(request: Request) -> None:
    """Wait until all of the request is here: nobody holds a transaction open by being slow."""
    if request.method not in READS:
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

_bearer = HTTPBearer(auto_error=False, description="An access token from `/auth/tokens`.")


def current_principal(
    parts: AppParts,
    session: DbSession,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Tell who asks, from the access token and the database as it is now."""
    if bearer is None:
        raise Refusal(Code.UNAUTHENTICATED)
    return signin.recognise(
        session,
        tokens=parts.tokens,
        access_token=bearer.credentials,
        standing_of=parts.standing_of,
        now=now,
    )


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
