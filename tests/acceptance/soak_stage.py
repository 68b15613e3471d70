"""The processes of a soak: simulator, Redis, workers and producer; struck, and started again as a supervisor would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis
from campaign_files import CampaignFiles
from simulator_process import SimulatorProcess
from soak_plan import WORKERS, Strike
from zygote import Zygote

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.row import Story
from worker.redis_binary import find_server, server_options
from worker.settings import load_settings
from worker.tasks.command import worker_command

THREADS = 16
LOOKUP_LAG_S = 1.0
# Absence is believed from the last but one on: long after the look-ups' lag.
SETTLE_S = "1,2,5,15"
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
_AGAIN_S = 0.5
HANGS_FROM_ROWS = 1_000
"""A request without an answer takes 20 s: too long for a short soak."""
FAULTS = {
    "fault": {
        "429": 0.02,
        "500_before": 0.01,
        "500_after": 0.03,
        "cut_before": 0.01,
        "cut_after": 0.03,
        "unreadable": 0.02,
        "truncated": 0.01,
    },
    "fault-getters": {"500_before": 0.02, "cut_before": 0.02, "429": 0.01},
    "fault-close": {"500_before": 0.05, "500_after": 0.05, "cut_after": 0.05},
}


@dataclass
class Place:
    """Where one process runs, and the next one after its end."""

    name: str
    start: Callable[[], Any]
    process: Any = None
    again_at: float | None = 0.0
    continue_at: float | None = None
    starts: int = 0
    codes: list[int] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        """Tell whether its process lives and runs."""
        return self.process is not None and self.process.poll() is None and self.continue_at is None

    def strike(self, way: str, lasts_s: float) -> None:
        """Send the signal; what dies of it comes back `lasts_s` after its end."""
        now = time.monotonic()
        self.process.send_signal(_SIGNALS[way])
        if way == "stop":
            self.continue_at = now + lasts_s
        else:
            self.continue_at, self.again_at = None, now + lasts_s

    def tend(self) -> None:
        """Continue or start what is due."""
        now = time.monotonic()
        if self.continue_at is not None and now >= self.continue_at:
            self.continue_at = None
            self.process.send_signal(signal.SIGCONT)
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            self.codes.append(code)
            self.process = None
            self.again_at = max(self.again_at or 0.0, now if self.again_at else now + _AGAIN_S)
        if self.again_at is not None and now >= self.again_at:
            self.again_at = None
            self.process = self.start()
            self.starts += 1


class Stage:
    """All that a soak runs, in `folder`."""

    def __init__(self, folder: Path, *, rows: int, per_s: float, seed: int) -> None:
        self._folder = folder
        self.simulator = SimulatorProcess(
            folder, *_simulator_options(seed, per_s, hangs=rows >= HANGS_FROM_ROWS)
        )
        self.socket = folder / "redis.sock"
        more = {
            "OUTREACH_REDIS_URL": f"unix://{self.socket}?db=0",
            "OUTREACH_SETTLE_S": SETTLE_S,
            "OUTREACH_CONCURRENCY": str(THREADS),
        }
        self.files = CampaignFiles(folder, self.simulator.url, rows=rows, per_s=per_s, name="soak", **more)
        self._zygote = Zygote()
        (folder / "redis").mkdir()
        self.redis = Place("redis", self._start_redis)
        self.workers = [Place(f"worker-{at}", self._start_worker) for at in range(WORKERS)]
        self.producer = Place("producer", self._start_producer)
        self.places = [self.redis, *self.workers, self.producer]
        self.redis.tend()
        self.wait_for_redis()

    def tend(self) -> None:
        """Start what is due; Redis first, as the others need it."""
        for place in self.places:
            if place is self.redis or self.redis.process is not None:
                place.tend()

    def find_victims(self, strike: Strike) -> list[Place]:
        """Find whom a strike hits: another worker where its own is stopped or away; nobody where all are."""
        if strike.victim == "everything":
            return [place for place in self.places if place.process is not None]
        order = [self.workers[(strike.who + at) % WORKERS] for at in range(WORKERS)]
        if strike.way == "stop" and sum(place.continue_at is not None for place in order) > WORKERS - 2:
            return []
        own = {"worker": order, "producer": [self.producer], "redis": [self.redis]}[strike.victim]
        return [place for place in own if place.is_up][:1]

    def strike(self, strike: Strike, victims: list[Place]) -> None:
        """Hit them."""
        for place in victims:
            place.strike(strike.way, strike.lasts_s)
        if strike.victim == "everything":
            for process in self._crews():
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def stories(self) -> Iterator[Sequence[Story]]:
        """Read every row's story from the ledger."""
        tag = load_settings(self.files.environment, None).account_tag
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            ledger, registry = Ledger(client, tag), Registry(client, tag)
            for campaign_id in registry.ids():
                for _, record, _, _ in ledger.iter_rows(
                    campaign_id, registry.get(campaign_id).rows, cells=False
                ):
                    yield record.story

    def wait_for_redis(self) -> None:
        """Wait until Redis answers."""
        client = redis.Redis(unix_socket_path=str(self.socket))
        deadline = time.monotonic() + 30
        while True:
            try:
                client.ping()
            except redis.RedisError:
                assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()[-2000:]
                time.sleep(0.02)
            else:
                client.close()
                return

    def close(self) -> None:
        """End everything."""
        for place in self.workers:
            if place.process is not None:
                place.process.send_signal(signal.SIGCONT)
        self._zygote.close()
        for process in self._crews():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.redis.process is not None:
            self.redis.process.kill()
            self.redis.process.wait()
        self.simulator.stop()

    def _crews(self) -> list[psutil.Process]:
        """Find the workers that a producer started itself while it saw no others; and those of a killed one."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                home = process.environ().get("OUTREACH_HOME")
                if home == self.files.environment["OUTREACH_HOME"] and process.pid != os.getpid():
                    found.append(process)
        return found

    def _start_redis(self) -> subprocess.Popen[bytes]:
        command = [str(find_server()), *server_options(self._folder / "redis", self.socket)]
        with (self._folder / "redis.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _start_worker(self) -> Any:
        return self._start(worker_command(THREADS, "WARNING"), "workers.log")

    def _start_producer(self) -> Any:
        run = [sys.executable, "-m", "ops.cli", "run", str(self.files.definition), str(self.files.customers)]
        return self._start(run, "producer.log")

    def _start(self, command: list[str], log: str) -> Any:
        return self._zygote.start(command, self.files.environment, cwd=self._folder, log=self._folder / log)


def _simulator_options(seed: int, per_s: float, *, hangs: bool) -> list[str]:
    faults = [
        word
        for option, kinds in FAULTS.items()
        for kind, share in kinds.items()
        for word in (f"--{option}", f"{kind}={share}")
    ]
    limits = ["--flex-per-s", str(max(20, int(per_s * 1.2))), "--task-lookups-per-s", "3"]
    faults += ["--fault", "hang_after=0.002"] if hangs else []
    beat = ["--latency-ms", "120", "--jitter-ms", "60", "--lookup-lag-s", str(LOOKUP_LAG_S)]
    return ["--no-patterns", "--seed", str(seed), *limits, *beat, *faults]
