"""Mosquitto as our child process.

The child keeps nothing on disk: nothing in this project rests on a broker's durability. Its
files live in a private directory. Started by root it runs as user ``mosquitto``, from its
first instruction: when it changes user by itself, the kernel forgets that it is to die with
us. It is killed by its own process id only, and started again when it dies.
"""

import asyncio
import ctypes
import logging
import os
import pwd
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gateway.credentials import GATEWAY_USER, hashed, new_secret
from gateway.errors import StartError
from gateway.mosquitto_conf import (
    Listener,
    bank_topics,
    configuration,
    gateway_topics,
    password_file,
    replace_file,
)
from gateway.protocol import BankId

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 10.0
RESTART_MIN_S, RESTART_MAX_S = 0.2, 30.0
"""Between restarts: doubled each time it dies again, and begun anew once it ran for the longest."""
FREE_PORT_TRIES = 5
"""A free port can be taken by another before Mosquitto has it."""

_TIME_STAMP = re.compile(r"^\d+: ")
_log = logging.getLogger(__name__)


def find_mosquitto() -> str | None:
    """Where the program is; Debian puts it where ordinary users do not look."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """Mosquitto as a child of this process.

    Start it from the thread that the loop lives in: it dies with the thread that forked it.
    """

    def __init__(self, program: str, *, host: str, port: int) -> None:
        self._program = program
        self._host = host
        self._wished_port = port
        self._user = _unprivileged_user()
        self._directory = Path(tempfile.mkdtemp(prefix="lendwatt-mosquitto-"))
        self._last_words: deque[str] = deque(maxlen=20)
        self._process: asyncio.subprocess.Process | None = None
        self._listens = False
        self._reload_owed = False
        """Credentials changed while it was starting: SIGHUP would have ended it."""
        self._guard: asyncio.Task[None] | None = None
        self.gateway_host = LOOPBACK
        self.gateway_user = GATEWAY_USER
        self.gateway_secret = new_secret()
        """Random, and of this process only."""
        self.bank_port = port
        self.gateway_port = 0
        if self._user is not None:
            os.chown(self._directory, self._user.pw_uid, self._user.pw_gid)
        self._write("banks.acl", bank_topics())
        self._write("gateway.acl", gateway_topics())
        self._write("gateway.passwords", f"{GATEWAY_USER}:{hashed(self.gateway_secret)}\n")

    @property
    def pid(self) -> int | None:
        """The child's process id, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def use(self, hashes: Mapping[BankId, str]) -> None:
        """Put credentials in force; Mosquitto cuts off whoever lives by one that is gone."""
        await asyncio.to_thread(self._write, "banks.passwords", password_file(hashes))
        self._reload_owed = True
        self._reload()

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            StartError: it does not run; in its own words.
        """
        for tries_left in reversed(range(FREE_PORT_TRIES)):
            self.bank_port = self._wished_port or free_port(self._host)
            self.gateway_port = free_port(LOOPBACK)
            try:
                await self._launch()
            except StartError:
                if tries_left and "already in use" in " ".join(self._last_words):
                    continue
                raise
            break
        self._guard = asyncio.create_task(self._keep_running())

    async def close(self) -> None:
        """End the child and take its files away."""
        if self._guard is not None:
            self._guard.cancel()
            with suppress(asyncio.CancelledError):
                await self._guard
        await self._end()
        await asyncio.to_thread(shutil.rmtree, self._directory)

    def _reload(self) -> None:
        if self._reload_owed and self._listens and self._process is not None:
            self._reload_owed = False
            with suppress(ProcessLookupError):  # it died: it reads all anew when it starts
                self._process.send_signal(signal.SIGHUP)

    def _write(self, name: str, text: str) -> None:
        owner = None if self._user is None else self._user.pw_uid
        replace_file(self._directory / name, text, owner=owner)

    def _listener(self, name: str, *, host: str, port: int) -> Listener:
        return Listener(
            host=host,
            port=port,
            passwords=self._directory / f"{name}.passwords",
            topics=self._directory / f"{name}.acl",
        )

    async def _launch(self) -> None:
        self._last_words.clear()
        text = configuration(
            banks=self._listener("banks", host=self._host, port=self.bank_port),
            gateway=self._listener("gateway", host=LOOPBACK, port=self.gateway_port),
        )
        self._write("mosquitto.conf", text)
        self._process = await self._fork()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                runs = await self._says_it_runs(self._process)
        except TimeoutError:
            runs = False
        if not runs:
            await self._end()
            raise StartError(_why_not(self._last_words))
        self._listens = True
        self._reload()

    async def _fork(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._program,
                "-c",
                str(self._directory / "mosquitto.conf"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._directory,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
                preexec_fn=_die_with_parent,  # after the change of user, before Mosquitto
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
                extra_groups=None if self._user is None else [],
            )
        except OSError as error:
            raise StartError(_why_not(deque([str(error)]))) from error

    async def _says_it_runs(self, process: asyncio.subprocess.Process) -> bool:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        async for line in process.stderr:
            self._heard(line)
            if line.rstrip().endswith(b"running"):
                return True
        return False

    def _heard(self, line: bytes) -> None:
        words = line.decode(errors="replace").strip()
        self._last_words.append(_TIME_STAMP.sub("", words))
        _log.debug("mosquitto: %s", words)

    async def _keep_running(self) -> None:
        pause_s = RESTART_MIN_S
        clock = asyncio.get_running_loop().time
        while True:
            since = clock()
            await self._listen_until_it_ends()
            if clock() - since > RESTART_MAX_S:
                pause_s = RESTART_MIN_S
            _log.error("Mosquitto ended; it is started again in %.1f s", pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_MAX_S)
            try:
                await self._launch()
            except StartError as error:
                _log.error("%s", error)

    async def _listen_until_it_ends(self) -> None:
        process = self._process
        if process is None or process.stderr is None:
            return
        async for line in process.stderr:
            self._heard(line)
        self._listens = False
        await process.wait()

    async def _end(self) -> None:
        process = self._process
        self._listens = False
        if process is None:
            return
        if process.returncode is None:
            process.kill()  # it has nothing to save, and just after its start it misses SIGTERM
        await process.communicate()


def free_port(host: str) -> int:
    """A port that nobody listens on, this moment."""
    with listening_socket(host, 0) as found:
        port: int = found.getsockname()[1]
        return port


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; on any failure a sentence.

    Raises:
        StartError: taken, forbidden, or not an address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        where = f"port {port} of {host}" if port else host
        why = (error.strerror or str(error)).partition(" (")[0]
        hint = "choose another port, or stop the program that has it"
        msg = f"The broker cannot listen on {where} ({why}); {hint}."
        raise StartError(msg) from None


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom the child is to be; None when we are nobody special ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("mosquitto", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """In the child, before Mosquitto: on Linux, be killed when the parent dies, however it dies."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _why_not(last_words: deque[str]) -> str:
    errors = [words for words in last_words if words.lower().startswith("error")]
    said = (errors or ["it said nothing", *last_words][-1:])[0].removeprefix("Error: ")
    return f"Mosquitto does not run ({said.rstrip('.')}); use --broker embedded to do without it."
