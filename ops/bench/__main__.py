"""Run the benchmarks, and keep what they found out in RESULTS.md.

    python -m ops.bench                # all of them, as `make bench` does
    python -m ops.bench --full pace    # one, at its full size

Each runs in a process of its own, so that none has another's memory, threads or children counted as its own.
"""

import argparse
import importlib
import multiprocessing
import pkgutil
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import ops.bench
from ops.bench import scaling
from ops.bench.record import Measured, keep, machine
from ops.bench.report import Answer, as_text

HERE = Path(__file__).parent


def benchmarks(package: str = ops.bench.__name__) -> list[str]:
    """List the names of all benchmarks: the modules that define `answer`.

    Read, not imported: one whose dependencies are not installed is to fail when it runs, under its name.
    """
    [folder] = importlib.import_module(package).__path__
    found = (module.name for module in pkgutil.iter_modules([folder]))
    return [name for name in found if "\ndef answer(" in (Path(folder) / f"{name}.py").read_text("utf-8")]


def run(names: Sequence[str], folder: Path, *, full: bool, package: str = ops.bench.__name__) -> list[str]:
    """Run these in turn, and keep each answer in `folder` as soon as it is there; return what failed."""
    failed = []
    for number, name in enumerate(names, 1):
        sys.stderr.write(f"[{number}/{len(names)}] {name} ")
        sys.stderr.flush()
        began = time.monotonic()
        asked = _apart(package, name, full)
        if error := asked.exception():
            sys.stderr.write(f"\n{name} failed:\n{''.join(traceback.format_exception(error))}")
            failed.append(name)
            continue
        answer = asked.result()
        everything = keep(folder, name, Measured(answer, datetime.now(UTC).date(), machine()))
        if folder == HERE:
            scaling.renew(everything)
        sys.stderr.write(f"{time.monotonic() - began:.0f} s\n")
        failed += [f"{name} ({part})" for part in answer.failed]
        sys.stdout.write(f"{as_text(name, answer)}\n\n")
        sys.stdout.flush()
    return failed


def _apart(package: str, name: str, full: bool) -> Future[Answer]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_ask, package, name, full)


def _ask(package: str, name: str, full: bool) -> Answer:
    answer = importlib.import_module(f"{package}.{name}").answer(full=full)
    assert isinstance(answer, Answer)
    return answer


def main() -> None:
    """Run those that are named, or all; exit 1 if one failed."""
    parser = _parser()
    options = parser.parse_args()
    unknown = set(options.names) - set(benchmarks())
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(benchmarks())}.")
    failed = run(options.names or benchmarks(), options.into, full=options.full)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.bench",
        description="Run the benchmarks, and keep what they found out in RESULTS.md.",
        epilog=f"{_questions()}\n\nExample: python -m ops.bench start http_clients --into trial",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all where none is named")
    parser.add_argument("--full", action="store_true", help="at full size, a million rows among them")
    into = "where RESULTS.md and the charts go; ops/SCALING.md is renewed only where this is left out"
    parser.add_argument("--into", type=Path, default=HERE, metavar="FOLDER", help=into)
    return parser


def _questions() -> str:
    """List the benchmarks and what each one asks: the first line of its docstring, read as in `benchmarks`."""
    names = benchmarks()
    width = max(map(len, names))
    firsts = [(HERE / f"{name}.py").read_text("utf-8").partition("\n")[0].strip('"') for name in names]
    return "\n".join(f"  {name.ljust(width)}  {first}" for name, first in zip(names, firsts, strict=True))


if __name__ == "__main__":
    # By its own name: what a spawned process is handed it looks up there, and it does not know this run's `__main__`.
    importlib.import_module("ops.bench.__main__").main()
