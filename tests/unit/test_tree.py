"""Nothing in the tree knows the machine that it was written on."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = (
    "gateway", "backend", "firmware_sim", "tests", ".ci", "Makefile", "README.md", "CHANGELOG.md",
    "SECURITY.md", "mosquitto.conf", "pyproject.toml", "uv.lock",
)  # fmt: skip
A_MACHINE = re.compile(r"(?<![\w.)}])/(?:work|root|home|tmp|opt|Users)/\w", re.ASCII)


def texts() -> Iterator[tuple[Path, str]]:
    for part in PARTS:
        top = ROOT / part
        for path in [top, *top.rglob("*")]:
            if path.is_file() and not {"__pycache__", "vendor"} & set(path.parts):
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8", errors="ignore")


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if A_MACHINE.search(line)
    ]
    assert found == []


def test_such_a_path_would_show() -> None:
    for place in ("work", "root", "home", "tmp", "opt"):
        assert A_MACHINE.search(f"see /{place}/x")
        assert not A_MACHINE.search(f"https://example.org/{place}/x")
