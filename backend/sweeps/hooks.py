"""Send merchants' webhooks: claimed rows, posted between transactions.

An address is somebody else's word, and we post from inside our own network: it is looked up
here, only public addresses are posted to, and the connection goes to the very address that was
looked at (a second look-up might answer something else). Redirects are not followed, an answer's
body is not read.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx
from sqlmodel import Session

from backend.db import hooks
from backend.db.engine import Database
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow
from backend.payments import signing
from backend.services import hooks as services

TIMEOUT_S: Final = 5.0
LEASE: Final = timedelta(seconds=60)
"""After it, whoever claimed a message and is not heard of has lost it."""
BATCH: Final = 10

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an attempt."""

    is_good: bool
    is_gone: bool
    told: str


def resolve(host: str, port: int) -> list[str]:
    """Look up the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


def send_hooks(
    database: Database,
    *,
    may_be_private: bool,
    now: datetime,
    look_up: Resolve = resolve,
) -> int:
    """Send what is due, each once; one that fails stops no other."""
    with database.writing() as session:
        work = hooks.claim(session, now=now, lease=LEASE, limit=BATCH)
    if not work:
        return 0
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as http:
        for message, webhook in work:
            answer = _post(
                http, message, webhook, may_be_private=may_be_private, look_up=look_up, now=now
            )
            with database.writing() as session:
                _note(session, message, answer, now=now)
    return len(work)


def _post(
    http: httpx.Client,
    message: WebhookMessageRow,
    webhook: WebhookRow,
    *,
    may_be_private: bool,
    look_up: Resolve,
    now: datetime,
) -> Answer:
    parts = urlsplit(webhook.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = _public(look_up(host, port), may_be_private=may_be_private)
    except OSError:
        return Answer(is_good=False, is_gone=False, told="the host has no address")
    if address is None:
        return Answer(is_good=False, is_gone=False, told="the host's address is not a public one")
    body = message.body.encode()
    headers = signing.sign(webhook.secret, message_id=message.id, sent_at=now, body=body)
    headers |= {"content-type": "application/json", "host": parts.netloc}
    target = httpx.URL(webhook.url).copy_with(host=address)
    extensions = {"sni_hostname": host}
    try:
        with http.stream(
            "POST", target, content=body, headers=headers, extensions=extensions
        ) as answer:
            status = answer.status_code
    except (httpx.RequestError, httpx.InvalidURL) as error:
        return Answer(is_good=False, is_gone=False, told=type(error).__name__)
    return Answer(
        is_good=answer.is_success, is_gone=status == httpx.codes.GONE, told=f"status {status}"
    )


def _public(addresses: list[str], *, may_be_private: bool) -> str | None:
    """The first address, if all of them are the public internet's."""
    if not may_be_private and not all(ip_address(each).is_global for each in addresses):
        return None
    return next(iter(addresses), None)


def _note(
    session: Session,
    message: WebhookMessageRow,
    answer: Answer,
    *,
    now: datetime,
) -> None:
    ours = hooks.claimed(session, message.id)
    if answer.is_good:
        services.arrived(session, *ours, told=answer.told, now=now)
    else:
        services.failed(session, *ours, told=answer.told, is_gone=answer.is_gone, now=now)
