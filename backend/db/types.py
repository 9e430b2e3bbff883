"""Column types that our rules need and SQLAlchemy does not have.

``datetime`` fields of SQLModel classes get ``UtcDateTime`` by themselves: write the plain
annotation, never ``sa_type``. Import it where a column is spelt out by hand. It refuses
naive values and always gives back aware UTC, on SQLite too, which forgets zones.
"""

from sqlmodel.sql.sqltypes import UTCDateTime as UtcDateTime

__all__ = ["UtcDateTime"]
