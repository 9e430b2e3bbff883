"""One process of the simulator: a fleet, its control, and when to end."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from firmware_sim.control import LOOPBACK, create_control
from firmware_sim.fleet import Fleet

PARENT_POLL_S: Final = 0.5
GRACE_S: Final = 1


class PortTaken(Exception):  # noqa: N818 - named as what it is
    """The control's port can't be had; its text says what to do."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, and telling when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    fleet: Fleet,
    *,
    control_port: int | None,
    on_ready: Callable[[str | None], None],
    exit_with_parent: bool = False,
) -> None:
    """Run until SIGTERM, SIGINT, or the parent's end; raise what went wrong in between.

    Args:
        fleet: the banks.
        control_port: where on loopback to listen; 0 is any free port, None is nowhere.
        on_ready: called once all runs, with the control's URL.
        exit_with_parent: end when the process that started this one is gone.

    Raises:
        PortTaken: the control can't listen there.
    """
    loop = asyncio.get_running_loop()
    sock = None if control_port is None else _listen(control_port)
    stop, crashed = asyncio.Event(), loop.create_future()
    loop.set_exception_handler(lambda _, context: _crash(crashed, context))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = _Server(
        uvicorn.Config(
            create_control(fleet),
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    ends: list[asyncio.Future[Any]] = [
        crashed,
        asyncio.create_task(stop.wait()),
        asyncio.create_task(fleet.run()),
    ]
    if exit_with_parent:
        ends.append(asyncio.create_task(_parent_gone(os.getppid())))
    control = None
    if sock is not None:
        control = asyncio.create_task(server.serve(sockets=[sock]))
        await server.listens.wait()
    on_ready(None if sock is None else f"http://{LOOPBACK}:{sock.getsockname()[1]}")
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, *([control] if control else []), return_exceptions=True)
    for end in done:
        end.result()


def _listen(port: int) -> socket.socket:
    # The protocol by its number, or asyncio would leave Nagle's algorithm on: 40 ms an answer.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError as error:
        sock.close()
        msg = (
            f"the control can't listen on {LOOPBACK}:{port}: {(error.strerror or '').lower()}; "
            "choose another --control-port, or 0 for any free one"
        )
        raise PortTaken(msg) from error
    return sock


def _crash(crashed: asyncio.Future[None], context: dict[str, Any]) -> None:
    """An exception that no task would raise ends the process, like any other."""
    if not crashed.done():
        crashed.set_exception(context.get("exception") or RuntimeError(context["message"]))


async def _parent_gone(parent_pid: int) -> None:
    while os.getppid() == parent_pid:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(PARENT_POLL_S)
