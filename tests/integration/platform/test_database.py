"""Engines, transactions, columns."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlmodel import select

from backend.db.engine import Database, keep_despite_refusal, make_engine, postpone, tell
from backend.db.tables.people import Person, SignIn
from backend.domain.errors import Code, Refusal
from backend.problems import StartError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def somebody(number: int = 1, created_at: datetime = NOON) -> Person:
    return Person(id=f"P{number}", phone=f"+86138{number:08}", created_at=created_at)


def add_and_raise(database: Database, error: Exception, *, keep: bool = False) -> None:
    with database.writing() as session:
        session.add(somebody())
        session.flush()
        tell(session, "never")
        if keep:
            keep_despite_refusal(session)
        raise error


def phones_in(database: Database) -> int:
    with database.reading() as session:
        return len(session.exec(select(Person.id)).all())


ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])


@ON_SQLITE
def test_sqlite_is_set_up_to_keep_what_it_was_told(database: Database) -> None:
    with database.engine.connect() as connection:
        pragmas = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        told = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]

    assert told == ["wal", 1, 2, 10_000]


def test_a_row_needs_its_parent(database: Database) -> None:
    orphan = SignIn(
        id="S",
        person_id="nobody",
        refresh_hash="",
        created_at=NOON,
        refreshed_at=NOON,
        expires_at=NOON,
    )
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(orphan)


@ON_SQLITE
def test_writers_that_read_first_take_turns(database: Database) -> None:
    with database.writing() as session:
        session.add(somebody())

    def add_one(_: int) -> None:
        with database.writing() as session:
            person = session.exec(select(Person)).one()
            person.notified_seq += 1

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(add_one, range(200)))

    with database.reading() as session:
        assert session.exec(select(Person)).one().notified_seq == 200


def test_a_reader_sees_one_snapshot_and_waits_for_nobody(database: Database) -> None:
    with database.writing() as session:
        session.add(somebody(1))

    with database.reading() as reader, database.writing() as writer:
        assert len(reader.exec(select(Person.id)).all()) == 1
        writer.add(somebody(2))
        writer.flush()
        assert len(reader.exec(select(Person.id)).all()) == 1


def test_a_reader_cannot_write(database: Database) -> None:
    with database.reading() as session, pytest.raises(OperationalError, match=r"read-?only"):
        session.execute(text("DELETE FROM person"))
    with database.writing() as session:
        session.add(somebody())
    assert phones_in(database) == 1


def test_what_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(Refusal):
        add_and_raise(database, Refusal(Code.NOT_FOUND))

    assert phones_in(database) == 0


def test_a_fact_outlives_the_refusal_if_it_says_so(database: Database) -> None:
    with pytest.raises(Refusal):
        add_and_raise(database, Refusal(Code.NOT_FOUND), keep=True)

    assert phones_in(database) == 1


def test_but_no_fact_outlives_a_failure(database: Database) -> None:
    with pytest.raises(RuntimeError):
        add_and_raise(database, RuntimeError(), keep=True)

    assert phones_in(database) == 0


def test_a_commit_that_fails_leaves_the_database_free(database: Database) -> None:
    """It stays inside its transaction; left so, it would hold the write lock for ever."""
    with database.writing() as session:
        session.execute(
            text("CREATE TABLE child (id varchar REFERENCES person DEFERRABLE INITIALLY DEFERRED)")
        )

    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(text("INSERT INTO child VALUES ('nobody')"))

    with database.writing() as session:
        session.add(somebody())
    assert phones_in(database) == 1


def test_news_are_told_after_the_commit_and_only_then(database: Database) -> None:
    heard: list[tuple[frozenset[str], int]] = []
    database.listen(lambda topics: heard.append((topics, phones_in(database))))

    with database.writing() as session:
        session.add(somebody(2))
        tell(session, "a")
        tell(session, "b")
        tell(session, "a")
        assert heard == []
    with pytest.raises(Refusal):
        add_and_raise(database, Refusal(Code.NOT_FOUND))

    assert heard == [(frozenset({"a", "b"}), 1)]


def test_what_is_postponed_comes_last_in_order_and_not_if_it_was_taken_back(
    database: Database,
) -> None:
    done: list[str] = []
    with database.writing() as session:
        postpone(session, lambda _: done.append("b"), place="b")
        with suppress(RuntimeError), session.begin_nested():
            postpone(session, lambda _: done.append("never"), place="a")
            raise RuntimeError
        with session.begin_nested():
            postpone(session, lambda _: done.append("a"), place="a")
            with suppress(IntegrityError), session.begin_nested():
                postpone(session, lambda _: done.append("never"), place="a")
                session.add_all((somebody(1), somebody(1, NOON + timedelta(days=1))))
                session.flush()
        assert done == []

    assert done == ["a", "b"]


def test_a_time_comes_back_aware_and_in_utc(database: Database) -> None:
    in_shanghai = NOON.astimezone(timezone(timedelta(hours=8)))
    with database.writing() as session:
        session.add(somebody(created_at=in_shanghai))

    with database.reading() as session:
        read = session.exec(select(Person)).one().created_at
        assert session.exec(select(Person).where(Person.created_at == in_shanghai)).first()
    assert read == NOON
    assert read.tzinfo is UTC


def test_a_naive_time_is_refused(database: Database) -> None:
    naive = NOON.replace(tzinfo=None)

    with pytest.raises(StatementError, match="timezone"), database.writing() as session:
        session.add(somebody(created_at=naive))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not one for"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////proc/nowhere/l.db", "cannot be made"),
        ("oracle://there", "not one for"),
    ],
)
def test_a_database_that_cannot_be_is_refused_in_a_sentence(url: str, said: str) -> None:
    with pytest.raises(StartError, match=said) as refused:
        make_engine(url)

    assert "LENDWATT_DATABASE_URL" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="unable to open database file"):
        make_engine(f"sqlite:///{tmp_path}")


def test_another_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)

    with pytest.raises(StartError, match="file is not a database"):
        make_engine(f"sqlite:///{tmp_path}/notes.txt")


def test_a_file_in_the_directorys_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match="cannot be made"):
        make_engine(f"sqlite:///{tmp_path}/file/l.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "l.db"
    sqlite3.connect(file).close()
    file.chmod(0o400)

    with pytest.raises(StartError, match="readonly"):
        make_engine(f"sqlite:///{file}")


@pytest.mark.parametrize("scheme", ["postgresql", "oracle", "no such scheme"])
def test_a_password_is_not_in_the_sentence(scheme: str) -> None:
    with pytest.raises(StartError) as refused:
        make_engine(f"{scheme}://me:hunter2@127.0.0.1:1/none")

    assert "hunter2" not in str(refused.value)
