import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.bank_list import harmless, read, write
from backend.domain.errors import Code, Refusal

HEADER = "bank_id,model,batch\n"


def rows(text: str, *, most: int = 100):
    return read(text.encode(), most=most)


def faults(text: str):
    return [(row.line, fault.column, fault.why.code) for row in rows(text) for fault in row.faults]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_is_read_with_or_without_a_mark_and_by_either_line_end(mark, end):
    text = end.join(["bank_id,model,batch", "LW-0001,LW-10K-A,W40", '"LW-0002", LW-10K-A ,'])
    one, two = read(mark + text.encode(), most=10)

    assert (one.line, one.bank_id, one.model, one.batch) == (2, "LW-0001", "LW-10K-A", "W40")
    assert (two.line, two.bank_id, two.model, two.batch) == (3, "LW-0002", "LW-10K-A", "")
    assert one.faults == two.faults == ()


def test_empty_lines_are_passed_over_and_still_counted():
    told = rows(HEADER + "\n\nLW-0001,A,\n   \nLW-0002,A,\n")
    assert [row.line for row in told] == [4, 6]


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        ("lw-0001,A,", "bank_id", Code.CSV_BAD_BANK_ID),
        ("LW1,A,", "bank_id", Code.CSV_BAD_BANK_ID),
        (",A,", "bank_id", Code.CSV_BAD_BANK_ID),
        ("LW-0001,,", "model", Code.CSV_BAD_MODEL),
        ("LW-0001,ä,", "model", Code.CSV_BAD_MODEL),
        ("LW-0001,A,=1+1", "batch", Code.CSV_BAD_BATCH),
        ("LW-0001,A", "", Code.CSV_ROW_WIDTH),
        ("LW-0001,A,,", "", Code.CSV_ROW_WIDTH),
        ("LW-0001", "", Code.CSV_ROW_WIDTH),
        ('"LW-0001,A,B', "", Code.CSV_ROW_WIDTH),
    ],
)
def test_a_row_that_is_wrong_says_where_and_stops_no_other(line, column, code):
    told = f"{HEADER}LW-0009,A,\n{line}\nLW-0010,A,\n"
    assert faults(told) == [(3, column, code)]
    assert [row.bank_id for row in rows(told) if not row.faults] == ["LW-0009", "LW-0010"]


def test_a_row_names_everything_that_is_wrong_with_it():
    assert faults(HEADER + "x,,=\n") == [
        (2, "bank_id", Code.CSV_BAD_BANK_ID),
        (2, "model", Code.CSV_BAD_MODEL),
        (2, "batch", Code.CSV_BAD_BATCH),
    ]


def test_a_bank_that_is_in_the_file_twice_is_taken_once():
    told = rows(HEADER + "LW-0001,A,\nLW-0002,A,\nLW-0001,B,\n")
    assert [bool(row.faults) for row in told] == [False, False, True]
    (fault,) = told[2].faults
    assert fault.why.detail == {"bank": "LW-0001", "line": 2}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xfe", Code.CSV_UNREADABLE),
        ("bank_id,model,batch\nLW-0001,型,".encode("gbk"), Code.CSV_UNREADABLE),
        (b"", Code.CSV_BAD_HEADER),
        (b"\n\n", Code.CSV_BAD_HEADER),
        (b"LW-0001,A,B\n", Code.CSV_BAD_HEADER),
        (b"bank_id;model;batch\n", Code.CSV_BAD_HEADER),
        (b"bank_id,model,batch\n" + b"LW-0001,A,\n" * 101, Code.CSV_TOO_MANY_ROWS),
    ],
)
def test_a_file_that_cannot_be_is_refused_whole(body, code):
    with pytest.raises(Refusal) as refused:
        read(body, most=100)
    assert refused.value.code is code


@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_is_read_or_refused(body, has_header):
    try:
        told = read((HEADER.encode() if has_header else b"") + body, most=100)
    except Refusal:
        return
    assert len({row.bank_id for row in told if not row.faults}) == sum(
        not row.faults for row in told
    )


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=5))
def test_no_cell_that_is_written_begins_a_formula_and_none_is_lost(cells):
    text = write(["a", "b"], cells)
    _, *told = csv.reader(io.StringIO(text, newline=""))

    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for row in told for cell in row
    )
    assert told == [[harmless(cell) for cell in row] for row in cells]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_made_plain_text(cell):
    assert harmless(cell) == "'" + cell


def test_what_is_no_formula_stays():
    assert harmless("LW-0001") == "LW-0001"
