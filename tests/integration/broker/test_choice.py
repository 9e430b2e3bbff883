"""Which broker is started, and what is said when none can be."""

import stat

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from gateway import credentials
from gateway.broker import BrokerKind, start_broker
from gateway.broker_url import BrokerUrl
from gateway.clock import now_ms
from gateway.errors import StartError
from gateway.mosquitto import free_port, listening_socket
from tests.integration.broker.clients import BANKS, until

ONE, TWO, THREE = BANKS


@pytest.fixture
def no_mosquitto(monkeypatch):
    monkeypatch.setattr("gateway.broker.find_mosquitto", lambda: None)


@pytest.mark.usefixtures("no_mosquitto")
async def test_auto_is_the_embedded_broker_where_mosquitto_is_not_installed(engine):
    async with await start_broker("auto", engine=engine) as broker:
        assert broker.kind is BrokerKind.EMBEDDED


@pytest.mark.mosquitto
async def test_auto_is_mosquitto_where_it_is_installed(engine):
    async with await start_broker("auto", engine=engine) as broker:
        assert broker.kind is BrokerKind.MOSQUITTO


@pytest.mark.usefixtures("no_mosquitto")
async def test_a_missing_mosquitto_is_told_with_what_to_do(engine):
    with pytest.raises(StartError, match="apt install mosquitto, or use --broker embedded"):
        await start_broker("mosquitto", engine=engine)


async def test_a_url_starts_nothing(engine):
    url = "mqtt://gateway:se%3Acret@broker.example:1884"
    async with await start_broker(url, engine=engine) as broker:
        assert broker.kind is BrokerKind.REMOTE
        assert (broker.bank_host, broker.bank_port) == ("broker.example", 1884)
        assert broker.gateway_url.password == "se:cret"
        broker.poke()


async def test_the_password_file_of_a_remote_broker_is_kept_in_step(engine, secrets, tmp_path):
    path = tmp_path / "banks.passwords"
    url = "mqtts://gateway:secret@broker.example"
    async with await start_broker(url, engine=engine, passwords=path) as broker:
        lines = dict(line.split(":") for line in path.read_text().splitlines())
        assert list(lines) == sorted(BANKS)
        assert all(credentials.verify(lines[bank], secrets[bank]) for bank in BANKS)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        with Session(engine) as session:
            credentials.revoke(session, TWO, now_ms=now_ms())
            session.commit()
        broker.poke()
        await until(lambda: TWO not in path.read_text())


@pytest.mark.parametrize(
    "url", ["http://broker", "mqtt://", "broker:1883", "mqtt://host:port", "mqtt://h:99999", ""]
)
async def test_what_is_no_broker_is_told_in_one_sentence(engine, url):
    with pytest.raises(StartError, match="write auto, embedded, mosquitto, or mqtt://"):
        await start_broker(url, engine=engine)


def test_a_password_is_in_no_text_of_a_url():
    url = BrokerUrl.parse("mqtts://gateway:secret@[::1]")
    assert "secret" not in f"{url} {url!r}"
    assert str(url) == "mqtts://gateway@[::1]:8883"


@pytest.mark.usefixtures("secrets")
async def test_a_database_that_is_away_leaves_the_last_credentials_in_force(engine, caplog):
    async with await start_broker("embedded", engine=engine) as broker:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE bank_credential RENAME TO elsewhere")
        broker.poke()
        await until(lambda: "credentials cannot be read" in caplog.text)
        assert list(broker._server._broker.roster.banks) == list(BANKS)


async def test_a_database_without_tables_leaves_nothing_running(kind, engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE bank_credential")
    port = free_port("127.0.0.1")
    with pytest.raises(OperationalError, match="no such table"):
        await start_broker(kind, engine=engine, port=port)
    listening_socket("127.0.0.1", port).close()
