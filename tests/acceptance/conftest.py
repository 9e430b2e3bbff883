"""The whole system from outside: real processes, MQTT as a bank sees it, HTTP as an app sees it.

Nothing here imports what it tests. Each worker of xdist has one platform on the embedded broker,
one on Mosquitto if a test asks for it, and one process of simulated banks for both.
"""

from collections.abc import Generator, Iterator

import pytest

from tests.acceptance.city import City
from tests.acceptance.processes import Process
from tests.acceptance.system import Platform, Simulator


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


def _city(
    broker: str, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    platform = Platform(tmp_path_factory.mktemp(broker), broker=broker)
    try:
        platform.wait()
        assert platform.kind == broker
        city = City(platform, simulator)
        yield city
        city.close()
        assert platform.process.stop() == 0
    finally:
        platform.process.kill()


BROKERS = ("city", pytest.param("mosquitto_city", marks=pytest.mark.mosquitto))


@pytest.fixture(params=BROKERS)
def each_city(request: pytest.FixtureRequest) -> City:
    """The same test once on each broker."""
    city: City = request.getfixturevalue(request.param)
    return city
