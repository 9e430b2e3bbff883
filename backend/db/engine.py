"""Engines and transactions.

SQLite has one writer. A transaction that reads, decides and then writes must be that writer
from its first read on, or two of them decide on the same past: hence ``BEGIN IMMEDIATE``.
Readers begin deferred: they see one snapshot and wait for nobody.

PostgreSQL has many writers, and they see what was committed before each statement: whoever
reads, decides and then writes locks the row it decides by (``FOR UPDATE``), or writes with the
old value in the WHERE. The order of locks is rental, job, payment, account; what everybody
locks (a person's count of notifications) comes at the very end, see ``postpone``. Readers see
one snapshot, as on SQLite. Who loses a deadlock all the same, or finds the server read-only,
hears what a busy SQLite says: ``OperationalError``, nothing was done, ask again.

What must happen only once a change is durable (waking a stream, a sender) is announced with
``tell`` inside the transaction and passed on after its commit. A wake-up that is lost costs
latency only: everything that listens also polls.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session

from backend.db.turns import TurnTaking, turn_taking
from backend.domain.errors import Refusal
from backend.problems import StartError

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for its turn at SQLite, or for a lock at PostgreSQL, before the caller
hears "busy"."""
POOL_CONNECTIONS = 40
POOL_TIMEOUT_S = 10
_BACKENDS = frozenset({"sqlite", "postgresql"})
_READ_ONLY = "lendwatt_read_only"
_READ_ONLY_STATE = "25006"
"""PostgreSQL's word for a write in a transaction that only reads."""
_DEADLOCK_STATE = "40P01"
"""PostgreSQL's word for a transaction that it ended so that another could go on."""
DEADLOCKS_MAX = 3
"""How often who lost one tries again at once; then it waits for its next turn."""
_Done = TypeVar("_Done")
_NEWS = "lendwatt_news"
_KEEP = "lendwatt_keep"
_LAST = "lendwatt_last"
_MARKS = "lendwatt_marks"


def make_engine(url: str) -> Engine:
    """Open a database and see that it can be written.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/name``.

    Raises:
        StartError: it cannot be used; says why and what to do.
    """
    parsed = _parse(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _server(parsed)
    try:
        with engine.begin():  # on SQLite this takes the write lock: a read-only file is found out
            pass
    except DBAPIError as wrong:
        engine.dispose()
        msg = (
            f"The database {_plainly(parsed)} cannot be used ({wrong.orig}): check that it is "
            "there and may be written, or set LENDWATT_DATABASE_URL to another."
        )
        raise StartError(msg) from wrong
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in _BACKENDS:
        msg = (
            "The database URL is not one for SQLite or PostgreSQL: set LENDWATT_DATABASE_URL to "
            "sqlite:///path/to/file.db or postgresql://user@host/name."
        )
        raise StartError(msg)
    return parsed


def _plainly(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _sqlite(url: URL) -> Engine:
    if url.database in {None, "", ":memory:"}:
        msg = "The database must be a file: set LENDWATT_DATABASE_URL to sqlite:///path/to/file.db."
        raise StartError(msg)
    folder = Path(str(url.database)).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        msg = (
            f"The database's directory {folder} cannot be made ({wrong.strerror}): make it, or "
            "set LENDWATT_DATABASE_URL to a place that can be written."
        )
        raise StartError(msg) from wrong
    engine = create_engine(
        url,
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,  # phones and secrets stay out of logs
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "factory": turn_taking()},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "checkin", _end)
    return engine


def _server(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(
            url,
            pool_size=POOL_CONNECTIONS,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
        )
    except ModuleNotFoundError as wrong:
        msg = (
            f"The database {_plainly(url)} needs the Python package {wrong.name}: install it, or "
            "set LENDWATT_DATABASE_URL to sqlite:///path/to/file.db."
        )
        raise StartError(msg) from wrong
    event.listen(engine, "do_connect", _bound_waiting)
    event.listen(engine, "handle_error", _say_unavailable)
    event.listen(engine, "checkin", _end)
    return engine


def _bound_waiting(_dialect: object, _record: object, _how: object, kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("connect_timeout", POOL_TIMEOUT_S)
    kwargs.setdefault("options", f"-c lock_timeout={BUSY_TIMEOUT_MS}")


def _say_unavailable(context: ExceptionContext) -> None:
    """A server that has become read-only is away for us, though its driver calls it a bug."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == _READ_ONLY_STATE:
        raise OperationalError(context.statement, None, error) from error


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    for pragma in (
        "journal_mode=WAL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ_ONLY, False)
    if not reads:
        _take_turn(connection)
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _take_turn(connection: Connection) -> None:
    sqlite = connection.connection.driver_connection
    assert isinstance(sqlite, TurnTaking)  # noqa: S101 - see _sqlite
    try:
        sqlite.take_turn(timeout_s=BUSY_TIMEOUT_MS / 1000)
    except sqlite3.OperationalError as busy:
        statement = "BEGIN IMMEDIATE"
        raise OperationalError(statement, None, busy) from busy


def _end(connection: DBAPIConnection | None, _record: object) -> None:
    """End what is still open: after a BEGIN or COMMIT that fails, SQLAlchemy does not."""
    if connection is not None:
        connection.rollback()


def read_only(engine: Engine) -> Engine:
    """Give the same engine, for connections that only read: they wait for no writer."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_READ_ONLY: True})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


class _Writing(Session):
    """A session that writes, and remembers what is to be written last."""


@event.listens_for(_Writing, "after_transaction_create")
def _mark(session: Session, transaction: SessionTransaction) -> None:
    session.info.setdefault(_MARKS, {})[transaction] = len(session.info.get(_LAST, ()))


@event.listens_for(_Writing, "after_soft_rollback")
def _back_to_mark(session: Session, transaction: SessionTransaction) -> None:
    while not transaction.nested and transaction.parent is not None:  # a flush is one of its own
        transaction = transaction.parent
    del session.info[_LAST][session.info[_MARKS][transaction] :]


class Database:
    """One database: its transactions, and who is told after a commit."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reader = read_only(engine)
        self._listeners: list[Callable[[frozenset[str]], None]] = []

    def listen(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call ``listener`` with the topics told in each transaction, after its commit.

        It is called from the thread that committed, and must neither block nor raise.
        """
        self._listeners.append(listener)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that sees one snapshot and cannot write."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session; commit at the end, or roll back if anything was raised.

        A refusal for which ``keep_despite_refusal`` was called is committed, and raised on.
        """
        with _Writing(self.engine, expire_on_commit=False, info={_LAST: []}) as session:
            try:
                yield session
            except Refusal:
                if session.info.get(_KEEP):
                    self._commit(session)
                raise
            self._commit(session)

    def _commit(self, session: Session) -> None:
        for _, work in sorted(session.info[_LAST], key=itemgetter(0)):
            work(session)
        session.commit()
        news = frozenset(session.info.pop(_NEWS, ()))
        if news:
            for listener in self._listeners:
                listener(news)

    def carry_out(self, work: Callable[[Session], _Done]) -> _Done:
        """Do this in a transaction of its own; and again if it loses a deadlock, a few times.

        For who works off many things: what two transactions do to each other is no fault of the
        thing, and no reason to stop before the others.
        """
        for _ in range(DEADLOCKS_MAX):
            try:
                with self.writing() as session:
                    return work(session)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _DEADLOCK_STATE:
                    raise
        with self.writing() as session:
            return work(session)


def tell(session: Session, topic: str) -> None:
    """Say, once this transaction is durable, that there is news under this topic."""
    session.info.setdefault(_NEWS, set()).add(topic)


def alone(session: Session, name: str) -> None:
    """Let nobody else past here under the same name until this transaction has ended.

    For a decision by rows that are not there yet, and cannot be locked. On SQLite, who writes is
    alone anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def postpone(session: Session, work: Callable[[Session], None], *, place: str) -> None:
    """Do this at the end of the transaction, unless a savepoint takes it back.

    For rows that many transactions lock: taken last, they are held for a moment only; and taken
    in the order of their places, no two transactions wait for each other.

    Args:
        session: a writing transaction.
        work: what is to be done; several in one place, in the order they came.
        place: what it locks.
    """
    session.info[_LAST].append((place, work))


def keep_despite_refusal(session: Session) -> None:
    """Let what was written so far stand although the answer will be a refusal.

    For facts like "a wrong code was tried": counted in the database, then refused.
    """
    session.info[_KEEP] = True


def is_kept(session: Session) -> bool:
    """Tell whether ``keep_despite_refusal`` was called."""
    return bool(session.info.get(_KEEP))
