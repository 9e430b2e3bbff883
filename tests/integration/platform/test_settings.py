"""What may be set, and what is refused before anything starts."""

from pathlib import Path

import pytest

from backend.ids import new_id, new_token
from backend.problems import StartError
from backend.settings import Settings, token_secret

GOOD = "q8Zr3kT0vXw7LmN2pYbA5cDe9FgHjKsU"


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(data_dir=tmp_path / "data", **given)


def test_a_good_secret_is_used(tmp_path: Path) -> None:
    assert token_secret(settings(tmp_path, token_secret=GOOD)) == GOOD


@pytest.mark.parametrize("weak", ["", "secret", GOOD[:31], "changeme" * 8, "0" * 64])
def test_a_weak_secret_is_refused(tmp_path: Path, weak: str) -> None:
    for demo in (False, True):
        with pytest.raises(StartError, match="can be guessed"):
            token_secret(settings(tmp_path, token_secret=weak, demo=demo))


def test_a_missing_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is not set"):
        token_secret(settings(tmp_path))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_demo_on_loopback_makes_one_and_keeps_it(tmp_path: Path, host: str) -> None:
    first = token_secret(settings(tmp_path, demo=True, host=host))

    assert len(first) >= 43
    assert token_secret(settings(tmp_path, demo=True, host=host)) == first
    assert (tmp_path / "data" / "token-secret").stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_not_a_secret(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token-secret").touch()

    assert len(token_secret(settings(tmp_path, demo=True))) >= 43


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104
def test_a_demo_does_not_listen_to_the_world(tmp_path: Path, host: str) -> None:
    with pytest.raises(StartError, match=r"will not listen"):
        token_secret(settings(tmp_path, demo=True, host=host, token_secret=GOOD))


def test_a_data_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(StartError, match="LENDWATT_DATA_DIR"):
        token_secret(settings(tmp_path, demo=True))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENDWATT_PORT", "9000")
    monkeypatch.setenv("LENDWATT_OPERATOR_PHONES", '["+8613800138000"]')

    assert Settings().port == 9000
    assert Settings().operator_phones == {"+8613800138000"}


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert GOOD not in repr(settings(tmp_path, token_secret=GOOD))


def test_ids_are_new_sort_by_time_and_are_ulids() -> None:
    made = [new_id() for _ in range(1_000)]

    assert len(set(made)) == 1_000
    assert all(len(one) == 26 and one.isalnum() and one.isupper() for one in made)
    assert made[0][:8] <= made[-1][:8]
    assert len({new_token() for _ in range(1_000)}) == 1_000
