"""What is wrong with a campaign or its file, in sentences that say what, where and what to do."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from campaigns.results_cells import escape_cell

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right; `row` counts data rows from 1, `line` and `column` as an editor does."""

    file: str
    line: int | None
    column: int | None
    what: str
    advice: str
    severity: Severity = "error"
    row: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        sentence = f"{self.what}, {self.advice}" if self.advice else self.what
        return f"{place}: {sentence}" if place else sentence


class RefusedError(Exception):
    """A definition or a file that cannot be used as a whole; nothing was sent."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def write_problems(problems: Iterable[Problem], path: Path) -> int:
    """Write `problems` to `path` as CSV that a spreadsheet can open, and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["file", "line", "column", "row", "severity", "what", "advice"])
        for problem in problems:
            count += 1
            writer.writerow(
                [
                    escape_cell(problem.file),
                    _number(problem.line),
                    _number(problem.column),
                    _number(problem.row),
                    problem.severity,
                    escape_cell(problem.what),
                    escape_cell(problem.advice),
                ]
            )
    return count


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
