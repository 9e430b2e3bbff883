"""Every table there is. Importing any of them imports them all, so that metadata is whole.

Names of constraints are part of the schema: a migration can only drop what has one. Unique
and foreign keys are named here, before the first table is defined; checks are named where
they stand, ``ck_<table>_<rule>``.
"""

from importlib import import_module
from pkgutil import iter_modules

from sqlmodel import SQLModel

import gateway.tables  # noqa: F401  the seam shares our metadata

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
