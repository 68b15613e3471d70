"""An installation whose Redis outlives its workers, with the ledger open beside: what tests of several processes watch."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
from campaign_files import number
from outreach_command import COMMAND, Outreach
from zygote import Forked, Zygote

from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.states import State
from worker.pipeline.intake import take_in
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings

CELERY = (sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-P", "threads", "-c", "16")


class Installation(Outreach):
    """An account of its own, by `name`, with an embedded Redis that runs as long as the test has it."""

    def __init__(self, folder: Path, twilio_url: str, zygote: Zygote, name: str, **environ: str) -> None:
        (folder / name).mkdir()
        self._forks = zygote
        account = f"AC{name.encode().hex():0>32}"
        super().__init__(folder / name, twilio_url, TWILIO_ACCOUNT_SID=account, **environ)
        self.account = account
        self.log = self.folder / "worker.log"

    @contextmanager
    def up(self) -> Iterator["Installation"]:
        """Have Redis run meanwhile; nothing of this installation runs afterwards."""
        settings = load_settings(self.environ, self.folder / ".env")
        with EmbeddedRedis(self.home).hold() as url, redis.Redis.from_url(url) as client:
            self.settings = settings
            self.ledger = Ledger(client, settings.account_tag)
            self.registry = Registry(client, settings.account_tag)
            try:
                yield self
            finally:
                self._forks.close()  # while somebody else uses Redis: else nobody is left to stop it
        self.close()

    def fork(self, *command: str, **environ: str) -> Forked:
        """Start `outreach COMMAND …`, or a worker by its whole command, from warm; what it says goes to `log`."""
        whole = command if command[0] == sys.executable else (*COMMAND, *command)
        return self._forks.start(whole, self.environ | environ, cwd=self.folder, log=self.log)

    def said(self) -> str:
        """Give what has been said into `log`."""
        return self.log.read_text() if self.log.exists() else ""

    def load(self, rows: int, *changes: tuple[str, str], first: int = 0) -> str:
        """Take a campaign of so many customers in; its id."""
        self.write([number(row) for row in range(first, first + rows)], *changes)
        intake = take_in(self.ledger, self.registry, self.settings, self.definition, self.customers)
        return intake.campaign_id

    def info(self, campaign_id: str) -> CampaignInfo:
        """Read a campaign."""
        return self.registry.get(campaign_id)

    def states(self, campaign_id: str) -> dict[State, int]:
        """Count the rows by state."""
        return {state: n for state, n in self.info(campaign_id).counts.items() if n}

    def ready(self) -> int:
        """Count the workers that have shown themselves and are not known to be gone."""
        return len(self.registry.workers())


def times(requests: Sequence[dict[str, Any]]) -> list[float]:
    """Give the moments of requests or effects, in order."""
    return sorted(float(one["at"]) for one in requests)


def longest_gap(moments: Sequence[float]) -> float:
    """Give the longest time between two moments that follow each other."""
    return max(after - before for before, after in pairwise(moments))


def report(figures: str) -> None:
    """Show what was measured to whoever runs the test with `-s`."""
    print(f"\n{figures}")  # noqa: T201


def elapsed(began: float) -> float:
    """Give the seconds since a moment of the monotonic clock."""
    return time.monotonic() - began
