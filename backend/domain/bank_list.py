"""A file of banks to report: CSV that people write in spreadsheets, read row by row.

Each line of the file is a row by itself, so no stray quotation mark in one can swallow the
next. A row either is a bank or says what is wrong with it, by column; the others stand. What
is wrong with the file as a whole (not UTF-8, another header, too long) refuses all of it.

Cells that we write into a CSV are made harmless: a spreadsheet takes one that begins with
``=``, ``+``, ``-``, ``@`` or a control character for a formula.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from backend.domain.errors import Code, Refusal

COLUMNS: Final = ("bank_id", "model", "batch")
BANK_ID: Final = r"[A-Z0-9-]{4,32}"
MODEL: Final = r"[A-Za-z0-9._+-]{1,32}"
BATCH: Final = r"[A-Za-z0-9._+-]{0,32}"
_PATTERNS: Final[Mapping[str, tuple[re.Pattern[str], Code]]] = MappingProxyType(
    {
        "bank_id": (re.compile(BANK_ID), Code.CSV_BAD_BANK_ID),
        "model": (re.compile(MODEL), Code.CSV_BAD_MODEL),
        "batch": (re.compile(BATCH), Code.CSV_BAD_BATCH),
    }
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a row."""

    column: str
    """Empty: the row as a whole."""
    why: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the file."""

    line: int
    """As a text editor counts: the header is line 1."""
    bank_id: str
    """As it stands there, also if it is no bank's; cut off at 32 characters."""
    model: str = ""
    batch: str = ""
    faults: tuple[Fault, ...] = ()
    """None: the row is a bank to report."""


def read(body: bytes, *, most: int) -> tuple[Row, ...]:
    """Read a file of banks; empty lines are passed over.

    Args:
        body: UTF-8, with or without a byte order mark.
        most: so many rows at the most.

    Raises:
        Refusal: CSV_UNREADABLE, CSV_BAD_HEADER, CSV_TOO_MANY_ROWS.
    """
    try:
        lines = body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as undecodable:
        raise Refusal(Code.CSV_UNREADABLE) from undecodable
    told = [(number, _cells(line)) for number, line in enumerate(lines, 1) if line.strip()]
    if not told or told[0][1] != list(COLUMNS):
        raise Refusal(Code.CSV_BAD_HEADER, expected=" ".join(COLUMNS))
    if len(told) - 1 > most:
        raise Refusal(Code.CSV_TOO_MANY_ROWS, most=most)
    return _once([_row(number, cells) for number, cells in told[1:]])


def _cells(line: str) -> list[str]:
    (cells,) = csv.reader([line])
    return [cell.strip() for cell in cells]


def _row(line: int, cells: list[str]) -> Row:
    if len(cells) != len(COLUMNS):
        why = Refusal(Code.CSV_ROW_WIDTH, expected=len(COLUMNS), got=len(cells))
        return Row(line=line, bank_id=cells[0][:32], faults=(Fault(column="", why=why),))
    values = dict(zip(COLUMNS, cells, strict=True))
    faults = [
        Fault(column=column, why=Refusal(code))
        for column, (pattern, code) in _PATTERNS.items()
        if pattern.fullmatch(values[column]) is None
    ]
    bank_id, model, batch = (cell[:32] for cell in cells)
    return Row(line=line, bank_id=bank_id, model=model, batch=batch, faults=tuple(faults))


def _once(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Let the first row of a bank stand, and fault the others."""
    first: dict[str, int] = {}
    kept: list[Row] = []
    for row in rows:
        line = first.setdefault(row.bank_id, row.line)
        if row.faults or line == row.line:
            kept.append(row)
            continue
        why = Refusal(Code.CSV_REPEATED, bank=row.bank_id, line=line)
        fault = Fault(column="bank_id", why=why)
        kept.append(Row(line=row.line, bank_id=row.bank_id, faults=(fault,)))
    return tuple(kept)


def write(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a CSV whose cells no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
