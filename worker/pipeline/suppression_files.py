"""Read and write the do-not-contact list as people keep it: single addresses, lists of lines, CSV and XLSX."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from pathlib import Path
from typing import TextIO, get_args

from campaigns.address import WHATSAPP, normalise_address, normalise_email
from campaigns.campaign import Channel
from campaigns.encoding import DELIMITERS, find_contents
from campaigns.names import BLANKS, fold_name
from campaigns.phone import normalise_phone
from campaigns.problems import Problem, RefusedError
from campaigns.results_cells import escape_cell
from campaigns.row_error import RowError, quote
from campaigns.table import Table, open_table
from worker.ledger.suppression import contact

ANY = "any"
CHANNELS = (*get_args(Channel), ANY)
COLUMNS = ("channel", "address", "reason", "date")
_ADDRESS_COLUMNS = ("address", "phone")
_MAX_LINE_LENGTH = 1_000
_MAX_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody not to be contacted on `channel` (or ANY); `date` is when they said so, None where nobody knows."""

    channel: str
    address: str
    reason: str = ""
    date: datetime | None = None

    def contact(self) -> tuple[str, str]:
        """Give the fields of the list that a customer of this channel is looked for under."""
        return contact(self.channel, self.address)

    @property
    def field(self) -> str:
        """Give the field that this entry stands under."""
        return self.contact()[self.channel == ANY]

    def fields(self) -> list[str]:
        """Give the fields that it takes to be off the list: of any channel, all of them."""
        if self.channel != ANY:
            return [self.field]
        return [Entry(channel, self.address).field for channel in CHANNELS]


def read_address(text: str, channel: str, region: str | None) -> str | RowError:
    """Give an address as the campaigns' messages would go to it, or why it is none; nothing is guessed.

    Of any channel it is an e-mail address where it has an @, and else a phone number: an identity needs its channel.
    """
    text = text.strip(BLANKS)
    if not text:
        return RowError("missing_value", "the address is empty", "fill it in, or take the line out")
    found: str | RowError
    if channel != ANY:
        found = normalise_address(channel, text, region)
    elif "@" in text:
        found = normalise_email(text)
    else:
        found = normalise_phone(text[9:].strip(BLANKS) if text[:9].lower() == WHATSAPP else text, region)
    return _in_words_of_a_command(found, channel) if isinstance(found, RowError) else found


def read_entries(
    path: Path, channel: str, region: str | None, progress: Callable[[int, int], None]
) -> Iterator[Entry | Problem]:
    """Read a file a line at a time: a table with a column `address` or `phone`, or addresses alone, one a line.

    `channel` is for those without one of their own; `progress` is told the lines and, nearly, the bytes read so far. A Problem
    is a line that is left out, or a warning about one that is not.

    Raises: RefusedError where the file as a whole can't be read as either.
    """
    if _is_plain(path):
        yield from _read_lines(path, channel, region, progress)
        return
    with open_table(path) as table:
        yield from table.warnings
        yield from _read_table(table, channel, region, progress)


def write_entries(entries: Iterable[Entry], out: TextIO) -> int:
    """Write a CSV that `read_entries` takes back; how many there were."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count = 0
    for one in entries:
        count += 1
        said = one.date.isoformat(timespec="seconds") if one.date else ""
        writer.writerow([one.channel, escape_cell(one.address), escape_cell(one.reason), said])
    return count


def _is_plain(path: Path) -> bool:
    """Tell whether a file holds addresses alone: its first line is no name of a column, and nothing parts it."""
    try:
        contents = find_contents(path)
    except OSError:
        return False  # open_table says in words what is wrong
    if contents.kind == "sheet":
        return False
    with path.open(encoding=contents.encoding) as stream:
        first = next(
            (line for line in iter(lambda: stream.readline(_MAX_LINE_LENGTH), "") if line.strip(BLANKS)), ""
        )
    return fold_name(first.strip('"\r\n')) not in (*_ADDRESS_COLUMNS,) and not any(
        each in first for each in DELIMITERS
    )


def _read_lines(
    path: Path, channel: str, region: str | None, progress: Callable[[int, int], None]
) -> Iterator[Entry | Problem]:
    with path.open(encoding=find_contents(path).encoding) as stream:
        size = 0
        lines = iter(lambda: stream.readline(_MAX_LINE_LENGTH), "")
        for number, line in enumerate(lines, start=1):
            size += len(line)
            progress(number, size)
            if not line.strip(BLANKS):
                continue
            found = read_address(line, channel, region)
            if isinstance(found, RowError):
                yield Problem(str(path), number, 1, found.sentence, found.advice)
            else:
                yield Entry(channel, found)


def _read_table(
    table: Table, channel: str, region: str | None, progress: Callable[[int, int], None]
) -> Iterator[Entry | Problem]:
    where = {name: table.folded.index(name) for name in (*COLUMNS, *_ADDRESS_COLUMNS) if name in table.folded}
    named = [name for name in _ADDRESS_COLUMNS if name in where]
    if len(named) != 1:
        what = f"the file has {'both an address and a phone' if named else 'no address or phone'} column"
        advice = "name the column of the addresses `address`, and no other so, or give the addresses alone, one a line"
        raise RefusedError([Problem(table.file, table.header_line, None, what, advice)])
    at = where[named[0]]
    size = 0
    for row in table:
        size += sum(map(len, row.cells)) + len(row.cells)
        progress(row.number, size)
        broken = [problem for problem in row.problems if problem.severity == "error"]
        if broken:
            yield broken[0]
            continue

        def cell(name: str, cells: tuple[str, ...] = row.cells) -> str:
            return cells[where[name]].strip(BLANKS) if name in where else ""

        own = cell("channel").lower() or channel
        if own not in CHANNELS:
            what = f"{quote(cell('channel'))} is no channel"
            advice = f"write one of {', '.join(CHANNELS)}"
            yield Problem(table.file, row.line, where["channel"] + 1, what, advice, row=row.number)
            continue
        found = read_address(row.cells[at], own, region)
        if isinstance(found, RowError):
            yield Problem(table.file, row.line, at + 1, found.sentence, found.advice, row=row.number)
            continue
        said = _read_date(cell("date"))
        if said is None and cell("date"):
            what = f"{quote(cell('date'))} is no date that can be read for certain, so the line is taken with today's"
            advice = "write dates as 2026-05-31"
            yield Problem(table.file, row.line, where["date"] + 1, what, advice, "warning", row.number)
        yield Entry(own, found, cell("reason")[:_MAX_REASON_LENGTH], said)


def _read_date(text: str) -> datetime | None:
    """Read a date of ISO 8601: others can be read in two ways, and the first and last that there are stand for none."""
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return found if MINYEAR < found.year < MAXYEAR else None


def _in_words_of_a_command(fault: RowError, channel: str) -> RowError:
    """Speak of options where a definition's keys would be spoken of."""
    sentence = fault.sentence.replace("no default_region is set", "no --region is given")
    advice = fault.advice.replace("set default_region in the definition", "give --region")
    if channel == ANY and fault.code == "bad_number":
        advice += "; an identity of chat or web needs its channel"
    return RowError(fault.code, sentence, advice, fault.column)
