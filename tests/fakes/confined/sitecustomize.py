"""A Python program started with this folder on its PYTHONPATH listens on loopback only.

localstripe binds all interfaces and keeps its memory in a file of fixed name; it has options
for neither. It is started as it is, and told here.
"""

import builtins
import os
import socket

_bind, _open = socket.socket.bind, builtins.open


def _bind_loopback(self, address):
    port = address[1]
    host = "::ffff:127.0.0.1" if self.family == socket.AF_INET6 else "127.0.0.1"
    return _bind(self, (host, port))


def _open_nothing(file, *args, **kwargs):
    is_memory = isinstance(file, str) and file.endswith("localstripe.pickle")
    return _open(os.devnull if is_memory else file, *args, **kwargs)


socket.socket.bind = _bind_loopback
builtins.open = _open_nothing
