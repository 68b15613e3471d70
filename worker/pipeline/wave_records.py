"""Read the records of a campaign's waves along with its rows, some buckets at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.ledger import keys
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.pipeline.follow_ups import Wave


class WaveRecords:
    """What the waves of a campaign have of each row; to be asked row by row, in their order."""

    def __init__(self, ledger: Ledger, info: CampaignInfo) -> None:
        self._rows = [
            (keys.place_in_wave(wave_id), ledger.iter_rows(wave_id, info.rows, cells=False))
            for wave_id in ledger.waves(info.id)
        ]
        self._ahead = [next(rows, None) for _, rows in self._rows]

    def of(self, number: int) -> dict[Wave, Record]:
        """Give a row's records, by wave."""
        found = {}
        for at, (wave, rows) in enumerate(self._rows):
            ahead = self._ahead[at]
            while ahead is not None and ahead[0] < number:
                ahead = next(rows, None)
            self._ahead[at] = ahead
            if ahead is not None and ahead[0] == number:
                found[wave] = ahead[1]
        return found


def standings(ledger: Ledger, info: CampaignInfo) -> Iterator[tuple[int, Record, Mapping[Wave, Record]]]:
    """Go through all rows: number, the campaign's own record, and those of its waves."""
    beside = WaveRecords(ledger, info)
    for number, first, _, _ in ledger.iter_rows(info.id, info.rows, cells=False, whole_story=False):
        yield number, first, beside.of(number)
