"""Start Celery workers as child processes, keep them alive, and take them down; none outlives this process."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ops.cli.spawning import spawn, take_early
from worker.errors import OutreachError
from worker.settings import Settings
from worker.tasks.command import OPEN_NO_MORE, begin_line, threads_for

_TWO_PROCESSES_FROM_PER_S = 80.0
_MOST_DEATHS = 5
_DEATHS_WITHIN_S = 60.0
# A worker ends softly by itself: a request has its deadline, and what waits goes back to the ledger.
_GRACE_S = 60.0


class WorkersDieError(OutreachError):
    """Report that workers die as often as they are started."""

    exit_code = 3


def processes_and_threads(settings: Settings) -> tuple[int, int]:
    """Return how many worker processes to start, and the threads of each."""
    pace_per_s = sum(each.account_interactions_per_s for each in settings.everyone())
    processes = 2 if pace_per_s > _TWO_PROCESSES_FROM_PER_S else 1
    return processes, threads_for(settings, processes)


@dataclass
class WorkerProcesses:
    """The worker processes of one command, each of which begins with a line on its stdin.

    `log` takes what they say; with `verbose` stderr does.
    """

    command: Sequence[str]
    processes: int
    log: Path
    verbose: bool = False
    threads: int = 1
    log_level: str = "INFO"
    _children: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _deaths_at: list[float] = field(default_factory=list)
    _pipe: tuple[int, int] | None = None

    @property
    def started(self) -> bool:
        """Tell whether workers were started and not yet taken down."""
        return bool(self._children)

    def start(self) -> None:
        """Start all processes; the one that was started early is the first."""
        early = take_early()
        # The children hold the reading end; it ends for them when this process is gone, however it went.
        self._pipe = early[1] if early else os.pipe()
        first = [early[0]] if early else []
        self._children = first + [self._spawn() for _ in range(self.processes - len(first))]
        for child in self._children:
            self._begin(child)

    def tend(self) -> int:
        """Start those again that have died; return how many.

        Raises: WorkersDieError where that happens again and again.
        """
        dead = [child for child in self._children if child.poll() is not None]
        for child in dead:
            self._note_death()
            self._children[self._children.index(child)] = born = self._spawn()
            self._begin(born)
        return len(dead)

    def ask_to_open_no_more(self) -> None:
        """Let them open no row any more and finish the open ones; may be said again and again."""
        self._signal(OPEN_NO_MORE)

    def ask_to_stop(self) -> None:
        """Let them take nothing new and finish what they have in hand."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End them at once; what they had in hand is looked up by whoever goes on."""
        self._signal(signal.SIGKILL)

    def all_gone(self) -> bool:
        """Tell whether every process has ended; reaps them."""
        return all(child.poll() is not None for child in self._children)

    def wait_gone(self, seconds: float) -> None:
        """Wait until every process has ended, or `seconds` are over."""
        deadline = time.monotonic() + seconds
        while not self.all_gone() and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Take them down: softly, and by force after `grace_s`."""
        self.ask_to_stop()
        self.wait_gone(grace_s)
        self.close()

    def close(self) -> None:
        """Kill what is still there, and forget them all."""
        self.kill()
        for child in self._children:
            child.wait()
            if child.stdin:
                child.stdin.close()
        self._children = []
        if self._pipe:
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    def _spawn(self) -> "subprocess.Popen[bytes]":
        assert self._pipe
        with _append_privately(self.log) as log:
            # Never stdout, which is for answers.
            return spawn(self.command, self._pipe[0], sys.stderr.fileno() if self.verbose else log.fileno())

    def _begin(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdin
        # One that has died is started again when it is tended.
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(begin_line(self.threads, self.log_level, None if self.verbose else self.log))

    def _note_death(self) -> None:
        now = time.monotonic()
        self._deaths_at = [at for at in self._deaths_at if at > now - _DEATHS_WITHIN_S] + [now]
        if len(self._deaths_at) > _MOST_DEATHS:
            where = "above" if self.verbose else f"in {self.log}"
            raise WorkersDieError(
                f"Workers were started {len(self._deaths_at)} times within a minute and died each time.",
                f"Their last words are {where}; run the command again when the cause is gone.",
            )

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.poll() is None:
                child.send_signal(number)


def _append_privately(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
