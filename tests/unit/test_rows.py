"""``make rows``: how a row passes, fails or is missing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rows import ROWS, Tally, table

ROOT = Path(__file__).parents[2]


def ran(
    row: str, *outcomes: str, nodeid: str = "tests/acceptance/test_it.py::test_it"
) -> list[pytest.TestReport]:
    phases = zip(("setup", "call", "teardown"), outcomes, strict=False)
    return [
        pytest.TestReport(
            nodeid, (nodeid, 1, "it"), {}, outcome, None, when, user_properties=[("row", row)]  # type: ignore[arg-type]
        )
        for when, outcome in phases
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        (("passed", "passed", "passed"), "pass"),
        (("passed", "failed", "passed"), "fail"),
        (("passed", "passed", "failed"), "fail"),
        (("failed",), "fail"),
        (("skipped",), "fail"),
        ((), "missing"),
    ],
)
def test_a_row_is_as_its_test_is(outcomes: tuple[str, ...], word: str) -> None:
    tally = Tally()
    for report in ran("R1", *outcomes):
        tally.pytest_runtest_logreport(report)
    assert tally.word("R1") == word


def test_a_row_passes_when_all_its_tests_do() -> None:
    tally = Tally()
    for report in ran("B1", "passed", "passed", nodeid="a") + ran(
        "B1", "passed", "failed", nodeid="b"
    ):
        tally.pytest_runtest_logreport(report)
    for report in ran("B2", "passed", "passed", nodeid="a") + ran(
        "B2", "passed", "passed", nodeid="b"
    ):
        tally.pytest_runtest_logreport(report)
    *lines, last = table(tally)
    assert [line.split()[:2] for line in lines if "missing" not in line] == [
        ["B1", "fail"],
        ["B2", "pass"],
    ]
    assert len(lines) == len(ROWS) == 24
    assert last == "rows: 1/24"


def test_a_row_that_the_spec_has_not_is_an_error(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "import pytest\n\n@pytest.mark.row('R99')\ndef test_it():\n    pass\n", encoding="utf-8"
    )
    pytest_with_our_conftest = ["-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest"]
    done = subprocess.run(
        [sys.executable, *pytest_with_our_conftest, test],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no such row of the spec: 'R99'" in done.stdout


def test_every_row_of_the_spec_has_an_acceptance_test() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests/acceptance").glob("test_*.py"))
    marked = {
        row
        for names in re.findall(r"mark\.row\(([^)]*)\)", sources)
        for row in re.findall(r'"(\w+)"', names)
    }
    assert marked == set(ROWS)
