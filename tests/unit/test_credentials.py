"""Secrets: issued once, stored hashed, in the form that both brokers read."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine
from sqlmodel import Session, SQLModel

from gateway import credentials
from gateway.credentials import may_publish, may_receive, may_subscribe, verify
from gateway.protocol import BankId
from gateway.tables import BankCredential

BANK = BankId("LW-10K-0001")
OTHER = BankId("LW-10K-0002")
NOW = 1_700_000_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'db.sqlite'}")
    SQLModel.metadata.create_all(engine, tables=[BankCredential.__table__])
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine):
    with Session(engine) as session:
        yield session


def stored_hash(session):
    return session.get_one(BankCredential, BANK).secret_hash


def test_an_issued_secret_is_verified_and_another_is_not(session):
    secret = credentials.issue(session, BANK, now_ms=NOW)
    assert verify(stored_hash(session), secret)
    assert not verify(stored_hash(session), secret + "x")


def test_a_secret_has_256_bits_and_is_safe_in_a_url(session):
    secret = credentials.issue(session, BANK, now_ms=NOW)
    assert len(secret) == 43
    assert all(char.isalnum() or char in "-_" for char in secret)


def test_the_secret_itself_is_not_stored(session):
    secret = credentials.issue(session, BANK, now_ms=NOW)
    assert secret not in str(session.get_one(BankCredential, BANK).model_dump())


def test_nobody_is_let_in_by_no_hash():
    assert not verify(None, "")
    assert not verify(None, "anything")


@pytest.mark.mosquitto
def test_a_hash_that_mosquitto_made_is_verified(tmp_path):
    path = tmp_path / "passwords"
    path.touch()
    subprocess.run(
        ["mosquitto_passwd", "-b", path, "someone", "the-secret"], check=True, capture_output=True
    )
    made = path.read_text().strip().removeprefix("someone:")
    assert verify(made, "the-secret")
    assert not verify(made, "the-Secret")


def test_a_hash_of_another_kind_is_our_own_fault():
    with pytest.raises(ValueError, match="kind '6'"):
        verify("$6$1$c2FsdA==$aGFzaA==", "secret")


def test_a_bank_with_a_live_secret_gets_no_second_one(session):
    credentials.issue(session, BANK, now_ms=NOW)
    with pytest.raises(credentials.AlreadyIssuedError):
        credentials.issue(session, BANK, now_ms=NOW)


def test_many_banks_get_their_secrets_in_one_go_each_its_own(session):
    issued = credentials.issue_all(session, [BANK, OTHER], now_ms=NOW)
    assert list(issued) == [BANK, OTHER]
    assert verify(stored_hash(session), issued[BANK])
    assert not verify(stored_hash(session), issued[OTHER])


def test_if_one_of_many_has_a_secret_none_gets_another(session):
    credentials.issue(session, OTHER, now_ms=NOW)
    with pytest.raises(credentials.AlreadyIssuedError):
        credentials.issue_all(session, [BANK, OTHER], now_ms=NOW)
    assert session.get(BankCredential, BANK) is None


def test_no_secret_is_taken_for_an_option_or_a_formula(monkeypatch):
    drawn = iter(["-formula", "-option", "good"])
    monkeypatch.setattr(credentials.secrets, "token_urlsafe", lambda _: next(drawn))
    assert credentials.new_secret() == "good"


def test_a_rotated_secret_replaces_the_old_one(session):
    old = credentials.issue(session, BANK, now_ms=NOW)
    new = credentials.rotate(session, BANK, now_ms=NOW + 1)
    assert not verify(stored_hash(session), old)
    assert verify(stored_hash(session), new)


def test_a_revoked_bank_is_not_live_and_may_be_issued_a_new_secret(session, engine):
    credentials.issue(session, BANK, now_ms=NOW)
    credentials.issue(session, OTHER, now_ms=NOW)
    credentials.revoke(session, BANK, now_ms=NOW)
    session.commit()
    assert set(credentials.live_hashes(engine)) == {OTHER}
    secret = credentials.issue(session, BANK, now_ms=NOW)
    session.commit()
    assert verify(credentials.live_hashes(engine)[BANK], secret)


@pytest.mark.parametrize("change", [credentials.rotate, credentials.revoke])
def test_what_was_never_issued_cannot_be_changed(session, change):
    with pytest.raises(credentials.NotIssuedError):
        change(session, BANK, now_ms=NOW)


def test_a_revoked_secret_cannot_be_rotated_back_to_life(session):
    credentials.issue(session, BANK, now_ms=NOW)
    credentials.revoke(session, BANK, now_ms=NOW)
    with pytest.raises(credentials.NotIssuedError):
        credentials.rotate(session, BANK, now_ms=NOW)


@pytest.mark.parametrize("bad", ["", "ABC", "lower-case", "A/B-C", "A+BC", "ABCD\n", "ABCD:x"])
def test_only_a_bank_id_gets_a_secret(session, bad):
    with pytest.raises(ValueError, match="4 to 32"):
        credentials.issue(session, BankId(bad), now_ms=NOW)


def test_every_change_shows_in_the_fingerprint_even_when_the_clock_stands_still(session, engine):
    def seen():
        session.commit()
        return credentials.fingerprint(engine)

    prints = [seen()]
    credentials.issue(session, BANK, now_ms=NOW)
    prints.append(seen())
    credentials.rotate(session, BANK, now_ms=NOW)
    prints.append(seen())
    credentials.revoke(session, BANK, now_ms=NOW - 5)
    prints.append(seen())
    credentials.issue(session, OTHER, now_ms=NOW)
    prints.append(seen())
    assert len(set(prints)) == len(prints)


def test_a_bank_publishes_its_reports_and_nothing_else():
    allowed = [f"lw/v1/{BANK}/{channel}" for channel in ("status", "state", "result")]
    assert all(may_publish(BANK, name) for name in allowed)
    assert not any(may_publish(OTHER, name) for name in allowed)
    refused = ["command", "config", "state/x", "", "STATE", "+", "#"]
    assert not any(may_publish(BANK, f"lw/v1/{BANK}/{channel}") for channel in refused)


def test_a_bank_subscribes_below_its_own_id_only():
    own = ["command", "config", "+", "#"]
    assert all(may_subscribe(BANK, f"lw/v1/{BANK}/{tail}") for tail in own)
    foreign = ["#", "+", "lw/#", "lw/v1/#", "lw/v1/+/command", "+/+/+/+", "$SYS/#", ""]
    foreign += [f"lw/v1/{BANK}", f"lw/v1/{BANK}/command/#", f"lw/+/{BANK}/command"]
    foreign += [f"$share/g/lw/v1/{BANK}/command", f"lw/v1/{BANK[:-1]}+/command"]
    assert not any(may_subscribe(BANK, topic_filter) for topic_filter in foreign)


def test_a_bank_hears_its_command_and_config_only():
    assert may_receive(BANK, f"lw/v1/{BANK}/command")
    assert may_receive(BANK, f"lw/v1/{BANK}/config")
    assert not may_receive(BANK, f"lw/v1/{BANK}/state")
    assert not may_receive(BANK, f"lw/v1/{OTHER}/command")


BANKS = st.from_regex(r"\A[A-Z0-9-]{4,32}\Z").map(BankId)


@given(one=BANKS, two=BANKS, name=st.sampled_from(["status", "state", "result", "+", "#"]))
def test_no_topic_serves_two_banks(one, two, name):
    topic = f"lw/v1/{one}/{name}"
    for rule in (may_publish, may_subscribe, may_receive):
        assert not (rule(two, topic) and one != two)
