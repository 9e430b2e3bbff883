"""Versions of the schema go up, down and up with data in them, on both databases."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from backend.db.engine import make_engine
from backend.db.migrate import check, downgrade, is_current, migrate
from backend.db.places import cell_of
from backend.db.tables.market import MerchantRow
from backend.db.tables.money import AccountRow
from backend.db.tables.rentals import JobRow, RentalRow, RentalStepRow
from backend.domain.geo import Point
from backend.domain.rental import RentalEvent, RentalState
from backend.problems import StartError
from tests.integration.databases import first_rows
from tests.integration.databases.first_rows import NOON

Content = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Rows by table and primary key."""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def old(empty: Engine) -> Engine:
    """A database of the first version, in use."""
    migrate(empty, to="0001")
    first_rows.write(empty)
    return empty


def tables_of(engine: Engine) -> list[Table]:
    found = MetaData()
    found.reflect(engine)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def content(engine: Engine) -> Content:
    with engine.connect() as connection:
        return {
            table.name: {
                tuple(row[key.name] for key in table.primary_key): dict(row)
                for row in connection.execute(table.select()).mappings()
            }
            for table in tables_of(engine)
        }


def kept(before: Content, after: Content) -> Content:
    """What of the rows and columns of before is there after."""
    return {
        table: {
            key: {name: after[table][key].get(name, "gone") for name in row}
            for key, row in rows.items()
            if key in after[table]
        }
        for table, rows in before.items()
    }


def words(sql: str) -> set[str]:
    """What a condition consists of, however it is spelt: PostgreSQL adds casts."""
    return set(re.findall(r"'[^']*'|[^\W\d]\w*|\d+|[<>=]+", sql.replace('"', "")))


def schema(engine: Engine) -> dict[str, Any]:
    """All that a schema says: columns, keys, constraints, indexes, triggers."""
    look = inspect(engine)
    told: dict[str, Any] = {
        table.name: {
            "columns": {
                each["name"]: (str(each["type"]), each["nullable"])
                for each in look.get_columns(table.name)
            },
            "key": look.get_pk_constraint(table.name)["constrained_columns"],
            "unique": sorted(
                (str(each["name"]), *each["column_names"])
                for each in look.get_unique_constraints(table.name)
            ),
            "foreign": sorted(
                (str(each["name"]), *each["constrained_columns"], each["referred_table"])
                for each in look.get_foreign_keys(table.name)
            ),
            "checks": {
                str(each["name"]): words(each["sqltext"])
                for each in look.get_check_constraints(table.name)
            },
            "indexes": {
                str(each["name"]): (
                    each["column_names"],
                    bool(each["unique"]),
                    words(str(each.get("dialect_options", {}).get(_where(engine), ""))),
                )
                for each in look.get_indexes(table.name)
            },
        }
        for table in tables_of(engine)
    }
    return told | {"triggers": triggers(engine)}


def _where(engine: Engine) -> str:
    return f"{engine.dialect.name}_where"


def triggers(engine: Engine) -> set[tuple[str, str]]:
    """Each trigger, and its table."""
    found = {
        "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname, tgrelid::regclass::text FROM pg_trigger "
        "WHERE NOT tgisinternal",
    }[engine.dialect.name]
    with engine.connect() as connection:
        return {(name, table) for name, table in connection.exec_driver_sql(found)}


def functions(engine: Engine) -> list[str]:
    """PostgreSQL's triggers call functions of ours."""
    if engine.dialect.name == "sqlite":
        return []
    ours = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    with engine.connect() as connection:
        return [name for (name,) in connection.exec_driver_sql(ours)]


# -- the schema ------------------------------------------------------------------------


def test_the_schema_goes_up_down_and_up(empty: Engine) -> None:
    assert not is_current(empty)
    migrate(empty)
    assert is_current(empty)
    check(empty)

    downgrade(empty, to="base")
    assert tables_of(empty) == []
    assert triggers(empty) == set()
    assert functions(empty) == []

    migrate(empty)
    assert is_current(empty)


def test_the_migrations_lead_to_what_the_tables_say(empty: Engine, database_url: str) -> None:
    """Word for word, with what Alembic cannot compare: checks, conditions, triggers."""
    from_tables = make_engine(database_url)
    said = schema(from_tables)
    from_tables.dispose()

    migrate(empty)

    found = schema(empty)
    assert found.keys() == said.keys()
    for part, expected in said.items():
        assert found[part] == expected, part


def test_the_way_down_leads_to_what_was_there(empty: Engine) -> None:
    migrate(empty, to="0001")
    before = schema(empty)
    migrate(empty)

    downgrade(empty, to="0001")

    assert schema(empty) == before


def test_two_that_migrate_at_once_do_it_once(empty: Engine) -> None:
    engines = [empty, make_engine(empty.url.render_as_string(hide_password=False))]
    ready = threading.Barrier(2)

    def go(engine: Engine) -> None:
        ready.wait(10)
        migrate(engine)

    with ThreadPoolExecutor(2) as both:
        list(both.map(go, engines))

    assert all(is_current(engine) for engine in engines)
    engines[1].dispose()


def test_a_newer_schema_is_refused_in_a_sentence(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'tomorrow'"))

    assert not is_current(empty)
    with pytest.raises(StartError, match="newer"):
        migrate(empty)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_foreign_keys_are_on_again_after_a_migration(empty: Engine) -> None:
    migrate(empty)

    with empty.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


# -- with data -------------------------------------------------------------------------


def test_every_table_of_the_first_version_has_rows(old: Engine) -> None:
    assert [table for table, rows in content(old).items() if not rows] == []


def test_what_was_there_is_there_after_the_way_up(old: Engine) -> None:
    before = content(old)
    before["rental"]["R4",]["state"] = "undeliverable"
    for payment in before["payment"].values():
        del payment["is_surplus"]  # its refund says so
    before["rental_step"]["S4",] |= {"event": "give_up", "state": "undeliverable"}

    migrate(old)

    check(old)
    assert kept(before, content(old)) == before


def test_nothing_of_it_is_lost_by_going_up_down_and_up(old: Engine) -> None:
    before = content(old)
    migrate(old)
    up = content(old)

    downgrade(old, to="0001")
    assert content(old) == before

    migrate(old)
    assert content(old) == up
    check(old)


def test_what_only_grows_does_so_after_every_way(old: Engine) -> None:
    for way in (migrate, lambda engine: downgrade(engine, to="0001"), migrate):
        way(old)
        growing = {table for _, table in triggers(old)}
        assert {"audit", "custody_move", "posting", "rental_step", "tariff"} < growing
        for table in growing & {name for name, rows in content(old).items() if rows}:
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {_key(old, table)}"):  # noqa: S608
                with pytest.raises(DBAPIError, match="only added to"), old.begin() as connection:
                    connection.exec_driver_sql(statement)


def _key(engine: Engine, table: str) -> str:
    """An assignment that changes nothing."""
    name = inspect(engine).get_pk_constraint(table)["constrained_columns"][0]
    return f"{name} = {name}"


def test_balances_are_the_sums_of_what_was_posted(old: Engine) -> None:
    migrate(old)

    with Session(old) as session:
        accounts = session.exec(select(AccountRow)).all()
    assert {each.code: each.balance_minor for each in accounts} == first_rows.ACCOUNTS
    assert sum(each.postings for each in accounts) == sum(
        name == "posting" for name, _ in first_rows.ROWS
    )


def test_bills_are_divided_as_the_books_have_it_and_fall_due(old: Engine) -> None:
    migrate(old)

    with Session(old) as session:
        rows = session.exec(select(RentalRow).order_by(col(RentalRow.id))).all()
    assert [(row.merchant_minor, row.platform_minor) for row in rows] == [
        (704, 101), (613, 87), (None, None), (None, None), (None, None), (0, 0),
    ]  # fmt: skip
    assert rows[0].settle_at == NOON + timedelta(days=7, hours=2)
    assert rows[1].payment_due_by == NOON + timedelta(hours=25)
    assert {row.id for row in rows if row.settle_at} == {"R1", "R6"}
    assert {row.id for row in rows if row.payment_due_by} == {"R2"}


def test_merchants_are_on_the_map_and_open_jobs_are_looked_at(old: Engine) -> None:
    migrate(old)

    with Session(old) as session:
        merchant = session.exec(select(MerchantRow)).one()
        assert merchant.cell == cell_of(Point(lat=merchant.lat, lng=merchant.lng))
        due = {job.id: job.due_at for job in session.exec(select(JobRow))}
    assert due == {"J1": None, "J4": None, "J5": NOON}


def test_a_step_keeps_its_word_on_the_way_down_and_up(old: Engine) -> None:
    migrate(old)
    with Session(old) as session:
        for event in RentalEvent:
            session.add(
                RentalStepRow(
                    id=f"new:{event}",
                    rental_id="R1",
                    event=event,
                    state=RentalState.UNDELIVERABLE,
                    at=NOON,
                    evidence="the reason",
                )
            )
        session.commit()
    before = content(old)["rental_step"]

    downgrade(old, to="0001")
    for (step, *_), row in content(old)["rental_step"].items():
        if str(step).startswith("new:"):
            assert row["state"] == "declined"
            assert row["evidence"].endswith("the reason")

    migrate(old)
    assert content(old)["rental_step"] == before
