"""Finds the line on which a key of a TOML document stands, for messages only."""

import re
from functools import lru_cache

_SECTION = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_LONG_QUOTE = re.compile(r"\"{3}|'{3}")


def find_line(text: str, key: str) -> int | None:
    """Find the line of `key`, dotted from the top, or else of the nearest section around it.

    An entry of an array of tables has its number, from 1, in the key: `follow_up.2.body`.
    """
    lines = _lines_by_key(text)
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return None


@lru_cache(maxsize=1)
def _lines_by_key(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    entries: dict[str, int] = {}
    section, open_quote = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        if open_quote:
            open_quote = "" if open_quote in line else open_quote
            continue
        if match := _SECTION.match(line):
            section = _plain(match[1])
            if line.lstrip().startswith("[["):
                entries[section] = entries.get(section, 0) + 1
                lines.setdefault(section, number)
            section = _numbered(section, entries)
            lines.setdefault(section, number)
        elif match := _KEY.match(line):
            name = _plain(match[1])
            lines.setdefault(f"{section}.{name}" if section else name, number)
        quotes = _LONG_QUOTE.findall(line)
        open_quote = quotes[0] if len(quotes) % 2 else ""
    return lines


def _numbered(section: str, entries: dict[str, int]) -> str:
    """Put the number of the entry that the file is in behind the name of its array, which stands at the top."""
    name, dot, rest = section.partition(".")
    return f"{name}.{entries[name]}{dot}{rest}" if name in entries else section


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
