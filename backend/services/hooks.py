"""Webhooks to merchants' own systems: what the owner hears, a computer of theirs can hear too.

A message is a row, written with the change that it tells of, and sent later, again and again
until it is answered with a 2xx: at least once, in no promised order. Its id and its bytes stay
the same at each attempt; the receiver drops a repeat by ``webhook-id`` and checks the signature
over the raw body (Standard Webhooks 1.0, ``payments.signing``). Who answers 410, or nothing
good for days, is not sent to any more, and the owner is told.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlmodel import Session

from backend import ids
from backend.db import hooks, market
from backend.db.notifications import notify
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow
from backend.db.tables.market import MerchantRow
from backend.domain.errors import Code, Refusal
from backend.principal import Principal

WEBHOOKS_MAX: Final = 5
"""Addresses of one merchant; more are refused."""
WAITING_MAX: Final = 10_000
"""Messages that wait for one address; at the bound it is ended, and the owner told."""
RETRIES: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""How long after each attempt the next one comes; after the last it is given up."""
FAILING_FOR: Final = timedelta(days=5)
"""An address at which nothing arrives for so long is ended."""


def add(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    url: str,
    may_be_private: bool,
    now: datetime,
) -> WebhookRow:
    """Have a merchant's own system hear what its owner hears, from now on.

    Raises:
        Refusal: NOT_FOUND; WEBHOOK_REFUSED with what is wrong with the address.
    """
    merchant = _own(session, who, merchant_id)
    _check(url, may_be_private=may_be_private)
    there = hooks.webhooks(session, merchant.id)
    if any(webhook.url == url for webhook in there):
        raise Refusal(Code.WEBHOOK_REFUSED, why="webhook_is_there")
    if len(there) >= WEBHOOKS_MAX:
        raise Refusal(Code.WEBHOOK_REFUSED, why="too_many_webhooks")
    webhook = WebhookRow(
        id=ids.new_id(), merchant_id=merchant.id, url=url, secret=new_secret(), created_at=now
    )
    session.add(webhook)
    return webhook


def _own(session: Session, who: Principal, merchant_id: str) -> MerchantRow:
    merchant = market.owned_merchant(session, merchant_id, owner_id=who.person_id)
    if merchant is None:
        raise Refusal(Code.NOT_FOUND)
    return merchant


def new_secret() -> str:
    """Make what messages are signed with: 256 bits of chance."""
    return "whsec_" + base64.b64encode(ids.new_token().encode()).decode()


def _check(url: str, *, may_be_private: bool) -> None:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError as wrong:
        raise Refusal(Code.WEBHOOK_REFUSED, why="no_address") from wrong
    if not is_whole:
        raise Refusal(Code.WEBHOOK_REFUSED, why="no_address")
    if parts.scheme != "https" and not (parts.scheme == "http" and may_be_private):
        raise Refusal(Code.WEBHOOK_REFUSED, why="not_https")


def mine(session: Session, *, who: Principal, merchant_id: str) -> Sequence[WebhookRow]:
    """List the addresses that hear of a merchant.

    Raises:
        Refusal: NOT_FOUND.
    """
    return hooks.webhooks(session, _own(session, who, merchant_id).id)


def one(session: Session, *, who: Principal, merchant_id: str, webhook_id: str) -> WebhookRow:
    """Give one address.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = _own(session, who, merchant_id)
    webhook = hooks.webhook(session, webhook_id, merchant_id=merchant.id)
    if webhook is None:
        raise Refusal(Code.NOT_FOUND)
    return webhook


def end(
    session: Session, *, who: Principal, merchant_id: str, webhook_id: str, now: datetime
) -> WebhookRow:
    """Send nothing there any more.

    Raises:
        Refusal: NOT_FOUND.
    """
    webhook = one(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id)
    hooks.end(session, webhook.id, why="by_owner", now=now)
    session.refresh(webhook)
    return webhook


def ping(
    session: Session, *, who: Principal, merchant_id: str, webhook_id: str, now: datetime
) -> WebhookMessageRow:
    """Send a message that means nothing, to try an address.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it has ended.
    """
    webhook = one(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id)
    if webhook.ended_at is not None:
        raise Refusal(Code.WRONG_STATE, state="ended", event="ping")
    return _put(session, webhook, kind="webhook.ping", data={"webhook_id": webhook.id}, now=now)


def messages(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    webhook_id: str,
    before: str | None,
    limit: int,
) -> Sequence[WebhookMessageRow]:
    """List what was sent to an address, or waits, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    webhook = one(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id)
    return hooks.messages(session, webhook.id, before=before, limit=limit)


def again(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    webhook_id: str,
    message_id: str,
    now: datetime,
) -> WebhookMessageRow:
    """Send a message again, at once, whatever came of it: the receiver knows it by its id.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if its address has ended.
    """
    webhook = one(session, who=who, merchant_id=merchant_id, webhook_id=webhook_id)
    message = hooks.message(session, message_id, webhook_id=webhook.id)
    if message is None:
        raise Refusal(Code.NOT_FOUND)
    if webhook.ended_at is not None:
        raise Refusal(Code.WRONG_STATE, state="ended", event="again")
    message.delivered_at, message.problem = None, None
    message.attempts, message.due_at = 0, now
    hooks.put(session, message)
    return message


def publish(
    session: Session, *, merchant_id: str, kind: str, data: Mapping[str, Any], now: datetime
) -> None:
    """Tell a merchant's own systems what its owner is told, in the transaction that did it."""
    for webhook in hooks.webhooks(session, merchant_id):
        if hooks.waiting(session, webhook.id) >= WAITING_MAX:
            give_up(session, webhook, why="too_many_waiting", now=now)
        else:
            _put(session, webhook, kind=kind, data=data, now=now)


def _put(
    session: Session, webhook: WebhookRow, *, kind: str, data: Mapping[str, Any], now: datetime
) -> WebhookMessageRow:
    body = {"type": kind, "timestamp": now.isoformat(), "data": dict(data)}
    message = WebhookMessageRow(
        id=ids.new_id(),
        webhook_id=webhook.id,
        kind=kind,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        created_at=now,
        due_at=now,
    )
    hooks.put(session, message)
    return message


# -- what came of it ------------------------------------------------------------------------


def arrived(
    session: Session, message: WebhookMessageRow, webhook: WebhookRow, *, told: str, now: datetime
) -> None:
    """Note that the receiver said that it has it."""
    message.delivered_at, message.last_answer = now, told
    webhook.failing_since = None
    session.add_all((message, webhook))


def failed(
    session: Session,
    message: WebhookMessageRow,
    webhook: WebhookRow,
    *,
    told: str,
    is_gone: bool,
    now: datetime,
) -> None:
    """Note that it did not arrive: it is sent again, later and later, up to a bound.

    Args:
        session: a writing transaction.
        message: what was sent.
        webhook: where to.
        told: what came back, or why nothing did.
        is_gone: whether the receiver said that there is nobody any more (410).
        now: the time.
    """
    message.last_answer = told[:120]
    if webhook.ended_at is not None:
        return
    webhook.failing_since = webhook.failing_since or now
    session.add_all((message, webhook))
    if is_gone or now - webhook.failing_since >= FAILING_FOR:
        give_up(session, webhook, why="gone" if is_gone else "failing", now=now)
    elif message.attempts > len(RETRIES):
        message.problem = message.last_answer
    else:
        message.due_at = now + RETRIES[message.attempts - 1]


def give_up(session: Session, webhook: WebhookRow, *, why: str, now: datetime) -> None:
    """End an address by ourselves, and tell the merchant's owner."""
    session.flush()
    if hooks.end(session, webhook.id, why=why, now=now):
        owner_id = market.merchant(session, webhook.merchant_id).owner_id
        data = {"merchant_id": webhook.merchant_id, "webhook_id": webhook.id, "why": why}
        notify(session, person_ids=[owner_id], kind="webhook.ended", data=data, now=now)
