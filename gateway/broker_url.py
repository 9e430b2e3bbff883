"""Where a broker is, and how the gateway signs in there."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from gateway.errors import StartError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """One broker, as the gateway's link needs it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    """The client id to use here; None leaves it to the settings."""
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``mqtt://user:password@host:port``, or ``mqtts://`` for TLS.

        Raises:
            StartError: it is not such a URL. The text never repeats the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise StartError(_not_a_url(str(error))) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise StartError(_not_a_url(f"it begins with {parts.scheme or 'nothing'!r}"))
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=parts.scheme == "mqtts",
        )

    def __str__(self) -> str:
        """The URL without its secret, for people."""
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{user}{host}:{self.port}"


def _not_a_url(why: str) -> str:
    return (
        f"The broker's address cannot be read ({why}); write auto, embedded, mosquitto, "
        "or mqtt://user:password@host:port."
    )
