"""When things go wrong: killed in the middle, or kept from starting."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.city import City, Rental, moment
from tests.acceptance.processes import until
from tests.acceptance.stream import Stream
from tests.acceptance.system import Platform, Simulator, free_port, lendwatt_up

# -- killed -----------------------------------------------------------------------------


@pytest.fixture(
    params=[
        ("embedded", "sqlite"),
        ("embedded", "postgresql"),
        pytest.param(("mosquitto", "sqlite"), marks=pytest.mark.mosquitto),
    ],
    ids="-".join,
)
def kinds(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of broker and database."""
    return request.param


@pytest.fixture
def database_kind(kinds: tuple[str, str]) -> str:
    return kinds[1]


@pytest.fixture
def own_city(
    kinds: tuple[str, str], empty_database_url: str, simulator: Simulator, tmp_path: Path
) -> Iterator[City]:
    """A platform of the test's own, to be killed."""
    platform = Platform(tmp_path, broker=kinds[0], database_url=empty_database_url)
    try:
        platform.wait()
        city = City(platform, simulator)
        yield city
        city.close()
    finally:
        platform.process.kill()


def test_killed_in_the_middle_of_a_rental_it_goes_on_where_it_was(own_city: City) -> None:
    city = own_city
    shop = city.shop(billing_start="plugged", block_s=1)
    bank = city.bank(shop, report_s=1)  # what a broker took while nobody listened is said again
    rental = city.rental(shop, bank).start()
    with rental.renter.listening() as before:
        city.platform.process.kill()
        city.simulator.do(bank.id, "plug")  # nobody hears it, and the bank remembers
        last_id = before.heard[-1].id
    city.platform.begin()
    city.platform.wait()

    until(lambda: rental.now()["billing_start_at"], what="what was missed is told")
    until(lambda: rental.now()["duration_s"] >= 1, what="a second is billed")
    told = rental.complete().now()
    assert moment(told, "confirmed_at") < moment(told, "billing_start_at")
    assert told["amount_minor"] > told["tariff"]["delivery_fee_minor"]
    until(lambda: rental.now()["deposit"]["state"] == "released", what="the deposit is free")
    assert city.simulator.acts(bank.id) == ["charge_start", "charge_stop"]
    with rental.renter.listening(after=last_id) as news:
        news.hears("rental.completed", rental_id=rental.id)
        _each_once(news, "rental.return_requested", "rental.payment_due", "rental.completed")
    _the_books_balance(city, rental)


def _each_once(news: Stream, *kinds: str) -> None:
    counted = Counter(news.kinds())
    assert [counted[kind] for kind in kinds] == [1] * len(kinds)


def _the_books_balance(city: City, rental: Rental) -> None:
    """No route shows the ledger yet, so this reads the platform's database."""
    balances = "SELECT account, sum(amount_minor) FROM posting GROUP BY account"
    unbalanced = (
        "SELECT transfer_id FROM posting GROUP BY transfer_id, currency HAVING sum(amount_minor) "
        "<> 0"
    )
    assert city.platform.rows(unbalanced) == []
    balance: dict[str, int] = dict(city.platform.rows(balances))
    assert balance["provider_cash"] == rental.now()["amount_minor"]
    assert balance["provider_holds"] == 0
    assert sum(balance.values()) == 0
    assert balance[f"deposit:{rental.renter.id}"] == balance[f"receivable:{rental.renter.id}"] == 0


# -- it cannot start --------------------------------------------------------------------


def starts_not(folder: Path, *args: str) -> str:
    """The one sentence in which ``lendwatt up`` says why it does not start."""
    free = ("--port", "0", "--provider-port", "0", "--bank-port", "0")
    process = lendwatt_up("trouble", folder, "--data-dir", str(folder / "data"), *free, *args)
    assert process.ends() == 1
    assert process.out == ""
    (line,) = process.err.splitlines()
    assert line.startswith("lendwatt: ")
    assert line.endswith(".")
    assert ". " not in line
    return line


@pytest.mark.parametrize("option", ["--port", "--bank-port"])
def test_a_taken_port_is_said_with_what_to_do(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = starts_not(tmp_path, "--broker", "embedded", option, port)
    assert port in line
    assert "already in use" in line
    assert "choose another" in line


def test_a_database_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    line = starts_not(tmp_path, "--database", f"sqlite:///{tmp_path}/folder")
    assert f"{tmp_path}/folder" in line
    assert "LENDWATT_DATABASE_URL" in line


def test_a_data_directory_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = starts_not(tmp_path, "--data-dir", f"{tmp_path}/file/data")
    assert f"{tmp_path}/file/data" in line
    assert "LENDWATT_DATA_DIR" in line


def test_a_broker_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    url = f"127.0.0.1:{free_port()}"
    line = starts_not(tmp_path, "--broker", f"mqtt://gateway:secret@{url}")
    assert url in line
    assert "--broker auto" in line
    assert "secret" not in line


def test_a_broker_that_refuses_the_gateway_is_said_with_what_to_do(
    city: City, tmp_path: Path
) -> None:
    url = f"127.0.0.1:{city.platform.bank_port}"
    line = starts_not(tmp_path, "--broker", f"mqtt://gateway:secret@{url}")
    assert url in line
    assert "did not let the gateway in" in line
    assert "secret" not in line
