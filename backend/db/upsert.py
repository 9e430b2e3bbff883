"""``INSERT … ON CONFLICT``: spelt alike in both databases, built by two classes."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel


def upsert(session: Session, table: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that can say what to do about a conflict."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
