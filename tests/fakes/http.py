"""Servers on a free port of loopback, for the fakes."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 20


class Answering(BaseHTTPRequestHandler):
    """Keeps connections open, says nothing on the console, sends an answer in one piece."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536

    def serve(self, body: str) -> None:
        """Answer a request; of a GET, the body is its query."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.serve(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("content-length", 0))).decode())

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve; gives the address, and how to be gone before the end."""
    server = _Server(handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()

    def stop() -> None:
        if not thread.is_alive():
            return
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()
        for connection in server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    try:
        yield f"http://127.0.0.1:{server.server_port}", stop
    finally:
        stop()
