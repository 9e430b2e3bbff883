"""The rows of the spec, and which of them the acceptance tests show: ``make rows``.

A row is shown by the tests that are marked with it: ``@pytest.mark.row("R1")``. It passes
when there is one or more and all of them pass; a skipped test shows nothing.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

ROWS: Final[Mapping[str, str]] = {
    "R1": "a scanned QR code becomes a request with location, merchant and bank",
    "R2": "any individual's own banks can be rented",
    "R3": "the merchant's client hears of a request at once",
    "R4": "the renter sees the delivery's state and estimated arrival, live",
    "R5": "the renter's urge reaches the merchant, and the staff",
    "R6": "a late delivery is marked abnormal and reassigned, or given up and refunded",
    "R7": "the scan to charge is answered with a deposit notice",
    "R8": "on the deposit's payment, and only then, the bank is told to charge",
    "R9": "the renter sees all their orders, with state and device information",
    "P1": "a return request with its location reaches the merchant",
    "P2": "the return time is determined",
    "P3": "the amount follows from billing start, return time and tariff",
    "P4": "a pending-payment order is raised and pushed to the renter",
    "P5": "on payment, and only then, the order completes and the deposit is released",
    "M1": "a merchant reports their own banks, each with credentials",
    "M2": "the merchant's orders are listed by state",
    "M3": "device totals: all, rentable, rented out",
    "M4": "settled and unsettled orders, amounts pending and withdrawable",
    "M5": "a withdrawal is paid out to the merchant's account",
    "M6": "merchants are scored from on-time delivery and charge level",
    "A1": "the operator manages renters, merchants, devices and orders",
    "B1": "battery and lock, heard over MQTT, become domain events",
    "B2": "commands go back over MQTT, charge-start first",
    "B3": "an emulated bank is, on the wire, like a real one",
}


class Tally:
    """Hears how every test of every row ended. A test counts by the worst of its phases."""

    def __init__(self) -> None:
        self._passed: dict[str, dict[str, bool]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's setup, call or teardown ended (on a worker of xdist, it may be)."""
        for name, row in report.user_properties:
            if name == "row":
                so_far = self._passed[str(row)].get(report.nodeid, True)
                passed = report.passed and not hasattr(report, "wasxfail")
                self._passed[str(row)][report.nodeid] = so_far and passed

    def word(self, row: str) -> str:
        """How a row stands: pass, fail or missing."""
        tests = self._passed.get(row)
        if not tests:
            return "missing"
        return "pass" if all(tests.values()) else "fail"


def table(tally: Tally) -> Iterator[str]:
    """One line for each row, and the count."""
    words = {row: tally.word(row) for row in ROWS}
    for row, text in ROWS.items():
        yield f"{row:<3} {words[row]:<8} {text}"
    yield f"rows: {list(words.values()).count('pass')}/{len(ROWS)}"


def main(args: Sequence[str]) -> int:
    """Run the acceptance tests, print every row, and fail if any test did."""
    tally = Tally()
    acceptance = Path(__file__).with_name("acceptance")
    code = pytest.ExitCode.NO_TESTS_COLLECTED
    if acceptance.is_dir():
        code = pytest.ExitCode(pytest.main([str(acceptance), "-q", *args], plugins=[tally]))
    sys.stdout.write("\n".join(["", *table(tally), ""]))
    return 0 if code is pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
