"""The HTTP server around the app: where it listens, and how it stops.

Told to stop, it first turns ``/readyz`` off and ends the event streams, which would otherwise
keep it waiting; then lets running requests finish, for a while. A client that stops reading
is cut off by the kernel once what we wrote has been stuck for a while.
"""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from backend.api.hub import Hub
from backend.problems import StartError
from backend.settings import Settings

STUCK_MS = 30_000
"""How long a client may leave what we wrote unread."""
BACKLOG = 2_048


class Plain(uvicorn.Server):
    """A server that leaves the process's signals to the process."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none: ``backend.up`` stops its servers itself."""
        yield


class Server(Plain):
    """Ends the event streams before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, *, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: readiness off, streams ended, requests drained."""
        self._hub.close()
        await super().shutdown(sockets)


def make_server(app: FastAPI, *, settings: Settings, hub: Hub) -> Server:
    """Prepare the server; run it with ``await server.serve([listen(…)])``."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=settings.requests_at_once_max,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    return Server(config, hub=hub)


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Open the port to listen on; port 0 takes a free one.

    Args:
        host: an address of this machine.
        port: the port.
        option: where another one can be given, as the error says.

    Raises:
        StartError: it is taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by its number, or asyncio would leave Nagle's algorithm on: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as wrong:
        listening.close()
        msg = (
            f"Cannot listen on {host} port {port} ({wrong.strerror}): stop what uses it, or "
            f"choose another with {option}."
        )
        raise StartError(msg) from wrong
    return listening
