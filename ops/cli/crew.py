"""Decide whether this command needs workers of its own, for a campaign needs some and one set is enough."""

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from ops.cli import screen, words
from ops.cli.session import Desk
from ops.cli.spawning import end_early
from ops.cli.workers import WorkerProcesses, processes_and_threads
from worker.errors import RedisUnavailableError
from worker.settings import Settings, make_home
from worker.tasks.command import ready_command

if TYPE_CHECKING:
    from worker.ledger.registry import CampaignInfo, Registry

_SEEN_WITHIN_S = 15
_LOOK_EVERY_S = 1.0


def has_live_workers(registry: "Registry") -> bool:
    """Tell whether some worker, here or elsewhere, has shown itself lately and is not known to be dead."""
    from worker.wiring import is_gone

    return any(
        facts["age_s"] <= _SEEN_WITHIN_S and not is_gone(owner) for owner, facts in registry.workers().items()
    )


def find_active(desk: Desk) -> "list[tuple[Desk, CampaignInfo]]":
    """List the campaigns and waves of all accounts that may have something left to do, as far as the accounts can be asked."""

    def ask(one: Desk) -> "list[CampaignInfo]":
        found = (one.registry.find(each) for each in one.registry.active())
        return [info for info in found if info is not None]

    return [(one, info) for one, active in desk.desks.ask_all(ask) for info in active]


def warn_of_other_campaigns(active: "list[tuple[Desk, CampaignInfo]]", desk: Desk, campaign_id: str) -> None:
    """Say which other campaigns workers will go on with, for they serve all that are running, of all accounts."""
    from worker.ledger.keys import parent_of

    for other, info in active:
        if parent_of(info.id) != campaign_id and info.state == "running" and info.left:
            account = words.account(other.settings.profile)
            whose = "" if other.settings.profile == desk.settings.profile else f" of {account}"
            screen.warn(
                f"{info.id}{whose} is unfinished too: workers go on with its {words.rows(info.left)} as well; "
                f"`outreach pause {parent_of(info.id)}` holds it back"
            )


class Crew:
    """The workers of one command, started only while nobody else has any for this account; they serve all accounts."""

    def __init__(self, main: Settings, *, verbose: bool) -> None:
        processes, threads = processes_and_threads(main)
        self._home = main.home
        self.log = main.home / "logs" / "workers.log"
        self._workers = WorkerProcesses(
            ready_command(), processes, self.log, verbose, threads, main.log_level
        )
        self._lock: int | None = None
        self._looked_at = float("-inf")

    @property
    def is_ours(self) -> bool:
        """Tell whether the workers are this command's own."""
        return self._workers.started

    def tend(self, desk: Desk) -> str:
        """Start workers where none are alive, and again those of ours that died; say what was done, if anything.

        Raises: WorkersDieError where they die again and again.
        """
        if self.is_ours:
            died = self._workers.tend()
            return (
                f"a worker process ended unexpectedly and was started again; see {self.log}" if died else ""
            )
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return ""
        self._looked_at = now
        with contextlib.suppress(RedisUnavailableError):
            if self._take_lock(desk.settings.account_tag) and not has_live_workers(desk.registry):
                self._workers.start()
            else:
                end_early()  # it got ready for nothing
        return ""

    def ask_to_open_no_more(self) -> None:
        """Let our workers open no row any more and finish the open ones."""
        self._workers.ask_to_open_no_more()

    def ask_to_stop(self) -> None:
        """Let our workers finish what they have in hand and take nothing new."""
        self._workers.ask_to_stop()

    def wait_gone(self, seconds: float) -> None:
        """Wait so long for the end of our workers, and no longer than that takes."""
        self._workers.wait_gone(seconds)

    def all_gone(self) -> bool:
        """Tell whether none of our workers is left."""
        return self._workers.all_gone()

    def close(self) -> None:
        """End what is left of our workers, at once."""
        end_early()
        self._workers.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self, account_tag: str) -> bool:
        """Take the lock by which of two commands that see no worker at the same moment one starts some."""
        if self._lock is not None:
            return True
        path = make_home(self._home) / f"workers-{account_tag}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True
