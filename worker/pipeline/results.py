"""Write the results file: every row once, in input order, the customer's columns as they came and then what became of it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from campaigns.names import fold_name
from campaigns.results_cells import escape_cell
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.states import State, status_word
from worker.pipeline.hours import Openings
from worker.pipeline.reasons import words_of
from worker.pipeline.results_files import ResultsFile
from worker.pipeline.wave_records import WaveRecords
from worker.settings import Settings

OUTREACH_COLUMNS = (
    "outreach_row",
    "outreach_status",
    "outreach_code",
    "outreach_reason",
    "outreach_advice",
    "interaction_sid",
    "conversation_sid",
    "message_sid",
    "delivery_status",
    "delivery_code",
    "answered_at",
    "follow_ups",
    "attempts",
    "finished_at",
)

REFRESH_S = 10.0
_REST = 10.0
_ENDED_REFRESH_S, _ENDED_REST = 1.0, 50.0


class RefreshSchedule:
    """Say when a campaign's file is due again: every 10 s, or ten times as long as the last writing took.

    When all its rows have ended, deliveries and answers come in for days: then every second, or fifty times as long.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = clock() + REFRESH_S

    @property
    def is_due(self) -> bool:
        """Tell whether it is time."""
        return self._clock() >= self._next

    def wrote(self, took_s: float, *, has_ended: bool = False) -> None:
        """Note that the file was written just now, how long that took, and whether all rows in it have ended."""
        rest_s = max(_ENDED_REFRESH_S, _ENDED_REST * took_s) if has_ended else max(REFRESH_S, _REST * took_s)
        self._next = self._clock() + rest_s


def results_path(settings: Settings, campaign_id: str) -> Path:
    """Name the results file of a campaign."""
    return settings.results_dir_or_default / f"{campaign_id}.csv"


def is_known_by_results(folder: Path, campaign_id: str) -> bool:
    """Tell whether a results file of ours says that this campaign was begun."""
    return ResultsFile(folder / f"{campaign_id}.csv", campaign_id).is_ours


def note_seen(info: CampaignInfo, path: Path) -> None:
    """Note beside the results file how far a campaign has come, once it is loaded: a load may yet be refused and begun anew."""
    if info.state != "loading":
        ResultsFile(path, info.id).note_seen(info.seq, _created_ms(info))


def write_results(
    ledger: Ledger, registry: Registry, campaign_id: str, path: Path, *, wait: bool = True
) -> bool:
    """Write the results file, aside and then renamed; False where it was left as it is.

    It is left where it holds a newer state than the ledger, where the campaign is still being loaded (a load may yet be
    refused), and, without `wait`, where somebody writes it just now.
    Raises: RefusedHereError where it can't be written; NotFoundError where there is no such campaign.
    """
    file = ResultsFile(path, campaign_id)
    with file.turn(wait=wait) as has_turn:
        if not has_turn:
            return False
        # Read before the rows: whatever changes meanwhile makes the file newer than it says, never older.
        info = registry.get(campaign_id)
        if info.state == "loading" or info.seq < file.seq:
            return False
        with file.replacing(info.seq, _created_ms(info)) as stream:
            stream_results(ledger, info, stream)
    return True


def stream_results(ledger: Ledger, info: CampaignInfo, stream: TextIO) -> None:
    """Write all rows loaded so far to `stream` (opened with newline="")."""
    kept = kept_columns(info.columns)
    # CRLF, as the format's own description has it; the writer then quotes a lone CR or LF inside a cell too.
    writer = csv.writer(stream)
    writer.writerow([*(escape_cell(info.columns[at]) for at in kept), *OUTREACH_COLUMNS])
    writer.writerows(_lines(ledger, info, kept))


def _lines(ledger: Ledger, info: CampaignInfo, kept: Sequence[int]) -> Iterator[list[Any]]:
    openings, beside = Openings(info), WaveRecords(ledger, info)
    has_waves = not beside.are_none
    for number, record, cells, note in ledger.iter_rows(info.id, info.rows):
        state = record.state
        if state is State.ACCEPTED:
            code = sentence = advice = ""
        else:
            words = words_of(record, note, info.id, number, openings.until(record, cells))
            code, sentence, advice = words.code, escape_cell(words.sentence), escape_cell(words.advice)
        yield [
            *[escape_cell(cells[at]) for at in kept],
            number,
            status_word(state),
            code,
            sentence,
            advice,
            *record.sids,
            record.delivery.word,
            record.delivery_code or "",
            _say_ms(record.answered_ms),
            beside.of(number).accepted if has_waves else 0,
            record.attempts,
            _say_ms(record.finished_ms),
        ]


def _say_ms(ms: int | None) -> str:
    return "" if ms is None else _say_second(ms // 1000)


@lru_cache(maxsize=4096)
def _say_second(second: int) -> str:
    # Rows that lie beside each other end within the same seconds.
    return say_moment(datetime.fromtimestamp(second, tz=UTC))


def say_moment(moment: datetime | None) -> str:
    """Write a moment as the results file does: UTC, ISO 8601, whole seconds."""
    return "" if moment is None else moment.isoformat(timespec="seconds")[:19] + "Z"


def _created_ms(info: CampaignInfo) -> int:
    return round(info.created_at.timestamp() * 1000)


def kept_columns(columns: Sequence[str]) -> list[int]:
    """Find the columns that are the customer's own: those of a results file that was fed back are written anew."""
    ours = {fold_name(name) for name in OUTREACH_COLUMNS}
    return [at for at, name in enumerate(columns) if fold_name(name) not in ours]
