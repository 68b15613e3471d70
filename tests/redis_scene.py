"""A Redis that trouble befalls, workers on it, a simulator, and the judge of campaigns that were sent meanwhile."""

import csv
import itertools
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from campaign_files import number
from installation import report
from outreach_command import Outreach, wait_until
from redis_process import RedisProcess
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker import wiring
from worker.ledger.states import Event
from worker.pipeline.intake import take_in
from worker.settings import load_settings
from worker.tasks.command import worker_command

RESUMED_S = 10.0
"""How long the first effect may take once Redis is back. Measured: 0.1 to 1.6 s, on two busy cores."""


class Scene:
    """Workers as they run elsewhere than `outreach run`, on a Redis of their own."""

    def __init__(self, folder: Path, *, workers: int = 2, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        self.redis = RedisProcess(folder / "redis")
        self._stack.callback(self.redis.stop)
        arguments = ("--no-patterns", "--setup-ms", "20", "--flex-per-s", "0", "--latency-ms", "40")
        self.twilio = SimulatorProcess(folder, *arguments)
        self._stack.callback(self.twilio.stop)
        self.site = Outreach(
            folder,
            self.twilio.url,
            OUTREACH_REDIS_URL=self.redis.url,
            **{"OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "30", "OUTREACH_CONCURRENCY": "8", **environ},
        )
        self.settings = load_settings(self.site.environ, None)
        self.bench = wiring.build(self.settings, wiring.connect(self.redis.url))
        self._stack.callback(self.bench.ledger.client.close)
        self.zygote = self._stack.enter_context(Zygote())
        self.log = folder / "workers.log"
        self.workers: list[Forked] = []
        self._first = itertools.count(0, 1_000)
        for _ in range(workers):
            self.start_worker()
        wait_until(lambda: len(self.bench.registry.workers()) >= workers, timeout_s=60)

    def start_worker(self) -> None:
        """Start a worker."""
        environ, folder = self.site.environ, self.site.folder
        self.workers.append(self.zygote.start(worker_command(8), environ, cwd=folder, log=self.log))

    def close(self) -> None:
        """End everything."""
        self.redis.resume()
        for worker in self.workers:
            worker.kill()
        self._stack.close()

    def begin(self, rows: int, sent: int = 8, *changes: tuple[str, str]) -> str:
        """Begin a campaign of customers that no other had; its id, once so many have their message."""
        first = next(self._first)
        name = ('name = "spring"', f'name = "spring-{first}"')
        self.site.write([number(first + at) for at in range(rows)], name, *changes)
        files = (self.site.definition, self.site.customers)
        intake = take_in(self.bench.ledger, self.bench.registry, self.settings, *files)
        wait_until(lambda: self.sent(intake.campaign_id) >= sent, timeout_s=60)
        return intake.campaign_id

    def effects(self, campaign_id: str, kind: str) -> list[dict[str, Any]]:
        """Return what Twilio did for a campaign."""
        return [one for one in self.twilio.journal(kind) if one.get("key", "").startswith(f"{campaign_id}:")]

    def sent(self, campaign_id: str) -> int:
        """Count a campaign's messages."""
        return len(self.effects(campaign_id, "message"))

    def resumes(self, campaign_id: str, back_s: float, sent: int) -> float:
        """Wait for the next message after the `sent` ones; how long after Redis was back it came. Printed, too."""
        wait_until(lambda: self.sent(campaign_id) > sent, timeout_s=60)
        took_s = time.monotonic() - back_s
        report(f"resumed {took_s:.2f} s after Redis was back")
        return took_s

    def said(self, since: int = 0) -> str:
        """Return what the workers have said."""
        return self.log.read_text(errors="replace")[since:]

    def wait_said(self, words: str, since: int = 0) -> None:
        """Wait until a worker has said so."""
        wait_until(lambda: words in self.said(since), timeout_s=40)

    def status(self, code: int = 0) -> str:
        """Return what `outreach status` says of the latest campaign, or complains of."""
        done = self.site("status", self.bench.registry.ids()[0], code=code)
        return done.stdout + done.stderr

    def finish(self, campaign_id: str, timeout_s: float = 60) -> list[dict[str, str]]:
        """Wait until the results file says that nothing is left; its rows."""
        path = self.settings.results_dir_or_default / f"{campaign_id}.csv"
        wait_until(lambda: path.exists() and "pending" not in _words(path), timeout_s)
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def judge(self, campaign_id: str, rows: int) -> None:
        """See that every row was accepted, by the message that Twilio sent, once, and that no agent has an empty task."""
        results = self.finish(campaign_id)
        messages = self.effects(campaign_id, "message")
        assert Counter(row["outreach_status"] for row in results) == {"accepted": rows}
        assert Counter(one["key"] for one in messages) == {
            f"{campaign_id}:{row}:1": 1 for row in range(1, rows + 1)
        }
        assert {row["message_sid"] for row in results} == {one["message_sid"] for one in messages}
        closed = {one["interaction_sid"] for one in self.twilio.journal("interaction_closed")}
        opened = [
            one for one in self.effects(campaign_id, "interaction") if one["interaction_sid"] not in closed
        ]
        assert len(opened) == rows
        assert all(one["customer_in"] for one in opened)

    def stories(self, campaign_id: str) -> Counter[Event]:
        """Count the events of all rows' stories."""
        rows = self.bench.registry.get(campaign_id).rows
        records = self.bench.ledger.iter_rows(campaign_id, rows, cells=False)
        return Counter(entry.event for _, record, _, _ in records for entry in record.story)


def _words(path: Path) -> set[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["outreach_status"] for row in csv.DictReader(file)}
