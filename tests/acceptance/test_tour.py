"""The README's evening by curl, line by line: what a newcomer types is what runs here."""

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.acceptance.system import Platform

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def blocks(kind: str) -> str:
    """All lines of the README that are of this kind."""
    return "\n".join(re.findall(rf"^```sh {kind}\n(.*?)^```", README, re.DOTALL | re.MULTILINE))


@pytest.fixture
def platform(tmp_path):
    platform = Platform(tmp_path, broker="auto")
    platform.wait()
    yield platform
    assert platform.process.stop() == 0


def run(platform, tmp_path, script):
    (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    where = {
        "API": platform.api,
        "BANKS": f"mqtt://127.0.0.1:{platform.bank_port}",
        "PROVIDER": platform.provider,
        "DATA": str(tmp_path / "data"),
    }
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def verdict(evening):
    """What ``lendwatt verify`` said, after the list of what is stuck."""
    told = evening.stdout.rpartition('"items":[')[2]
    assert "The books balance" in told, evening.stderr[-3000:]
    return told.partition("The books balance")[2]


@pytest.mark.timeout(360)
def test_the_evening_goes_as_the_readme_says_and_tampering_shows(platform, tmp_path):
    evening = run(
        platform, tmp_path, blocks("tour") + "\nset +e\n" + blocks("tamper") + "\nexit $?"
    )
    assert '{"items":[]}' in evening.stdout, "something is stuck"
    assert "posting" in verdict(evening)
    assert evening.returncode == 1, evening.stdout[-2000:]


@pytest.mark.timeout(600)
def test_the_books_balance_after_the_same_evening_with_the_provider_at_its_worst(
    platform, tmp_path
):
    evening = run(platform, tmp_path, blocks("worst") + "\n" + blocks("tour"))
    verdict(evening)
    assert evening.returncode == 0, evening.stderr[-3000:]
    struck = httpx.get(
        f"{platform.provider}/sandbox/faults",
        headers={"authorization": f"Bearer {platform.provider_key}"},
    ).json()["struck"]
    assert struck
