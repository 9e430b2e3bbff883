"""The programs under test, as a person starts them: ``lendwatt up`` and ``lendwatt-sim``."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from tests.acceptance.processes import BOUND_S, Process

OPERATOR: Final = "+8613800000000"
_ENV: Final = {
    "LENDWATT_DEMO": "true",  # sign-in codes are told in the answer
    "LENDWATT_OPERATOR_PHONES": json.dumps([OPERATOR]),
    "LENDWATT_SIGNIN_SENDS_PER_ADDRESS_MAX": "10000",
    "LENDWATT_SIGNINS_PER_MINUTE_MAX": "10000",
    "LENDWATT_GATEWAY_WILL_GRACE_S": "0.5",
}


def lendwatt_up(name: str, folder: Path, *args: str) -> Process:
    """``lendwatt up``, which may or may not get there."""
    return Process(name, [sys.executable, "-m", "backend", "up", "--json", *args], folder, env=_ENV)


class Platform:
    """``lendwatt up`` on ports and a data directory of its own.

    Args:
        folder: where it keeps what it keeps.
        broker: which one.
        database_url: empty is a SQLite file in its folder.
    """

    def __init__(self, folder: Path, *, broker: str, database_url: str = "") -> None:
        self.folder = folder
        self.broker = broker
        self._database_url = database_url or f"sqlite:///{folder / 'data' / 'lendwatt.db'}"
        self.starts = 0
        self._ports = ("--port", "0", "--provider-port", "0", "--bank-port", "0")
        self.begin()

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What a question to its database finds: for what no route shows."""
        with self._engine().connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def change(self, sql: str, **values: object) -> None:
        """Change a row as somebody would who has the database's password."""
        with self._engine().begin() as connection:
            connection.execute(text(sql), values)

    @contextmanager
    def unguarded(self, table: str) -> Iterator[None]:
        """Let a table that only grows be changed, for a while."""
        if self._engine().dialect.name == "postgresql":
            ends = [f"ALTER TABLE {table} DISABLE TRIGGER USER"]
            begins = [f"ALTER TABLE {table} ENABLE TRIGGER USER"]
        else:
            found = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :of"
            guards = dict(self.rows(found, of=table))
            ends, begins = [f"DROP TRIGGER {name}" for name in guards], list(guards.values())
        for statement in ends:
            self.change(statement)
        yield
        for statement in begins:
            self.change(statement)

    def _engine(self) -> Engine:
        url = make_url(self._database_url)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        return create_engine(url, poolclass=NullPool)

    def verify(self) -> tuple[int, dict[str, Any]]:
        """``lendwatt verify`` on its database; the exit code, and what it says."""
        where = ("--data-dir", str(self.folder / "data"), "--database", self._database_url)
        args = [sys.executable, "-m", "backend", "verify", "--json", *where]
        verify = Process("verify", args, self.folder)
        code = verify.ends()
        return code, json.loads(verify.out)

    @property
    def provider_key(self) -> str:
        """What the platform shows the sandbox provider as its bearer token."""
        return (self.folder / "data" / "provider-api-key").read_text()

    def begin(self) -> None:
        """Start it, without waiting: see :meth:`wait`."""
        self.starts += 1
        data = str(self.folder / "data")
        self.process = lendwatt_up(
            f"up-{self.starts}", self.folder, "--data-dir", data, "--broker", self.broker,
            *self._ports, "--database", self._database_url,
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until it says where it is, and remember that for the next start."""
        where: dict[str, str] = json.loads(self.process.says('"api"'))
        self.api, self.kind, self.provider = where["api"], where["broker"], where["provider"]
        self.url = where["url"]
        self.bank_port = port_of(where["banks"])
        self._ports = (
            "--port", str(port_of(self.api)),
            "--provider-port", str(port_of(self.provider)),
            "--bank-port", str(self.bank_port),
        )  # fmt: skip


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, url
    return port


class Simulator:
    """``lendwatt-sim fleet``, handled over its control like banks in somebody's hands."""

    def __init__(self, folder: Path) -> None:
        self.process = Process(
            "fleet",
            [sys.executable, "-m", "firmware_sim", "fleet", "--banks", "-", "--control-port", "0"],
            folder,
            env={"LENDWATT_SIM_RECONNECT_FIRST_S": "0.1", "LENDWATT_SIM_RECONNECT_MAX_S": "1"},
            stdin="[]",
        )

    def wait(self) -> None:
        ready = json.loads(self.process.says('"ready"'))
        self._http = httpx.Client(base_url=ready["control"], timeout=BOUND_S)

    def add(self, *, bank_id: str, secret: str, port: int, **more: object) -> None:
        spec = {"bank_id": bank_id, "secret": secret, "port": port, **more}
        answer = self._http.post("/banks", json=spec)
        assert answer.status_code == 201, answer.text

    def look(self, bank_id: str) -> dict[str, Any]:
        return dict(self._http.get(f"/banks/{bank_id}").raise_for_status().json())

    def do(self, bank_id: str, act: str, **body: object) -> None:
        answer = self._http.post(f"/banks/{bank_id}/{act}", json=body or None)
        assert answer.is_success, answer.text

    def acts(self, bank_id: str) -> list[str]:
        """The commands that this bank acted on: its own truth."""
        return [act["kind"] for act in self.look(bank_id)["acts"]]

    def stop(self) -> None:
        self._http.close()
        assert self.process.stop() == 0


def simulated_bank(bank_id: str, port: int, folder: Path) -> tuple[Process, str]:
    """``lendwatt-sim bank`` on a broker of one's own; and where it is handled."""
    process = Process(
        "bank",
        [sys.executable, "-m", "firmware_sim", "bank", "--id", bank_id, "--control-port", "0",
         "--broker", f"mqtt://127.0.0.1:{port}"],
        folder,
        env={"LENDWATT_SIM_SECRET": "a secret for this test only"},
    )  # fmt: skip
    control = process.says("--control").rpartition(" ")[2]
    return process, f"{control}/banks/{bank_id}"


def free_port() -> int:
    """A port of loopback that nobody listens on, this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
