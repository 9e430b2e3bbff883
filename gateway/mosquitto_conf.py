"""What Mosquitto is told: its configuration, topic rules and passwords, as text.

One template serves two: the child that ``lendwatt up`` starts on its own, and
``mosquitto.conf`` at the top of the project, for a server (a test holds them together).

Two listeners, because what protects them is set per listener. On the banks' each session goes
by its user name, so no bank can take over another's, or the gateway's, by its client id; and
each bank reaches its own topics only. The gateway's is on loopback, with a credential of its
own, and lets it choose its client ids, so that replicas can share one subscription.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.credentials import GATEWAY_USER
from gateway.protocol import FROM_BANK, ROOT, TO_BANK, BankId, topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port of Mosquitto and the files that guard it."""

    port: int
    host: str | None
    """None: every interface."""
    passwords: Path
    topics: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the banks' listener shows, for TLS."""

    certificate: Path
    key: Path


def configuration(
    *, banks: Listener, gateway: Listener, certificate: Certificate | None = None
) -> str:
    """A whole ``mosquitto.conf``.

    ``max_packet_size`` cuts a client off before its packet is read; the contract's 4 KiB are
    the gateway's to judge. The queue holds back a stalled gateway: at 256 MiB, or 250,000
    messages, Mosquitto drops what comes, and each bank's next report makes up for it.
    """
    return "\n".join(
        [
            "per_listener_settings true",
            "persistence false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "connection_messages false",
            "sys_interval 0",
            "set_tcp_nodelay true",
            "max_packet_size 16384",
            "max_inflight_messages 4000",
            "max_queued_messages 250000",
            "max_queued_bytes 268435456",
            "",
            *_listener(banks),
            "use_username_as_clientid true",
            *_tls(certificate),
            "",
            *_listener(gateway),
            "",
        ]
    )


def _listener(listener: Listener) -> list[str]:
    return [
        f"listener {listener.port} {listener.host or ''}".rstrip(),
        "allow_anonymous false",
        f"password_file {listener.passwords}",
        f"acl_file {listener.topics}",
    ]


def _tls(certificate: Certificate | None) -> list[str]:
    if certificate is None:
        return []
    return [
        f"certfile {certificate.certificate}",
        f"keyfile {certificate.key}",
        "tls_version tlsv1.2",
    ]


def bank_topics() -> str:
    """The banks' ``acl_file``: Mosquitto puts the user name for ``%u``."""
    own = BankId("%u")
    return "".join(
        [f"pattern write {topic(own, channel)}\n" for channel in FROM_BANK]
        + [f"pattern read {topic(own, channel)}\n" for channel in TO_BANK]
    )


def gateway_topics() -> str:
    """The gateway's ``acl_file``."""
    return f"user {GATEWAY_USER}\ntopic readwrite {ROOT}/#\n"


def password_file(hashes: Mapping[BankId, str]) -> str:
    """The banks' ``password_file``."""
    return "".join(f"{bank}:{stored}\n" for bank, stored in sorted(hashes.items()))


def replace_file(path: Path, text: str, *, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file that others must not read, in one step for whoever reads it."""
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
        if owner is not None:
            os.fchown(file.fileno(), owner, -1)
    beside.replace(path)
