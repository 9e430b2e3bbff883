"""The whole system from outside: real processes, MQTT as a bank sees it, HTTP as an app sees it.

Nothing here imports what it tests. Each worker of xdist has one platform on the embedded broker
and SQLite; if a test asks for it, one on Mosquitto, and one on PostgreSQL; and one process of
simulated banks for them all.
"""

from collections.abc import Generator, Iterator

import pytest

from tests.acceptance.city import City
from tests.acceptance.processes import Process
from tests.acceptance.system import Platform, Simulator
from tests.databases import Databases


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the programs under test said."""
    report = yield
    if report.failed:
        for process in Process.alive:
            said = f"{process.out[-2000:]}\n{process.err[-6000:]}"
            report.sections.append((f"what {process.name} said", said))
    return report


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    try:
        simulator.wait()
        yield simulator
        simulator.stop()
    finally:
        simulator.process.kill()


@pytest.fixture(scope="session")
def city(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """On the embedded broker, which is everywhere."""
    yield from _city("embedded", simulator, tmp_path_factory)


@pytest.fixture(scope="session")
def mosquitto_city(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    """On Mosquitto; for tests that are marked with it."""
    yield from _city("mosquitto", simulator, tmp_path_factory)


@pytest.fixture(scope="session")
def postgresql_city(
    simulator: Simulator, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    """On the embedded broker and PostgreSQL."""
    with databases.empty("postgresql", tmp_path_factory.mktemp("postgresql")) as url:
        plain = url.replace("postgresql+psycopg://", "postgresql://")
        yield from _city("embedded", simulator, tmp_path_factory, database_url=plain)


def _city(
    broker: str,
    simulator: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    database_url: str = "",
) -> Iterator[City]:
    folder = tmp_path_factory.mktemp(broker)
    platform = Platform(folder, broker=broker, database_url=database_url)
    try:
        platform.wait()
        assert platform.kind == broker
        city = City(platform, simulator)
        yield city
        city.close()
        assert platform.process.stop() == 0
    finally:
        platform.process.kill()


CITIES = (
    "city",
    pytest.param("mosquitto_city", marks=pytest.mark.mosquitto),
    "postgresql_city",
)


@pytest.fixture(params=CITIES)
def each_city(request: pytest.FixtureRequest) -> City:
    """The same test once on each broker, and once on the other database."""
    city: City = request.getfixturevalue(request.param)
    return city
