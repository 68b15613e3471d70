"""Whatever a CSV writer writes is read back as it was."""

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.records import BrokenRecordError, read_records
from campaigns.results_cells import escape_cell, unescape_cell
from campaigns.table import open_table

CELLS = st.text(alphabet=st.sampled_from("ab ,;\t\"'\r\né\u2028\x0c\x85=+-@0"), max_size=8)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=6)
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])


def written(rows: list[list[str]], delimiter: str, quoting: int) -> str:
    """Write rows as the standard library does."""
    out = io.StringIO(newline="")
    # Without both of CR and LF in its line end, older writers leave the other one unquoted.
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


@given(ROWS, st.sampled_from([",", ";", "\t"]), QUOTING)
def test_what_a_writer_wrote_is_read_back(rows: list[list[str]], delimiter: str, quoting: int) -> None:
    text = written(rows, delimiter, quoting)

    records = list(read_records(io.StringIO(text, newline=""), delimiter))

    assert [record.cells for record in records] == rows
    assert all(not record.faults for record in records)


@given(ROWS, st.sampled_from([",", ";", "\t"]), QUOTING)
def test_line_numbers_are_an_editors(rows: list[list[str]], delimiter: str, quoting: int) -> None:
    text = written(rows, delimiter, quoting)

    lines = [record.line for record in read_records(io.StringIO(text, newline=""), delimiter)]

    expected, line = [], 1
    for row in rows:
        expected.append(line)
        one = written([row], delimiter, quoting)
        line += one.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert lines == expected


@given(st.text(alphabet=st.sampled_from('a,"\r\n '), max_size=40))
def test_any_text_is_read_to_its_end_or_refused_with_a_line(text: str) -> None:
    last = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    spans, broken_line = [], last
    try:
        spans.extend(
            (record.line, record.last_line) for record in read_records(io.StringIO(text, newline=""), ",")
        )
    except BrokenRecordError as broken:
        broken_line = broken.line

    assert 1 <= broken_line <= last
    assert [line for line, _ in spans] == [1, *(end + 1 for _, end in spans[:-1])][: len(spans)]


@given(st.text(alphabet=st.sampled_from("'=+-@\t\rab"), max_size=6))
def test_escaped_cell_reads_back_as_it_was(text: str) -> None:
    assert unescape_cell(escape_cell(text)) == text


@given(st.text(alphabet=st.sampled_from("'=+-@\t\rab"), max_size=6))
def test_escaped_cell_never_begins_a_formula(text: str) -> None:
    assert escape_cell(text)[:1] not in ("=", "+", "-", "@", "\t", "\r")


@settings(max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_results_file_reads_back_as_the_customers_had_it(rows: list[tuple[str, str]]) -> None:
    escaped = [["id", "a", "b"], *(["x", escape_cell(a), escape_cell(b)] for a, b in rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        path.write_bytes(written(escaped, ",", csv.QUOTE_MINIMAL).encode())
        with open_table(path) as table:
            assert [row.cells for row in table] == [("x", a, b) for a, b in rows]
