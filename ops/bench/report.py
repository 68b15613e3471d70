"""Hold what a benchmark found out, and show it: as plain text in a terminal, as Markdown in RESULTS.md."""

import math
import statistics
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
RUNS = 5
WIDTH = 100
"""Columns of a terminal that sentences keep to."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold one figure as each run measured it; a ratio is one too, of both sides of the same run."""

    what: str
    unit: str
    runs: tuple[float, ...]

    @property
    def low(self) -> float:
        """Give the least of the runs."""
        return min(self.runs)

    @property
    def median(self) -> float:
        """Give the run in the middle."""
        return statistics.median(self.runs)

    @property
    def high(self) -> float:
        """Give the most of the runs."""
        return max(self.runs)


@dataclass(frozen=True, slots=True)
class Goal:
    """Hold what was to be reached, with its number, and whether it was."""

    what: str
    is_met: bool


@dataclass(frozen=True, slots=True)
class Series:
    """Hold one line of a chart."""

    what: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold lines over one pair of axes; `x` and `y` are what stands beside them, with the unit.

    `name` is that of the file, without its ending, and no two charts of all benchmarks have the same.
    """

    name: str
    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    is_x_log: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a benchmark's answer; `ran` says what was run and on what."""

    question: str
    command: str
    ran: str
    figures: tuple[Figure, ...]
    goals: tuple[Goal, ...] = ()
    charts: tuple[Chart, ...] = ()
    remarks: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Parts that could not be measured."""


@dataclass
class Draft:
    """Gathers an answer part by part; a part that fails is named in it, and the others go on."""

    figures: list[Figure] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Measure a part; what goes wrong is told on stderr, and ends here."""
        try:
            yield
        except Exception:  # noqa: BLE001  whatever it is, the other parts are measured
            sys.stderr.write(f"\n{what} failed:\n{traceback.format_exc()}")
            self.failed.append(what)

    def answer(self, question: str, command: str, ran: str) -> Answer:
        """Give what was found out.

        Raises: RuntimeError where there is nothing.
        """
        if not self.figures:
            raise RuntimeError(f"Nothing could be measured: {', '.join(self.failed)}.")
        return Answer(
            question,
            command,
            ran,
            tuple(self.figures),
            tuple(self.goals),
            tuple(self.charts),
            tuple(self.remarks),
            tuple(self.failed),
        )


def repeat(measure: Callable[[], T], runs: int = RUNS) -> list[T]:
    """Measure again and again, with a dot on stderr for each run."""
    found = []
    for _ in range(runs):
        found.append(measure())
        sys.stderr.write(".")
        sys.stderr.flush()
    sys.stderr.write("\n")
    return found


def shown(number: float) -> str:
    """Write a number with three digits that count, or all of those before the point.

    >>> shown(1234567.8), shown(999.96), shown(12.345), shown(0.01234)
    ('1,234,568', '1,000', '12.3', '0.0123')
    """
    return f"{number:,.0f}" if math.isfinite(number) and abs(number) >= 99.95 else f"{number:.3g}"


def as_text(name: str, answer: Answer) -> str:
    """Write an answer for a terminal."""
    table = [("", "min", "median", "max", "unit"), *map(_cells, answer.figures)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = [_filled(f"{name}: {answer.question}", ""), _filled(answer.ran), ""]
    for what, *numbers, unit in table:
        right = "  ".join(number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        lines.append(f"  {what.ljust(widths[0])}  {right}  {unit}".rstrip())
    judged = (f"{_verdict(goal)}: {goal.what}" for goal in answer.goals)
    said = (*judged, *answer.remarks, *map(_not_measured, answer.failed))
    return "\n".join([*lines, "", *map(_filled, said)])


def as_markdown(name: str, answer: Answer, measured: str) -> str:
    """Write an answer as a section of RESULTS.md; `measured` says when, and on what machine."""
    lines = [f"## {name}", "", f"**{answer.question}**", "", f"    {answer.command}", "", answer.ran, ""]
    lines += ["| what | min | median | max | unit | runs |", "| --- | ---: | ---: | ---: | --- | ---: |"]
    lines += [f"| {' | '.join(_cells(figure))} | {len(figure.runs)} |" for figure in answer.figures]
    if answer.goals or answer.remarks or answer.failed:
        lines.append("")
    lines += [f"- {_verdict(goal).capitalize()}: {goal.what}" for goal in answer.goals]
    lines += [f"- {remark}" for remark in (*answer.remarks, *map(_not_measured, answer.failed))]
    for chart in answer.charts:
        lines += ["", f"![{chart.title}](charts/{chart.name}.svg)"]
    return "\n".join([*lines, "", measured])


def _filled(sentence: str, indent: str = "  ") -> str:
    return textwrap.fill(sentence, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    return figure.what, shown(figure.low), shown(figure.median), shown(figure.high), figure.unit


def _not_measured(part: str) -> str:
    return f"Not measured, for it failed: {part}."


def _verdict(goal: Goal) -> str:
    return "goal met" if goal.is_met else "goal NOT met"
