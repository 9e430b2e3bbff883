"""What is Mosquitto's alone: a child that behaves."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import credentials
from gateway.broker import start_broker
from gateway.errors import StartError
from gateway.mosquitto import Mosquitto
from tests.integration.broker.clients import BANKS, World, until

ONE, TWO, _ = BANKS
PROJECT = Path(__file__).parents[3]
SERVER_FILE = PROJECT / "mosquitto.conf"
SERVER_DIRECTORY = Path("/etc/mosquitto/lendwatt")

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def kind() -> str:
    return "mosquitto"


def child(world: World) -> Mosquitto:
    return world.broker._server


def process_file(mosquitto: Mosquitto, name: str) -> Path:
    return Path(f"/proc/{mosquitto.pid}/{name}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_does_not_run_as_root_and_its_files_are_private(world: World):
    assert child(world).pid is not None
    directory = child(world)._directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())
    assert process_file(child(world), "").stat().st_uid == directory.stat().st_uid != 0


async def test_the_gateways_secret_is_in_no_file_and_no_argument(world: World):
    secret = world.broker.gateway_url.password
    texts = [path.read_text() for path in child(world)._directory.iterdir()]
    texts.append(process_file(child(world), "cmdline").read_text())
    assert not any(secret in text for text in texts)


async def test_a_bank_cannot_sign_in_at_the_gateways_port_nor_the_gateway_at_the_banks(
    world: World,
):
    url = world.broker.gateway_url
    at_the_banks = await world.stranger(url.username, url.password)
    world.broker.bank_port = url.port
    at_the_gateways = await world.bank(ONE)
    assert not at_the_banks.admitted
    assert not at_the_gateways.admitted


async def test_it_is_started_again_when_it_dies_with_the_credentials_of_now(world: World):
    died = child(world).pid
    os.kill(died, signal.SIGKILL)
    secret = await world.change(credentials.rotate, ONE)
    await until(lambda: child(world).pid not in {None, died})
    await until(lambda: child(world)._listens)
    assert (await world.admitted(ONE, secret)).admitted
    assert not (await world.bank(ONE)).admitted


async def test_nothing_is_left_when_it_has_closed(kind, engine):
    async with await start_broker(kind, engine=engine) as broker:
        pid, directory = broker._server.pid, broker._server._directory
    assert not is_alive(pid)
    assert not directory.exists()


async def test_it_dies_with_us_however_we_die():
    program = """
import asyncio
from gateway.mosquitto import Mosquitto, find_mosquitto
async def main():
    broker = Mosquitto(find_mosquitto(), host="127.0.0.1", port=0)
    await broker.use({})
    await broker.start()
    print(broker.pid, broker._directory, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=subprocess.PIPE, cwd=PROJECT
    )
    pid, directory = (await parent.stdout.readline()).split()
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(int(pid)))
    shutil.rmtree(directory.decode())


async def test_what_it_complains_of_is_told_in_one_sentence(engine, monkeypatch):
    monkeypatch.setattr("gateway.mosquitto_conf.bank_topics", lambda: "")
    monkeypatch.setattr("gateway.mosquitto.bank_topics", lambda: "nonsense here\n")
    with pytest.raises(StartError) as failed:
        await start_broker("mosquitto", engine=engine)
    assert re.fullmatch(r"Mosquitto does not run \([^\n]+\); [^\n]+\.", str(failed.value))


async def test_a_program_that_cannot_be_run_is_told_in_one_sentence(engine, monkeypatch, tmp_path):
    monkeypatch.setattr("gateway.broker.find_mosquitto", lambda: str(tmp_path / "mosquitto"))
    with pytest.raises(StartError, match=r"does not run \(.+; use --broker embedded"):
        await start_broker("mosquitto", engine=engine)
