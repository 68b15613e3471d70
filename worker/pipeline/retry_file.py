"""Read which rows are meant by a results file that was edited by hand: only rows, never anything that would be sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from campaigns.names import fold_name
from campaigns.problems import Problem, RefusedError
from campaigns.table import Row, Table, open_table
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.pipeline.results import kept_columns

_AT_ONCE = 256
_MOST_PROBLEMS = 100
_PUT_BACK = "put back what the results file has there (a spreadsheet may have changed it), or name the rows with --row instead"


def read_rows(ledger: Ledger, info: CampaignInfo, path: Path) -> Iterator[tuple[int, Record]]:
    """Read the rows that are left in `path`, each once, by its outreach_row; comma, semicolon, BOM and .xlsx are all the same.

    Raises: RefusedError, after the last row, where the file is not this campaign's or where a row's customer is not the
    ledger's: nobody is sent what was meant for somebody else.
    """
    with open_table(path) as table:
        reader = _Reader(table, info)
        seen = bytearray(info.rows + 1)
        lines = iter(table)
        while rows := list(islice(lines, _AT_ONCE)):
            numbered = [(row, number) for row in rows if (number := reader.number_of(row)) is not None]
            known = ledger.read_rows(info.id, [number for _, number in numbered])
            for (row, number), (record, cells) in zip(numbered, known, strict=True):
                reader.compare(row, cells)
                if not seen[number]:
                    seen[number] = True
                    yield number, record
        reader.refuse()


class _Reader:
    """Finds a row's number and the customer's cells in an edited file, and gathers what is wrong."""

    def __init__(self, table: Table, info: CampaignInfo) -> None:
        self._file, self._info = table.file, info
        self._problems: list[Problem] = []
        places = {name: at for at, name in reversed(list(enumerate(table.folded)))}
        self._own = [(at, info.columns[at]) for at in kept_columns(info.columns)]
        missing = [
            name
            for name in ("outreach_row", *(name for _, name in self._own))
            if fold_name(name) not in places
        ]
        if missing:
            what = f"the column {missing[0]} is missing"
            advice = f"keep all columns of the results file of {info.id}; only rows may be taken out"
            raise RefusedError([Problem(table.file, table.header_line, None, what, advice)])
        self._number_at = places[fold_name("outreach_row")]
        self._places = [(at, name, places[fold_name(name)]) for at, name in self._own]

    def number_of(self, row: Row) -> int | None:
        """Give the row's number; None where it has none of this campaign."""
        text = row.cells[self._number_at].strip()
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
        if 1 <= number <= self._info.rows:
            return number
        what = "there is no such row" if text else "outreach_row is empty"
        self._note(
            row, self._number_at, what, f"it is a number from 1 to {self._info.rows}; add no rows of your own"
        )
        return None

    def compare(self, row: Row, cells: Sequence[str]) -> None:
        """Note where a customer's cell is not what the ledger has."""
        for problem in row.problems:
            if problem.severity == "error":
                self._problems.append(problem)
        for at, name, there in self._places:
            if _plain(row.cells[there]) != _plain(cells[at]):
                self._note(
                    row,
                    there,
                    f"{name} is not what row {row.cells[self._number_at].strip()} was sent with",
                    _PUT_BACK,
                )
                return

    def refuse(self) -> None:
        """Raise RefusedError where anything is wrong."""
        if self._problems:
            raise RefusedError(self._problems[:_MOST_PROBLEMS])

    def _note(self, row: Row, column: int, what: str, advice: str) -> None:
        self._problems.append(Problem(self._file, row.line, column + 1, what, advice, row=row.number))


def _plain(cell: str) -> str:
    """Give a cell without what a spreadsheet may add or take away: line ends, blanks and apostrophes around it."""
    return cell.replace("\r\n", "\n").replace("\r", "\n").strip().lstrip("'")
