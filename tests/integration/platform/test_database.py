"""Engines, transactions, columns, migrations."""

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlmodel import SQLModel, select

from backend.db.engine import Database, keep_despite_refusal, make_engine, tell
from backend.db.migrate import check, downgrade, is_current, migrate
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
    with database.reading() as session, pytest.raises(OperationalError, match="readonly"):
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
            text("CREATE TABLE child (id REFERENCES person DEFERRABLE INITIALLY DEFERRED)")
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


@pytest.fixture
def empty(tmp_path: Path) -> Engine:
    return make_engine(f"sqlite:///{tmp_path}/migrated.db")


def schema(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        )
        return {(kind, name) for kind, name in rows if name != "alembic_version"}


def test_the_schema_goes_up_down_and_up(empty: Engine) -> None:
    assert not is_current(empty)
    migrate(empty)
    assert is_current(empty)
    check(empty)

    downgrade(empty, to="base")
    assert schema(empty) == set()

    migrate(empty)
    assert is_current(empty)
    empty.dispose()


def test_the_schema_is_what_the_tables_say(empty: Engine, database: Database) -> None:
    migrate(empty)

    assert schema(empty) == schema(database.engine)
    for table in SQLModel.metadata.tables:
        theirs, ours = (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in columns}
            for columns in (
                inspect(empty).get_columns(table),
                inspect(database.engine).get_columns(table),
            )
        )
        assert theirs == ours
    empty.dispose()


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    engines = [make_engine(f"sqlite:///{tmp_path}/both.db") for _ in range(2)]
    ready = threading.Barrier(2)

    def go(engine: Engine) -> None:
        ready.wait(10)
        migrate(engine)

    with ThreadPoolExecutor(2) as both:
        list(both.map(go, engines))

    assert all(is_current(engine) for engine in engines)
    for engine in engines:
        engine.dispose()


def test_a_newer_schema_is_refused_in_a_sentence(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'tomorrow'"))

    assert not is_current(empty)
    with pytest.raises(StartError, match="newer"):
        migrate(empty)
    empty.dispose()


def test_foreign_keys_are_on_again_after_a_migration(empty: Engine) -> None:
    migrate(empty)

    with empty.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    empty.dispose()
