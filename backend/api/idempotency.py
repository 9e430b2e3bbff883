"""POST as often as you like: one effect, one answer.

The key is claimed by inserting its row, in the transaction that does the work; the answer is
written to that row before the commit. So there is an effect exactly when there is a stored
answer. Of two requests at once, the second waits for the first one's commit (SQLite: for the
write lock; PostgreSQL: for the unique key) and then finds the answer.

A refused request had no effect, so nothing is kept and the same key may be tried again;
unless the refusal itself was a fact that was kept (``keep_despite_refusal``).

An answer that is kept nowhere, since it held a secret, or that was forgotten with the person it
was about, is not repeated: whoever asks again hears that it is done.
"""

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response, params
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from sqlmodel import Session

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.errors import refused
from backend.db import idempotency
from backend.db.engine import is_kept
from backend.db.idempotency import Answer
from backend.domain.errors import Code, Refusal

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    str,
    Header(
        alias=KEY_HEADER,
        description="Any text that is new for each thing you want done, as a UUID. "
        "Send it again with the same body to hear the same answer.",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
    ),
]


class _AnsweredBefore(Exception):  # noqa: N818 - not an error: the way out of the dependencies
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """A key that this request holds until its transaction ends."""

    session: Session
    person_id: str
    key: str

    def keep(self, response: Response) -> None:
        answer = Answer(
            status=response.status_code,
            media_type=response.headers.get("content-type"),
            body=bytes(response.body),
        )
        idempotency.keep(self.session, person_id=self.person_id, key=self.key, answer=answer)


async def _fingerprint(request: Request) -> str:
    """Tell this request from any other that could come with the same key."""
    head = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(head + await request.body()).hexdigest()


def _claim(
    *,
    request: Request,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    key: IdempotencyKey,
    fingerprint: Annotated[str, Depends(_fingerprint)],
) -> None:
    earlier = idempotency.claim(
        session, person_id=who.person_id, key=key, fingerprint=fingerprint, now=now
    )
    if earlier is None:
        request.state.claimed = _Claimed(session=session, person_id=who.person_id, key=key)
    elif earlier.fingerprint != fingerprint:
        raise Refusal(Code.IDEMPOTENCY_KEY_REUSED)
    elif earlier.answer is None:
        raise Refusal(Code.ALREADY_DONE)
    else:
        raise _AnsweredBefore(earlier.answer)


class IdempotentRoute(APIRoute):
    """A route whose POSTs need an ``Idempotency-Key`` and repeat their answer."""

    keeps_answer = True
    """Whether a repeat is told what the first request was; else, that it is done."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: set[str] | list[str] | None = None,
        dependencies: Sequence[params.Depends] | None = None,
        **others: Any,
    ) -> None:
        self.is_idempotent = "POST" in (methods or ())
        claim = [Depends(_claim)] if self.is_idempotent else []
        super().__init__(
            path, endpoint, methods=methods, dependencies=[*claim, *(dependencies or ())], **others
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route: inside its transaction, keep the answer or give the earlier one."""
        handle = super().get_route_handler()
        return _once(handle, keeps_answer=self.keeps_answer) if self.is_idempotent else handle


class SecretRoute(IdempotentRoute):
    """The same for routes that show a secret once: it is answered, and kept nowhere.

    A repeat has no effect either, and is told so: ALREADY_DONE. A refusal holds no secret.
    """

    keeps_answer = False


def _once(
    handle: Callable[[Request], Coroutine[Any, Any, Response]], *, keeps_answer: bool
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def handle_once(request: Request) -> Response:
        try:
            response = await handle(request)
        except _AnsweredBefore as before:
            return _again(before.answer)
        except Refusal as refusal:
            claimed: _Claimed | None = getattr(request.state, "claimed", None)
            if claimed is None or not is_kept(claimed.session):
                raise
            response = refused(request, refusal)
        else:
            if not keeps_answer:
                return response
        await run_in_threadpool(request.state.claimed.keep, response)
        return response

    return handle_once


def _again(answer: Answer) -> Response:
    headers = {REPLAYED_HEADER: "true"}
    if answer.media_type is not None:
        headers["content-type"] = answer.media_type
    return Response(answer.body, status_code=answer.status, headers=headers)
