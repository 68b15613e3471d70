"""How much CPU does a call to Twilio cost, beside the SDK as it comes and beside bare curl?

    python -m ops.bench http_clients

All make the same three calls a row (open the Interaction, see the customer in its conversation, send the message) over TLS
to one server on loopback: ours through the whole gateway, the SDK with its own HTTP client, and pycurl with a handle a
thread. Each is a process of its own, whose user and system time counts; they take turns. Every run begins with clients
and threads that are new: their first rows, with all connections made at once, are told apart from those that follow.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.bench.report import RUNS, Answer, Figure, Goal, repeat
from ops.bench.twilio_loopback import TwilioLoopback

OURS, STOCK, BARE = "ours", "the SDK as it comes", "bare curl"
CALLS = 3
LATENCY_S = (0.02, 0.08)

Send = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU ms a call: of the first row of each thread, and of those after it."""

    first: float
    later: float


def answer(*, full: bool) -> Answer:
    """Let all three make their calls in turns."""
    threads = 64 if full else 16
    many, few = (20 * threads, 4 * threads) if full else (120, 24)
    runs = compare({OURS: many, STOCK: few, BARE: many}, threads)
    eighth = _ratio(f"{STOCK} / {OURS}", runs, STOCK, OURS)
    thrice = _ratio(f"{OURS} / {BARE}", runs, OURS, BARE)
    return Answer(
        question=" ".join((__doc__ or "").splitlines()[0].split()),
        command=f"python -m ops.bench {'--full ' if full else ''}http_clients",
        ran=f"Each run: {threads} rows, one of each of a process's {threads} threads, then {many} more ({few} of {STOCK}); "
        f"three calls a row, over TLS on loopback, each answer after {LATENCY_S[0] * 1000:.0f} to {LATENCY_S[1] * 1000:.0f} ms.",
        figures=(
            *(
                Figure(f"{name}, a call", "CPU ms", tuple(run[name].later for run in runs))
                for name in _MAKERS
            ),
            *(Figure(f"{name}, first", "CPU ms", tuple(run[name].first for run in runs)) for name in _MAKERS),
            eighth,
            thrice,
        ),
        goals=(
            Goal(f"a call costs at most an eighth of one of {STOCK}", eighth.median >= 8),
            Goal("a call costs at most 3 times one of bare curl", thrice.median <= 3),
        ),
        remarks=(
            "`first` is a call of each thread's first row, with all connections made at once.",
            f"{STOCK[0].upper()}{STOCK[1:]} keeps no more connections to a host than the machine has cores and 4; a call that finds "
            "them taken connects anew, and most of its cost is that.",
        ),
    )


def compare(rows: dict[str, int], threads: int, runs: int = RUNS) -> list[dict[str, Cost]]:
    """Run each that `rows` names in a process of its own, in turns, against one server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(TwilioLoopback(folder, LATENCY_S).up())
        clients = {name: stack.enter_context(_start(name, server, threads)) for name in rows}
        return repeat(lambda: {name: _ask(client, rows[name]) for name, client in clients.items()}, runs)


@contextmanager
def _start(name: str, server: TwilioLoopback, threads: int) -> Iterator[subprocess.Popen[str]]:
    bundle = str(server.bundle)
    environ = {"PLAIN_URL": server.url, "REQUESTS_CA_BUNDLE": bundle, "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(
        [sys.executable, "-m", "ops.bench.http_clients", name, server.url, bundle, str(threads)],
        env=os.environ | environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        try:
            yield client
        finally:
            client.terminate()


def _ask(process: subprocess.Popen[str], rows: int) -> Cost:
    assert process.stdin
    assert process.stdout
    print(rows, file=process.stdin, flush=True)
    first, later = map(float, process.stdout.readline().split())
    return Cost(first, later)


def _ratio(what: str, runs: list[dict[str, Cost]], dearer: str, cheaper: str) -> Figure:
    return Figure(what, "times", tuple(run[dearer].later / run[cheaper].later for run in runs))


def _ours(url: str, bundle: str) -> Send:
    from campaigns.recipient import Message, Recipient, Routing
    from worker.gateway.caller import Credentials
    from worker.gateway.http import HttpOptions, PooledHttpClient
    from worker.gateway.outcome import Accepted
    from worker.gateway.twilio import TwilioGateway

    http = PooledHttpClient(
        HttpOptions(base_url=url, ca_file=Path(bundle)), clock=time.monotonic, wall_clock=time.time
    )
    credentials = Credentials(account_sid="AC" + "1" * 32, auth_token="secret-token")
    gateway = TwilioGateway(credentials, http, time.time)
    workspace, workflow, queue, worker = (
        prefix + "5f1d2c3b4a59687766554433221100ff" for prefix in ("WS", "WW", "WQ", "WK")
    )

    def send(row: int) -> None:
        address, name = f"whatsapp:+1202{2000000 + row}", f"Name{row}"
        message = Message(
            "Renewals team", None, "HX3a4b5c6d7e8f90123456789abcdef012", {"1": name, "2": "1 May"}, None
        )
        routing = Routing(workspace, workflow, queue, worker, None, None, None, {"customerName": name})
        recipient = Recipient(
            row=row,
            address=address,
            proxy_address="whatsapp:+19252210100",
            channel="whatsapp",
            identity=None,
            name=None,
            level=None,
            from_address=None,
            from_name=None,
            routing=routing,
            context_sid=None,
            webhook_ttid=None,
            message=message,
        )
        key = f"bench:{row}:1"
        opened = gateway.create_interaction(recipient, key)
        assert isinstance(opened, Accepted), opened
        conversation = opened.value.conversation_sid
        assert conversation
        assert gateway.has_participant(conversation, address) == Accepted(True)
        assert isinstance(gateway.create_message(conversation, message, key), Accepted)

    return send


def _stock(_url: str, _bundle: str) -> Send:
    from ops.bench import plain_celery

    client = plain_celery.LoopbackClient(*plain_celery.ACCOUNT)
    return lambda row: plain_celery.send_row(client, f"+1202{2000000 + row}", f"Name{row}", "1 May")


def _bare(url: str, bundle: str) -> Send:
    from ops.bench import bare_curl

    return lambda row: bare_curl.send_row(url, bundle, row)


_MAKERS: dict[str, Callable[[str, str], Send]] = {OURS: _ours, STOCK: _stock, BARE: _bare}


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


def _measure(pool: ThreadPoolExecutor, send: Send, rows: Iterable[int]) -> float:
    began = _cpu_ms()
    done = len(list(pool.map(send, rows)))
    return (_cpu_ms() - began) / (CALLS * done)


def main() -> None:
    """Be one of the clients: send as many rows as each line of stdin says, and tell what that cost."""
    name, url, bundle, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    for line in sys.stdin:
        send = _MAKERS[name](url, bundle)
        start = threading.Barrier(threads)

        def first(row: int, send: Send = send, start: threading.Barrier = start) -> None:
            start.wait(60)
            send(row)

        with ThreadPoolExecutor(threads) as pool:
            costs = _measure(pool, first, range(threads)), _measure(pool, send, range(int(line)))
        print(*costs, flush=True)


if __name__ == "__main__":
    main()
