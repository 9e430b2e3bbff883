"""``mosquitto.conf``: the file for a server is the child's template, and Mosquitto runs on it."""

import asyncio
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway import credentials
from gateway.mosquitto import find_mosquitto, free_port
from gateway.mosquitto_conf import (
    Certificate,
    Listener,
    bank_topics,
    configuration,
    gateway_topics,
    password_file,
)
from tests.integration.broker.clients import BANKS, Client, until

ONE, TWO, _ = BANKS
SERVER_FILE = Path(__file__).parents[3] / "mosquitto.conf"
SERVER_DIRECTORY = Path("/etc/mosquitto/lendwatt")


def directives(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def commented(name: str) -> str:
    prefix = f"#{name}: "
    lines = SERVER_FILE.read_text().splitlines()
    return "".join(f"{line.removeprefix(prefix)}\n" for line in lines if line.startswith(prefix))


def test_the_servers_file_is_the_template():
    text = configuration(
        banks=Listener(
            port=8883,
            host=None,
            passwords=SERVER_DIRECTORY / "banks.passwords",
            topics=SERVER_DIRECTORY / "banks.acl",
        ),
        gateway=Listener(
            port=1883,
            host="127.0.0.1",
            passwords=SERVER_DIRECTORY / "gateway.passwords",
            topics=SERVER_DIRECTORY / "gateway.acl",
        ),
        certificate=Certificate(
            certificate=SERVER_DIRECTORY / "server.crt", key=SERVER_DIRECTORY / "server.key"
        ),
    )
    assert directives(SERVER_FILE.read_text()) == directives(text)


def test_the_servers_topic_rules_are_ours():
    assert commented("banks.acl") == bank_topics()
    assert commented("gateway.acl") == gateway_topics()


class Server(NamedTuple):
    process: asyncio.subprocess.Process
    bank_port: int
    gateway_port: int


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make_certificate(directory: Path, name: str, common_name: str, authority: str | None) -> None:
    """A key and a certificate; its own authority when none is named."""
    signer = ["-CA", directory / f"{authority}.crt", "-CAkey", directory / f"{authority}.key"]
    key, request = directory / f"{name}.key", directory / f"{name}.csr"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
    subject = ["-subj", f"/CN={common_name}"]
    if authority is None:
        openssl("req", "-x509", *new, *subject, "-days", "2", "-out", directory / f"{name}.crt")
        return
    openssl("req", *new, *subject, "-out", request)
    names = directory / "names"
    names.write_text(f"subjectAltName=DNS:{common_name}\n")
    issued = ["-CAcreateserial", "-days", "2", "-extfile", names, "-out", directory / f"{name}.crt"]
    openssl("x509", "-req", "-in", request, *signer, *issued)


@asynccontextmanager
async def server(directory: Path, *, client_certificates: bool) -> AsyncIterator[tuple[int, int]]:
    """Mosquitto on the server's file, with its paths and ports replaced: (banks', gateway's)."""
    make_certificate(directory, "ca", "test authority", None)
    make_certificate(directory, "server", "localhost", "ca")
    (directory / "gateway.passwords").write_text(f"gateway:{credentials.hashed('secret')}\n")
    for name in ("banks", "gateway"):
        (directory / f"{name}.acl").write_text(commented(f"{name}.acl"))
    banks, gateway = free_port("127.0.0.1"), free_port("127.0.0.1")
    text = SERVER_FILE.read_text()
    if client_certificates:
        text = text.replace("#cert: ", "").replace("crlfile", "#crlfile")
        text = text.replace("banks-ca.crt", "ca.crt")
    text = text.replace(str(SERVER_DIRECTORY), str(directory))
    text = text.replace("listener 8883", f"listener {banks}")
    text = text.replace("listener 1883", f"listener {gateway}")
    (directory / "mosquitto.conf").write_text(
        f"{text}\nuser root\n"
    )  # who else could read the test's files
    process = await asyncio.create_subprocess_exec(
        *(find_mosquitto(), "-c", directory / "mosquitto.conf"), stderr=subprocess.PIPE
    )
    try:
        said = []
        while not said or b"running" not in said[-1]:
            said.append(await process.stderr.readline())
            assert said[-1], b"".join(said).decode()
        yield Server(process, banks, gateway)
    finally:
        process.kill()
        await process.communicate()


async def connack(
    port: int, directory: Path, username: str | None, secret: str | None, *, certificate: str = ""
) -> int | None:
    """What a TLS client is told; None when it gets no answer."""
    client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    context = ssl.create_default_context(cafile=directory / "ca.crt")
    if certificate:
        context.load_cert_chain(directory / f"{certificate}.crt", directory / f"{certificate}.key")
    client.tls_set_context(context)
    if username:
        client.username_pw_set(username, secret)
    told: list[int | None] = []
    client.on_connect = lambda _c, _d, _f, reason, _p: told.append(reason.value)
    client.on_disconnect = lambda _c, _d, _f, _reason, _p: told.append(None)
    try:
        await asyncio.to_thread(client.connect, "localhost", port)
    except (ssl.SSLError, ConnectionError):
        return None
    client.loop_start()
    await until(lambda: told)
    await asyncio.to_thread(lambda: (client.disconnect(), client.loop_stop()))
    return told[0]


@pytest.mark.mosquitto
async def test_a_server_lets_banks_in_over_tls_and_cuts_off_the_revoked(tmp_path):
    (tmp_path / "banks.passwords").write_text(password_file({ONE: credentials.hashed("s1")}))
    async with server(tmp_path, client_certificates=False) as mosquitto:
        assert await connack(mosquitto.bank_port, tmp_path, ONE, "s1") == 0
        assert await connack(mosquitto.bank_port, tmp_path, ONE, "wrong") != 0
        assert await connack(mosquitto.bank_port, tmp_path, TWO, "s2") != 0
        gateway = Client("127.0.0.1", mosquitto.gateway_port, "gateway", "secret")
        assert (await gateway.connect()).admitted
        gateway.close()
        (tmp_path / "banks.passwords").write_text(password_file({TWO: credentials.hashed("s2")}))
        mosquitto.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(5):
            while await connack(mosquitto.bank_port, tmp_path, TWO, "s2") != 0:
                pass
        assert await connack(mosquitto.bank_port, tmp_path, ONE, "s1") != 0


@pytest.mark.mosquitto
async def test_a_server_takes_client_certificates_instead(tmp_path):
    (tmp_path / "banks.passwords").write_text("")
    async with server(tmp_path, client_certificates=True) as mosquitto:
        make_certificate(tmp_path, ONE, ONE, "ca")
        make_certificate(tmp_path, "strangers-ca", "another authority", None)
        make_certificate(tmp_path, TWO, TWO, "strangers-ca")
        assert await connack(mosquitto.bank_port, tmp_path, None, None, certificate=ONE) == 0
        assert await connack(mosquitto.bank_port, tmp_path, None, None) is None
        assert await connack(mosquitto.bank_port, tmp_path, None, None, certificate=TWO) is None


@pytest.mark.mosquitto
async def test_a_server_refuses_tls_older_than_1_2(tmp_path):
    (tmp_path / "banks.passwords").write_text("")
    async with server(tmp_path, client_certificates=False) as mosquitto:
        tool = ["openssl", "s_client", "-connect", f"localhost:{mosquitto.bank_port}"]
        for version, works in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            words = [*tool, version, "-cipher", "DEFAULT@SECLEVEL=0"]
            tried = await asyncio.create_subprocess_exec(
                *words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            assert (await tried.wait() == 0) is works
