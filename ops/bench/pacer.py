"""Ask how much of an agreed pace the pacer alone uses, and whether the server ever sees more of it than agreed.

    python -m ops.bench.pacer                      # 20 and 80 calls a second, 60 s each, 150 ms latency
    python -m ops.bench.pacer --rate 20 --seconds 10 --cpu-ms 5

Real processes and threads share an embedded Redis of their own and call a bare HTTP server on loopback, which stamps each
arrival. `--cpu-ms` burns that much Python in the thread before each call, as Celery and the SDK do.
No pacer can hold a call that its machine holds up: each call tells when the pacer let it through, and what took longer
than the margin from there to the server's stamp is counted as held up.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from worker.pacing import Bucket, Granted, Pacer, Wait
from worker.pacing.pacer import LATE_S, MARGIN_S
from worker.redis_server import EmbeddedRedis, connect

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

SWITCH_S = 0.001
CLOCKS_S = 0.003
"""What the clocks of two processes may differ by, at the very most, in what Redis's clock is to them."""
HELD_UP_S = MARGIN_S - LATE_S - CLOCKS_S


@dataclass(frozen=True, slots=True)
class Call:
    """Hold when the pacer let a call through and when the server had it, on the machine's one monotonic clock."""

    let_through_s: float
    arrived_s: float

    @property
    def is_held_up(self) -> bool:
        """Tell whether the machine held it up for longer than the pacer allows for."""
        return self.arrived_s - self.let_through_s > HELD_UP_S

    @property
    def due_s(self) -> float:
        """Give its arrival, or when it was let through where the machine held it up after that."""
        return self.let_through_s if self.is_held_up else self.arrived_s


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what the server saw; `most_due_in_1_s` counts each call that was held up when it was let through."""

    calls: int
    share: float
    most_in_1_s: int
    most_due_in_1_s: int
    held_up: int
    given_up: int


class _Arrivals(asyncio.Protocol):
    """Stamp each request of a kept-alive connection, answer after the latency."""

    def __init__(self, calls: list[Call], latency_s: float) -> None:
        self._calls = calls
        self._latency_s = latency_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not data.endswith(b"\r\n\r\n"):
            return
        let_through_s = float(data.split(b" ", 2)[1].removeprefix(b"/"))
        self._calls.append(Call(let_through_s, time.monotonic()))
        asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, _ANSWER)


def most_in_window(stamps: Sequence[float], window_s: float = 1.0) -> int:
    """Count the most stamps that any half-open window of this length holds."""
    inside: deque[float] = deque()
    most = 0
    for stamp in sorted(stamps):
        inside.append(stamp)
        while stamp - inside[0] >= window_s:
            inside.popleft()
        most = max(most, len(inside))
    return most


async def measure(
    rate: float,
    seconds: float,
    *,
    processes: int = 2,
    threads: int = 16,
    latency_s: float = 0.15,
    cpu_ms: float = 0.0,
    options: dict[str, float] | None = None,
) -> Seen:
    """Run the workers against a server of our own in this process.

    The second in which they warm up is left out of what is used of the pace, not of what is too much.
    """
    calls: list[Call] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Arrivals(calls, latency_s), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as home, EmbeddedRedis(Path(home)).hold() as url:
        order = json.dumps([url, rate, port, threads, cpu_ms, options or {}])
        command = [sys.executable, "-m", "ops.bench.pacer", "--worker", order]
        workers = [
            await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(processes)
        ]
        while not calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        ended = time.monotonic()
        said = [(await worker.communicate(b""))[0] for worker in workers]
    server.close()
    measured = [call for call in calls if began <= call.arrived_s < ended]
    return Seen(
        calls=len(measured),
        share=len(measured) / (rate * (ended - began)),
        most_in_1_s=most_in_window([call.arrived_s for call in calls]),
        most_due_in_1_s=most_in_window([call.due_s for call in calls]),
        held_up=sum(call.is_held_up for call in calls),
        given_up=sum(map(int, said)),
    )


class _NotedClock(threading.local):
    """The monotonic clock, and what this thread read on it last: a pacer that lets a call through has just read it."""

    read_s = 0.0

    def __call__(self) -> float:
        self.read_s = time.monotonic()
        return self.read_s


def _work(order: str) -> None:
    """Call at the pace, in threads, until stdin closes; print how many slots were given up."""
    url, rate, port, threads, cpu_ms, options = json.loads(order)
    # As a worker does: a thread on its beat waits this long, not 5 ms, for each busy one.
    sys.setswitchinterval(options.pop("switch_s", SWITCH_S))
    clock = _NotedClock()
    pacer = Pacer(connect(url), "o:{bench}:", clock=clock, sleep=time.sleep, **options)
    bucket = Bucket("calls", rate)
    is_over = threading.Event()
    given_up: list[int] = []

    def call_on() -> None:
        missed = 0
        http = HTTPConnection("127.0.0.1", port)
        while not is_over.is_set():
            _burn(cpu_ms)
            taken = pacer.acquire([bucket])
            if isinstance(taken, Wait):
                is_over.wait(taken.ms / 1000)
            elif isinstance(taken, Granted) and (reached := pacer.wait(taken)):
                http.request("GET", f"/{clock.read_s:.6f}")
                pacer.sent(reached, clock())
                http.getresponse().read()
            else:
                missed += 1
        http.close()
        given_up.append(missed)

    crew = [threading.Thread(target=call_on) for _ in range(threads)]
    for thread in crew:
        thread.start()
    sys.stdin.read()
    is_over.set()
    for thread in crew:
        thread.join()
    print(sum(given_up))


def _burn(cpu_ms: float) -> None:
    until = time.thread_time() + cpu_ms / 1000
    while time.thread_time() < until:
        pass


def main() -> None:
    """Measure each rate and print a line for it; exit 1 where the server saw too many."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--latency-ms", type=float, default=150)
    parser.add_argument("--cpu-ms", type=float, default=0)
    parser.add_argument("--options", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        _work(args.worker)
        return
    is_over = False
    for rate in args.rate or [20.0, 80.0]:
        seen = asyncio.run(
            measure(
                rate,
                args.seconds,
                processes=args.processes,
                threads=args.threads,
                latency_s=args.latency_ms / 1000,
                cpu_ms=args.cpu_ms,
                options=args.options,
            )
        )
        print(
            f"{rate:g}/s for {args.seconds:g} s: {seen.share:.1%} used ({seen.calls} calls), "
            f"most in any second {seen.most_in_1_s}, without what the machine held up {seen.most_due_in_1_s} "
            f"({seen.held_up} calls held up), slots given up {seen.given_up}"
        )
        is_over = is_over or seen.most_in_1_s > rate
    sys.exit(is_over)


if __name__ == "__main__":
    main()
