"""Simulated banks on a real broker, seen from outside: MQTT, HTTP and the command line."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel

from firmware_sim.cli import main
from gateway.protocol import (
    FROM_BANK,
    BankId,
    Birth,
    Channel,
    Command,
    CommandKind,
    Config,
    Lock,
    Outcome,
    Output,
    Refused,
    Result,
    State,
    Will,
    decode,
    encode,
    parse_topic,
    topic,
)

WAIT_S = 15
BANKS = [f"SIM-{number:04}" for number in range(40)]
SECRET = "a-secret-for-tests-only"
OBSERVER = "observer"

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.mosquitto

M = TypeVar("M", bound=BaseModel)
Heard = tuple[bool, BaseModel]
"""Whether it was retained, and the message."""


# -- a broker -------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Broker:
    """Mosquitto with a credential for each bank, on a free loopback port."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        passwords = folder / "passwords"
        passwords.write_text("".join(f"{name}:{SECRET}\n" for name in [*BANKS, OBSERVER]))
        passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
        acl = folder / "acl"
        acl.write_text(
            f"user {OBSERVER}\ntopic readwrite lw/v1/#\n\npattern readwrite lw/v1/%u/#\n"
        )
        acl.chmod(0o600)
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            "use_username_as_clientid true\n"
            f"password_file {passwords}\nacl_file {acl}\nuser {os.environ.get('USER', 'root')}\n"
            f"{extra}"
        )

    def start(self) -> None:
        assert MOSQUITTO is not None, "Debian's mosquitto is not installed"
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", self.folder / "mosquitto.conf"], stderr=subprocess.DEVNULL
        )
        until(self.listens)

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition, with a bound."""
    pause, deadline = threading.Event(), WAIT_S * 100
    for _ in range(deadline):
        if is_so():
            return
        pause.wait(0.01)
    pytest.fail(f"not so within {WAIT_S} s")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


# -- an observer ----------------------------------------------------------------------


class Observer:
    """Hears one bank, and speaks to it as the gateway does."""

    def __init__(self, broker: Broker, bank_id: str) -> None:
        self.bank_id = BankId(bank_id)
        self._heard: list[Heard] = []
        self._news = threading.Condition()
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=OBSERVER)
        self._client.username_pw_set(OBSERVER, SECRET)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(topic(self.bank_id, channel), 1) for channel in FROM_BANK]
        )
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert subscribed.wait(WAIT_S)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        _, channel = parse_topic(message.topic)
        with self._news:
            self._heard.append((message.retain, decode(channel, bytes(message.payload))))
            self._news.notify_all()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, message: Command | Config, *, retain: bool = False) -> None:
        channel = Channel.CONFIG if isinstance(message, Config) else Channel.COMMAND
        self._client.publish(topic(self.bank_id, channel), encode(message), 1, retain=retain)

    def hears(
        self, kind: type[M], where: Callable[[M], bool] = lambda _: True, *, retained: bool = False
    ) -> M:
        """The first such message since the beginning, waited for with a bound."""

        def found() -> M | None:
            for was_retained, message in self._heard:
                if isinstance(message, kind) and was_retained == retained and where(message):
                    return message
            return None

        with self._news:
            assert self._news.wait_for(found, WAIT_S), f"no such {kind.__name__}: {self._heard}"
            message = found()
        assert message is not None
        return message

    def heard(self, kind: type[M]) -> list[M]:
        with self._news:
            return [message for _, message in self._heard if isinstance(message, kind)]


# -- the simulator --------------------------------------------------------------------


class Simulator:
    """``lendwatt-sim`` as a process, and its control."""

    def __init__(self, *args: str, stdin: str = "", **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firmware_sim", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"LENDWATT_SIM_RECONNECT_FIRST_S": "0.1", **env},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)

    def ready(self) -> dict[str, Any]:
        ready: dict[str, Any] = json.loads(self.out.wait_for("ready"))
        self.http = httpx.Client(base_url=ready["control"], timeout=WAIT_S)
        return ready

    def add(self, bank_id: str, port: int, **more: object) -> httpx.Response:
        spec = {"bank_id": bank_id, "secret": SECRET, "port": port, **more}
        return self.http.post("/banks", json=spec)

    def look(self, bank_id: str) -> dict[str, Any]:
        view: dict[str, Any] = self.http.get(f"/banks/{bank_id}").raise_for_status().json()
        return view

    def do(self, bank_id: str, act: str, **body: object) -> dict[str, Any]:
        answer = self.http.post(f"/banks/{bank_id}/{act}", json=body or None)
        view: dict[str, Any] = answer.raise_for_status().json()
        return view

    def end(self) -> int:
        if hasattr(self, "http"):
            self.http.close()
        self.process.terminate()
        code = self.process.wait(WAIT_S)
        self.out.close()
        self.err.close()
        return code


class Lines:
    """What a process prints, read by a thread so that the process never waits for us."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def wait_for(self, text: str) -> str:
        with self._news:
            has = lambda: next((line for line in self._lines if text in line), None)  # noqa: E731
            assert self._news.wait_for(lambda: has() or self._is_over, WAIT_S), self._lines
            line = has()
        assert line is not None, self._lines
        return line

    def wait_for_end(self) -> str:
        with self._news:
            assert self._news.wait_for(lambda: self._is_over, WAIT_S)
            return "".join(self._lines)

    def close(self) -> None:
        self._thread.join(WAIT_S)
        self._stream.close()


@pytest.fixture(scope="module")
def fleet() -> Iterator[Simulator]:
    simulator = Simulator("fleet", "--banks", "-", "--control-port", "0", stdin="[]")
    assert simulator.ready()["banks"] == 0
    yield simulator
    assert simulator.end() == 0


Start = Callable[..., Simulator]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts simulators of a test's own, and ends those that it left running."""
    started: list[Simulator] = []

    def start(*args: str, **more: str) -> Simulator:
        started.append(Simulator(*args, **more))
        return started[-1]

    yield start
    for simulator in started:
        simulator.end()


numbers = iter(BANKS)


@pytest.fixture
def bank_id() -> str:
    """A bank that no other test has."""
    return next(numbers)


@pytest.fixture
def observer(broker: Broker, bank_id: str) -> Iterator[Observer]:
    observer = Observer(broker, bank_id)
    yield observer
    observer.close()


@pytest.fixture
def bank(fleet: Simulator, broker: Broker, bank_id: str, observer: Observer) -> str:
    """A simulated bank that has connected and said its state."""
    assert fleet.add(bank_id, broker.port).status_code == 201
    observer.hears(State)
    return bank_id


def a_command(kind: CommandKind, command_id: str = "c1", **more: Any) -> Command:
    return Command(**{"id": command_id, "kind": kind, "boot": 1, "not_after_ms": 10**9, **more})


# -- on the wire ----------------------------------------------------------------------


def test_a_bank_is_born_retained_and_says_its_state(
    broker: Broker, bank: str, observer: Observer
) -> None:
    later = Observer(broker, bank)
    birth = later.hears(Birth, retained=True)
    later.close()
    assert birth == observer.hears(Birth)
    assert (birth.boot, birth.conn, birth.model) == (1, 1, "LW-10K-A")
    state = observer.hears(State)
    assert (state.boot, state.seq) == (1, 1)
    assert state.up_ms < WAIT_S * 1_000


@pytest.mark.usefixtures("bank")
def test_a_command_is_carried_out_and_told(observer: Observer) -> None:
    observer.say(a_command(CommandKind.CHARGE_START))
    assert observer.hears(Result, lambda r: r.command == "c1").status is Outcome.DONE
    state = observer.hears(State, lambda s: s.last_command == "c1")
    assert (state.lock, state.output) == (Lock.UNLOCKED, Output.ON)


def test_a_repeat_gets_the_first_result_and_no_second_act(
    fleet: Simulator, bank: str, observer: Observer
) -> None:
    for _ in range(3):
        observer.say(a_command(CommandKind.LOCATE))
    observer.hears(Result, lambda r: r.seq >= 5)
    assert {(r.command, r.status) for r in observer.heard(Result)} == {("c1", Outcome.DONE)}
    assert [act["command"] for act in fleet.look(bank)["acts"]] == ["c1"]


def test_a_result_that_the_broker_has_is_not_told_again(
    fleet: Simulator, bank: str, observer: Observer
) -> None:
    observer.say(a_command(CommandKind.LOCATE, "c1"))
    observer.hears(State, lambda s: s.last_command == "c1")
    fleet.do(bank, "drop")
    fleet.do(bank, "reconnect")
    observer.hears(Birth, lambda b: b.conn > 1)
    observer.say(a_command(CommandKind.LOCATE, "c2"))
    observer.hears(Result, lambda r: r.command == "c2")
    assert [r.command for r in observer.heard(Result)] == ["c1", "c2"]


def test_a_late_command_and_one_for_another_boot_do_nothing(
    fleet: Simulator, bank: str, observer: Observer
) -> None:
    observer.say(a_command(CommandKind.CHARGE_START, "late", not_after_ms=0))
    observer.say(a_command(CommandKind.CHARGE_START, "other", boot=7))
    assert observer.hears(Result, lambda r: r.command == "late").reason is Refused.TOO_LATE
    assert observer.hears(Result, lambda r: r.command == "other").reason is Refused.WRONG_BOOT
    assert fleet.look(bank)["acts"] == []


def test_a_retained_config_waits_for_the_bank(
    fleet: Simulator, broker: Broker, bank_id: str, observer: Observer
) -> None:
    observer.say(Config(version=7, report_s=1), retain=True)
    fleet.add(bank_id, broker.port)
    first = observer.hears(State, lambda s: s.config_version == 7)
    observer.hears(State, lambda s: s.seq >= first.seq + 2)


@pytest.mark.usefixtures("bank")
def test_nonsense_does_not_disturb_a_bank(observer: Observer, bank_id: str) -> None:
    for payload in (b"", b"{", b"x" * 5_000, b'{"id":"c1","kind":"explode"}'):
        observer._client.publish(f"lw/v1/{bank_id}/command", payload, 1)
    observer.say(a_command(CommandKind.REPORT, "after"))
    assert observer.hears(Result).command == "after"


def test_hands_are_felt(fleet: Simulator, bank: str, observer: Observer) -> None:
    fleet.do(bank, "plug", load_mw=5_000)
    observer.say(a_command(CommandKind.CHARGE_START))
    plugged = observer.hears(State, lambda s: s.plugged)
    assert (plugged.sessions, plugged.current_ma) == (1, 1_000)
    fleet.do(bank, "unplug")
    observer.hears(State, lambda s: s.seq > plugged.seq and not s.plugged)
    fleet.do(bank, "jam")
    observer.hears(State, lambda s: s.lock is Lock.JAMMED)
    fleet.do(bank, "unjam")
    fleet.do(bank, "drain", to_pct=5)
    low = observer.hears(State, lambda s: s.battery == 5)
    assert (low.output, low.lock) == (Output.OFF, Lock.UNLOCKED)
    fleet.do(bank, "break", fault="tamper")
    observer.hears(State, lambda s: s.faults == ("tamper",))
    fleet.do(bank, "mend", fault="tamper")
    assert fleet.do(bank, "charge", charge_mw=10_000)["state"]["current_ma"] == -2_000


def test_a_bank_that_drops_leaves_its_will_and_comes_back_with_the_next_conn(
    fleet: Simulator, bank: str, observer: Observer
) -> None:
    assert fleet.do(bank, "drop")["link"] == "dropped"
    assert observer.hears(Will) == Will(boot=1, conn=1)
    fleet.do(bank, "plug")
    fleet.do(bank, "reconnect")
    assert observer.hears(Birth, lambda b: b.conn > 1).conn == 2
    assert observer.hears(State, lambda s: s.seq == 2).boot == 1


def test_a_drop_with_an_end_ends_by_itself(fleet: Simulator, bank: str, observer: Observer) -> None:
    fleet.do(bank, "drop", seconds=0.05)
    assert observer.hears(Birth, lambda b: b.conn > 1).conn == 2


def test_a_reboot_is_the_next_boot(fleet: Simulator, bank: str, observer: Observer) -> None:
    fleet.do(bank, "reboot")
    assert observer.hears(Birth, lambda b: b.boot == 2).conn == 1
    assert observer.hears(State, lambda s: s.boot == 2).seq == 1
    assert observer.hears(Will) == Will(boot=1, conn=1)


@pytest.mark.usefixtures("bank")
def test_a_commanded_reboot_answers_before_it_reboots(observer: Observer) -> None:
    observer.say(a_command(CommandKind.REBOOT))
    assert observer.hears(Result).boot == 1
    assert observer.hears(State, lambda s: s.boot == 2).last_command == "c1"


def test_an_empty_bank_is_silent_until_it_is_charged(
    fleet: Simulator, bank: str, observer: Observer
) -> None:
    fleet.do(bank, "drain", to_pct=0)
    observer.hears(Will)
    until(lambda: fleet.look(bank)["link"] == "dark")
    assert fleet.http.post(f"/banks/{bank}/reboot").status_code == 409


def test_a_refused_credential_is_said_plainly(
    fleet: Simulator, broker: Broker, bank_id: str
) -> None:
    fleet.http.post("/banks", json={"bank_id": bank_id, "secret": "no", "port": broker.port})
    until(lambda: fleet.look(bank_id)["link"] == "refused")
    assert f"refused the credential of bank {bank_id}" in fleet.err.wait_for(bank_id)


def test_banks_come_back_when_the_broker_does(fleet: Simulator, tmp_path: Path) -> None:
    mortal, bank_id = Broker(tmp_path), next(numbers)
    mortal.start()
    try:
        fleet.add(bank_id, mortal.port)
        until(lambda: fleet.look(bank_id)["link"] == "connected")
        mortal.stop()
        until(lambda: fleet.look(bank_id)["link"] == "connecting")
        mortal.start()
        until(lambda: fleet.look(bank_id)["link"] == "connected")
    finally:
        mortal.stop()
        fleet.do(bank_id, "drop")


def test_a_bank_speaks_tls_and_believes_only_its_own_authority(
    fleet: Simulator, tmp_path: Path
) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}".split(),
        check=True,
        capture_output=True,
    )
    broker = Broker(tmp_path, f"certfile {cert}\nkeyfile {key}\n")
    broker.start()
    trusting, careful = next(numbers), next(numbers)
    try:
        fleet.add(trusting, broker.port, tls=True, ca_file=str(cert))
        fleet.add(careful, broker.port, tls=True)
        until(lambda: fleet.look(trusting)["link"] == "connected")
        assert "certificate verify failed" in fleet.err.wait_for(careful).lower()
    finally:
        broker.stop()
        fleet.do(trusting, "drop")
        fleet.do(careful, "drop")


# -- the control ----------------------------------------------------------------------


def test_the_control_lists_its_banks(fleet: Simulator, bank: str) -> None:
    listed = fleet.http.get("/banks").json()
    assert [view for view in listed if view["bank_id"] == bank] != []
    assert SECRET not in json.dumps(listed)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/banks/SIM-NONE/plug", None, 404, "there is no bank SIM-NONE here"),
        ("/banks/{bank}/plug", {"load_mw": -1}, 422, "load_mw: Input should be greater"),
        ("/banks/{bank}/plug", {"load_mw": "5"}, 422, "load_mw: Input should be a valid integer"),
        ("/banks/{bank}/plug", {"watts": 5}, 422, "watts: Extra inputs are not permitted"),
        ("/banks/{bank}/drain", None, 422, "the body: Field required"),
        ("/banks/{bank}/drain", {"to_pct": 99}, 409, "the bank is at 80 %"),
        ("/banks/{bank}/break", {"fault": "heart"}, 422, "fault: Input should be"),
        ("/banks", {"bank_id": "x", "secret": "s"}, 422, "a bank's id is 4 to 32"),
        ("/banks", {"bank_id": "{bank}", "secret": "s"}, 409, "is here already"),
        ("/banks", {"bank_id": "SIM-X", "secret": "s", "model": "Z"}, 422, "there is no model Z"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    fleet: Simulator, bank: str, *, path: str, body: Any, status: int, words: str
) -> None:
    if body and "bank_id" in body:
        body = body | {"bank_id": body["bank_id"].format(bank=bank)}
    answer = fleet.http.post(path.format(bank=bank), json=body)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_the_control_answers_to_loopback_names_only(fleet: Simulator) -> None:
    answer = fleet.http.get("/banks", headers={"Host": "evil.example"})
    assert answer.status_code == 400


# -- the command line -----------------------------------------------------------------


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line, in this process: its exit code, output and errors."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lendwatt-sim", *args])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), *capsys.readouterr()

    return run


Run = Callable[..., tuple[int, str, str]]


def test_one_bank_runs_is_handled_and_boots_on(
    broker: Broker, bank_id: str, observer: Observer, tmp_path: Path, *, run: Run, start: Start
) -> None:
    port = free_port()
    args = (
        "bank", "--id", bank_id, "--broker", f"mqtt://127.0.0.1:{broker.port}",
        "--flash-dir", str(tmp_path), "--control-port", str(port), "--battery", "60",
    )  # fmt: skip
    first = start(*args, LENDWATT_SIM_SECRET=SECRET)
    assert observer.hears(State).battery == 60
    first.out.wait_for("connected")
    _, handled, _ = run("handle", bank_id, "jam", "--control", f"http://127.0.0.1:{port}")
    assert json.loads(handled)["state"]["lock"] == "jammed"
    assert first.end() == 0
    assert observer.hears(Will).boot == 1

    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    second = start(*args, "--secret-file", str(secret))
    state = observer.hears(State, lambda s: s.boot == 2)
    assert (state.lock, state.battery) == (Lock.JAMMED, 60)
    assert second.end() == 0


def test_a_fleet_starts_from_a_file_and_ends_on_sigint(
    broker: Broker, bank_id: str, tmp_path: Path, start: Start
) -> None:
    banks = tmp_path / "banks.json"
    banks.write_text(json.dumps([{"bank_id": bank_id, "secret": SECRET, "port": broker.port}]))
    fleet = start("fleet", "--banks", str(banks), "--control-port", "0")
    assert fleet.ready()["banks"] == 1
    until(lambda: fleet.look(bank_id)["link"] == "connected")
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.process.wait(WAIT_S) == 0
    assert fleet.err.wait_for_end() == ""


def test_a_fleet_ends_with_its_parent() -> None:
    child = "import subprocess, sys; subprocess.run(sys.argv[1:], input=b'[]', check=False)"
    parent = subprocess.Popen(
        [
            sys.executable, "-c", child, sys.executable, "-m", "firmware_sim", "fleet",
            "--banks", "-", "--control-port", "0", "--exit-with-parent",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    out = Lines(parent.stdout)
    out.wait_for("ready")
    parent.kill()
    parent.wait()
    out.wait_for_end()  # the fleet held the pipe open
    out.close()


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_control_port_is_one_sentence(run: Run) -> None:
    with taken_port() as port:
        code, _, said = run(
            "bank", "--id", "SIM-0000", "--secret", "s", "--control-port", str(port)
        )
    assert code == 1
    assert said == (
        f"lendwatt-sim: the control can't listen on 127.0.0.1:{port}: address already in use; "
        "choose another --control-port, or 0 for any free one\n"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("bank", "--id", "x", "--secret", "s"), "4 to 32 of A-Z"),
        (("bank", "--id", "SIM-0000"), "needs its secret"),
        (("bank", "--id", "SIM-0000", "--secret-file", "no/such"), "No such file"),
        (("bank", "--id", "SIM-0000", "--secret", "s", "--broker", "http://x"), "mqtt://HOST:PORT"),
        (("bank", "--id", "SIM-0000", "--secret", "s", "--broker", "mqtts://x", "--ca-file", "no"),
         "there is no certificate file no"),
        (("bank", "--id", "SIM-0000", "--secret", "s", "--flash-dir", "/proc/no"), "can't be made"),
        (("fleet", "--banks", "no/such"), "the list of banks can't be read"),
        (("handle", "SIM-0000", "plug", "much"), "plug takes a number (load_mw)"),
        (("handle", "SIM-0000", "jam", "5"), "jam takes no value"),
        (("handle", "SIM-0000", "jam", "--control", "http://127.0.0.1:9"), "no simulator answers"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_with_one_sentence(
    run: Run, args: tuple[str, ...], words: str
) -> None:
    code, _, said = run(*args)
    assert code == 1
    assert said.startswith("lendwatt-sim: ")
    assert said.count("\n") == 1
    assert words in said


def test_a_spoiled_flash_file_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "SIM-0000.json").write_text("{")
    code, _, said = run("bank", "--id", "SIM-0000", "--secret", "s", "--flash-dir", str(tmp_path))
    assert code == 1
    assert "delete it to begin with boot 1" in said


def test_a_flash_that_goes_away_ends_the_simulator_with_one_sentence(
    broker: Broker, bank_id: str, tmp_path: Path, start: Start
) -> None:
    flash = tmp_path / "flash"
    simulator = start(
        *("bank", "--id", bank_id, "--broker", f"mqtt://127.0.0.1:{broker.port}"),
        *("--flash-dir", str(flash), "--control-port", "0", "--report-s", "1"),
        LENDWATT_SIM_SECRET=SECRET,
    )
    simulator.out.wait_for("connected")
    flash.rename(tmp_path / "gone")
    assert simulator.process.wait(WAIT_S) == 1
    assert simulator.err.wait_for_end().startswith("lendwatt-sim: the flash file")


def test_a_wrong_list_of_banks_does_not_show_its_secrets(run: Run, tmp_path: Path) -> None:
    banks = tmp_path / "banks.json"
    banks.write_text(json.dumps([{"bank_id": "bad", "secret": SECRET}]))
    code, _, said = run("fleet", "--banks", str(banks))
    assert code == 1
    assert SECRET not in said
