"""What every test shares: Hypothesis's profiles, databases, tools that may be missing, rows."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from tests.databases import KINDS, Databases
from tests.rows import ROWS

CI = os.environ.get("CI") == "true"

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
settings.register_profile("dev", _PATIENT)
settings.register_profile("ci", _PATIENT, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if CI else "dev")

NEEDS = {"mosquitto": ("mosquitto", "mosquitto_pub", "mosquitto_sub"), "browser": ("chromium",)}
"""The programs that the tests with a marker need."""


def find_program(name: str) -> str | None:
    """Where a program is. Debian keeps mosquitto where only root's PATH looks."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=os.pathsep.join([path, "/usr/local/sbin", "/usr/sbin"]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test's markers say, before anything else of it runs."""
    _write_down_rows(item)
    _want_programs(item)


def _write_down_rows(item: pytest.Item) -> None:
    """The rows that a test shows travel with its reports; one that the spec has not is an error."""
    for marker in item.iter_markers("row"):
        for row in marker.args:
            if row not in ROWS:
                pytest.fail(f"no such row of the spec: {row!r}", pytrace=False)
            item.user_properties.append(("row", row))


def _want_programs(item: pytest.Item) -> None:
    """Without the programs that its marker needs, a test is skipped; under CI=true it fails."""
    for marker, programs in NEEDS.items():
        missing = [name for name in programs if find_program(name) is None]
        if missing and item.get_closest_marker(marker):
            told = f"not installed: {', '.join(missing)} (make test installs them where it may)"
            pytest.fail(told, pytrace=False) if CI else pytest.skip(told)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test ran in this process may have sent the logs to its own output."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """What SQLAlchemy makes of a statement, it makes once for each kind of database.

    Each test has an engine of its own, and an engine compiles anew: a sixth of the suite's time.
    Our engines of one kind differ in nothing that a compiled statement knows.
    """
    with pytest.MonkeyPatch.context() as patch:
        caches: dict[type, Any] = {}

        def share(connection: Connection) -> None:
            engine = connection.engine
            engine._compiled_cache = caches.setdefault(type(engine.dialect), engine._compiled_cache)

        event.listen(Engine, "engine_connect", share)
        patch.setattr(DefaultDialect, "__hash__", lambda one: hash(type(one)))
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        yield
        event.remove(Engine, "engine_connect", share)


@pytest.fixture(scope="session")
def needs_mosquitto() -> str:
    """The path of mosquitto, for tests that are marked with it."""
    path = find_program("mosquitto")
    assert path is not None, "mark the test: @pytest.mark.mosquitto"
    return path


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Where databases come from; what it started is stopped at the end."""
    with ExitStack() as until:
        yield Databases(tmp_path_factory.mktemp("databases"), until)


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """A test that has a database runs on each kind."""
    return str(request.param)


@pytest.fixture
def database_url(databases: Databases, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """A database with all tables, for this test alone."""
    with databases.with_tables(database_kind, tmp_path) as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it, for this test alone."""
    with databases.empty(database_kind, tmp_path) as url:
        yield url
