"""Cells that a spreadsheet must not run: one apostrophe in front on the way out, taken away on the way in."""

import re

# After any apostrophes: so that a cell which had one of its own gets a second, and reads back as it was.
_RUNS_IN_A_SPREADSHEET = re.compile(r"'*[=+\-@\t\r]")
_MAY_RUN = frozenset("'=+-@\t\r")  # most cells are told by their first character, without the pattern


def escape_cell(text: str) -> str:
    """Put one apostrophe in front of `text` if a spreadsheet could take it for a formula."""
    first = text[:1]
    if first not in _MAY_RUN:
        return text
    return f"'{text}" if first != "'" or _RUNS_IN_A_SPREADSHEET.match(text) else text


def unescape_cell(text: str) -> str:
    """Take away the apostrophe that `escape_cell` put there; any other text stays as it is."""
    return text[1:] if text[:1] == "'" and _RUNS_IN_A_SPREADSHEET.match(text) else text
