"""Answers go to stdout, words beside them to stderr; colour only where a terminal wants it."""

import functools
import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough that nothing is cut or wrapped where another program reads.
_PIPE_WIDTH = 400
# What could move the cursor, colour or reverse the text of a terminal; a customers' file may hold it.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@functools.cache
def out() -> "Console":
    """Return the console of answers."""
    return _console(is_stderr=False)


@functools.cache
def err() -> "Console":
    """Return the console of progress, questions and complaints."""
    return _console(is_stderr=True)


def plain(text: object) -> str:
    """Make text from outside safe to show: no control characters, no reversed writing."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def answer(text: str) -> None:
    """Print one line of an answer."""
    out().print(plain(text), markup=False, soft_wrap=True)


def paragraph(text: str, indent: int = 0) -> None:
    """Print a sentence or two of an answer: in lines of a terminal's width, else in one line."""
    from rich.padding import Padding
    from rich.text import Text

    console = out()
    if console.is_terminal:
        console.print(Padding(Text(plain(text)), (0, 0, 0, indent)))
    else:
        answer(" " * indent + text)


def answer_json(value: Any) -> None:
    """Print an answer for a program."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()


def say(text: str, style: str | None = None) -> None:
    """Say something beside the answer."""
    console = err()
    console.print(plain(text), markup=False, style=style, soft_wrap=not console.is_terminal)


def warn(text: str) -> None:
    """Say what deserves attention but stops nothing."""
    say(f"warning: {text}", "yellow")


def new_table(columns: Sequence[str], right: Sequence[str] = ()) -> "Table":
    """Begin a table whose columns in `right` are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        number = name in right
        table.add_column(name, justify="right" if number else "left", no_wrap=number)
    return table


def print_table(table: "Table", title: str = "") -> None:
    """Print a table under its title, which may be wider than the table."""
    if title:
        out().print(plain(title), markup=False, style="bold", soft_wrap=True)
    out().print(table)


def add_row(table: "Table", *cells: object, style: str | None = None) -> None:
    """Add a row of texts from outside to a table."""
    from rich.text import Text

    table.add_row(*(Text(plain(cell)) for cell in cells), style=style)


def can_ask() -> bool:
    """Tell whether a person is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask a person yes or no; no is the default."""
    err().print(plain(f"{question} [y/N] "), markup=False, end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _console(*, is_stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if is_stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=is_stderr, width=width, highlight=False, emoji=False)
