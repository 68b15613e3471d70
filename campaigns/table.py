"""A customers' file, CSV or .xlsx, read a row at a time with physical line numbers."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from campaigns.encoding import NAMES, Contents, find_contents, find_delimiter
from campaigns.header import is_like_an_address, read_header
from campaigns.names import BLANKS, fold_name, say_names
from campaigns.problems import Problem, RefusedError
from campaigns.records import NOTHING, BrokenRecordError, CellFault, Record, read_records
from campaigns.results_cells import unescape_cell
from campaigns.row_error import quote
from campaigns.sheet import Sheet

_SAMPLE_LENGTH = 65_536


@dataclass(frozen=True, slots=True)
class Row:
    """One customer: `number` counts data rows from 1, `line` as an editor does; as many cells as columns."""

    number: int
    line: int
    cells: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


def file_sha256(path: Path) -> str:
    """Hash the file's bytes, a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_table(path: Path) -> "Table":
    """Open a customers' file and read its header.

    Raises: RefusedError for a fault of the file as a whole or of its header.
    """
    try:
        return Table(path)
    except FileNotFoundError:
        raise _refused(path, "there is no such file", "check the path") from None
    except IsADirectoryError:
        raise _refused(path, "this is a folder", "name the customers' file in it") from None
    except OSError as error:
        raise _refused(path, f"the file cannot be read ({error.strerror})", "check its permissions") from None


class Table:
    """The rows of one file; iterating reads it anew, and holds one row at a time (a sheet: also the texts its cells share).

    `columns`: as in the file, without nameless ones at the end; `folded`: the same as they are matched.
    `encoding`, `delimiter`: for messages. `warnings`: what concerns the file as a whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = str(path)
        self.warnings: list[Problem] = []
        self._contents: Contents = find_contents(path)
        self._sheet: Sheet | None = None
        self._delimiter = ","
        self._skip_records = 0
        self._open: list[Iterator[Record]] = []
        if self._contents.kind == "sheet":
            self._sheet = Sheet(path)
            self.warnings += self._sheet.warnings
            self.encoding, self.delimiter = "xlsx", ""
        else:
            self._choose_delimiter()
        self.columns, self._width, self.header_line = self._read_header()
        self.folded = tuple(fold_name(name) for name in self.columns)

    def __enter__(self) -> "Table":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, wherever a reader stands in it."""
        for records in self._open:
            records.close()  # type: ignore[attr-defined]
        self._open.clear()

    def __iter__(self) -> Iterator[Row]:
        number = 0
        first_blank = blanks = 0
        width, columns = self._width, len(self.columns)
        records = self._records()
        for record in records:
            if record.line <= self.header_line:
                continue
            cells = record.cells
            if not cells[0].strip(NOTHING) and not "".join(cells).strip(NOTHING):
                first_blank = first_blank or record.line
                blanks += record.last_line - record.line + 1
                continue
            number += 1
            problems: tuple[Problem, ...] = ()
            if (
                blanks
                or record.faults
                or len(cells) != width
                or record.last_line != record.line
                or width != columns
            ):
                problems = tuple(self._judge(record, number, first_blank, blanks))
                first_blank = blanks = 0
            if len(cells) > columns:
                cells = self._cut(cells)
            for cell in cells:
                if cell[:1] == "'":
                    cells = [unescape_cell(each) for each in cells]
                    break
            if len(cells) < columns:
                # Last, so that short lines under a wide header cost little.
                cells = [*cells, *[""] * (columns - len(cells))]
            yield Row(number, record.line, tuple(cells), problems)

    def _records(self) -> Iterator[Record]:
        """Read the records from the top; at a broken place the whole file is refused."""
        records = self._sheet.read() if self._sheet else self._read_text()
        self._open.append(records)
        return records

    def _read_text(self) -> Iterator[Record]:
        with self.path.open(encoding=self._contents.encoding, newline="") as stream:
            try:
                yield from read_records(stream, self._delimiter)
            except BrokenRecordError as broken:
                problem = Problem(self.file, broken.line, broken.column, broken.what, broken.advice)
                raise RefusedError([problem]) from None

    def _choose_delimiter(self) -> None:
        self.encoding = NAMES[self._contents.encoding]
        if self._contents.encoding == "cp1252":
            what = "the file is not UTF-8 and is read as Windows-1252"
            advice = "check that names with accents look right, or save it as UTF-8"
            self.warnings.append(Problem(self.file, None, None, what, advice, "warning"))
        with self.path.open(encoding=self._contents.encoding, newline="") as stream:
            sample = stream.read(_SAMPLE_LENGTH).lstrip(BLANKS)
        self._has_separator_line = sample[:4].lower() == "sep=" and sample[5:6] in ("\r", "\n")
        self._delimiter = sample[4] if self._has_separator_line else find_delimiter(sample, self.path)
        self.delimiter = self._delimiter

    def _read_header(self) -> tuple[tuple[str, ...], int, int]:
        skip = self._sheet is None and self._has_separator_line
        for record in self._records():
            if not "".join(record.cells).strip(NOTHING):
                continue
            if skip:
                skip = False
                continue
            self.close()
            broken = next((fault for fault in record.faults if fault.kind == "text_after_quote"), None)
            if broken:
                problem = Problem(self.file, record.line, broken.column, *_TEXT_AFTER_QUOTE)
                raise RefusedError([problem])
            return read_header(record.cells, record.line, self.file), len(record.cells), record.last_line
        raise _refused(self.path, "the file holds nothing", "export it again, with a header line")

    def _cut(self, cells: list[str]) -> list[str]:
        """Make as many cells as columns; what stands too far right is kept in the last cell of a row refused for it."""
        width = len(self.columns)
        if "".join(cells[self._width :]).strip(NOTHING):
            return [*cells[: width - 1], self._delimiter.join(cells[width - 1 :]).rstrip(self._delimiter)]
        return cells[:width]

    def _judge(self, record: Record, number: int, first_blank: int, blanks: int) -> Iterator[Problem]:
        if blanks:
            what = "a blank line" if blanks == 1 else f"{blanks:,} blank lines"
            advice = "which no customer was read from; remove it if nothing is missing"
            yield Problem(self.file, first_blank, None, what, advice, "warning")
        for fault in record.faults:
            yield self._say_fault(fault, record, number)
        cells = record.cells
        if len(cells) < len(self.columns):
            missing = say_names(self.columns[len(cells) :])
            what = f"the line has {len(cells)} cells where the header has {self._width}; missing: {missing}"
            advice = "check that no delimiter is missing in it"
            yield Problem(self.file, record.line, len(cells), what, advice, "warning", number)
        yield from self._judge_extra(record, number)
        yield from self._judge_span(record, number)

    def _judge_extra(self, record: Record, number: int) -> Iterator[Problem]:
        cells, columns = record.cells, len(self.columns)
        if len(cells) <= columns or not "".join(cells[columns:]).strip(NOTHING):
            return
        if "".join(cells[self._width :]).strip(NOTHING):
            extra = len(cells) - self._width
            what = f"the line has {extra} cell{'s' * (extra > 1)} more than the header, so its cells may have shifted"
            sign = {"\t": "tab", ";": "semicolon"}.get(self._delimiter, "comma")
            advice = f'put cells that hold a {sign} in quotes, as "1 May, 2026"'
            yield Problem(self.file, record.line, self._width + 1, what, advice, "error", number)
        else:
            far = next(place for place in range(columns, len(cells)) if cells[place].strip(NOTHING))
            what = f"cell {far + 1} stands in a column without a name and is left out"
            yield Problem(
                self.file, record.line, far + 1, what, "name the column in the header", "warning", number
            )

    def _judge_span(self, record: Record, number: int) -> Iterator[Problem]:
        """Find a cell over several lines that holds whole rows, taken in by a quote."""
        if record.last_line == record.line:
            return
        for column, cell in enumerate(record.cells, start=1):
            rows = sum(map(self._is_like_a_row, cell.splitlines()[1:]))
            if rows:
                what = f"this cell runs on to line {record.last_line} and looks like {rows} whole row{'s' * (rows > 1)}"
                advice = "check that the quote that opens it is meant"
                yield Problem(self.file, record.line, column, what, advice, "error", number)
                return

    def _is_like_a_row(self, line: str) -> bool:
        cells = line.split(self._delimiter)
        # The closing quote ends the last row early, so a cell may be missing; a postal address has no phone number.
        return len(cells) >= max(2, len(self.columns) - 1) and any(
            is_like_an_address(cell.strip()) for cell in cells
        )

    def _say_fault(self, fault: CellFault, record: Record, number: int) -> Problem:
        if fault.kind == "stray_quote":
            what, advice = (
                "a quote stands inside this cell and is taken as text",
                "check it; quotes belong around a cell",
            )
            return Problem(self.file, record.line, fault.column, what, advice, "warning", number)
        if fault.kind == "text_after_quote":
            what, advice = _TEXT_AFTER_QUOTE
            what = f"{what} ({quote(fault.detail)})"
        else:
            what = f"this cell has {fault.detail} characters"
            advice = "shorten it; a quote that is never closed can make one of many rows"
        return Problem(self.file, record.line, fault.column, what, advice, "error", number)


_TEXT_AFTER_QUOTE = (
    "text follows the quote that closes this cell",
    'write a quote that belongs to the text as "", or quote the whole cell',
)


def _refused(path: Path, what: str, advice: str) -> RefusedError:
    return RefusedError([Problem(str(path), None, None, what, advice)])
