"""Send merchants' webhooks: claimed rows, posted between transactions.

An address is somebody else's word, and we post from inside our own network: it is looked up
here, only public addresses are posted to, and the connection goes to the very address that was
looked at (a second look-up might answer something else). Redirects are not followed, an answer's
body is not read. An attempt has one deadline for all of it, from the look-up to the answer's last
header; and whatever goes wrong in it is an answer too, and stops nobody else's.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx
from sqlmodel import Session

from backend.db import hooks
from backend.db.engine import Database
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow
from backend.payments import signing
from backend.services import hooks as services

SENDERS: Final = 8
"""Threads that send, each one message at a time."""
ATTEMPT_S: Final = 10.0
LEASE: Final = timedelta(seconds=60)
"""After it, whoever claimed an address and is not heard of has lost it."""

_UNICAST: Final = IPv6Network("2000::/3")
"""All that is given out of IPv6: beside it there are only local and special uses."""
_TUNNELS: Final = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))
"""6to4 and Teredo: each address has an IPv4 address in it, which may be one of our own."""
_NAT64: Final = IPv6Network("64:ff9b::/96")

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
    attempt_s: float = ATTEMPT_S,
) -> int:
    """Send the message whose turn it is; as many threads as like may do so at once.

    Returns:
        How many were tried: 1, or 0, if none is due.
    """
    with database.reading() as session:
        if not hooks.is_any_ready(session, now=now):
            return 0
    with database.writing() as session:
        work = hooks.claim(session, now=now, lease=LEASE)
    if work is None:
        return 0
    message, webhook = work
    attempt = _Attempt(may_be_private=may_be_private, look_up=look_up, within_s=attempt_s, now=now)
    answer = attempt.post(message, webhook)
    with database.writing() as session:
        _note(session, message, answer, now=now)
    return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    may_be_private: bool
    look_up: Resolve
    within_s: float
    now: datetime

    def post(self, message: WebhookMessageRow, webhook: WebhookRow) -> Answer:
        try:
            return asyncio.run(self._post(message, webhook))
        except (TimeoutError, httpx.TimeoutException):
            return _bad(f"no answer within {self.within_s:g} s")
        except OSError:
            return _bad("the host has no address")
        except (ValueError, httpx.InvalidURL, httpx.RequestError) as error:
            return _bad(type(error).__name__)

    async def _post(self, message: WebhookMessageRow, webhook: WebhookRow) -> Answer:
        url = services.read_url(webhook.url)
        body = message.body.encode()
        headers = signing.sign(webhook.secret, message_id=message.id, sent_at=self.now, body=body)
        headers |= {"content-type": "application/json", "host": url.netloc.decode("ascii")}
        async with asyncio.timeout(self.within_s):
            address = await self._address(url)
            if address is None:
                return _bad("the host's address is not a public one")
            async with (
                httpx.AsyncClient(
                    verify=_trusted(), trust_env=False, timeout=self.within_s
                ) as http,
                http.stream(
                    "POST",
                    url.copy_with(host=address),
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": url.raw_host.decode("ascii")},
                ) as answer,
            ):
                return Answer(
                    is_good=answer.is_success,
                    is_gone=answer.status_code == httpx.codes.GONE,
                    told=f"status {answer.status_code}",
                )

    async def _address(self, url: httpx.URL) -> str | None:
        """The first address, if all of them are the public internet's."""
        host, port = (
            url.raw_host.decode("ascii"),
            url.port or (443 if url.scheme == "https" else 80),
        )
        found = await asyncio.wrap_future(_begin(lambda: self.look_up(host, port)))
        if not self.may_be_private and not all(is_public(each) for each in found):
            return None
        return next(iter(found), None)


def _begin(work: Callable[[], list[str]]) -> Future[list[str]]:
    """Look something up in a thread that nobody has to wait for: it cannot be stopped."""
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised where the result is taken
            found.set_exception(error)

    threading.Thread(target=run, name="hooks-look-up", daemon=True).start()
    return found


@cache
def _trusted() -> ssl.SSLContext:
    """Who is trusted to say whose a host is; reading that takes longer than most messages."""
    return httpx.create_ssl_context(trust_env=False)


def _bad(told: str) -> Answer:
    return Answer(is_good=False, is_gone=False, told=told)


def is_public(address: str) -> bool:
    """Tell whether an address is the public internet's, and not a way into a network of ours.

    One that stands for an IPv4 address is as public as that.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        parsed = _inner(parsed) or parsed
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not parsed.is_multicast
    is_unicast = parsed in _UNICAST and not any(parsed in each for each in _TUNNELS)
    return is_unicast and parsed.is_global


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _note(session: Session, message: WebhookMessageRow, answer: Answer, *, now: datetime) -> None:
    ours = hooks.claimed(session, message.id)
    if answer.is_good:
        services.arrived(session, *ours, told=answer.told, now=now)
    else:
        services.failed(session, *ours, told=answer.told, is_gone=answer.is_gone, now=now)
