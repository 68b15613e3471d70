"""Keep the answers of all benchmarks: results.json holds each run's numbers, RESULTS.md and the charts are made of them."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter

from ops.bench import chart, report
from worker.redis_binary import find_server

HEAD = """# What it costs, and how fast it is

Made by `make bench` (under ten minutes) or `make bench-full` (about 40), and by nothing else: no figure is written in by hand.
Each figure is the least, the median and the most of its runs; a ratio is measured in one run beside the alternative.
A goal is judged by the median, unless it says `in each run`.
`results.json` has each run's numbers. What was not measured anew keeps its section, which says when and on what it was.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold an answer with its circumstances."""

    answer: report.Answer
    day: date
    machine: str


# A time that was not seen to end is infinite, and stays so.
_RECORD = TypeAdapter(dict[str, Measured], config=ConfigDict(ser_json_inf_nan="strings"))


def machine() -> str:
    """Say on what machine this runs: nothing that tells it from another of its kind."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # What follows the number of a kernel is whoever built it.
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    server = re.match(r"(\w+) server v=([\d.]+)", said)
    return f"{cores} cores, {kernel}, Python {platform.python_version()}, " + (
        f"{server[1]} {server[2]}" if server else "a Redis of unknown version"
    )


def read(folder: Path) -> dict[str, Measured]:
    """Read what was measured last, by the benchmarks' names."""
    try:
        return _RECORD.validate_json((folder / "results.json").read_bytes())
    except FileNotFoundError:
        return {}


def keep(folder: Path, name: str, measured: Measured) -> dict[str, Measured]:
    """Put an answer beside the others, make RESULTS.md and the charts of all of them, and return them."""
    everything = dict(sorted((read(folder) | {name: measured}).items()))
    folder.mkdir(parents=True, exist_ok=True)
    # One benchmark a line, so that two of them measured in two branches are merged like text.
    lines = [_RECORD.dump_json({name: one}).decode()[1:-1] for name, one in everything.items()]
    (folder / "results.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(page(everything), encoding="utf-8")
    _draw(folder / "charts", [chart for one in everything.values() for chart in one.answer.charts])
    return everything


def page(everything: dict[str, Measured]) -> str:
    """Write RESULTS.md."""
    goals = ["| goal | met | measured by |", "| --- | --- | --- |"]
    for name, one in everything.items():
        for goal in one.answer.goals:
            goals.append(f"| {goal.what} | {'yes' if goal.is_met else '**no**'} | [{name}](#{name}) |")
    sections = [
        report.as_markdown(name, one.answer, f"Measured {one.day.isoformat()} on {one.machine}.")
        for name, one in everything.items()
    ]
    return "\n\n".join([HEAD.rstrip(), "\n".join(goals), *sections]) + "\n"


def _draw(folder: Path, charts: list[report.Chart]) -> None:
    folder.mkdir(exist_ok=True)
    for one in charts:
        (folder / f"{one.name}.svg").write_text(chart.draw(one), encoding="utf-8")
    for path in folder.glob("*.svg"):
        if path.stem not in {one.name for one in charts}:
            path.unlink()
