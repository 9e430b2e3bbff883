"""What the tables have in common: words as columns, and tables that only grow."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Enum, Index, Table, event, text
from sqlmodel import Field, SQLModel


def one_of(words: type[StrEnum], *, check: str | None = None, **field: Any) -> Any:
    """A column that holds one of these words, by value, and that the database checks.

    Args:
        words: the words.
        check: the constraint's name, where a table has two columns of the same words.
        field: what else ``Field`` takes.
    """
    column = Enum(
        words,
        name=check or words.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=_values,
    )
    return Field(sa_type=column, **field)


def _values(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


def unique_where(name: str, *columns: str, where: str) -> Index:
    """At most one such row among those for which ``where`` holds, on both databases."""
    clause = text(where)
    return Index(name, *columns, unique=True, sqlite_where=clause, postgresql_where=clause)


def some_of(column: str, words: Iterable[StrEnum]) -> str:
    """SQL: this column holds one of these words."""
    return f"{column} IN ({', '.join(sorted(repr(word.value) for word in words))})"


def append_only_ddl(table: str, dialect: str) -> tuple[str, ...]:
    """The statements that make a table refuse UPDATE and DELETE; migrations run them too."""
    refusal = f"{table} is only added to"
    if dialect == "postgresql":
        guard = f"{table}_only_grows"
        body = f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
        when = f"BEFORE UPDATE OR DELETE ON {table} FOR EACH STATEMENT"
        return (
            f"CREATE FUNCTION {guard}() RETURNS trigger LANGUAGE plpgsql AS {body}",
            f"CREATE TRIGGER {guard} {when} EXECUTE FUNCTION {guard}()",
        )
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        for verb in ("update", "delete")
    )


def growing_only_ends_ddl(table: str, dialect: str) -> tuple[str, ...]:
    """The statements that undo ``append_only_ddl``, whole or in part done."""
    if dialect == "postgresql":
        return (f"DROP FUNCTION IF EXISTS {table}_only_grows() CASCADE",)
    return tuple(f"DROP TRIGGER IF EXISTS {table}_no_{verb}" for verb in ("update", "delete"))


def append_only(model: type[SQLModel]) -> None:
    """Have this table's rows neither changed nor deleted, whoever asks."""
    table: Table = model.__table__  # type: ignore[attr-defined]

    def create(target: Table, connection: Connection, **_: Any) -> None:
        for statement in append_only_ddl(target.name, connection.dialect.name):
            connection.exec_driver_sql(statement)

    event.listen(table, "after_create", create)
