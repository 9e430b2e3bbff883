"""The provider's memory: one SQLite file.

One connection, one lock, short transactions that begin by taking the write lock. A commit
is on the disk before anyone is answered.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from backend.payments.provider_app.rows import Rows
from backend.payments.provider_app.schema import VERSIONS

_BUSY_TIMEOUT_S: Final = 5.0


class MemoryUnusableError(Exception):
    """The file cannot be opened, or is another program's."""


class Memory:
    """The file. Thread-safe: transactions wait for each other."""

    def __init__(self, path: Path) -> None:
        """Open the file; make it if it is not there.

        Raises:
            MemoryUnusableError: the file cannot be used; the message says why.
        """
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise MemoryUnusableError(_sentence(path, error)) from error
        self._connection.row_factory = _as_dict
        self._lock = threading.Lock()
        try:
            self._prepare()
        except (sqlite3.Error, MemoryUnusableError) as error:
            self._connection.close()
            raise MemoryUnusableError(_sentence(path, error)) from error

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """All or nothing, on the disk when it is left."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        version = self._connection.execute("PRAGMA user_version").fetchone()["user_version"]
        if version > len(VERSIONS):
            message = f"it is of version {version}, this program writes {len(VERSIONS)}"
            raise MemoryUnusableError(message)
        for number, statements in enumerate(VERSIONS[version:], start=version + 1):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {number}; COMMIT;"
            )


def _sentence(path: Path, error: Exception) -> str:
    return f"the sandbox provider cannot use {path}: {error}; give it another file"


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
