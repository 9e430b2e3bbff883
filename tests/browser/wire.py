"""The wire between a browser and the system, which can be cut: what is on it then is gone."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_CHUNK_BYTES = 65536


class Wire:
    """Carries bytes from a port of loopback to a server's, and back.

    Args:
        url: where the server is.
        listener: where the browser comes.
    """

    def __init__(self, url: str, listener: socket.socket) -> None:
        server = urlsplit(url)
        assert server.hostname is not None
        assert server.port is not None
        self._server = (server.hostname, server.port)
        self._listener = listener
        self._lock = threading.Lock()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self.url = "http://{}:{}".format(*listener.getsockname())

    def serve(self) -> None:
        """Take who comes, until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._carry(near)

    def cut(self) -> None:
        """End all that is under way, and take nobody until it is mended."""
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                _end(end)

    def mend(self) -> None:
        with self._lock:
            self._is_cut = False

    def _carry(self, near: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                near.close()
                return
            far = socket.create_connection(self._server)
            self._ends |= {near, far}
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while told := one.recv(_CHUNK_BYTES):
                other.sendall(told)
        with self._lock:
            for end in (one, other):
                _end(end)
            self._ends.discard(one)
        one.close()


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wired(url: str) -> Iterator[Wire]:
    """Lay a wire to this server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(url, listener)
        thread = threading.Thread(target=wire.serve, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            wire.cut()
            _end(listener)  # wakes who waits for the next one
            thread.join()
