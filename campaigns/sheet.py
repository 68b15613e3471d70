"""Reads the first sheet of an .xlsx file that holds anything, as records of text.

The texts that cells share are held in memory, as the format demands; the rows come one by one.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from campaigns.problems import Problem, RefusedError
from campaigns.records import MAX_CELL_LENGTH, NOTHING, CellFault, Record
from campaigns.sheet_values import kind_of_format, say_iso_date, say_number, unescape
from campaigns.workbook import Workbook

# A column further right than any sheet has; what is written so is broken.
_MAX_COLUMNS, _MAX_ROWS = 16_384, 1_048_576
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


class Sheet:
    """One sheet of a workbook."""

    def __init__(self, path: Path) -> None:
        """Open the first visible sheet that holds anything.

        Raises: RefusedError if the file is no workbook, is locked, or holds nothing.
        """
        self._path = path
        self.warnings: list[Problem] = []
        _refuse_older_kinds(path)
        with closing(Workbook(path)) as workbook:
            contents = workbook.contents()
            self._is_1904 = contents.is_1904
            self._kinds = _read_styles(workbook, contents.styles) if contents.styles else ()
            self._strings = _read_strings(workbook, contents.strings) if contents.strings else []
            filled = [each for each in contents.sheets if self._holds_anything(workbook, each.part)]
        if not filled:
            raise self._refused("the workbook holds no rows", "put the customers on its first sheet")
        if len(filled) > 1:
            what = f'only the sheet "{filled[0].name[:40]}" is read, and {len(filled) - 1} more hold rows'
            self.warnings.append(
                Problem(str(path), None, None, what, "put it first if another is meant", "warning")
            )
        self._part = filled[0].part

    def read(self) -> Iterator[Record]:
        """Read the rows; `line` is the sheet's own row number."""
        with closing(Workbook(self._path)) as workbook:
            yield from self._rows(workbook, self._part)

    def _holds_anything(self, workbook: Workbook, part: str) -> bool:
        return any("".join(record.cells).strip(NOTHING) for record in self._rows(workbook, part))

    def _rows(self, workbook: Workbook, part: str) -> Iterator[Record]:
        """Read the rows with at least one cell, and those between them as one record of one empty cell."""
        reader = _RowReader(workbook, self._strings, self._kinds, is_1904=self._is_1904)
        last = width = 0
        for _ in workbook.parse(part, reader.start, reader.end, reader.text):
            for number, filled in reader.take():
                if number <= last:
                    fault = "comes twice" if number == last else f"comes after row {last}"
                    raise workbook.refused(f"its row {number} {fault}")
                if 0 < last < number - 1:
                    yield Record(last + 1, number - 1, [""], ())
                if not width and "".join(filled.values()).strip(NOTHING):
                    width = max(filled) + 1
                yield _record(number, filled, width)
                last = number

    def _refused(self, what: str, advice: str) -> RefusedError:
        return RefusedError([Problem(str(self._path), None, None, what, advice)])


class _RowReader:
    """Collects the rows of a sheet while its XML goes by: each its number, and its cells by column from 0."""

    def __init__(
        self, workbook: Workbook, strings: list[str], kinds: tuple[str, ...], *, is_1904: bool
    ) -> None:
        self._workbook = workbook
        self._strings = strings
        self._kinds = kinds
        self._is_1904 = is_1904
        self._rows: list[tuple[int, dict[int, str]]] = []
        self._row: dict[int, str] = {}
        self._number = 0
        self._is_counted = False  # the row itself does not say its number
        self._column = -1
        self._type = self._style = ""
        self._parts: list[str] = []
        self._is_text = False
        self._phonetic = 0

    def take(self) -> list[tuple[int, dict[int, str]]]:
        """Give the rows that are complete, and forget them."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        if tag == "c":
            self._begin_cell(attributes)
        elif tag in ("v", "t"):
            self._is_text = not self._phonetic
        elif tag == "row":
            self._begin_row(attributes.get("r", ""))
        elif tag == "rPh":
            self._phonetic += 1

    def end(self, tag: str) -> None:
        """See an element end."""
        if tag in ("v", "t"):
            self._is_text = False
        elif tag == "c":
            if self._parts and (cell := self._say("".join(self._parts))):
                self._row[self._column] = cell
        elif tag == "row":
            if self._row:
                self._rows.append((self._number, self._row))
        elif tag == "rPh":
            self._phonetic -= 1

    def text(self, text: str) -> None:
        """See a piece of text."""
        if self._is_text:
            self._parts.append(text)

    def _begin_row(self, number: str) -> None:
        self._row, self._column = {}, -1
        self._is_counted = not number
        if self._is_counted:
            self._number += 1
        elif number.isascii() and number.isdigit() and 0 < len(number) <= 7:
            self._number = int(number)
        else:
            self._number = 0
        self._refuse_no_row()

    def _refuse_no_row(self) -> None:
        if not 0 < self._number <= _MAX_ROWS:
            raise self._workbook.refused("it has a row without a place in a sheet")

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        place = attributes.get("r")
        if place is None:
            self._column += 1
        elif match := _PLACE.fullmatch(place):
            self._column = _column_of(match[1])
            if self._is_counted:
                self._number = int(match[2])
                self._refuse_no_row()
        else:
            self._column = _MAX_COLUMNS
        if self._column >= _MAX_COLUMNS:
            raise self._workbook.refused(
                f"a cell of its row {self._number} stands in no column that sheets have"
            )
        self._type, self._style = attributes.get("t", ""), attributes.get("s", "")
        self._parts.clear()

    def _say(self, text: str) -> str:
        kind = self._type
        if kind == "s":
            text = text.strip()
            place = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
            if not 0 <= place < len(self._strings):
                raise self._workbook.refused(f"a cell of its row {self._number} holds a text that is missing")
            return self._strings[place]
        if kind in ("inlineStr", "str"):
            return unescape(text)
        if kind == "e":
            return ""
        if kind == "b":
            return "TRUE" if text.strip() in ("1", "true") else "FALSE"
        if kind == "d":
            return say_iso_date(text)
        return say_number(text.strip(), self._format(), is_1904=self._is_1904)

    def _format(self) -> str:
        style = self._style
        place = int(style) if style.isascii() and style.isdigit() and len(style) < 6 else len(self._kinds)
        return self._kinds[place] if place < len(self._kinds) else ""


def _record(number: int, filled: dict[int, str], width: int) -> Record:
    # All that stands right of the first row's cells is one more: a single stray cell must not make 16,384 of each row.
    cells = [""] * (width + 1)
    for column in sorted(filled, reverse=True):
        cells[min(column, width)] = filled[column]
    faults = tuple(
        CellFault("too_long", column + 1, f"{len(cell):,}")
        for column, cell in filled.items()
        if len(cell) > MAX_CELL_LENGTH
    )
    return Record(number, number, cells, faults)


def _read_strings(workbook: Workbook, part: str) -> list[str]:
    strings: list[str] = []
    same: dict[str, str] = {}
    parts: list[str] = []
    is_text, phonetic = False, 0

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal is_text, phonetic
        if tag == "t":
            is_text = not phonetic
        elif tag == "rPh":
            phonetic += 1

    def end(tag: str) -> None:
        nonlocal is_text, phonetic
        if tag == "t":
            is_text = False
        elif tag == "rPh":
            phonetic -= 1
        elif tag == "si":
            text = unescape("".join(parts))
            strings.append(same.setdefault(text, text))
            parts.clear()

    def take(text: str) -> None:
        if is_text:
            parts.append(text)

    for _ in workbook.parse(part, start, end, take):
        pass
    return strings


def _read_styles(workbook: Workbook, part: str) -> tuple[str, ...]:
    """Read of each cell style whether it shows a date, a duration or a number."""
    codes: dict[str, str] = {}
    kinds: list[str] = []
    is_inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_inside
        if tag == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif tag == "cellXfs":
            is_inside = True
        elif tag == "xf" and is_inside:
            written = attributes.get("numFmtId", "0")
            number = int(written) if written.isascii() and written.isdigit() and len(written) < 6 else 0
            kinds.append(kind_of_format(number, codes.get(written)))

    def end(tag: str) -> None:
        nonlocal is_inside
        is_inside = is_inside and tag != "cellXfs"

    for _ in workbook.parse(part, start, end):
        pass
    return tuple(kinds)


@lru_cache(maxsize=1024)
def _column_of(letters: str) -> int:
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - 64
    return column - 1


def _refuse_older_kinds(path: Path) -> None:
    """Refuse what is no zip: a workbook with a password, or one of the time before .xlsx."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return
        file.seek(0)
        kept = b""
        while chunk := file.read(1 << 20):
            if _ENCRYPTED in kept + chunk:
                what, advice = "the workbook has a password", "save it without one, or as CSV"
                raise RefusedError([Problem(str(path), None, None, what, advice)])
            kept = chunk[-len(_ENCRYPTED) :]
    what = "the file is a workbook of the old kind, .xls"
    raise RefusedError([Problem(str(path), None, None, what, "save it as .xlsx or CSV")])
