"""Read the records of a campaign's waves along with its rows, some buckets at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.ledger import keys
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.ledger.states import State
from worker.pipeline.follow_ups import Wave

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class FollowedUp:
    """The follow-ups of a row: their records, by wave, and how many were sent before its ledger was lost."""

    records: dict[Wave, Record]
    lost: int = 0

    @property
    def accepted(self) -> int:
        """Count those that Twilio accepted."""
        return self.lost + sum(one.state is State.ACCEPTED for one in self.records.values())


_NONE = FollowedUp({})


class WaveRecords:
    """What the waves of a campaign have of each row; to be asked row by row, in their order."""

    def __init__(self, ledger: Ledger, info: CampaignInfo) -> None:
        self._ledger, self._info = ledger, info
        self._rows = [
            (keys.place_in_wave(wave_id), ledger.iter_rows(wave_id, info.rows, cells=False))
            for wave_id in ledger.waves(info.id)
        ]
        self._ahead = [next(rows, None) for _, rows in self._rows]
        self._waved: dict[int, int] = {}

    @property
    def are_none(self) -> bool:
        """Tell whether no row has any."""
        return not self._rows and not self._info.is_rebuilt

    def of(self, number: int) -> FollowedUp:
        """Give a row's follow-ups."""
        if self.are_none:
            return _NONE
        found: dict[Wave, Record] = {}
        for at, (wave, rows) in enumerate(self._rows):
            ahead = self._ahead[at]
            while ahead is not None and ahead[0] < number:
                ahead = next(rows, None)
            self._ahead[at] = ahead
            if ahead is not None and ahead[0] == number:
                found[wave] = ahead[1]
        return FollowedUp(found, 0 if found else self._lost(number))

    def _lost(self, number: int) -> int:
        """Count the follow-ups that only the results file knew of, from which the ledger was rebuilt."""
        if not self._info.is_rebuilt:
            return 0
        if number not in self._waved:
            numbers = range(number, min(number + _AT_ONCE, self._info.rows + 1))
            self._waved = dict(zip(numbers, self._ledger.waved(self._info.id, numbers), strict=True))
        return max(0, self._waved.get(number, 0) - 1)


def standings(ledger: Ledger, info: CampaignInfo) -> Iterator[tuple[int, Record, FollowedUp]]:
    """Go through all rows: number, the campaign's own record, and its follow-ups."""
    beside = WaveRecords(ledger, info)
    for number, first, _, _ in ledger.iter_rows(info.id, info.rows, cells=False):
        yield number, first, beside.of(number)
