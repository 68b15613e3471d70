"""How much CPU time does a row cost, of the whole sending side, beside a plain Celery task and beside bare curl?

    python -m ops.bench cost            # or, in parts: python -m ops.bench.cost [--runs 5] [--full] [--only ours] [--per-s 500]

All send the same three requests a row (open the Interaction, see the customer in its conversation, send the message) over
TLS to one server on loopback, in turns. Ours is a real worker process, with the rows at once that its pace asks for, and
its embedded Redis with `appendfsync always`: once with the limit of its account lifted to what the machine can just do, and once
at 100 rows a second, which leaves it time to wait. `plain` is a Celery worker with a
task a row and the SDK, all with their defaults, on a Redis with its own; it and `bare` send 64 rows at once. CPU is user
and system time of the worker's processes and of Redis between two messages well within a turn, after a first one that does not
count: starting, loading or publishing the rows, and connecting are left out. Of ours, publishing is in it, for a worker does that; asking for deliveries
is not, for the others don't.

The goals are judged by ours with the limit lifted, as the others send, too, and by `plain, threads`, with one client for the
process: it sends many rows at once in one process, as ours does. As many processes of a prefork pool hold a connection each: less CPU, for two dozen times the memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import psutil
import redis
from kombu.connection import Connection

from ops.bench import plain_celery
from ops.bench.customers import ROUTING, number
from ops.bench.processes import account_environ, clean_environ, wait_for
from ops.bench.report import RUNS, Answer, Draft, Figure, Goal
from ops.bench.twilio_loopback import TwilioLoopback
from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.pipeline.dispatch import AHEAD_S
from worker.pipeline.intake import take_in
from worker.redis_binary import find_server
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings
from worker.tasks.command import threads_for, worker_command

OURS, PACED, PLAIN, BARE = "ours, limit lifted", "ours at 100/s", "plain, threads", "bare curl"
PREFORK, OWN_CLIENT, ASKING = (
    "plain, prefork",
    "plain, a client a task",
    "ours at 100/s, asking for deliveries",
)
THREADS = 64
PACE = 20.0
"""Twilio's limit of Interactions a second for an account."""
LIFTED = 500.0
"""25 times Twilio's: about as much as a worker, its Redis and the server can do on two cores. Beyond that a row costs more, for
calls that the machine holds up past their slots take others."""
PACED_S = 5 * PACE


class Contender(Protocol):
    """One way of sending rows; `parts` are the processes whose CPU counts."""

    name: str
    parts: dict[str, list[psutil.Process]]

    @property
    def around(self) -> int:
        """Say how many rows are sent before those that are measured, and after them, so that as many are in hand all the while."""

    def begin(self, rows: int) -> None:
        """Have so many rows sent, from now on."""


@dataclass
class Ours:
    """A worker process of ours, with a home of its own."""

    server: TwilioLoopback
    folder: Path
    name: str = PACED
    asks_for_deliveries: bool = False
    per_s: float = PACED_S
    parts: dict[str, list[psutil.Process]] = field(default_factory=dict)
    _turn: int = 0

    @property
    def around(self) -> int:
        """Give what the dispatcher queues ahead, and some more."""
        return max(2 * THREADS, ceil(AHEAD_S * self.per_s))

    @contextmanager
    def up(self) -> Iterator[Ours]:
        """Have the worker run meanwhile."""
        self.folder.mkdir()
        environ = account_environ(self.server.url, self.folder / "home", self.per_s) | {
            "SSL_CERT_FILE": str(self.server.bundle),
        }
        self._settings = load_settings(environ, self.folder / ".env")
        embedded = EmbeddedRedis(self._settings.home)
        with embedded.hold() as url, redis.Redis.from_url(url) as client:
            self._ledger = Ledger(client, self._settings.account_tag)
            self._registry = Registry(client, self._settings.account_tag)
            status = embedded.status()
            assert status is not None
            with _process(
                worker_command(threads_for(self._settings), "WARNING"), environ, self.folder
            ) as worker:
                self.parts = {"worker": [worker], "Redis": [psutil.Process(status.pid)]}
                wait_for(lambda: bool(self._registry.workers()), "the worker to start")
                yield self

    def begin(self, rows: int) -> None:
        """Take a campaign in; the worker sends it at once."""
        self.server.tells_deliveries = self.asks_for_deliveries
        self._turn += 1
        definition, customers = self.folder / "campaign.toml", self.folder / "customers.csv"
        definition.write_text(_definition(f"turn-{self._turn}", 2 * self.per_s))
        lines = [f"{number(row)},Name{row},1 May\n" for row in range(rows)]
        customers.write_text("phone,first_name,due_date\n" + "".join(lines))
        take_in(self._ledger, self._registry, self._settings, definition, customers)


@dataclass
class Plain:
    """A Celery worker as anybody would first write it, on a Redis as it comes."""

    server: TwilioLoopback
    folder: Path
    name: str
    task: Any
    pool: str
    parts: dict[str, list[psutil.Process]] = field(default_factory=dict)

    @property
    def around(self) -> int:
        """Give what is in hand."""
        return THREADS

    @contextmanager
    def up(self) -> Iterator[Plain]:
        """Have the worker and its Redis run meanwhile."""
        self.folder.mkdir()
        socket = self.folder / "redis.sock"
        url = f"redis+socket://{socket}"
        environ = clean_environ() | {
            "PLAIN_BROKER": url,
            "PLAIN_URL": self.server.url,
            "REQUESTS_CA_BUNDLE": str(self.server.bundle),
        }
        server = [str(find_server()), "--port", "0", "--unixsocket", str(socket)]
        worker = [sys.executable, "-m", "celery", "-A", "ops.bench.plain_celery", "worker", "-l", "WARNING"]
        with (
            _process(server, environ, self.folder) as broker,
            _process([*worker, "-P", self.pool, "-c", str(THREADS)], environ, self.folder) as main,
            Connection(url) as self._connection,  # type: ignore[no-untyped-call]
        ):
            self.parts = {"worker": [main], "Redis": [broker]}
            self.begin(THREADS)
            wait_for(lambda: self.server.messages >= THREADS, "the plain worker to start")
            self.parts["worker"] += main.children(recursive=True)
            yield self

    def begin(self, rows: int) -> None:
        """Publish a task a row."""
        for row in range(rows):
            args = (number(row), f"Name{row}", "1 May")
            self.task.apply_async(args, connection=self._connection)


@dataclass
class Bare:
    """Threads with pycurl."""

    server: TwilioLoopback
    folder: Path
    name: str = BARE
    parts: dict[str, list[psutil.Process]] = field(default_factory=dict)

    @property
    def around(self) -> int:
        """Give what is in hand."""
        return THREADS

    @contextmanager
    def up(self) -> Iterator[Bare]:
        """Have the process run meanwhile."""
        self.folder.mkdir()
        command = [sys.executable, "-m", "ops.bench.bare_curl"]
        command += [self.server.url, str(self.server.bundle), str(THREADS)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, env=clean_environ()
        ) as self._process:
            self.parts = {"process": [psutil.Process(self._process.pid)]}
            try:
                yield self
            finally:
                self._process.kill()

    def begin(self, rows: int) -> None:
        """Have so many rows sent."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rows}\n")
        self._process.stdin.flush()


def turn(server: TwilioLoopback, contender: Contender, rows: int) -> dict[str, float]:
    """Let a contender send `rows`, and some before and after them; give its CPU ms a row, by part, and its rows a second."""
    marks: list[tuple[float, dict[str, float]]] = []
    is_over = threading.Event()

    def mark() -> None:
        used = {
            part: sum(sum(process.cpu_times()[:2]) for process in processes)
            for part, processes in contender.parts.items()
        }
        marks.append((time.monotonic(), used))

    around = contender.around
    all_rows = around + rows + around
    until = server.messages + all_rows
    server.at_message(around, mark)
    server.at_message(around + rows, mark)
    server.at_message(all_rows, is_over.set)
    contender.begin(all_rows)
    if not is_over.wait(60 + rows / 5):
        raise TimeoutError(f"{contender.name} has {until - server.messages} of {all_rows} rows left")
    (began_s, before), (ended_s, after) = marks
    cost = {part: 1000 * (after[part] - before[part]) / rows for part in before}
    return {**cost, "all": sum(cost.values()), "rows/s": rows / (ended_s - began_s)}


def _definition(name: str, per_s: float) -> str:
    return f"""\
name = "{name}"
channel = "whatsapp"
from = "whatsapp:+19252210100"
to = "{{{{ phone }}}}"
{ROUTING}[routing.attributes]
customerName = "{{{{ first_name }}}}"
[message]
author = "Renewals team"
content_sid = "HX3a4b5c6d7e8f90123456789abcdef012"
[message.variables]
1 = "{{{{ first_name }}}}"
2 = "{{{{ due_date }}}}"
[pacing]
messages_per_second = {per_s:g}
"""


@contextmanager
def _process(command: list[str], environ: dict[str, str], folder: Path) -> Iterator[psutil.Process]:
    """Run a command in `folder` meanwhile; what it says goes to a file there."""
    with (folder / f"{Path(command[-1]).name}.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=log, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for child in children:
                if child.is_running():
                    child.kill()


@dataclass(frozen=True, slots=True)
class Rows:
    """Over how many rows a turn of each is measured: enough for some seconds; and how many turns they have.

    `others`: that is for those that no goal is about.
    """

    lifted: int
    paced: int
    plain: int
    bare: int
    judged: int
    others: int


SHORT = Rows(1_500, 200, 100, 400, RUNS, 1)
# Threads of plain Celery cost three times as much in one turn as in another, as they happen to share the cores: more turns.
FULL = Rows(3_000, 1_000, 600, 1_000, 9, RUNS)


def plans(server: TwilioLoopback, folder: Path, rows: Rows) -> list[tuple[Any, int]]:
    """Name the contenders and their rows: the four that the goals are about, then the other ways to write it plainly, and ours."""
    one_client, own_client = plain_celery.send, plain_celery.send_with_own_client
    return [
        (Ours(server, folder / "ours", OURS, per_s=LIFTED), rows.lifted),
        (Ours(server, folder / "paced"), rows.paced),
        (Plain(server, folder / "threads", PLAIN, one_client, "threads"), rows.plain),
        (Bare(server, folder / "bare"), rows.bare),
        (Plain(server, folder / "prefork", PREFORK, one_client, "prefork"), rows.plain),
        (Plain(server, folder / "own", OWN_CLIENT, own_client, "threads"), rows.plain // 2),
        (Ours(server, folder / "asking", ASKING, True), rows.paced),
    ]


JUDGED = 4
"""So many of them have their turns together."""


def run(
    draft: Draft, rows: Rows, runs: int = RUNS, only: str = "", per_s: float = LIFTED
) -> dict[str, list[dict[str, float]]]:
    """Let all have their turns; the figures of each, by name. `only`: how their names begin; `per_s`: the limit that is lifted."""
    figures: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(TwilioLoopback(folder).up())
        everybody = plans(server, folder, rows)
        everybody[0][0].per_s = per_s
        for together, turns in (
            (everybody[:JUDGED], runs),
            *(([one], min(runs, rows.others)) for one in everybody[JUDGED:]),
        ):
            chosen = [(one, count) for one, count in together if one.name.startswith(only)]
            with draft.part(" and ".join(one.name for one, _ in chosen)), ExitStack() as up:
                for contender, count in chosen:
                    up.enter_context(contender.up())
                    # Which connects, and does for the first time what is kept.
                    turn(server, contender, count // 2)
                for _ in range(turns):
                    for contender, count in chosen:
                        found = turn(server, contender, count)
                        figures.setdefault(contender.name, []).append(found)
                        _say(contender.name, found)
    return figures


def answer(*, full: bool) -> Answer:
    """Measure, and judge."""
    return measure(FULL if full else SHORT, f"python -m ops.bench {'--full ' if full else ''}cost")


def measure(rows: Rows, command: str) -> Answer:
    """Measure over so many rows, and judge."""
    draft = Draft()
    found = run(draft, rows, rows.judged)
    draft.figures += [Figure(f"{name}: CPU a row", "ms", _cpu(turns)) for name, turns in found.items()]
    medians: dict[str, tuple[float, float]] = {}
    turns = {len(found.get(name, ())) for name in (OURS, PACED, PLAIN, BARE)}
    if len(turns) == 1 and 0 not in turns:
        medians = {name: _compare(draft, found, name) for name in (OURS, PACED)}
        (least, most), (paced_least, paced_most) = medians[OURS], medians[PACED]
        draft.goals += [
            Goal(
                f"at most an eighth of a plain Celery task, the limit lifted (median: 1/{least:.1f}; at 100/s 1/{paced_least:.1f})",
                least >= 8,
            ),
            Goal(
                f"at most 3 times bare curl, the limit lifted (median: {most:.1f}; at 100/s {paced_most:.1f})",
                most <= 3,
            ),
        ]
        if PREFORK in found:
            ours = median(_cpu(found[OURS]))
            draft.figures.append(
                Figure(
                    f"{PREFORK} / {OURS}, of its median",
                    "times",
                    tuple(each / ours for each in _cpu(found[PREFORK])),
                )
            )
    draft.remarks += [
        "Judged by ours with the limit lifted, as the others send, and by plain Celery with the threads pool and one client for the process; "
        "publishing its tasks is left out.",
        f"At 100/s a worker waits between rows, and wakes for each: that is what it costs where accounts have their limits. What no goal is about was measured in turns of its own{', once' if rows.others == 1 else ''}.",
        "All ask one host; at Twilio the plain client's small pool is one for each of two hosts.",
    ]
    return draft.answer(
        question=(__doc__ or "").splitlines()[0],
        command=command,
        ran=f"{rows.judged} turns of {rows.lifted:,} rows of ours with the limit lifted, {rows.paced:,} of ours at 100/s, {rows.plain:,} of plain and "
        f"{rows.bare:,} of bare curl, over TLS on loopback, each answer after 50 to 200 ms.",
    )


def _compare(draft: Draft, found: dict[str, list[dict[str, float]]], name: str) -> tuple[float, float]:
    """Set one of ours beside the others, turn by turn; the medians of both ratios."""
    ours, plain, bare = (_cpu(found[each]) for each in (name, PLAIN, BARE))
    a_core = tuple(1000 / each for each in ours)
    to_plain = Figure(f"{PLAIN} / {name}", "times", tuple(b / a for a, b in zip(ours, plain, strict=True)))
    to_bare = Figure(f"{name} / {BARE}", "times", tuple(a / b for a, b in zip(ours, bare, strict=True)))
    draft.figures += [
        *(
            Figure(f"{name}: of it {part}", "ms", tuple(each[part] for each in found[name]))
            for part in ("worker", "Redis")
        ),
        to_plain,
        to_bare,
        Figure(f"{name}: rows a second", "rows/s", tuple(each["rows/s"] for each in found[name])),
        Figure(f"{name}: rows a second and core", "rows/s", a_core),
        Figure(
            f"{name}: accounts at {PACE:g} rows/s that a core serves",
            "accounts",
            tuple(each / PACE for each in a_core),
        ),
    ]
    return to_plain.median, to_bare.median


def _cpu(turns: list[dict[str, float]]) -> tuple[float, ...]:
    return tuple(each["all"] for each in turns)


def _say(name: str, cost: dict[str, float]) -> None:
    sys.stderr.write(f"{name:38}" + "  ".join(f"{part} {value:7.2f}" for part, value in cost.items()) + "\n")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--full", action="store_true", help="over as many rows as in full")
    parser.add_argument("--only", default="", help="those whose name begins so")
    parser.add_argument("--per-s", type=float, default=LIFTED, help="the limit of ours that is lifted")
    options = parser.parse_args()
    found = run(Draft(), FULL if options.full else SHORT, options.runs, options.only, options.per_s)
    for name, turns in found.items():
        print(f"{name:38} median {median(_cpu(turns)):7.2f} ms CPU a row")


if __name__ == "__main__":
    main()
