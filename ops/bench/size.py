"""What does a campaign cost by its size: taken in, held in Redis, sent, looked at, stopped and written to its results file?

    python -m ops.bench size              # 10,000 and 100,000 rows
    python -m ops.bench --full size       # and 1,000,000

Files are really loaded, by the loader in a process of its own, with the disk asked for every write. What a ledger of that size
costs is asked of one whose rows have been given the records of rows that were sent, delivered and read (`ledger_rows.py`);
from there some more rows go their way through the ledger, without Twilio. All sizes are measured in turn, in the same run.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.bench import importers
from ops.bench.customers import write_customers
from ops.bench.ledger_rows import ID, TRANSITIONS_A_ROW, Place, load_ended, open_place, work_off
from ops.bench.report import RUNS, Answer, Chart, Draft, Figure, Goal, Series, repeat
from worker.pipeline.results import write_results
from worker.pipeline.status import snapshot
from worker.wiring import build

SIZES = (10_000, 100_000)
FULL = 1_000_000
_WRITTEN_ONE_BY_ONE = 1_000
_SENT = 400
_LEFT = 1_000
_MB_MORE = 32


def answer(*, full: bool) -> Answer:
    """Measure all of it at two sizes, or at three."""
    return measure((*SIZES, FULL) if full else SIZES, sent=_SENT, one_by_one=_WRITTEN_ONE_BY_ONE)


def measure(sizes: Sequence[int], *, sent: int, one_by_one: int, runs: int = RUNS) -> Answer:
    """Measure it at these sizes, the least first."""
    draft, lines = Draft(), list[Series]()
    with TemporaryDirectory() as folder, draft.part("loading"):
        _taking_in(Path(folder), sizes, one_by_one, runs, draft, lines)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        places: dict[int, Place] = {}
        for rows in sizes:
            with draft.part(f"a ledger of {rows:,} rows"):
                place = stack.enter_context(open_place(Path(folder) / str(rows), appendfsync="no"))
                load_ended(place, rows, left=runs * sent + min(_LEFT, rows // 10))
                places[rows] = place
        with draft.part("bytes of Redis"):
            _memory(places, draft)
        with draft.part("dispatch to finish"):
            _sending(places, sent, runs, draft, lines)
        with draft.part("status and pause"):
            _looking(places, runs, draft)
        with draft.part("results files"):
            _results(places, Path(folder), runs, draft, lines)
        with draft.part("calls that block"):
            _longest_calls(places, draft)
    if lines:
        title = "Cost of a row by the size of its campaign"
        draft.charts.append(Chart("cost-by-size", title, "rows", "us a row", tuple(lines), True))
    draft.remarks += [
        "The runs of loading are loads of the whole file at the least size, and the five fifths of one load at the others.",
        f"Row by row: the first {one_by_one:,} customers, one round trip each to the same server.",
        "Peak memory and bytes a row do not vary: one run. A call that blocks can be made once: the rows have moved then.",
    ]
    return draft.answer(
        question="What does a campaign cost by its size?",
        command=f"python -m ops.bench {'--full ' if max(sizes) >= FULL else ''}size",
        ran=(
            f"Campaigns of {', '.join(f'{rows:,}' for rows in sizes)} rows with four columns, on an embedded server each. Loading: "
            "the file, with appendfsync always; the loader in a process of its own. The rest: appendfsync no, rows that lie there as "
            "sent, delivered and read, a tenth answered, and rows that go their way through the ledger without Twilio."
        ),
    )


def _taking_in(
    folder: Path,
    sizes: Sequence[int],
    one_by_one: int,
    runs: int,
    draft: Draft,
    lines: list[Series],
) -> None:
    least, few = sizes[0], folder / "few.csv"
    write_customers(few, one_by_one)
    files = {rows: folder / f"{rows}.csv" for rows in sizes}
    for rows, file in files.items():
        write_customers(file, rows)
    with open_place(folder / "redis", appendfsync="always") as place:

        def take_in(way: str, file: Path) -> importers.Taken:
            place.client.flushdb()
            return importers.take_in(way, file, place.url)

        ways = repeat(
            lambda: {
                "load": take_in("load", files[least]),
                "row_by_row": take_in("row_by_row", few),
                "check": take_in("check", files[least]),
                "plain": take_in("plain", files[least]),
            },
            runs,
        )
        loads = {rows: take_in("load", files[rows]) for rows in sizes[1:]}
    ours = [run["load"] for run in ways]
    rates = {least: tuple(one.rows / one.wall_s for one in ours)}
    for rows, one in loads.items():
        rates[rows] = tuple(rows / len(one.parts_s) / part_s for part_s in one.parts_s)
    draft.figures += [Figure(f"load {rows:,} rows", "rows/s", rates[rows]) for rows in sizes]
    beside = Figure(
        "loading, beside row by row",
        "times as fast",
        tuple(
            (one["load"].rows / one["load"].wall_s) / (one["row_by_row"].rows / one["row_by_row"].wall_s)
            for one in ways
        ),
    )
    draft.figures += [
        beside,
        Figure("CPU time of the loader", "us a row", tuple(one.cpu_s / one.rows * 1e6 for one in ours)),
        Figure(
            "all checks, beside parsing the numbers alone",
            "times the CPU time",
            tuple(one["check"].cpu_s / one["plain"].cpu_s for one in ways),
        ),
    ]
    peaks = {least: [one.peak_mb for one in ours]} | {rows: [one.peak_mb] for rows, one in loads.items()}
    draft.figures += [
        Figure(f"peak memory of loading {rows:,} rows", "MB", tuple(peaks[rows])) for rows in sizes
    ]
    draft.goals += [
        Goal("loading is faster than row by row, in each run", beside.low > 1),
        Goal(
            f"the loader's memory is flat: at most {_MB_MORE} MB more at any size, in each run",
            max(map(max, peaks.values())) - min(peaks[least]) <= _MB_MORE,
        ),
    ]
    lines.append(_line("loading, wall clock", {rows: [1e6 / rate for rate in rates[rows]] for rows in sizes}))


def _memory(places: dict[int, Place], draft: Draft) -> None:
    own = {}
    for rows, place in places.items():
        cells = _bytes_of(place, "in:*")
        # Of the main table, too, in which the keys themselves stand.
        table = place.client.memory_stats()["db.0"]["overhead.hashtable.main"]
        own[rows] = (_bytes_of(place, "*") - cells + table) / rows
        draft.figures.append(Figure(f"Redis beside the columns, {rows:,} rows", "bytes a row", (own[rows],)))
    draft.goals.append(
        Goal("at most 180 bytes of Redis a row beside the columns, at any size", max(own.values()) <= 180)
    )
    most = max(places)
    for what, suffix in (("records", "rw:*"), ("receipts' index", "cv:*"), ("columns", "in:*")):
        each = _bytes_of(places[most], suffix) / most
        draft.figures.append(
            Figure(f"of which {what}" if what != "columns" else what, "bytes a row", (each,))
        )


def _bytes_of(place: Place, suffix: str) -> int:
    # Brackets and braces of the name are no pattern.
    pattern = place.ledger.key(ID, suffix).replace("{", "\\{").replace("}", "\\}")
    names, total = list(place.client.scan_iter(pattern, count=10_000)), 0
    for at in range(0, len(names), 1000):
        with place.client.pipeline(transaction=False) as pipe:
            for name in names[at : at + 1000]:
                pipe.memory_usage(name, samples=0)
            total += sum(pipe.execute())
    return total


def _sending(
    places: dict[int, Place],
    sent: int,
    runs: int,
    draft: Draft,
    lines: list[Series],
) -> None:
    """Let some rows of each go their way, in turn: what is compared was measured within the same second or two."""
    for place in places.values():
        place.ledger.dispatch(ID, fresh=0, old=0)  # the scripts are compiled

    def cost(rows: int) -> float:
        place = places[rows]
        began_s = time.process_time() + place.server_cpu_s()
        work_off(place.ledger, sent)
        return (time.process_time() + place.server_cpu_s() - began_s) / sent * 1e6

    costs = repeat(lambda: {rows: cost(rows) for rows in places}, runs)
    for rows in places:
        draft.figures.append(
            Figure(
                f"dispatch to finish among {rows:,} rows",
                "us of CPU a row",
                tuple(run[rows] for run in costs),
            )
        )
    least, most = min(places), max(places)
    if least < most:  # else the others could not be made, and one beside itself proves nothing
        what = f"the same, {most:,} beside {least:,} rows"
        ratio = Figure(what, "times", tuple(run[most] / run[least] for run in costs))
        draft.figures.append(ratio)
        draft.goals.append(
            Goal("dispatch and finish cost the same at any size, within 10 %", ratio.median <= 1.1)
        )
    draft.figures.append(_beside_hset(places[least], sent, runs))
    lines.append(_line("dispatch to finish, CPU", {rows: [run[rows] for run in costs] for rows in places}))


def _beside_hset(place: Place, sent: int, runs: int) -> Figure:
    """Set Redis's share of a transition beside that of the least write there is."""

    def once() -> float:
        began_s = place.server_cpu_s()
        for at in range(sent * TRANSITIONS_A_ROW):
            place.client.hset("bench:bare", str(at), b"x" * 100)
        return (place.server_cpu_s() - began_s) / sent / TRANSITIONS_A_ROW * 1e6

    return Figure("a bare HSET of 100 bytes, to compare", "us of Redis's CPU", tuple(repeat(once, runs)))


def _looking(places: dict[int, Place], runs: int, draft: Draft) -> None:
    shown, paused = {}, {}
    for rows, place in places.items():

        def look(place: Place = place) -> float:
            bench = build(place.settings, place.client)  # as a command does
            return _took_ms(lambda: snapshot(bench, ID))

        def stop(place: Place = place) -> float:
            took_ms = _took_ms(lambda: place.registry.pause(ID, by="operator"))
            assert not place.ledger.dispatch(ID, fresh=64, old=0).fresh
            assert place.registry.resume(ID).ok
            return took_ms

        shown[rows], paused[rows] = tuple(repeat(look, runs)), tuple(repeat(stop, runs))
        draft.figures.append(Figure(f"status among {rows:,} rows", "ms", shown[rows]))
        draft.figures.append(
            Figure(f"pause, until no row is given out, among {rows:,} rows", "ms", paused[rows])
        )
    draft.goals += [
        Goal(
            "status takes less than 200 ms beside start-up, in each run", max(map(max, shown.values())) < 200
        ),
        Goal("pause takes less than 2 s, in each run", max(map(max, paused.values())) < 2000),
    ]


def _results(
    places: dict[int, Place],
    folder: Path,
    runs: int,
    draft: Draft,
    lines: list[Series],
) -> None:
    took = {}
    for rows, place in places.items():
        path = folder / f"results-{rows}" / f"{ID}.csv"

        def write(place: Place = place, path: Path = path) -> float:
            return _took_ms(lambda: write_results(place.ledger, place.registry, ID, path)) / 1000

        took[rows] = tuple(repeat(write, runs))
        draft.figures.append(Figure(f"results file of {rows:,} rows", "s", took[rows]))
        path.unlink()
    most = max(places)
    reckoned = "" if most >= FULL else f", reckoned from one of {most:,}"
    draft.goals.append(
        Goal(
            f"a results file of {FULL:,} rows takes at most 30 s, in each run{reckoned}",
            max(took[most]) / most * FULL <= 30,
        )
    )
    lines.append(
        _line("results file, wall clock", {rows: [s / rows * 1e6 for s in took[rows]] for rows in places})
    )


def _longest_calls(places: dict[int, Place], draft: Draft) -> None:
    """Time the calls that touch many rows at once, and cancelling itself: everybody else waits meanwhile."""
    for rows, place in places.items():
        calls: dict[str, Callable[[], object]] = {
            "dispatch 500": partial(place.ledger.dispatch, ID, fresh=500, old=500),
            "rescue 500": partial(place.ledger.rescue_queued, ID, older_ms=0),
            "cancel": partial(place.registry.cancel, ID),
            "end 1,000 that are cancelled": partial(place.ledger.cancel_rows, ID),
        }
        for what, call in calls.items():
            draft.figures.append(
                Figure(f"a call that blocks: {what}, of {rows:,} rows", "ms", (_took_ms(call),))
            )


def _took_ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def _line(what: str, costs: dict[int, Sequence[float]]) -> Series:
    return Series(
        what, tuple(map(float, costs)), tuple(sorted(each)[len(each) // 2] for each in costs.values())
    )
