"""What does a row ask of Redis, its disk and the broker: round trips, messages, bytes, fsyncs?

    python -m ops.bench parts

A worker of ours sends rows as in `cost`, on its embedded Redis (ledger and broker in one, `appendfsync always`); Redis's own
counters are read between two messages well within a turn. Redis syncs once for all that it took in one turn of its loop,
so its turns are the most fsyncs there can have been. Beside them: what one takes on this disk, alone.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis

from ops.bench.cost import Ours
from ops.bench.report import Answer, Figure, repeat
from ops.bench.twilio_loopback import TwilioLoopback

FSYNCS = 200
# Figure -> unit -> what is counted, given INFO, CPU left out.
_COUNTED: dict[tuple[str, str], Callable[[dict[str, float]], float]] = {
    ("round trips to Redis", "a row"): lambda info: info["total_reads_processed"],
    ("of them scripts", "a row"): lambda info: info["evalsha"],
    ("messages in the broker", "a row"): lambda info: info["lpush"],
    ("sent to Redis", "bytes a row"): lambda info: info["total_net_input_bytes"],
    ("answered by Redis", "bytes a row"): lambda info: info["total_net_output_bytes"],
    ("written to its append-only file", "bytes a row"): lambda info: info["aof_current_size"],
    ("fsyncs, at most", "a row"): lambda info: info["eventloop_cycles"],
}


def look(client: redis.Redis) -> dict[str, float]:
    """Read Redis's counters."""
    stats, disk, commands = client.info("stats"), client.info("persistence"), client.info("commandstats")
    calls = {
        name: float(commands.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "lpush")
    }
    return {name: float(value) for name, value in {**stats, **disk}.items() if isinstance(value, int)} | calls


def turn(server: TwilioLoopback, ours: Ours, client: redis.Redis, rows: int) -> list[float]:
    """Let ours send `rows`, and some before and after them; give what was counted, a row each."""
    seen: list[dict[str, float]] = []
    is_over = threading.Event()
    first, around = server.messages, ours.around
    server.at_message(around, lambda: seen.append(look(client)))
    server.at_message(around + rows, lambda: seen.append(look(client)))
    server.at_message(around + rows + around, is_over.set)
    ours.begin(around + rows + around)
    if not is_over.wait(60 + rows / 5):
        raise TimeoutError(f"{server.messages - first} rows were sent in all that time")
    return [(count(seen[1]) - count(seen[0])) / rows for count in _COUNTED.values()]


def fsync_ms(folder: Path) -> float:
    """Append a row's worth of bytes and sync them, again and again; give the milliseconds of one."""
    with (folder / "synced").open("ab", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(FSYNCS):
            file.write(b"x" * 500)
            os.fsync(file.fileno())
        return (time.perf_counter() - began) / FSYNCS * 1000


def answer(*, full: bool, rows: int = 200) -> Answer:
    """Measure."""
    rows = rows * 5 if full else rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            TwilioLoopback(folder).up() as server,
            Ours(server, folder / "ours").up() as ours,
            redis.Redis(unix_socket_path=str(next((folder / "ours").rglob("redis.sock")))) as client,
        ):
            # Its file is not rewritten meanwhile, which would make it smaller.
            client.config_set("auto-aof-rewrite-percentage", 0)
            turns = repeat(lambda: turn(server, ours, client, rows))
        syncs = repeat(lambda: fsync_ms(folder))
    figures = [
        Figure(what, unit, tuple(runs))
        for (what, unit), runs in zip(_COUNTED, zip(*turns, strict=True), strict=True)
    ]
    return Answer(
        question=(__doc__ or "").splitlines()[0],
        command=f"python -m ops.bench {'--full ' if full else ''}parts",
        ran=f"5 turns of {rows} rows by a worker with the threads that 100 rows/s ask for, over TLS on loopback, each answer after 50 to "
        f"200 ms; and {FSYNCS} fsyncs of 500 bytes, one after another.",
        figures=(*figures, Figure("an fsync, alone", "ms", tuple(syncs))),
        remarks=(
            "A turn's own ticks, look-arounds and lost slots are in it: what is counted is all that Redis did.",
        ),
    )
