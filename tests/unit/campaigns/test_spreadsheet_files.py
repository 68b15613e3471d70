"""Customers in an .xlsx file."""

from pathlib import Path

import pytest
from campaign_builders import body, check, refused
from sheet_files import DateCell, ErrorCell, write_xlsx
from workbooks import LAUGHS, STYLES, WORKBOOK, text_row, whole
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
        (0, "1234567890123456", "1234567890123456"),
        (0, "-1.234567890123456E15", "-1234567890123456"),
        (0, "3.3000000000000003", "3.3"),
        (0, " 42 ", "42"),
        (1, "46000", "2025-12-09"),
        (1, "1", "1900-01-01"),
        (1, "61", "1900-03-01"),
        (2, "46000.5", "2025-12-09 12:00"),
        (2, "46000.99999999", "2025-12-09 23:59"),
        (2, "46000.520833333336", "2025-12-09 12:30"),
        (2, "0.5", "12:00"),
        (2, "0.99999999999", "23:59"),
        (3, "1.5", "1 day, 12:00:00"),
        (1, "99999999999", "99999999999"),
        (1, "-1", "-1"),
        (9, "5", "5"),
    ],
)
def test_number_is_shown_as_its_format_means_it(tmp_path: Path, style: int, number: str, text: str) -> None:
    rows = f'<row r="2"><c r="A2" s="{style}"><v>{number}</v></c></row>'

    assert check(_packed(tmp_path, rows))[0].cells[0] == text


_EXCELS_OWN = '<extLst><ext><x15:workbookPr chartTrackingRefBase="1"/></ext></extLst></workbook>'


@pytest.mark.parametrize("end", ["</workbook>", _EXCELS_OWN])
@pytest.mark.parametrize(
    ("style", "number", "text"), [(1, "44538", "2025-12-09"), (2, "0.5", "12:00"), (1, "2958465", "2958465")]
)
def test_days_count_from_1904_where_the_workbook_says_so(
    tmp_path: Path, style: int, number: str, text: str, end: str
) -> None:
    workbook = WORKBOOK.replace("<sheets>", '<workbookPr date1904="1"/><sheets>').replace("</workbook>", end)
    rows = f'<row r="2"><c r="A2" s="{style}"><v>{number}</v></c></row>'

    assert check(_packed(tmp_path, rows, workbook=workbook))[0].cells[0] == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("[$-409]d\\-mmm\\-yy;@", "2025-12-09 12:00"),
        ("yyyy&quot;年&quot;m&quot;月&quot;", "2025-12-09 12:00"),
        ("[Black][h]:mm", "46000 days, 12:00:00"),
        ("0 &quot;days&quot;", "46000.5"),
        ("&quot;[h]&quot;0", "46000.5"),
        ("0;[h]:mm", "46000.5"),
        ("#,##0.00 [$USD]", "46000.5"),
        ("_d* \\d0", "46000.5"),
        ("General;[Red]-General", "46000.5"),
    ],
)
def test_format_tells_a_date_from_a_number(tmp_path: Path, code: str, text: str) -> None:
    styles = STYLES.replace("yyyy/mm/dd hh:mm", code)
    rows = '<row r="2"><c r="A2" s="2"><v>46000.5</v></c></row>'

    assert check(_packed(tmp_path, rows, styles=styles))[0].cells[0] == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2026-05-01", "2026-05-01"),
        ("2026-05-01T00:00:00Z", "2026-05-01"),
        ("2026-05-01T12:30:15.500", "2026-05-01 12:30"),
        ("1899-12-31T12:30:00", "12:30"),
        ("12:30:00", "12:30"),
        ("1850-01-01", "1850-01-01"),
        ("PT5H", "PT5H"),
        ("99:99", "99:99"),
    ],
)
def test_date_written_as_iso_8601_is_as_one_that_is_counted(tmp_path: Path, written: str, text: str) -> None:
    rows = f'<row r="2"><c r="A2" t="d"><v>{written}</v></c></row>'

    assert check(_packed(tmp_path, rows))[0].cells[0] == text


def test_row_of_blanks_above_the_header_costs_no_column(tmp_path: Path) -> None:
    rows = [[" "], HEADER, ["07900900123", "Ann", "1 May"]]

    with open_table(write_xlsx(tmp_path / "a.xlsx", [["\t"]], rows)) as table:
        assert table.columns == tuple(HEADER)
        assert [row.cells for row in table] == [("07900900123", "Ann", "1 May")]
        assert table.warnings == []


def test_rows_and_cells_may_leave_out_where_they_stand(tmp_path: Path) -> None:
    rows = "<row><c><v>7</v></c><c/><c><v>9</v></c></row>" + '<row><c r="B5"><v>8</v></c></row>'

    found = check(_packed(tmp_path, rows))

    assert [(row.line, row.cells) for row in found] == [(2, ("7", "", "9")), (5, ("", "8", ""))]


def test_workbook_needs_no_shared_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(whole(xml_sheet(text_row(1, *HEADER) + text_row(2, "p", "Ann", "d")), strings=None))

    assert check(path)[0].cells == ("p", "Ann", "d")


def test_place_of_a_shared_text_may_stand_between_blanks(tmp_path: Path) -> None:
    rows = '<row r="2"><c r="A2" t="s"><v>\n 1 </v></c></row>'

    assert check(_packed(tmp_path, rows))[0].cells[0] == "first_name"


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
        (whole(xml_sheet(text_row(3, *HEADER) + text_row(2, "p"))), "row 2 comes after row 3"),
        (whole(xml_sheet('<row><c r="A9999999"/></row>')), "row without a place"),
        (whole(xml_sheet(""), sheet=None), "missing"),
        (whole(xml_sheet(""), styles=None), "missing"),
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
