"""Keep the results files of all campaigns fresh, where a worker has been given a folder for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worker.ledger.registry import CampaignInfo
from worker.ledger.states import State
from worker.pipeline.bench import Workbench
from worker.pipeline.results import RefreshSchedule, note_seen, write_results
from worker.pipeline.results_files import ResultsFile


class ResultsRefresher:
    """Writes each campaign's file in its own rhythm, and at once when it has ended.

    For a thread of its own: a large file takes long. Beside other writers of the same folder it gives way.
    """

    def __init__(self, bench: Workbench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._schedules: dict[str, RefreshSchedule] = {}
        self._seen: dict[str, int] = {}
        self._changed: set[str] = set()
        self._ends: dict[str, Mapping[State, int]] = {}

    def tick(self) -> int:
        """Write the files that are due; how many. Call it every second or so.

        Raises: RedisUnavailableError; RefusedHereError where a file can't be written. The next call tries again.
        """
        # Of all campaigns, not only of those that are active: one may have been begun anew and ended between two looks.
        for campaign_id, seq in self._bench.registry.seqs().items():
            if self._seen.get(campaign_id) != seq:
                self._seen[campaign_id] = seq
                self._changed.add(campaign_id)
                self._schedules.setdefault(campaign_id, RefreshSchedule(self._bench.clock))
        return sum(self._refresh(campaign_id) for campaign_id in list(self._changed))

    def _refresh(self, campaign_id: str) -> bool:
        info, schedule = self._bench.registry.find(campaign_id), self._schedules[campaign_id]
        if info is None:
            self._changed.discard(campaign_id)
            return False
        note_seen(info, self._path(campaign_id))
        has_ended = info.state != "loading" and info.left == 0
        # That rows have ended is written at once; what is heard of them afterwards waits for its turn.
        is_urgent = has_ended and self._ends.get(campaign_id) != info.counts
        if info.state == "loading" or not (is_urgent or schedule.is_due):
            return False
        if self._is_behind(info):
            began_s = self._bench.clock()
            if not write_results(
                self._bench.ledger, self._bench.registry, campaign_id, self._path(campaign_id), wait=False
            ):
                return False
            schedule.wrote(self._bench.clock() - began_s, has_ended=has_ended)
            if has_ended:
                self._ends[campaign_id] = info.counts
            return True
        if has_ended:
            self._ends[campaign_id] = info.counts
            self._changed.discard(campaign_id)
        return False

    def _is_behind(self, info: CampaignInfo) -> bool:
        return ResultsFile(self._path(info.id), info.id).kept_seq() < info.seq

    def _path(self, campaign_id: str) -> Path:
        return self._folder / f"{campaign_id}.csv"
