"""Why a row cannot be sent, or should be looked at: a value, not an exception."""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowError:
    """One fault of a row: a short word for scripts, a sentence and advice for people, the column as in the file."""

    code: str
    sentence: str
    advice: str
    column: str | None = None


def quote(text: str, limit: int = 40) -> str:
    """Show a cell in a sentence: cut, and without what would disturb a line of text."""
    shown = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return f'"{shown}"' if shown.isprintable() else f'"{"".join(map(_show, shown))}"'


def one_line(text: str, limit: int = 500) -> str:
    """Show words that may hold a whole document as one line, cut."""
    shown = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return shown if shown.isprintable() else "".join(map(_show, shown))


def _show(char: str) -> str:
    if char.isprintable():
        return char
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) == "Cf" else "\ufffd"
