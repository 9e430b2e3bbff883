"""The database of a gateway that runs on its own.

Inside ``lendwatt up`` the backend's engine is used; this is the same few rules again, because a
copy of them beats an arrow from the gateway to the backend.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from gateway.errors import StartError


def open_database(url: str) -> Engine:
    """Open a database that Lendwatt has migrated.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/name``.

    Raises:
        StartError: it can't be used; says why and what to do.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, pool_size=4, max_overflow=0, hide_parameters=True)
    except (ArgumentError, ModuleNotFoundError) as wrong:
        msg = (
            f"The database URL can't be used ({wrong}): write sqlite:///path/to/lendwatt.db, or "
            "postgresql://user@host/name with the Python package psycopg installed."
        )
        raise StartError(msg) from wrong
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin():
            pass
    except DBAPIError as wrong:
        engine.dispose()
        shown = engine.url.render_as_string(hide_password=True)
        msg = (
            f"The database {shown} can't be used ({wrong.orig}): check that it is there and may "
            "be written, or name another with --database."
        )
        raise StartError(msg) from wrong
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "busy_timeout=10000",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    """A transaction that reads, decides and writes is the one writer from its first read on."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
