"""Load a campaign again that the ledger has lost: what the results file calls ended is ended, all else is looked up first."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from campaigns.check import CheckedRow
from campaigns.identity import address_hash
from campaigns.problems import Problem, RefusedError
from campaigns.results_cells import escape_cell, unescape_cell
from worker.ledger.ledger import LoadRow
from worker.ledger.row import NO_HASH, pack_ended
from worker.ledger.states import OUTREACH_STATUS, Delivery, Event, Reason, State
from worker.pipeline.reasons import FIRST_TWILIO_CODE, REASONS
from worker.pipeline.results import OUTREACH_COLUMNS, kept_columns
from worker.pipeline.results_files import ResultsFile

_LONGEST_CELL = 2**31 - 1
_DELIVERIES = {delivery.word: delivery for delivery in Delivery}
_STATES = {word: state for state, word in OUTREACH_STATUS.items()}
_REASONS = {entry.code: int(reason) for reason, entry in REASONS.items()}
_EVENTS = {
    State.ACCEPTED: Event.ACCEPTED,
    State.FAILED: Event.FAILED,
    State.SKIPPED: Event.SKIPPED,
    State.NEEDS_REVIEW: Event.NEEDS_REVIEW,
    State.CANCELLED: Event.CANCELLED,
}
_SID = re.compile("(KD|CH|IM)[0-9a-fA-F]{32}")
_ADVICE = "a ledger can be rebuilt only from the results file as it was written; put that one back"


class EarlierResults:
    """The results file of a campaign that the ledger has lost, read line by line beside the customers' file."""

    def __init__(self, path: Path, campaign_id: str, columns: Sequence[str]) -> None:
        hidden = ResultsFile(path, campaign_id)
        self.path = path
        self.seen = hidden.seen()
        self.created_ms = hidden.created_ms()
        self._columns = columns
        self._kept = kept_columns(columns)
        self._lines: Iterator[list[str]] = iter(())
        self._line = 0
        self.rows = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Have the file open meanwhile: the version that is there now, whoever replaces it.

        Raises: RefusedError where it can't be read or is not the results file of these columns.
        """
        if not self.seen:
            raise self._refuse("what stood hidden beside it, ending in .seq, is gone", at_line=False)
        try:
            with self.path.open(encoding="utf-8", newline="") as stream:
                self.rows = sum(1 for _ in self._read(stream)) - 1
                stream.seek(0)
                self._lines = self._read(stream)
                header = [*(escape_cell(self._columns[at]) for at in self._kept), *OUTREACH_COLUMNS]
                if next(self._lines, None) != header:
                    raise self._refuse(
                        "its columns are not those of the customers' file and of a results file"
                    )
                yield
        except OSError as error:
            raise self._refuse(
                f"it cannot be read: {(error.strerror or str(error)).lower()}", at_line=False
            ) from error

    def take(self, row: CheckedRow, as_checked: LoadRow) -> LoadRow:
        """Say how the next row is loaded: as it ended, or `as_checked` where it did not.

        Raises: RefusedError where the file's next line is not this row's.
        """
        line = next(self._lines, None)
        if line is None:
            raise self._refuse(f"it ends before row {row.number}")
        if len(line) != len(self._kept) + len(OUTREACH_COLUMNS):
            raise self._refuse(f"this line has {len(line)} cells")
        found = dict(zip(OUTREACH_COLUMNS, line[len(self._kept) :], strict=True))
        if found["outreach_row"] != str(row.number):
            raise self._refuse(f"row {row.number} is missing here")
        for at, cell in zip(self._kept, line, strict=False):
            if cell != escape_cell(row.cells[at]):
                raise self._refuse(f"the column {self._columns[at]} is not what the customers' file has here")
        return self._load_row(row, as_checked, found)

    def refuse_more(self) -> None:
        """Raise RefusedError where the file has more rows than the customers' file."""
        if next(self._lines, None) is not None:
            raise self._refuse("it has more rows than the customers' file")

    def _load_row(self, row: CheckedRow, as_checked: LoadRow, found: dict[str, str]) -> LoadRow:
        status = found["outreach_status"]
        if status == "pending":
            return as_checked
        state = _STATES.get(status)
        if state is None:
            raise self._refuse(f"there is no status {status}")
        if state is State.INVALID and row.verdict == "invalid":
            return as_checked
        code = self._code(state, found["outreach_code"])
        is_duplicate = state is State.SKIPPED and code == Reason.DUPLICATE
        in_doubt = State.DOUBT_SENDING if found["conversation_sid"] else State.DOUBT_OPENING
        delivery = _DELIVERIES.get(found["delivery_status"])
        if delivery is None:
            raise self._refuse("delivery_status is none of Twilio's words")
        answered_ms = self._since(found["answered_at"], "answered_at")
        record = pack_ended(
            state,
            address_hash(row.recipient.address) if row.recipient else NO_HASH,
            code,
            (row.duplicate_of or 0) if is_duplicate else in_doubt * (state is State.NEEDS_REVIEW),
            attempts=self._number(found["attempts"], "attempts"),
            sids=tuple(
                self._sid(found[name]) for name in ("interaction_sid", "conversation_sid", "message_sid")
            ),
            ended=self._ended(state, found["finished_at"]),
            delivery=delivery,
            delivery_code=self._delivery_code(found["delivery_code"]),
            answered_ms=answered_ms,
        )
        if state is State.ACCEPTED and not found["message_sid"]:
            raise self._refuse("an accepted row has a message SID")
        note = None
        if state is State.INVALID:
            note = (
                found["outreach_code"],
                unescape_cell(found["outreach_reason"]),
                unescape_cell(found["outreach_advice"]),
            )
        return LoadRow(row.cells, record, note, self._number(found["follow_ups"], "follow_ups"))

    def _code(self, state: State, text: str) -> int:
        if state in (State.ACCEPTED, State.CANCELLED):
            return 0
        if state is State.INVALID:
            return int(Reason.INVALID)
        if text.isascii() and text.isdecimal() and FIRST_TWILIO_CODE <= int(text) < 1 << 24:
            return int(text)
        return _REASONS.get(text, int(Reason.NONE))

    def _ended(self, state: State, text: str) -> tuple[Event, int] | None:
        since_ms = self._since(text, "finished_at") if state in _EVENTS else None
        return None if since_ms is None else (_EVENTS[state], since_ms)

    def _since(self, text: str, column: str) -> int | None:
        """Read a moment as so many ms after the campaign's creation; None where there is none."""
        if not text:
            return None
        try:
            at_ms = round(datetime.fromisoformat(text).timestamp() * 1000)
        except ValueError:
            raise self._refuse(f"{column} is not a moment") from None
        return max(0, at_ms - self.created_ms)

    def _delivery_code(self, text: str) -> int:
        if text and not (text.isascii() and text.isdecimal() and int(text) < 1 << 24):
            raise self._refuse("delivery_code is none of Twilio's codes")
        return int(text or 0)

    def _number(self, text: str, column: str) -> int:
        if not (text.isascii() and text.isdecimal() and int(text) < 255):
            raise self._refuse(f"{column} is not a number of {column.replace('_', '-')}")
        return int(text)

    def _sid(self, text: str) -> str:
        if text and not _SID.fullmatch(text):
            raise self._refuse("one of its SIDs is none")
        return text

    def _read(self, stream: TextIO) -> Iterator[list[str]]:
        csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(stream)
        try:
            for cells in reader:
                self._line = reader.line_num
                yield cells
        except (csv.Error, UnicodeDecodeError):
            self._line = reader.line_num + 1
            raise self._refuse("it is not UTF-8 text of comma separated values from here on") from None

    def _refuse(self, what: str, *, at_line: bool = True) -> RefusedError:
        line = self._line if at_line and self._line else None
        return RefusedError([Problem(str(self.path), line, None, what, _ADVICE)])
