"""Customers in an .xlsx file."""

from pathlib import Path

import pytest
from campaign_builders import body, check, refused
from sheet_files import DateCell, ErrorCell, write_xlsx

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
