"""Records of a delimited file, read exactly: physical line numbers, and no quote that swallows rows in silence."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TextIO

from campaigns.names import BLANKS

MAX_CELL_LENGTH = 131_072
MAX_LINE_LENGTH = 16_777_216
NOTHING = BLANKS + "\x1a\x00"  # Ctrl-Z ends files of old programs

CellFaultKind = Literal["stray_quote", "text_after_quote", "too_long"]


class CellFault(NamedTuple):
    """Something odd about the cell numbered `column` (from 1)."""

    kind: CellFaultKind
    column: int
    detail: str


class Record(NamedTuple):
    """The cells between two ends of a record; `line` is the physical line it begins on, `last_line` where it ends."""

    line: int
    last_line: int
    cells: list[str]
    faults: tuple[CellFault, ...]


@dataclass(frozen=True)
class BrokenRecordError(Exception):
    """The file's structure is broken from `line` on; nothing after it can be trusted."""

    line: int
    column: int | None
    what: str
    advice: str


def read_records(stream: TextIO, delimiter: str) -> Iterator[Record]:
    """Read records from a stream opened with `newline=""`, which breaks lines at CR, LF and CRLF alone.

    Raises: BrokenRecordError at a quote that is never closed, or that closes amid later rows.
    """
    return _Reader(stream, delimiter).read()


class _Reader:
    def __init__(self, stream: TextIO, delimiter: str) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._line = 0
        self._opening = re.compile(r' *"')
        self._end_of_cell = re.compile(rf" *(?={re.escape(delimiter)}|[\r\n]|\Z)")

    def read(self) -> Iterator[Record]:
        delimiter = self._delimiter
        while text := self._next_line():
            if '"' in text:
                yield self._read_quoted(text)
                continue
            cells = text.rstrip("\r\n").split(delimiter)
            faults = _find_long_cells(cells) if len(text) > MAX_CELL_LENGTH else ()
            yield Record(self._line, self._line, cells, faults)

    def _next_line(self) -> str:
        text = self._stream.readline(MAX_LINE_LENGTH)
        if text:
            self._line += 1
        if len(text) == MAX_LINE_LENGTH and text[-1] not in "\r\n":
            what = f"this line has more than {MAX_LINE_LENGTH:,} characters"
            raise BrokenRecordError(
                self._line, None, what, "check that the file has line ends, and is a CSV at all"
            )
        return text

    def _read_quoted(self, text: str) -> Record:
        first_line, cells, faults, position = self._line, list[str](), list[CellFault](), 0
        while True:
            if opening := self._opening.match(text, position):
                cell, text, position = self._read_quoted_cell(text, opening.end(), len(cells) + 1, faults)
            else:
                end = self._find_end(text, position)
                cell, position = text[position:end], end
                if '"' in cell:
                    faults.append(CellFault("stray_quote", len(cells) + 1, ""))
            cells.append(cell)
            if text[position : position + 1] != self._delimiter:
                break
            position += 1
        faults.extend(_find_long_cells(cells))
        return Record(first_line, self._line, cells, tuple(faults))

    def _read_quoted_cell(
        self, text: str, position: int, column: int, faults: list[CellFault]
    ) -> tuple[str, str, int]:
        """Read from behind an opening quote; give the cell, and the line and place where it ended."""
        opened_line, length, parts = self._line, 0, list[str]()
        while True:
            quote = text.find('"', position)
            if quote < 0:
                parts.append(text[position:])
                length += len(text) - position
                text, position = self._continue_cell(opened_line, column, length), 0
            elif text.startswith('"', quote + 1):
                parts.append(text[position : quote + 1])
                position = quote + 2
            else:
                parts.append(text[position:quote])
                position = quote + 1
                break
        if end := self._end_of_cell.match(text, position):
            return "".join(parts), text, end.end()
        return self._read_tail(text, position, column, opened_line, parts, faults)

    def _continue_cell(self, opened_line: int, column: int, length: int) -> str:
        text = self._next_line() if length <= MAX_CELL_LENGTH else ""
        if text:
            return text
        what = "a quote opens here and is not closed"
        what += (
            f" within {MAX_CELL_LENGTH:,} characters"
            if length > MAX_CELL_LENGTH
            else " before the end of the file"
        )
        advice = 'close the cell with ", or write a quote that belongs to the text as ""'
        raise BrokenRecordError(opened_line, column, what, advice)

    def _read_tail(
        self,
        text: str,
        position: int,
        column: int,
        opened_line: int,
        parts: list[str],
        faults: list[CellFault],
    ) -> tuple[str, str, int]:
        if self._line != opened_line:
            what = f"a quote opens here and closes only on line {self._line}, with more text right after it"
            advice = (
                'the lines between were swallowed: close the cell with ", or write a quote of the text as ""'
            )
            raise BrokenRecordError(opened_line, column, what, advice)
        end = self._find_end(text, position)
        tail = text[position:end]
        faults.append(CellFault("text_after_quote", column, tail.strip()[:20]))
        return "".join(parts) + tail, text, end

    def _find_end(self, text: str, position: int) -> int:
        end = text.find(self._delimiter, position)
        return (
            end if end >= 0 else len(text.rstrip("\r\n")) if position < len(text.rstrip("\r\n")) else position
        )


def _find_long_cells(cells: list[str]) -> tuple[CellFault, ...]:
    return tuple(
        CellFault("too_long", column, f"{len(cell):,}")
        for column, cell in enumerate(cells, start=1)
        if len(cell) > MAX_CELL_LENGTH
    )
