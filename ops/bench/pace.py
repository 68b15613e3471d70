"""How much of Twilio's limit does the whole fleet use, and what becomes of the pace when workers die or the limit falls?

    python -m ops.bench pace            # or, in parts: python -m ops.bench.pace [--only steady | killed | lowered]

Real worker processes send a campaign, with an embedded Redis of their own (`appendfsync always`), to a server on loopback
that stamps each request when it arrives and answers after a latency that varies by 30 % either way. The server is a lean one,
over plain HTTP, for on a small machine the simulator's own CPU time would be measured as ours.

`steady`: once the fleet is at its pace, what was used of the limit, and the most in any window of a second; the same workers and
campaign at one latency after another. What is used is counted in parts of an Interaction: at 20/s whole ones would be steps of
nearly 1 % of a short stretch. `killed`: half of those workers end by `kill -9`, and are replaced; from when on each second
holds at least 95 % of the limit again. `lowered`: the limit falls to half, calls beyond it are answered 429, and it is raised
again; five accounts, each with a worker and a Redis, as many of them at once as the machine can do.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import tempfile
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from threading import Barrier

import redis

from ops.bench.customers import ROUTING, number
from ops.bench.pacer import most_in_window
from ops.bench.processes import account_environ, wait_for
from ops.bench.report import RUNS, Answer, Chart, Draft, Figure, Goal, Series
from ops.bench.twilio_loopback import TwilioLoopback
from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.states import State
from worker.pipeline.intake import take_in
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings
from worker.tasks.command import PARENT_FD, threads_for, worker_command

WARM_S = 2.0
BACK_SHARE = 0.95
KILLED_S = 4.0
BACK_WITHIN_S = 3.0
FOLLOWED_S = 5.0
"""So long it may take until a limit that fell is followed."""
PATIENCE_S = 5.0
"""What does not come to its pace in so long is measured as it is."""
REPLACED_S = 30.0
"""There are rows for so long a time in which killed workers are replaced, and come to the pace again."""
READY_S = 60.0
"""So long accounts whose limits fall wait for each other."""
BACK_S = 65.0
"""So long it is waited until a limit that was raised again is used."""


class LimitedTwilio(TwilioLoopback):
    """A server that stamps what arrives, and takes `limit` Interactions within any second; 0: any number."""

    limit = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, is_secure=False)
        self.opened: list[float] = []
        self.refused: list[float] = []
        self.sent: list[float] = []
        self.calls = 0
        self._taken: deque[float] = deque()

    def have_latency(self, latency_s: float) -> None:
        """Answer after so long, and up to 30 % more or less; wait until what was asked before is answered."""
        before, self._latency_s = self._latency_s, (0.7 * latency_s, 1.3 * latency_s)
        if self.opened and before != self._latency_s:
            time.sleep(WARM_S)

    def refuses(self, method: bytes, path: bytes) -> bool:
        """Stamp what has an effect."""
        now = time.monotonic()
        self.calls += 1
        if method != b"POST":
            return False
        if path.endswith(b"/Messages"):
            self.sent.append(now)
            return False
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if self.limit and len(self._taken) >= self.limit:
            self.refused.append(now)
            return True
        self._taken.append(now)
        self.opened.append(now)
        return False


class Fleet:
    """Worker processes of one account, with a home and a Redis of their own."""

    def __init__(self, folder: Path, per_s: float) -> None:
        folder.mkdir(parents=True)
        self.per_s, self.folder, self.server = per_s, folder, LimitedTwilio(folder)
        self._environ = account_environ(self.server.url, folder / "home", per_s)
        self._settings = load_settings(self._environ, folder / ".env")
        self._workers: list[subprocess.Popen[bytes]] = []
        # The workers hold the reading end: they end with this process, however it goes.
        self._pipe = os.pipe()

    @contextmanager
    def up(self, processes: int) -> Iterator[Fleet]:
        """Have the server, Redis and workers run meanwhile."""
        with (
            self.server.up(),
            EmbeddedRedis(self._settings.home).hold() as url,
            redis.Redis.from_url(url) as client,
        ):
            self._ledger = Ledger(client, self._settings.account_tag)
            self._registry = Registry(client, self._settings.account_tag)
            try:
                self.start(processes)
                yield self
            finally:
                # Nobody is going to ask for what they have in hand.
                for worker in self._workers:
                    worker.kill()
                    worker.wait()
                for end in self._pipe:
                    os.close(end)

    def start(self, processes: int) -> None:
        """Start so many workers, and wait until all show themselves."""
        command = worker_command(threads_for(self._settings), "WARNING")
        environ = self._environ | {PARENT_FD: str(self._pipe[0])}
        with (self.folder / "workers.log").open("a") as log:
            self._workers += [
                subprocess.Popen(
                    command, env=environ, cwd=self.folder, stdout=log, stderr=log, pass_fds=self._pipe[:1]
                )
                for _ in range(processes)
            ]
        wait_for(lambda: len(self._registry.workers()) == len(self._workers), "the workers to start")

    def kill_half(self) -> float:
        """Kill half of the workers, and tell when."""
        half = self._workers[: len(self._workers) // 2]
        self._workers = self._workers[len(half) :]
        for worker in half:
            worker.kill()
        at_s = time.monotonic()
        for worker in half:
            worker.wait()
        return at_s

    def send(self, latency_s: float, seconds: float) -> float:
        """Begin a campaign with rows for so many seconds at the pace, and come to it.

        What is left over when all was measured is not sent: the workers end before it.
        """
        definition, customers = self.folder / "campaign.toml", self.folder / "customers.csv"
        definition.write_text(DEFINITION)
        rows = ceil(self.per_s * (PATIENCE_S + WARM_S + seconds))
        customers.write_text("phone\n" + "".join(f"{number(row)}\n" for row in range(rows)))
        self.server.have_latency(latency_s)
        taken = take_in(self._ledger, self._registry, self._settings, definition, customers)
        self._campaign_id = taken.campaign_id
        return self.come_to_pace()

    def come_to_pace(self) -> float:
        """Wait until a second holds most of the limit, or some have gone by without, and then for what is settling still.

        Return how long the former took; infinite where it was given up.
        """
        before = len(self.server.opened)
        wait_for(lambda: len(self.server.opened) > before, "the first Interaction")
        began_s, came_s = time.monotonic(), math.inf
        while came_s == math.inf and (now := time.monotonic()) < began_s + PATIENCE_S:
            if len(within(self.server.opened, now - 1, now)) >= BACK_SHARE * self.per_s:
                came_s = now - began_s
            time.sleep(0.05)
        time.sleep(WARM_S - 1)
        return came_s

    def must_have_rows(self) -> None:
        """See that rows were left to the end of what was measured.

        Raises: RuntimeError if not: then it was not the pace that was measured.
        """
        if not self._registry.get(self._campaign_id).counts[State.PENDING]:
            raise RuntimeError("The campaign had no rows left before all was measured.")


DEFINITION = f"""\
name = "pace"
channel = "whatsapp"
from = "whatsapp:+19252210100"
to = "{{{{ phone }}}}"
{ROUTING}[message]
author = "Renewals team"
content_sid = "HX3a4b5c6d7e8f90123456789abcdef012"
"""


def within(stamps: Sequence[float], begin_s: float, end_s: float) -> list[float]:
    """Give the stamps between two moments."""
    return [at_s for at_s in stamps if begin_s <= at_s < end_s]


def used(stamps: Sequence[float], begin_s: float, end_s: float, per_s: float) -> float:
    """Say how much of a limit was used between two moments, %: with the part of the way to the next stamp at both of them."""
    return 100 * (_passed(stamps, end_s) - _passed(stamps, begin_s)) / (per_s * (end_s - begin_s))


def _passed(stamps: Sequence[float], at_s: float) -> float:
    whole = bisect_right(stamps, at_s)
    if not 0 < whole < len(stamps):
        return whole
    before_s, after_s = stamps[whole - 1], stamps[whole]
    return whole + (at_s - before_s) / (after_s - before_s)


@dataclass(frozen=True, slots=True)
class Steady:
    """What was seen of an undisturbed pace: by stretch the share used, and the most in a second of it."""

    name: str
    per_s: float
    used: tuple[float, ...]
    most: tuple[float, ...]
    most_sent: tuple[float, ...]

    @property
    def is_met(self) -> bool:
        """Tell whether it was nearly all of the limit, and never more than one over it."""
        return median(self.used) >= 98 and max(self.most) <= self.per_s + 1


def steady(fleet: Fleet, processes: int, latency_s: float, stretch_s: float) -> Steady:
    """Measure five stretches, one after another, of what the fleet is sending."""
    fleet.server.have_latency(latency_s)
    began_s = time.monotonic()
    time.sleep(RUNS * stretch_s + 2 / fleet.per_s)  # the one after the last stretch is part of it
    fleet.must_have_rows()
    starts = [began_s + n * stretch_s for n in range(RUNS)]
    opened, sent = list(fleet.server.opened), list(fleet.server.sent)
    return Steady(
        f"{fleet.per_s:g}/s, {latency_s * 1000:g} ms, {_counted(processes)}",
        fleet.per_s,
        tuple(used(opened, at_s, at_s + stretch_s, fleet.per_s) for at_s in starts),
        # Of all windows that end in a stretch: else those across two stretches would be left out.
        tuple(float(most_in_window(within(opened, at_s - 1, at_s + stretch_s))) for at_s in starts),
        tuple(float(most_in_window(within(sent, at_s - 1, at_s + stretch_s))) for at_s in starts),
    )


def _counted(processes: int) -> str:
    return "1 worker" if processes == 1 else f"{processes} workers"


def back_after_s(stamps: Sequence[float], killed_s: float, per_s: float) -> float:
    """Say how long after `killed_s` each second holds most of the limit again; infinite if the last one seen does not."""
    steps = [killed_s + n / 10 for n in range(int((KILLED_S - 1) * 10) + 1)]
    short = [at_s for at_s in steps if len(within(stamps, at_s, at_s + 1)) < BACK_SHARE * per_s]
    if short and short[-1] == steps[-1]:
        return math.inf
    return short[-1] + 0.1 - killed_s if short else 0.0


def killed(fleet: Fleet, processes: int, latency_s: float) -> tuple[Figure, Chart]:
    """Kill half of the workers, again and again."""
    back: list[float] = []
    lines: list[Series] = []
    fleet.server.have_latency(latency_s)
    for run in range(RUNS):
        if run:
            fleet.start(processes // 2)
            fleet.come_to_pace()
        at_s = fleet.kill_half()
        time.sleep(KILLED_S + 0.1)
        opened = within(fleet.server.opened, at_s - 3, at_s + KILLED_S)
        back.append(back_after_s(opened, at_s, fleet.per_s))
        ends = [n / 10 for n in range(-20, int(KILLED_S * 10) + 1)]
        seen = tuple(float(len(within(opened, at_s + end - 1, at_s + end))) for end in ends)
        lines.append(Series(f"run {run + 1}", tuple(ends), seen))
    fleet.must_have_rows()
    name = f"{fleet.per_s:g}/s, {latency_s * 1000:g} ms: back after half of {processes} workers were killed"
    title = f"Interactions within the last second, half of {processes} workers killed at 0"
    chart = Chart(f"pace-killed-{fleet.per_s:g}", title, "seconds", "Interactions", tuple(lines))
    return Figure(name, "s", tuple(back)), chart


@dataclass(frozen=True, slots=True)
class Lowered:
    """What was seen of one account whose limit was lowered and raised again; `calls` counts look-ups and messages, too."""

    opened: list[float]
    refused: list[float]
    calls: int
    fell_s: float
    rose_s: float
    ended_s: float
    low: int

    @property
    def refused_share(self) -> float:
        """Give the refused calls' share of all calls."""
        return 100 * len(self.refused) / self.calls

    @property
    def refused_openings(self) -> float:
        """Give the refused Interactions' share of all Interactions."""
        return 100 * len(self.refused) / (len(self.opened) + len(self.refused))

    @property
    def used_low(self) -> float:
        """Say how much of the lowered limit was used, from five seconds on."""
        return used(self.opened, self.fell_s + FOLLOWED_S, self.rose_s, self.low)

    @property
    def refused_late(self) -> float:
        """Say how many a second were refused from five seconds on."""
        begin_s = self.fell_s + FOLLOWED_S
        return len(within(self.refused, begin_s, self.rose_s)) / (self.rose_s - begin_s)

    def back_after_s(self, per_s: float) -> float:
        """Say how long after the limit was raised a second held most of it; infinite if none that was seen did."""
        at_s = self.rose_s
        while len(within(self.opened, at_s, at_s + 1)) < BACK_SHARE * per_s:
            at_s += 0.1
            if at_s + 1 >= self.ended_s:
                return math.inf
        return at_s - self.rose_s


def lowered(
    folder: Path, per_s: float, latency_s: float, stages_s: tuple[float, float], at_once: int
) -> list[Lowered]:
    """Lower the limits of five accounts to half, and raise them again; `stages_s`: how long they are as at first, and half."""
    runs: list[Lowered] = []
    for begin in range(0, RUNS, at_once):
        numbers = range(begin, min(begin + at_once, RUNS))
        ready = Barrier(len(numbers))
        with ThreadPoolExecutor(len(numbers)) as pool:
            each = [
                pool.submit(_lower, Fleet(folder / f"account-{n}", per_s), latency_s, stages_s, ready)
                for n in numbers
            ]
        runs += [one.result() for one in each]
    return runs


def _lower(fleet: Fleet, latency_s: float, stages_s: tuple[float, float], ready: Barrier) -> Lowered:
    low = int(fleet.per_s // 2)
    with fleet.up(1):
        fleet.send(latency_s, READY_S + sum(stages_s) + BACK_S + WARM_S)
        ready.wait(READY_S)
        server, calls_before, began_s = fleet.server, fleet.server.calls, time.monotonic()
        # An even pace is at the limit, and jitter on the way may put one more into a second.
        server.limit = int(fleet.per_s) + 1
        time.sleep(stages_s[0])
        server.limit, fell_s = low, time.monotonic()
        time.sleep(stages_s[1])
        server.limit, rose_s = int(fleet.per_s) + 1, time.monotonic()
        while True:
            time.sleep(0.5)
            ended_s = time.monotonic()
            seen = Lowered(
                opened=[at_s - began_s for at_s in within(server.opened, began_s, ended_s)],
                refused=[at_s - began_s for at_s in within(server.refused, began_s, ended_s)],
                calls=server.calls - calls_before,
                fell_s=fell_s - began_s,
                rose_s=rose_s - began_s,
                ended_s=ended_s - began_s,
                low=low,
            )
            if seen.back_after_s(fleet.per_s) < math.inf or ended_s > rose_s + BACK_S:
                fleet.must_have_rows()
                return seen


def _judge_lowered(draft: Draft, per_s: float, runs: Sequence[Lowered]) -> None:
    name, low = f"{per_s:g}/s lowered to {runs[0].low}/s", runs[0].low
    refused = Figure(f"{name}: refused, of all calls", "%", tuple(run.refused_share for run in runs))
    openings = Figure(f"{name}: refused, of Interactions", "%", tuple(run.refused_openings for run in runs))
    used = Figure(f"{name}: used of what is left, after 5 s", "%", tuple(run.used_low for run in runs))
    late = Figure(f"{name}: refused, after 5 s", "1/s", tuple(run.refused_late for run in runs))
    back = Figure(f"{name}: back after it was raised", "s", tuple(run.back_after_s(per_s) for run in runs))
    seconds = range(int(runs[0].ended_s))
    chart = Chart(
        f"pace-lowered-{per_s:g}",
        f"Interactions a second: the limit falls to {low} at {runs[0].fell_s:.0f} s and rises at {runs[0].rose_s:.0f} s",
        "seconds",
        "Interactions/s",
        tuple(
            Series(
                what, tuple(map(float, seconds)), tuple(float(len(within(stamps, s, s + 1))) for s in seconds)
            )
            for what, stamps in (("accepted", runs[0].opened), ("refused", runs[0].refused))
        ),
    )
    goals = [
        Goal(f"{name}: less than 1 % of all calls refused", refused.median < 1),
        Goal(
            f"{name}: followed within 5 s, with at most one refused in two seconds from then on",
            late.median <= 0.5,
        ),
        Goal(f"{name}: at {100 * BACK_SHARE:g} % again within a minute, in each run", back.high < 60),
    ]
    draft.figures += [refused, openings, used, late, back]
    draft.goals += goals
    draft.charts.append(chart)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: `cells` names the latencies for each limit and number of workers, `lowered` the limits that fall.

    `stages_s`: how long a limit that falls is as at first, and how long it is half: so long that a pace which tries for more is
    refused again, for after that it rises most slowly; `at_once`: so many rows a second are asked
    of the machine at most by accounts whose limits fall.
    """

    cells: Mapping[tuple[float, int], Sequence[float]]
    stretch_s: float
    lowered: Sequence[float]
    stages_s: tuple[float, float] = (5.0, 30.0)
    at_once: float = 100.0


SHORT = Plan({(80.0, 8): (0.2,), (80.0, 1): (0.8,)}, 3.0, (20.0,))
FULL = Plan(
    {(per_s, workers): (0.05, 0.2, 0.8) for per_s in (20.0, 80.0) for workers in (1, 8)},
    6.0,
    (20.0, 80.0),
    (10.0, 30.0),
)


def answer(*, full: bool) -> Answer:
    """Measure, and judge."""
    return measure(FULL if full else SHORT, f"python -m ops.bench {'--full ' if full else ''}pace")


def measure(plan: Plan, command: str) -> Answer:
    """Measure what is planned."""
    draft = Draft()
    with tempfile.TemporaryDirectory() as name:
        for (per_s, workers), latencies in plan.cells.items():
            with draft.part(f"{per_s:g}/s, {_counted(workers)}"):
                _measure_fleet(
                    draft, Fleet(Path(name) / f"{per_s:g}-{workers}", per_s), workers, latencies, plan
                )
        for per_s in plan.lowered:
            with draft.part(f"{per_s:g}/s lowered"):
                at_once = max(1, int(plan.at_once / per_s))
                runs = lowered(Path(name) / f"low-{per_s:g}", per_s, 0.2, plan.stages_s, at_once)
                _judge_lowered(draft, per_s, runs)
    return draft.answer(
        question="How much of Twilio's limit does the whole fleet use, and what becomes of the pace when workers die or the limit falls?",
        command=command,
        ran=f"Worker processes with an embedded Redis, against a server on loopback; {RUNS} stretches of {plan.stretch_s:g} s a setting, "
        f"{RUNS} kills, {RUNS} accounts with a limit that is half for {plan.stages_s[1]:g} s.",
    )


def _measure_fleet(draft: Draft, fleet: Fleet, workers: int, latencies: Sequence[float], plan: Plan) -> None:
    seconds = len(latencies) * (WARM_S + RUNS * plan.stretch_s)
    if workers > 1:
        seconds += WARM_S + RUNS * (KILLED_S + REPLACED_S)
    with fleet.up(workers):
        came_s = fleet.send(latencies[0], seconds)
        told = f"{came_s:.1f}" if came_s < math.inf else f"more than {PATIENCE_S:g}"
        draft.remarks.append(
            f"{fleet.per_s:g}/s, {_counted(workers)}: from the first Interaction until a second held "
            f"{100 * BACK_SHARE:g} % of the limit it took {told} s; what is judged begins after that."
        )
        for latency_s in latencies:
            with draft.part(f"{fleet.per_s:g}/s, {latency_s * 1000:g} ms, {_counted(workers)}"):
                seen = steady(fleet, workers, latency_s, plan.stretch_s)
                draft.figures += [
                    Figure(f"{seen.name}: used of the limit", "%", seen.used),
                    Figure(f"{seen.name}: most Interactions in a second", "", seen.most),
                    Figure(f"{seen.name}: most messages in a second", "", seen.most_sent),
                ]
                draft.goals.append(Goal(f"{seen.name}: 98 % used, in each run at most one over", seen.is_met))
        if workers > 1:
            with draft.part(f"{fleet.per_s:g}/s with half of {workers} workers killed"):
                back, chart = killed(fleet, workers, 0.2)
                draft.figures.append(back)
                draft.goals.append(
                    Goal(
                        f"{fleet.per_s:g}/s: within {BACK_WITHIN_S:g} s after the kill",
                        back.median <= BACK_WITHIN_S,
                    )
                )
                draft.charts.append(chart)


def main() -> None:
    """Run one part, and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("steady", "killed", "lowered"), default="steady")
    parser.add_argument("--rate", type=float, default=80.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--accounts", type=int, default=RUNS, help="with a lowered limit at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a stretch")
    args = parser.parse_args()
    latency_s, draft = args.latency_ms / 1000, Draft()
    with tempfile.TemporaryDirectory() as name:
        if args.only == "lowered":
            at_once = min(args.accounts, RUNS)
            _judge_lowered(
                draft, args.rate, lowered(Path(name), args.rate, latency_s, SHORT.stages_s, at_once)
            )
        else:
            with Fleet(Path(name) / "fleet", args.rate).up(args.workers) as fleet:
                fleet.send(latency_s, WARM_S + RUNS * max(args.seconds, KILLED_S + REPLACED_S))
                if args.only == "killed":
                    draft.figures.append(killed(fleet, args.workers, latency_s)[0])
                else:
                    print(steady(fleet, args.workers, latency_s, args.seconds))
    print(*draft.figures, sep="\n")


if __name__ == "__main__":
    main()
