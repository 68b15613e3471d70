"""Reads the first sheet of an .xlsx file that holds anything, as records of text.

The sheet is held in memory while it is read, as the format demands; the rows are turned to text one by one.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import python_calamine

from campaigns.problems import Problem, RefusedError
from campaigns.records import MAX_CELL_LENGTH, CellFault, Record


class Sheet:
    """One sheet of a workbook."""

    def __init__(self, path: Path) -> None:
        """Open the first visible sheet that holds anything.

        Raises: RefusedError if the file is no workbook, is locked, or holds nothing.
        """
        self._path = path
        self.warnings: list[Problem] = []
        try:
            with python_calamine.CalamineWorkbook.from_path(str(path)) as workbook:
                self._sheet = self._choose(workbook)
        except python_calamine.PasswordError:
            raise self._refused("the workbook has a password", "save it without one, or as CSV") from None
        except (python_calamine.CalamineError, ValueError, OSError) as error:
            what = f"the file looks like a workbook and cannot be read as one ({error})"
            raise self._refused(
                what, "open it in a spreadsheet program and save it again, as CSV or .xlsx"
            ) from None

    def read(self) -> Iterator[Record]:
        """Read the rows; `line` is the sheet's own row number."""
        for number, row in enumerate(self._sheet.iter_rows(), start=1):
            cells = [cell if type(cell) is str else _say(cell) for cell in row]
            faults = tuple(
                CellFault("too_long", column, f"{len(cell):,}")
                for column, cell in enumerate(cells, start=1)
                if len(cell) > MAX_CELL_LENGTH
            )
            yield Record(number, number, cells, faults)

    def _choose(self, workbook: python_calamine.CalamineWorkbook) -> python_calamine.CalamineSheet:
        filled = []
        for metadata in workbook.sheets_metadata:
            if metadata.visible != python_calamine.SheetVisibleEnum.Visible:
                continue
            if metadata.typ != python_calamine.SheetTypeEnum.WorkSheet:
                continue
            sheet = workbook.get_sheet_by_name(metadata.name)
            if sheet.height:
                filled.append(sheet)
        if not filled:
            raise self._refused("the workbook holds no rows", "put the customers on its first sheet")
        if len(filled) > 1:
            what = f'only the sheet "{filled[0].name}" is read, and {len(filled) - 1} more hold rows'
            self.warnings.append(
                Problem(str(self._path), None, None, what, "put it first if another is meant", "warning")
            )
        return filled[0]

    def _refused(self, what: str, advice: str) -> RefusedError:
        return RefusedError([Problem(str(self._path), None, None, what, advice)])


def _say(value: Any) -> str:
    """Write a cell as text: whole numbers without a point, dates as ISO 8601."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("minutes")
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
