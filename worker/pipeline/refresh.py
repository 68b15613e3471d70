"""Keep the results files of all campaigns fresh, where a worker has been given a folder for them."""

from __future__ import annotations

from pathlib import Path

from worker.ledger.registry import CampaignInfo
from worker.pipeline.bench import Workbench
from worker.pipeline.results import RefreshSchedule, note_seen, write_results
from worker.pipeline.results_files import ResultsFile


class ResultsRefresher:
    """Writes each campaign's file in its own rhythm, and once more when it has ended.

    For a thread of its own: a large file takes long. Beside other writers of the same folder it gives way.
    """

    def __init__(self, bench: Workbench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._schedules: dict[str, RefreshSchedule] = {}
        self._seen: dict[str, int] = {}

    def tick(self) -> int:
        """Write the files that are due; how many. Call it every second or so.

        Raises: RedisUnavailableError; RefusedHereError where a file can't be written. The next call tries again.
        """
        # Of all campaigns, not only of those that are active: one may have been begun anew and ended between two looks.
        for campaign_id, seq in self._bench.registry.seqs().items():
            if self._seen.get(campaign_id) != seq:
                self._seen[campaign_id] = seq
                self._schedules.setdefault(campaign_id, RefreshSchedule(self._bench.clock))
        return sum(self._refresh(campaign_id) for campaign_id in list(self._schedules))

    def _refresh(self, campaign_id: str) -> bool:
        info, schedule = self._bench.registry.find(campaign_id), self._schedules[campaign_id]
        if info is not None:
            note_seen(info, self._path(campaign_id))
        has_ended = info is not None and info.state != "loading" and info.left == 0
        if info is not None and (info.state == "loading" or (not has_ended and not schedule.is_due)):
            return False
        if info is not None and self._is_behind(info):
            began_s = self._bench.clock()
            if not write_results(
                self._bench.ledger, self._bench.registry, campaign_id, self._path(campaign_id), wait=False
            ):
                return False
            schedule.wrote(self._bench.clock() - began_s)
            return True
        if info is None or has_ended:
            del self._schedules[campaign_id]
        return False

    def _is_behind(self, info: CampaignInfo | None) -> bool:
        return info is not None and ResultsFile(self._path(info.id), info.id).kept_seq() < info.seq

    def _path(self, campaign_id: str) -> Path:
        return self._folder / f"{campaign_id}.csv"
