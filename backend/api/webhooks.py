"""Where payment providers knock: signed, kept once, answered only after the commit."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from backend.api.deps import AppParts, DbSession, Now
from backend.domain.errors import Code, Refusal
from backend.payments.port import BadNotice
from backend.services import payments

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


async def _body(request: Request) -> bytes:
    """The raw bytes: that is what the signature is over."""
    return await request.body()


@router.post("/{provider}", status_code=204)
def receive(
    *,
    provider: str,
    request: Request,
    body: Annotated[bytes, Depends(_body)],
    parts: AppParts,
    session: DbSession,
    now: Now,
) -> None:
    """Take a provider's notice; a repeat of one does nothing."""
    if provider not in parts.providers:
        raise Refusal(Code.NOT_FOUND)
    try:
        notice = parts.providers[provider].read_notice(headers=request.headers, body=body, now=now)
    except BadNotice as bad:
        if not bad.is_genuine:
            raise Refusal(Code.BAD_SIGNATURE) from bad
        payments.keep_unreadable(session, body, provider=provider, now=now)
    else:
        payments.take_notice(session, notice, provider=provider, now=now)
