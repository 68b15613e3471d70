"""Make the two tables of ops/SCALING.md from what was measured: the cost of each part, and what 100 to 10,000 rows a second need."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path

from ops.bench.record import Measured
from ops.bench.report import shown

PAGE = Path(__file__).parents[1] / "SCALING.md"
BEGIN, END = "<!-- made by `python -m ops.bench` from what was measured -->", "<!-- end of what is made -->"
RATES = (100, 1_000, 10_000)
PACE = 20
"""Interactions a second of an account."""
WORKER_SHARE, REDIS_SHARE = 0.7, 0.5
"""How much of a core is planned with: a worker process that is busier wakes late for its slots, a Redis answers late."""
REQUESTS_S = 0.45
"""How long a row's three requests take, at 150 ms each."""
_FILE, _MEMORY = "Redis's append-only file", "Redis's memory, columns left out"
# What it is called here -> benchmark, and how its figure's name begins.
_NEEDED = {
    "CPU of the worker": ("cost", "ours at 100/s: of it worker"),
    "CPU of Redis, ledger and broker": ("cost", "ours at 100/s: of it Redis"),
    "round trips to Redis": ("parts", "round trips to Redis"),
    "messages in the broker": ("parts", "messages in the broker"),
    "sent to Redis": ("parts", "sent to Redis"),
    "answered by Redis": ("parts", "answered by Redis"),
    _FILE: ("parts", "written to its append-only file"),
    "fsyncs, at most": ("parts", "fsyncs, at most"),
    "an fsync": ("parts", "an fsync, alone"),
    _MEMORY: ("size", "Redis beside the columns"),
}


def renew(everything: Mapping[str, Measured], page: Path = PAGE) -> None:
    """Put the tables between the marks of the page, once all that they need was measured."""
    known = _medians(everything)
    if known is None:
        return
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{tables(known)}\n{END}{after}", encoding="utf-8")


def tables(known: Mapping[str, tuple[float, str, str]]) -> str:
    """Write both tables; `known`: median, unit and benchmark of each part."""
    parts = ["| a row costs | median | measured by |", "| --- | ---: | --- |"]
    for what, (number, unit, benchmark) in known.items():
        link = f"[{benchmark}](bench/RESULTS.md#{benchmark})"
        parts.append(f"| {what} | {shown(number)} {unit.removesuffix(' a row')} | {link} |")
    columns = [_needs(rate, {what: number for what, (number, _, _) in known.items()}) for rate in RATES]
    rates = " | ".join(f"{rate:,} rows/s" for rate in RATES)
    needs = [f"| | {rates} |", "| --- |" + " ---: |" * len(RATES)]
    for what in columns[0]:
        needs.append(f"| {what} | {' | '.join(column[what] for column in columns)} |")
    return "\n".join([*parts, "", *needs])


def _needs(rate: float, cost: Mapping[str, float]) -> dict[str, str]:
    worker = rate * cost["CPU of the worker"] / 1000
    server = rate * cost["CPU of Redis, ledger and broker"] / 1000
    network = rate * (cost["sent to Redis"] + cost["answered by Redis"]) * 8 / 1e6
    # Redis syncs once for what waits, so the disk is busy at most all the time.
    disk = min(1.0, rate * cost["fsyncs, at most"] * cost["an fsync"] / 1000 / ceil(server / REDIS_SHARE))
    processes, servers = ceil(worker / WORKER_SHARE), ceil(server / REDIS_SHARE)
    return {
        f"accounts, at {PACE} rows/s each": f"{rate / PACE:,.0f}",
        "cores of workers": f"{worker:.1f}",
        f"worker processes, each {WORKER_SHARE:.0%} of a core": f"{processes:,}",
        "requests to Twilio under way": f"{rate * REQUESTS_S:,.0f}",
        "cores of Redis": f"{server:.2f}",
        f"Redis servers, each {REDIS_SHARE:.0%} of a core": f"{servers:,}",
        "of each, at most in fsyncs": f"{disk:.0%} of the time",
        "network of Redis, all servers": f"{network:,.0f} Mbit/s",
        "append-only files": f"{rate * cost[_FILE] / 1e6:,.1f} MB/s",
        "Redis's memory for an hour's rows": f"{rate * 3600 * cost[_MEMORY] / 1e9:,.2f} GB",
        "short at first": _short(rate, cost),
    }


def _short(rate: float, cost: Mapping[str, float]) -> str:
    """Name what one of is too little for, at the fewest rows a second first."""
    does = {
        "a worker's core": 1000 * WORKER_SHARE / cost["CPU of the worker"],
        "a Redis's core": 1000 * REDIS_SHARE / cost["CPU of Redis, ledger and broker"],
    }
    short = sorted((most, what) for what, most in does.items() if most < rate)
    named = ", then ".join(f"{what} ({most:,.0f} rows/s)" for most, what in short)
    return named or "nothing: one of each will do"


def _medians(everything: Mapping[str, Measured]) -> dict[str, tuple[float, str, str]] | None:
    found: dict[str, tuple[float, str, str]] = {}
    for what, (benchmark, begins) in _NEEDED.items():
        if benchmark not in everything:
            return None
        figures = [each for each in everything[benchmark].answer.figures if each.what.startswith(begins)]
        if not figures:
            return None
        # The last one is that of the largest size.
        found[what] = (figures[-1].median, figures[-1].unit, benchmark)
    return found
