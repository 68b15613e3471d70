"""Judges the header line: which columns a table has, and whether it is a header at all."""

import re
from collections import defaultdict
from collections.abc import Sequence

from campaigns.names import BLANKS, fold_name, say_names
from campaigns.problems import Problem, RefusedError
from campaigns.row_error import quote

MAX_COLUMNS = 16_384  # as many as a sheet has
_MAX_NAME_LENGTH = 1_000
_MAX_ADDRESS_LENGTH = 320
_LIKE_A_NUMBER = re.compile(r"'?\+?[\d ()./\-]{9,}(?:\.0)?")
_ROUNDED = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
_LIKE_AN_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def read_header(cells: Sequence[str], line: int, file: str) -> tuple[str, ...]:
    """Give the columns as they stand in the file; nameless ones at the end are left out.

    Raises: RefusedError if the line is data, or names a column twice.
    """
    columns = [cell.strip(BLANKS) for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    if len(columns) > MAX_COLUMNS:
        what = f"the header has {len(columns):,} columns, and at most {MAX_COLUMNS:,} are read"
        raise RefusedError(
            [Problem(file, line, None, what, "leave out those that the campaign does not use")]
        )
    _refuse_data(columns, line, file)
    spellings: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(columns, start=1):
        if len(name) > _MAX_NAME_LENGTH:
            what = f"the name of column {place} has {len(name):,} characters"
            raise RefusedError([Problem(file, line, place, what, "check that the first line is a header")])
        if folded := fold_name(name):
            spellings[folded].append(place)
    twice = [places for places in spellings.values() if len(places) > 1]
    if twice:
        raise RefusedError([_say_twice(places, columns, line, file) for places in twice])
    return tuple(columns)


def is_like_an_address(cell: str) -> bool:
    """Tell whether a cell looks like a phone number or an e-mail address, which no header is."""
    if len(cell) > _MAX_ADDRESS_LENGTH:
        return False
    if _ROUNDED.fullmatch(cell) or _LIKE_AN_EMAIL.fullmatch(cell):
        return True
    return sum(char.isdigit() for char in cell) >= 9 and _LIKE_A_NUMBER.fullmatch(cell) is not None


def _say_twice(places: list[int], columns: Sequence[str], line: int, file: str) -> Problem:
    names = say_names([columns[place - 1] for place in places])
    rest = f" and {len(places) - 12:,} more" if len(places) > 12 else ""
    numbers = (
        ", ".join(map(str, places[:-1])) + f" and {places[-1]}"
        if not rest
        else ", ".join(map(str, places[:12])) + rest
    )
    what = f"columns {numbers} have the same name ({names}; case, spaces, - and _ make no difference)"
    return Problem(file, line, places[1], what, "rename or remove all but one")


def _refuse_data(columns: Sequence[str], line: int, file: str) -> None:
    for place, name in enumerate(columns, start=1):
        if is_like_an_address(name):
            what = f"the first line is a customer and not a header: it holds {quote(name)}"
            advice = "put a line with the names of the columns above it"
            raise RefusedError([Problem(file, line, place, what, advice)])
