"""The broker that banks and gateway meet at: chosen, started, and kept in step.

``auto`` is Mosquitto where it is installed, else the embedded one. Both are started on
loopback unless the caller insists, without TLS, with a random credential for the gateway that
lives as long as the process. A URL starts nothing: that broker is someone else's, configured
as in ``mosquitto.conf``; its password file is kept in step when we are told where it is.
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sqlalchemy import Engine

from gateway.broker_url import BrokerUrl
from gateway.credential_watch import CredentialWatch
from gateway.errors import StartError
from gateway.mosquitto import Mosquitto, find_mosquitto, listening_socket
from gateway.mosquitto_conf import password_file, replace_file
from gateway.protocol import BankId


class BrokerKind(StrEnum):
    """What kind of broker runs."""

    EMBEDDED = "embedded"
    MOSQUITTO = "mosquitto"
    REMOTE = "remote"


class _Server(Protocol):
    gateway_host: str
    gateway_port: int
    gateway_user: str
    gateway_secret: str

    @property
    def bank_port(self) -> int: ...
    async def use(self, hashes: Mapping[BankId, str]) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


class RunningBroker:
    """A broker in use. Close it, or use it as an async context manager."""

    def __init__(
        self,
        *,
        kind: BrokerKind,
        bank_host: str,
        bank_port: int,
        gateway_url: BrokerUrl,
        server: _Server | None = None,
        watch: CredentialWatch | None = None,
    ) -> None:
        self.kind = kind
        self.bank_host = bank_host
        """Where banks connect; as an address to connect to, never a wildcard."""
        self.bank_port = bank_port
        self.gateway_url = gateway_url
        """Where and how the gateway's link signs in."""
        self._server = server
        self._watch = watch

    def poke(self) -> None:
        """Credentials have changed: look now, not in a second. From any thread."""
        if self._watch is not None:
            self._watch.poke()

    async def close(self) -> None:
        """Stop what was started; a second time does nothing."""
        watch, server = self._watch, self._server
        self._watch = self._server = None
        if watch is not None:
            await watch.close()
        if server is not None:
            await server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def start_broker(
    choice: str,
    *,
    engine: Engine,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    passwords: Path | None = None,
) -> RunningBroker:
    """Start the broker that was asked for.

    Args:
        choice: ``auto``, ``embedded``, ``mosquitto``, or ``mqtt[s]://user:password@host:port``.
        engine: the database that holds ``bank_credential``; its tables exist.
        host: the address that banks connect to.
        port: the banks' port; 0 takes a free one.
        allow_remote: the caller knows that beyond loopback there is no encryption.
        passwords: for a URL, the password file of that broker, to keep in step. Its owner
            reloads Mosquitto when it changes.

    Raises:
        StartError: what is wrong and what to do, in one sentence.
    """
    match choice:
        case "embedded":
            kind = BrokerKind.EMBEDDED
        case "mosquitto":
            kind = BrokerKind.MOSQUITTO
        case "auto":
            kind = BrokerKind.MOSQUITTO if find_mosquitto() else BrokerKind.EMBEDDED
        case _:
            return await _use_remote(BrokerUrl.parse(choice), engine, passwords)
    if not allow_remote and not _is_loopback(host):
        msg = (
            f"The broker would listen on {host} without encryption, for anyone on the network; "
            "keep it on 127.0.0.1, or allow remote banks on purpose if that network is yours."
        )
        raise StartError(msg)
    return await _start(kind, engine, host, port)


async def _start(kind: BrokerKind, engine: Engine, host: str, port: int) -> RunningBroker:
    server = _server(kind, host, port)
    watch = CredentialWatch(engine, server.use)
    try:
        await watch.start()
        await server.start()
    except BaseException:
        await watch.close()
        await server.close()
        raise
    return RunningBroker(
        kind=kind,
        bank_host=_reachable(host),
        bank_port=server.bank_port,
        gateway_url=BrokerUrl(
            host=_reachable(server.gateway_host),
            port=server.gateway_port,
            username=server.gateway_user,
            password=server.gateway_secret,
            client_id=f"gateway-{secrets.token_hex(8)}",
        ),
        server=server,
        watch=watch,
    )


def _server(kind: BrokerKind, host: str, port: int) -> _Server:
    if kind is BrokerKind.EMBEDDED:
        from gateway.embedded import Embedded  # noqa: PLC0415 - amqtt takes 0.3 s to import

        return Embedded(listening_socket(host, port))
    program = find_mosquitto()
    if program is None:
        msg = "Mosquitto is not installed; apt install mosquitto, or use --broker embedded."
        raise StartError(msg)
    if port:
        listening_socket(host, port).close()  # its own complaint comes later, and says less
    return Mosquitto(program, host=host, port=port)


async def _use_remote(url: BrokerUrl, engine: Engine, passwords: Path | None) -> RunningBroker:
    watch = None
    if passwords is not None:

        async def write(hashes: Mapping[BankId, str]) -> None:
            text = password_file(hashes)
            await asyncio.to_thread(replace_file, passwords, text, mode=0o640)  # for its group

        watch = CredentialWatch(engine, write)
        await watch.start()
    return RunningBroker(
        kind=BrokerKind.REMOTE,
        bank_host=url.host,
        bank_port=url.port,
        gateway_url=url,
        watch=watch,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable(host: str) -> str:
    """Where to connect to what listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
