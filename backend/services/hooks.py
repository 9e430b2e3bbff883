"""Webhooks to merchants' own systems: what the owner hears, a computer of theirs can hear too.

A message is a row, written with the change that it tells of, and sent later, again and again
until it is answered with a 2xx: at least once, in no promised order. Its id and its bytes stay
the same at each attempt; the receiver drops a repeat by ``webhook-id`` and checks the signature
over the raw body (Standard Webhooks 1.0, ``payments.signing``). Addresses take turns, and one
that fails rests, the longer the longer it fails: whoever does not answer keeps nobody else
waiting. Who answers 410, or nothing good for days, is not sent to any more, and the owner is
told. A ping is sent once: whoever tries an address looks at what came of it.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address
from math import ceil
from typing import Any, Final

import httpx
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
REST_MIN: Final = timedelta(seconds=5)
REST_MAX: Final = timedelta(minutes=10)
"""An address that fails rests for a quarter of the time since it began to, within these."""
PING: Final = "webhook.ping"
PING_EVERY: Final = timedelta(seconds=30)
"""Before an address is tried again; sooner is refused."""
KEPT_FOR: Final = timedelta(days=30)
"""Then a message is forgotten, and cannot be sent again; so is an address that was lost."""
_LABEL: Final = r"[a-z0-9_-]{1,63}"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


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
        id=ids.new_id(),
        merchant_id=merchant.id,
        url=url,
        secret=new_secret(),
        created_at=now,
        free_at=now,
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
        target = read_url(url)
    except ValueError as wrong:
        raise Refusal(Code.WEBHOOK_REFUSED, why="no_address") from wrong
    if target.scheme != "https" and not (target.scheme == "http" and may_be_private):
        raise Refusal(Code.WEBHOOK_REFUSED, why="not_https")


def read_url(url: str) -> httpx.URL:
    """Read an address as it is posted to: its host in the ASCII that is looked up (IDNA).

    Raises:
        ValueError: nothing can be posted there.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as wrong:
        raise ValueError(str(wrong)) from wrong
    host = target.raw_host.decode("ascii")
    if ":" in host and "%" not in host:
        IPv6Address(host)
    elif not _HOST.fullmatch(host):
        msg = "this is no host's name"
        raise ValueError(msg)
    if target.userinfo or (target.port is not None and not 0 < target.port < 2**16):
        msg = "an address names no user, and a port there can be"
        raise ValueError(msg)
    return target


def mine(session: Session, *, who: Principal, merchant_id: str, now: datetime) -> list[WebhookRow]:
    """List the addresses that hear of a merchant, then those that were lost of late.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = _own(session, who, merchant_id)
    lost = hooks.webhooks_lost(session, merchant.id, after=now - KEPT_FOR)
    return [*hooks.webhooks(session, merchant.id), *lost]


def _one(
    session: Session,
    who: Principal,
    *,
    merchant_id: str,
    webhook_id: str,
    is_to_change: bool = False,
) -> WebhookRow:
    merchant = _own(session, who, merchant_id)
    webhook = hooks.webhook(session, webhook_id, merchant_id=merchant.id, is_to_change=is_to_change)
    if webhook is None:
        raise Refusal(Code.NOT_FOUND)
    return webhook


def _one_at_work(
    session: Session, who: Principal, *, merchant_id: str, webhook_id: str, event: str
) -> WebhookRow:
    webhook = _one(session, who, merchant_id=merchant_id, webhook_id=webhook_id, is_to_change=True)
    if webhook.ended_at is not None:
        raise Refusal(Code.WRONG_STATE, state="ended", event=event)
    return webhook


def end(
    session: Session, *, who: Principal, merchant_id: str, webhook_id: str, now: datetime
) -> WebhookRow:
    """Send nothing there any more.

    Raises:
        Refusal: NOT_FOUND.
    """
    webhook = _one(session, who, merchant_id=merchant_id, webhook_id=webhook_id)
    hooks.end(session, webhook.id, why=hooks.BY_OWNER, now=now)
    session.refresh(webhook)
    return webhook


def ping(
    session: Session, *, who: Principal, merchant_id: str, webhook_id: str, now: datetime
) -> WebhookMessageRow:
    """Send a message that means nothing, once, to try an address.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it has ended; TOO_MANY_REQUESTS so soon after another.
    """
    webhook = _one_at_work(
        session, who, merchant_id=merchant_id, webhook_id=webhook_id, event="ping"
    )
    if webhook.pinged_at is not None and webhook.pinged_at + PING_EVERY > now:
        wait = webhook.pinged_at + PING_EVERY - now
        raise Refusal(Code.TOO_MANY_REQUESTS, retry_after_s=ceil(wait.total_seconds()))
    webhook.pinged_at = now
    return _put(session, webhook, kind=PING, data={"webhook_id": webhook.id}, now=now)


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
    webhook = _one(session, who, merchant_id=merchant_id, webhook_id=webhook_id)
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
    webhook = _one_at_work(
        session, who, merchant_id=merchant_id, webhook_id=webhook_id, event="again"
    )
    message = hooks.message(session, message_id, webhook_id=webhook.id)
    if message is None:
        raise Refusal(Code.NOT_FOUND)
    message.delivered_at, message.problem = None, None
    message.attempts, message.due_at = 0, now
    hooks.put(session, message)
    return message


def publish(
    session: Session, *, merchant_id: str, kind: str, data: Mapping[str, Any], now: datetime
) -> None:
    """Tell a merchant's own systems what its owner is told, in the transaction that did it."""
    for webhook in hooks.webhooks(session, merchant_id):
        if hooks.is_full(session, webhook.id, most=WAITING_MAX):
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
    webhook.failing_since, webhook.free_at = None, now
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
    session.add_all((message, webhook))
    if webhook.ended_at is not None:
        return
    if is_gone:
        give_up(session, webhook, why="gone", now=now)
    elif message.kind == PING:
        webhook.free_at, message.problem = now + PING_EVERY, message.last_answer
    else:
        _send_later(session, message, webhook, now=now)


def _send_later(
    session: Session, message: WebhookMessageRow, webhook: WebhookRow, *, now: datetime
) -> None:
    webhook.failing_since = webhook.failing_since or now
    failing = now - webhook.failing_since
    if failing >= FAILING_FOR:
        give_up(session, webhook, why="failing", now=now)
        return
    webhook.free_at = now + min(max(failing / 4, REST_MIN), REST_MAX)
    if message.attempts > len(RETRIES):
        message.problem = message.last_answer
    else:  # none is counted, if it was sent again by hand while it was on its way
        message.due_at = now + RETRIES[max(message.attempts, 1) - 1]


def give_up(session: Session, webhook: WebhookRow, *, why: str, now: datetime) -> None:
    """End an address by ourselves, and tell the merchant's owner."""
    session.flush()
    if hooks.end(session, webhook.id, why=why, now=now):
        owner_id = market.merchant(session, webhook.merchant_id).owner_id
        data = {"merchant_id": webhook.merchant_id, "webhook_id": webhook.id, "why": why}
        notify(session, person_ids=[owner_id], kind="webhook.ended", data=data, now=now)
