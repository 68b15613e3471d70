"""Keep the results file fresh while a campaign runs, beside everything else the command does."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from worker.errors import OutreachError
from worker.pipeline.results import RefreshSchedule

_LOOK_EVERY_S = 0.5


class ResultsKeeper:
    """Writes the results file at the times that the schedule gives, from a thread of its own."""

    def __init__(self, write: Callable[[], Path]) -> None:
        self._write = write
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="results", daemon=True)
        self.complaint = ""
        self.path: Path | None = None

    def __enter__(self) -> "ResultsKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def write(self) -> None:
        """Write it now; where that can't be done, `complaint` says why."""
        try:
            self.path = self._write()
            self.complaint = ""
        except OutreachError as error:
            self.complaint = str(error)

    def _keep(self) -> None:
        schedule = RefreshSchedule(time.monotonic)
        while not self._ended.wait(_LOOK_EVERY_S):
            if schedule.is_due:
                began = time.monotonic()
                self.write()
                schedule.wrote(time.monotonic() - began)
