"""A merchant's webhooks: where their own systems hear what the owner hears."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute, SecretRoute
from backend.api.schemas import Id, In, Out
from backend.api.shapes import Before, Limit
from backend.services import hooks

PREFIX = "/merchants/{merchant_id}/webhooks"
router = APIRouter(prefix=PREFIX, tags=["merchant"], route_class=IdempotentRoute)
secrets = APIRouter(prefix=PREFIX, tags=["merchant"], route_class=SecretRoute)
"""The route that shows a secret once: a repeat does nothing, and hears that it is done."""


class WebhookIn(In):
    """An address to be told."""

    url: str = Field(max_length=500, examples=["https://shop.example/lendwatt"])


class WebhookOut(Out):
    """An address that is told."""

    id: str = Field(examples=["01KAP2M9V3Z1W6T7Q8R9S0ABCD"])
    url: str = Field(examples=["https://shop.example/lendwatt"])
    created_at: datetime
    failing_since: datetime | None = Field(description="Since when nothing arrived there.")
    ended_at: datetime | None
    ended_why: str = Field(description="`by_owner`, `gone`, `failing`, `too_many_waiting`.")


class NewWebhookOut(WebhookOut):
    """A new address, and its secret: shown this once."""

    secret: str = Field(
        description="Check each message with it, as Standard Webhooks 1.0 says.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq="],
    )


class WebhooksOut(Out):
    """The addresses, oldest first; those that were given up, last."""

    items: list[WebhookOut]


class MessageOut(Out):
    """A message, and what came of it."""

    id: str = Field(description="`webhook-id`: the same at each attempt.")
    kind: str = Field(examples=["rental.requested"])
    created_at: datetime
    attempts: int
    delivered_at: datetime | None
    due_at: datetime = Field(description="When it is sent next, while it waits.")
    last_answer: str = Field(examples=["status 503"])
    problem: str | None = Field(description="Why it was given up.")


class MessagesOut(Out):
    """A page of messages, newest first."""

    items: list[MessageOut]
    next: str | None = Field(description="Ask with `before` this for the next page; null: none.")


@secrets.post("", status_code=201)
def add(
    *,
    merchant_id: Id,
    body: WebhookIn,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> NewWebhookOut:
    """Have an address told what the owner is told, from now on."""
    webhook = hooks.add(
        session,
        who=who,
        merchant_id=merchant_id,
        url=body.url,
        may_be_private=parts.settings.demo,
        now=now,
    )
    return NewWebhookOut.model_validate(webhook)


@router.get("")
def mine(*, merchant_id: Id, session: DbSession, who: CurrentPrincipal, now: Now) -> WebhooksOut:
    """List the addresses that are told, then those that were given up in the last 30 days."""
    found = hooks.mine(session, who=who, merchant_id=merchant_id, now=now)
    return WebhooksOut(items=[WebhookOut.model_validate(webhook) for webhook in found])


@router.post("/{webhook_id}/end")
def end(
    *, merchant_id: Id, webhook_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> WebhookOut:
    """Tell this address nothing any more."""
    webhook = hooks.end(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id, now=now)
    return WebhookOut.model_validate(webhook)


@router.post("/{webhook_id}/ping", status_code=202)
def ping(
    *, merchant_id: Id, webhook_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> MessageOut:
    """Send a message that means nothing, once, to try the address."""
    message = hooks.ping(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id, now=now)
    return MessageOut.model_validate(message)


@router.get("/{webhook_id}/messages")
def messages(
    *,
    merchant_id: Id,
    webhook_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    before: Before = None,
    limit: Limit = 20,
) -> MessagesOut:
    """List what was sent there, or waits, newest first."""
    found = hooks.messages(
        session,
        who=who,
        merchant_id=merchant_id,
        webhook_id=webhook_id,
        before=before,
        limit=limit,
    )
    items = [MessageOut.model_validate(message) for message in found]
    return MessagesOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/{webhook_id}/messages/{message_id}/send", status_code=202)
def again(
    *,
    merchant_id: Id,
    webhook_id: Id,
    message_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> MessageOut:
    """Send a message again, whatever came of it."""
    message = hooks.again(
        session,
        who=who,
        merchant_id=merchant_id,
        webhook_id=webhook_id,
        message_id=message_id,
        now=now,
    )
    return MessageOut.model_validate(message)
