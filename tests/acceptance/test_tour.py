"""The README's evening by curl, line by line: what a newcomer types is what runs here."""

import os
import re
import subprocess
from pathlib import Path

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
        timeout=300,
    )


@pytest.mark.timeout(360)
def test_the_evening_goes_as_the_readme_says_and_tampering_shows(platform, tmp_path):
    evening = run(
        platform, tmp_path, blocks("tour") + "\nset +e\n" + blocks("tamper") + "\nexit $?"
    )
    told = evening.stdout.rpartition('{"items":[]}')[2]
    assert "The books balance" in told, evening.stderr[-3000:]
    assert evening.returncode == 1, evening.stdout[-2000:]
    assert "posting" in told.partition("The books balance")[2]
