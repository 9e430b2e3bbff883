"""One event stream per signed-in device: what its person should hear, as it happens.

The notifications are rows, numbered per person. A stream sends what is greater than the last
number it sent, sleeps until the hub wakes it, and looks again; a client that comes back with
``Last-Event-ID`` goes on from there. So nothing is lost in between, and nothing waits in
memory for a slow reader. Wake-ups come from commits in this process, and from one query a
second for everybody (``poll``) that also sees what other processes committed.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ConfigDict
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from backend.api.datum import MEANING, shown_in
from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Parts
from backend.api.hub import Hub, Seat
from backend.api.schemas import Out
from backend.db import notifications
from backend.db.engine import Database
from backend.domain.gcj02 import Datum
from backend.principal import Principal
from backend.services import signin

_log = structlog.get_logger()
router = APIRouter(tags=["stream"])

HELLO = "hello"
"""The first event of a stream; its id is where the stream begins."""


class EventOut(Out):
    """What happened: the data of its kind, and when."""

    model_config = ConfigDict(extra="allow")

    at: datetime


def _begin(
    session: DbSession,
    who: CurrentPrincipal,
    last_event_id: Annotated[int | None, Header(ge=0, description="Where you stopped.")] = None,
    after: Annotated[int | None, Query(ge=0, description="The same, for a first visit.")] = None,
) -> int:
    """Tell after which notification to begin: from now on, unless the client says."""
    newest = notifications.last_seq(session, person_id=who.person_id)
    wished = last_event_id if last_event_id is not None else after
    return newest if wished is None else min(wished, newest)


async def _seat(
    parts: AppParts, who: CurrentPrincipal, begin: Annotated[int, Depends(_begin)]
) -> AsyncIterator[Seat]:
    """Hold a seat until the stream has ended."""
    topics = frozenset({notifications.topic(who.person_id), signin.topic(who.sign_in_id)})
    with parts.hub.seat(person_id=who.person_id, topics=topics) as seat:
        seat.seq = begin
        yield seat


@router.get("/stream", response_class=EventSourceResponse)
async def stream(
    parts: AppParts,
    who: CurrentPrincipal,
    seat: Annotated[Seat, Depends(_seat)],
    datum: Annotated[Datum, Query(description=MEANING)] = Datum.WGS84,
) -> AsyncIterator[ServerSentEvent]:
    """Follow what happens to me. Ends with the access token: come back with a new one."""
    yield ServerSentEvent(event=HELLO, id=str(seat.seq), data={})
    while not seat.is_over:
        page = await run_in_threadpool(_look, parts, who, seat.seq)
        if page is None:
            return
        for notice in page.notices:
            yield ServerSentEvent(
                event=notice.kind,
                id=str(notice.seq),
                data=EventOut(at=notice.created_at, **shown_in(notice.data, datum)),
            )
            seat.seq = notice.seq
        if not page.is_full:
            await seat.wait(page.wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    notices: list[notifications.Notice]
    is_full: bool
    """There may be more."""
    wait_s: float


def _look(parts: Parts, who: Principal, seq: int) -> _Page | None:
    """Read what is new; None if the person may no longer hear it."""
    now, rows = parts.clock.now(), parts.settings.stream_page_rows
    if now >= who.expires_at:
        return None
    try:
        with parts.database.reading() as session:
            if not signin.is_signed_in(session, sign_in_id=who.sign_in_id, now=now):
                return None
            notices = notifications.after(session, person_id=who.person_id, seq=seq, limit=rows)
    except (OperationalError, PoolTimeoutError) as away:
        _log.warning("stream_ended", reason=str(away))  # the client comes back, with its place
        return None
    return _Page(
        notices=notices,
        is_full=len(notices) == rows,
        wait_s=_nap_s(parts.settings.stream_recheck_s, now=now, end=who.expires_at),
    )


def _nap_s(longest_s: float, *, now: datetime, end: datetime) -> float:
    return min(longest_s, max((end - now).total_seconds(), 0.0))


async def poll(database: Database, hub: Hub, *, period_s: float) -> None:
    """Wake, for ever, the streams whose people have news that nobody told this process of."""
    while True:
        await asyncio.sleep(period_s)
        people = hub.people()
        if not people:
            continue
        try:
            hub.behind(await run_in_threadpool(_newest, database, people))
        except (OperationalError, PoolTimeoutError) as away:
            _log.warning("stream_poll_failed", reason=str(away))


def _newest(database: Database, people: set[str]) -> dict[str, int]:
    with database.reading() as session:
        return notifications.last_seqs(session, person_ids=people)
