"""Where processes are killed on purpose: one installation, a simulator, real workers, and the judge of what came out."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outreach_command import Outreach
from simulator_calls import Calls
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker import wiring
from worker.effects import CRASH_AT
from worker.ledger.states import State
from worker.pipeline.intake import carry_out, decide
from worker.pipeline.results_files import ResultsFile
from worker.redis_server import redis_url
from worker.settings import load_settings
from worker.tasks.command import worker_command

SENDER = "+14155550199"
DEADLINE_S = 120.0


@dataclass(frozen=True)
class Way:
    """A small campaign, what its rows must come to, and what happens around it.

    `before` is told the campaign's id before its rows are loaded. `meanwhile` is called again and again until the end.
    """

    numbers: Sequence[str]
    expected: Sequence[str]
    top: str = ""
    rest: str = ""
    before: Callable[["CrashYard", str], None] = lambda _yard, _id: None
    meanwhile: Callable[["CrashYard", str], None] = lambda _yard, _id: None
    simulator: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


class CrashYard:
    """One installation whose workers die where they are told to."""

    def __init__(self, folder: Path, simulator: SimulatorProcess) -> None:
        self.simulator = simulator
        self.crash_file = folder / "crash"
        more = {CRASH_AT: str(self.crash_file), "OUTREACH_CONCURRENCY": "8", "OUTREACH_SETTLE_S": "0.3,0.6"}
        self.installation = Outreach(folder, simulator.url, **more)
        self._stack = ExitStack()
        settings = load_settings(self.installation.environ, None)
        self.settings = settings
        url = self._stack.enter_context(redis_url(settings))
        self.bench = wiring.build(settings, wiring.connect(url))
        self.ledger, self.registry = self.bench.ledger, self.bench.registry
        self.calls = Calls(simulator.url, (settings.account_sid, "secret-token"))
        self._zygote = self._stack.enter_context(Zygote())
        self._worker: Forked | None = None
        self._log = folder / "worker.log"
        self._campaigns = 0

    def close(self) -> None:
        """End everything."""
        self.stop_worker()
        self.calls.close()
        self.bench.ledger.client.close()
        self._stack.close()
        self.installation.close()

    # Workers ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Give the worker's process number."""
        assert self._worker
        return self._worker.pid

    def has_died(self) -> bool:
        """Tell whether the worker has died by SIGKILL; it must not end in any other way."""
        if self._worker is None or self._worker.poll() is None:
            return False
        assert self._worker.returncode == -signal.SIGKILL, f"it ended with {self._worker.returncode}"
        return True

    def have_worker(self, **settings: str) -> None:
        """Start a worker unless one lives."""
        if self._worker is None or self._worker.poll() is not None:
            folder = self.installation.folder
            environ = self.installation.environ | settings
            self._worker = self._zygote.start(worker_command(8), environ, cwd=folder, log=self._log)

    def stop_worker(self) -> None:
        """End the worker at once."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    # Crash points -------------------------------------------------------------------------------------------

    def arm(self, point: str) -> None:
        """Have the first process that passes `point` die there."""
        self.struck_file.unlink(missing_ok=True)
        fresh = self.crash_file.with_suffix(".new")
        fresh.write_text(point)
        fresh.rename(self.crash_file)

    @property
    def struck_file(self) -> Path:
        """Name the file that tells that somebody has died at the point."""
        return Path(f"{self.crash_file}.struck")

    # Campaigns ----------------------------------------------------------------------------------------------

    def write(self, way: Way) -> None:
        """Write a way's definition and customers, under a name of its own."""
        self._campaigns += 1
        name = f'name = "way-{self._campaigns}"\n'
        self.installation.write(way.numbers, ('name = "spring"\n', name + way.top))
        with self.installation.definition.open("a") as definition:
            definition.write(way.rest)
        self._forget_what_was()
        self.simulator.reset(settings=True)
        self.simulator.settings(**{"setup_ms": 30, "flex_per_s": 0, "task_lookups_per_s": 0, **way.simulator})

    def _forget_what_was(self) -> None:
        """Have nothing of earlier ways asked for any more, and no pace slowed: one 403 stops all polls for five minutes."""
        client, prefix = self.ledger.client, self.ledger.prefix
        client.delete(f"{prefix}polling", *client.scan_iter(f"{prefix}pace:*"))

    def load(self, way: Way) -> str:
        """Take a way's campaign in; its id."""
        self.write(way)
        decision = decide(
            self.registry, self.settings, self.installation.definition, self.installation.customers
        )
        way.before(self, decision.campaign_id)
        return carry_out(self.ledger, self.registry, self.settings, decision).campaign_id

    def wait(self, done: Callable[[], Any], way: Way, campaign_id: str, what: str) -> None:
        """Wait until `done`, letting happen what the way wants to happen meanwhile."""
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.describe(campaign_id)}"
            way.meanwhile(self, campaign_id)
            time.sleep(0.02)

    def is_over(self, campaign_id: str) -> bool:
        """Tell whether all rows have ended, all that is owed is closed, and the results file says so."""
        info = self.registry.find(campaign_id)
        if info is None or info.state == "loading" or info.left or self.ledger.to_close_count(campaign_id):
            return False
        path = self.installation.results / f"{campaign_id}.csv"
        return ResultsFile(path, campaign_id).kept_seq() >= info.seq

    def describe(self, campaign_id: str) -> str:
        """Say how a campaign stands, for a test that failed."""
        info = self.registry.find(campaign_id)
        states = {state.name: n for state, n in info.counts.items() if n} if info else {}
        log = self._log.read_text(errors="replace")[-2000:]
        return f"{info and info.state} {states}, struck: {self.struck_file.exists()}\n{log}"

    # The judge ----------------------------------------------------------------------------------------------

    def judge(self, way: Way, campaign_id: str) -> None:
        """Hold the results file against the simulator's journal."""
        results = self.installation.rows(campaign_id)
        assert [row["outreach_row"] for row in results] == [str(at + 1) for at in range(len(way.numbers))]
        assert [row["outreach_status"] for row in results] == list(way.expected), results
        assert all(row["outreach_reason"] for row in results if row["outreach_status"] != "accepted")
        effects = self.simulator.journal()
        mine = [one for one in effects if str(one.get("key", "")).startswith(f"{campaign_id}:")]
        messages = Counter(one["address"] for one in mine if one["effect"] == "message")
        accepted = {row["message_sid"] for row in results if row["outreach_status"] == "accepted"}
        assert all(count == 1 for count in messages.values()), f"contacted twice: {messages}"
        sent = {one["message_sid"] for one in mine if one["effect"] == "message"}
        if "needs_review" not in way.expected:
            assert sent == accepted
        closed = {one["interaction_sid"] for one in effects if one["effect"] == "interaction_closed"}
        ended = {one["conversation_sid"] for one in effects if one["effect"] == "conversation_closed"}
        left = [
            one
            for one in mine
            if one["effect"] == "interaction"
            and one["interaction_sid"] not in closed
            and one["conversation_sid"] not in ended
        ]
        with_message = {one["conversation_sid"] for one in mine if one["effect"] == "message"}
        if "needs_review" not in way.expected:
            assert all(one["conversation_sid"] in with_message for one in left), (
                f"left without a message: {left}"
            )


def stop_with_slots_ahead(yard: CrashYard, campaign_id: str) -> None:
    """Stop the worker for a moment as soon as rows wait for their slots, so that it wakes late for them."""
    if yard.struck_file.exists() or yard.has_died():
        return
    info = yard.registry.find(campaign_id)
    # One of them may be asking Twilio: at least two wait for slots, and the first of these has one behind it to lose.
    if info and info.counts[State.OPENING] >= 3:
        with suppress(ProcessLookupError):  # it died at its crash point just now
            os.kill(yard.pid, signal.SIGSTOP)
            time.sleep(0.6)  # it is the length of the stop, not a wait for anything
            os.kill(yard.pid, signal.SIGCONT)
