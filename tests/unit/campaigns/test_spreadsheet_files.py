"""Customers in an .xlsx file."""

from pathlib import Path

import pytest
from campaign_builders import body, check, refused
from sheet_files import DateCell, ErrorCell, write_xlsx
from workbooks import LAUGHS, WORKBOOK, text_row, whole
from workbooks import sheet as xml_sheet

from campaigns.table import open_table

HEADER = ["phone", "first_name", "due_date"]


@pytest.mark.parametrize("name", ["customers.xlsx", "customers.csv"])
def test_workbook_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = write_xlsx(tmp_path / name, [HEADER, ["+447900900123", "Zoë, B", "1 May"]])

    rows = check(path)

    assert (rows[0].line, body(rows[0])) == (2, "Hi Zoë, B, due 1 May. Bye")


def test_row_numbers_are_the_sheets_own(tmp_path: Path) -> None:
    rows = [
        HEADER,
        [],
        ["+447900900123", "Ann", "1 May"],
        [],
        [None, None, None],
        ["bad", "Bob", "1 May"],
        [],
    ]

    found = check(write_xlsx(tmp_path / "a.xlsx", rows, first_row=3))

    assert [(row.number, row.line) for row in found] == [(1, 5), (2, 8)]
    assert [p.line for p in found[1].problems if p.severity == "warning"] == [6]


def test_typed_cells_become_text(tmp_path: Path) -> None:
    rows = [HEADER, ["07900900123", 42.0, DateCell(46_000)], ["07900900124", True, 1.5]]

    found = check(write_xlsx(tmp_path / "a.xlsx", rows))

    assert [row.cells[1:] for row in found] == [("42", "2025-12-09"), ("TRUE", "1.5")]


def test_number_stored_as_a_number_is_explained(tmp_path: Path) -> None:
    found = check(write_xlsx(tmp_path / "a.xlsx", [HEADER, [447_900_900_123.0, "Ann", "1 May"]]))

    assert found[0].code == "plus_missing"


def test_error_of_the_sheet_is_an_empty_cell(tmp_path: Path) -> None:
    found = check(write_xlsx(tmp_path / "a.xlsx", [HEADER, ["07900900123", ErrorCell("#N/A"), "1 May"]]))

    assert (found[0].code, found[0].sentence) == ("missing_value", "first_name is empty")


def test_first_sheet_with_rows_is_read_and_others_are_warned_of(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [], [HEADER, ["07900900123", "Ann", "1 May"]], [["notes"]])

    with open_table(path) as table:
        assert table.columns == tuple(HEADER)
        assert (table.encoding, table.delimiter) == ("xlsx", "")
        assert ['only the sheet "sheet2" is read' in warning.what for warning in table.warnings] == [True]


def test_workbook_without_rows_is_refused(tmp_path: Path) -> None:
    assert "no rows" in refused(write_xlsx(tmp_path / "a.xlsx", [])).what


def test_long_and_short_rows_of_a_sheet(tmp_path: Path) -> None:
    rows = [HEADER, ["07900900123", "Ann", "1 May", "extra"], ["07900900124", "Bob"]]

    found = check(write_xlsx(tmp_path / "a.xlsx", rows))

    assert [row.verdict for row in found] == ["ready", "invalid"]
    assert [p.severity for p in found[0].problems] == ["warning"]


def _packed(tmp_path: Path, rows: str, **parts: str) -> Path:
    """Write a workbook from its XML; `parts` replaces the others by short name."""
    path = tmp_path / "packed.xlsx"
    path.write_bytes(whole(xml_sheet(text_row(1, *HEADER) + rows), **parts))
    return path


def test_shared_texts_are_read_whole_and_without_their_readings(tmp_path: Path) -> None:
    strings = "<sst><si><r><t>Zo</t></r><r><t>ë_x000D_</t></r><rPh><t>zoe</t></rPh></si></sst>"
    rows = '<row r="2"><c r="A2" t="str"><f>A1</f><v>+447900900123</v></c><c r="B2" t="s"><v>0</v></c></row>'

    found = check(_packed(tmp_path, rows, strings=strings))

    assert found[0].cells == ("+447900900123", "Zoë\r", "")


@pytest.mark.parametrize(
    ("style", "number", "text"),
    [
        (0, "447900900123", "447900900123"),
        (0, "0.1", "0.1"),
        (0, "1e300", "1e+300"),
        (1, "46000", "2025-12-09"),
        (1, "1", "1900-01-01"),
        (1, "61", "1900-03-01"),
        (2, "46000.5", "2025-12-09 12:00"),
        (2, "0.5", "12:00"),
        (3, "1.5", "1 day, 12:00:00"),
        (1, "99999999999", "99999999999"),
        (1, "-1", "-1"),
        (9, "5", "5"),
    ],
)
def test_number_is_shown_as_its_format_means_it(tmp_path: Path, style: int, number: str, text: str) -> None:
    rows = f'<row r="2"><c r="A2" s="{style}"><v>{number}</v></c></row>'

    assert check(_packed(tmp_path, rows))[0].cells[0] == text


def test_days_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    workbook = WORKBOOK.replace("<sheets>", '<workbookPr date1904="1"/><sheets>')
    rows = '<row r="2"><c r="A2" s="1"><v>44538</v></c></row>'

    assert check(_packed(tmp_path, rows, workbook=workbook))[0].cells[0] == "2025-12-09"


def test_hidden_sheet_is_not_read(tmp_path: Path) -> None:
    workbook = WORKBOOK.replace('sheetId="1"', 'sheetId="1" state="hidden"')

    assert "no rows" in refused(_packed(tmp_path, "", workbook=workbook)).what


def test_stray_cell_in_the_last_row_and_column_costs_nothing(tmp_path: Path) -> None:
    rows = (
        text_row(2, "+447900900123", "Ann", "1 May") + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )

    found = check(_packed(tmp_path, rows))

    assert [(row.line, row.verdict) for row in found] == [(2, "ready"), (1_048_576, "invalid")]
    assert any("1,048,573 blank lines" in problem.what for problem in found[1].problems)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (whole(xml_sheet("", doctype=LAUGHS)), "declares entities"),
        (whole(xml_sheet("<x>" * 100)), "nested too deeply"),
        (whole(xml_sheet('<row r="1"><c r="A1" t="s"><v>7</v></c></row>')), "a text that is missing"),
        (whole(xml_sheet('<row r="0"/>')), "row without a place"),
        (whole(xml_sheet('<row r="1"><c r="?"/></row>')), "no column"),
        (whole(xml_sheet(text_row(1, *HEADER) * 2)), "comes twice"),
        (whole(xml_sheet(""), sheet=None), "missing"),
        (whole(xml_sheet(""), workbook=None), "no .xlsx workbook"),
        (whole(xml_sheet("<row/>" * 1_000_000)), "unpack to more than 4 MB"),
        (whole(xml_sheet(""))[:900], "not a whole zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "the old kind, .xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "has a password"),
    ],
)
def test_workbook_that_cannot_be_trusted_is_refused_in_words(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)

    assert words in refused(path).what
