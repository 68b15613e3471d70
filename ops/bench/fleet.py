"""A fleet for the benchmarks: real worker processes with a Redis of their own, and a simulator of Twilio for each account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from campaigns.definition import parse_definition
from campaigns.identity import address_hash
from ops.bench.processes import wait_for
from worker.ledger.keys import BUCKET
from worker.ledger.ledger import Ledger, LoadRow
from worker.ledger.registry import Registry
from worker.ledger.row import pack_new
from worker.ledger.states import State
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings
from worker.tasks.command import worker_command

LATENCY_MS = 50
STARTS_WITHIN_S = 60.0
_PROJECT = Path(__file__).resolve().parents[2]
_DEFINITION = """\
name = "bench"
channel = "sms"
from = "+19252210100"
to = "{{ phone }}"
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
worker_sid = "WK11223344556677889900aabbccddeeff"
task_channel = "chat"
[message]
body = "Hello"
[pacing]
"""


@dataclass
class Account:
    """An account with a simulator of its own and a ledger in the fleet's Redis; no two of its campaigns share a customer."""

    simulator: str
    ledger: Ledger
    registry: Registry
    _people: int = 0
    _campaigns: int = 0
    _running: list[str] = field(default_factory=list)

    def begin(self, rows: int, pacing: str = "") -> str:
        """Load and start a campaign of so many rows; its id."""
        self._campaigns += 1
        campaign_id = f"bench-{self._campaigns}"
        parsed = parse_definition(_DEFINITION + pacing, "campaign.toml")
        fields = {"name": "bench", "definition": parsed.canonical_json(), "columns": '["phone"]'}
        assert self.registry.create(campaign_id, {**fields, "file_sha256": "0" * 64}).ok
        for first in range(0, rows, BUCKET):
            chunk = [self._row() for _ in range(min(BUCKET, rows - first))]
            assert self.ledger.load_rows(campaign_id, first + 1, chunk).ok
        assert self.registry.start(campaign_id, rows).ok
        self._running.append(campaign_id)
        return campaign_id

    def accepted(self, *campaigns: str) -> list[int]:
        """Count the rows of each campaign whose message was accepted."""
        return [self.registry.get(each).counts[State.ACCEPTED] for each in campaigns]

    def all_accepted(self) -> int:
        """Count them of all campaigns."""
        return sum(self.accepted(*self._running))

    def opened(self, *campaigns: str) -> list[int]:
        """Count the slots of the account's pace that rows of each campaign took."""
        slots = {one.id: one.slots for one in self.registry.standings()}
        return [slots[each] for each in campaigns]

    def pause(self) -> None:
        """Pause all campaigns, and wait until nothing of them is in hand."""
        for each in self._running:
            self.registry.pause(each, "bench")
        wait_for(lambda: not any(self._in_hand(each) for each in self._running), "what is in hand", 90)

    def resume(self) -> None:
        """Let all campaigns go on."""
        for each in self._running:
            self.registry.resume(each)

    def _in_hand(self, campaign_id: str) -> int:
        info = self.registry.get(campaign_id)
        return info.in_flight + info.in_doubt

    def misbehave(self, **settings: Any) -> None:
        """Have this account's Twilio do so from now on."""
        body = json.dumps(settings).encode()
        request = urllib.request.Request(
            f"{self.simulator}/_sim/settings", body, {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60):
            pass

    def _row(self) -> LoadRow:
        area, rest = divmod(self._people, 2_000_000)
        self._people += 1
        phone = f"+1{(212, 415, 305, 617)[area]}{600 + rest // 10_000}{rest % 10_000:04d}"
        return LoadRow((phone,), pack_new(State.PENDING, address_hash(phone)))


@contextmanager
def fleet(pace_per_s: Sequence[float], *, processes: int = 1, threads: int = 64) -> Iterator[list[Account]]:
    """Start workers that serve an account for each of these paces, which no simulator limits besides."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        url = stack.enter_context(EmbeddedRedis(home).hold())
        simulators = [stack.enter_context(_simulator()) for _ in pace_per_s]
        environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("OUTREACH_", "TWILIO_"))
            },
            "OUTREACH_HOME": str(home),
            "OUTREACH_SETTLE_S": "1,2,4",
            "OUTREACH_CONCURRENCY": str(threads),
            "OUTREACH_ACCOUNTS": ",".join(f"account{number}" for number in range(1, len(pace_per_s))),
            "PYTHONPATH": str(_PROJECT),
        }
        for number, (simulator, per_s) in enumerate(zip(simulators, pace_per_s, strict=True)):
            end = f"__ACCOUNT{number}" if number else ""
            environ[f"TWILIO_ACCOUNT_SID{end}"] = f"AC{number:032x}"
            environ[f"TWILIO_AUTH_TOKEN{end}"] = "token"
            environ[f"OUTREACH_TWILIO_BASE_URL{end}"] = simulator
            environ[f"OUTREACH_ACCOUNT_INTERACTIONS_PER_S{end}"] = f"{per_s:g}"
        client = stack.enter_context(redis.Redis.from_url(url))
        settings = load_settings(environ, Path(folder) / ".env").everyone()
        accounts = [
            Account(simulator, Ledger(client, each.account_tag), Registry(client, each.account_tag))
            for simulator, each in zip(simulators, settings, strict=True)
        ]
        for _ in range(processes):
            stack.enter_context(_worker(environ, Path(folder), threads))
        for account in accounts:
            found = account.registry.workers
            what = "the workers to start"
            wait_for(lambda: len(found()) == processes, what, STARTS_WITHIN_S)  # noqa: B023  asked at once
        yield accounts


@contextmanager
def _simulator() -> Iterator[str]:
    command = [sys.executable, "-m", "ops.simulator", "--exit-with-parent", "--latency-ms", str(LATENCY_MS)]
    limits = ["--setup-ms", "20", "--flex-per-s", "0", "--task-lookups-per-s", "0"]
    with _ending(
        subprocess.Popen([*command, *limits], cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ) as it:
        assert it.stdout
        yield it.stdout.readline().decode().strip().removeprefix("listening on ")


@contextmanager
def _worker(environ: Mapping[str, str], folder: Path, threads: int) -> Iterator[None]:
    with (folder / "worker.log").open("ab") as log:
        command = worker_command(threads, "WARNING")
        with _ending(subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)):
            yield


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.kill()
