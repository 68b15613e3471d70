"""A night of a schedule: take in the customers' files that are new, oldest first by name, each once, by its content."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns.problems import Problem, RefusedError
from campaigns.table import file_sha256
from worker.ledger.timetable import Night, NightState, Schedule, Taken, WaitsFor
from worker.logs import Masker
from worker.pipeline.intake import (
    UnfinishedError,
    carry_out,
    decide,
    load_definition_of,
    refuse_too_early,
    stamp_of,
)
from worker.pipeline.preflight import ask_about

if TYPE_CHECKING:
    from worker.pipeline.timetable import Hold

QUIET_MS = 10_000
"""A file is quiet when two looks, so far apart, have seen it unchanged: no clock but the ledger's is needed for that."""
OLD_MS = 300_000
"""One that was last changed so long ago is quiet at first sight; no clock of a file server is wrong by more."""
PROBLEMS_KEPT = 5
_ARRIVING = (".part", ".partial", ".filepart", ".tmp", ".crdownload")
TRIED_AGAIN = "It is tried again until the next night."


@dataclass
class _Round:
    """One look at all files of a schedule."""

    taken: Mapping[str, Taken]
    left: int = 0
    arriving: list[str] = field(default_factory=list)
    waits: str = ""
    waits_for: WaitsFor = ""


def load_new_files(hold: Hold, schedule: Schedule) -> Night:
    """Load every new file that is quiet.

    Returns: the night as it stands then: `waiting` where something is to be tried again.
    Raises: LeftError, OutreachError.
    """
    definition = Path(schedule.campaign)
    try:
        load_definition_of(hold.bench.settings, definition)
    except RefusedError as error:
        if not definition.exists():
            return _wait(hold.night, "definition", f"This worker sees no {definition.name} in its folder.")
        return _refused_definition(hold.night, definition, error)
    files = find_files(schedule.customers)
    if not files and not _folder(schedule.customers).is_dir():
        return _wait(hold.night, "definition", "This worker does not see the folder of the customers' files.")
    look = _Round(hold.table.taken(hold.entry))
    known = {(each.file, each.stamp) for each in look.taken.values()}
    for path in files:
        hold.go_on()
        stamp = _stamp(path)
        if not stamp:  # gone meanwhile
            continue
        if (path.name, stamp) in known:
            look.left += 1
        elif not _is_quiet(hold, path, stamp):
            look.arriving.append(path.name)
        elif not _is_arriving(path) and not _is_refused(hold.night, path, stamp):
            _take(hold, schedule, look, path, stamp)
            if look.waits:
                break
    return _sum_up(hold.night, look, Path(schedule.customers).name, matches=len(files))


def find_files(pattern: str) -> list[Path]:
    """List the files that a path or a glob means, by name; a path that is there is never taken for a glob."""
    exact = Path(pattern)
    # Not Path.glob, which finds hidden files too.
    names = [exact] if exact.is_file() else glob.iglob(pattern, recursive=True)  # noqa: PTH207
    found = (Path(name) for name in names)
    return sorted((path for path in found if path.is_file()), key=lambda path: (path.name, str(path)))


def is_text(path: str) -> bool:
    """Tell whether a path can be kept: a system takes any bytes for one."""
    return _as_text(path) == path


def _folder(pattern: str) -> Path:
    """Give the folder that a pattern begins in."""
    folder = Path(pattern).parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder


def _take(hold: Hold, schedule: Schedule, look: _Round, path: Path, stamp: str) -> None:
    """Load one file, unless its content was taken before."""
    if not is_text(str(path)):  # the ledger can't keep it: it would cost the night's other files
        fault = Problem(_as_text(path.name), None, None, "its name is not UTF-8", "rename it")
        _refuse(hold, path, stamp, [fault])
        return
    try:
        sha256 = file_sha256(path)
        if sha256 in look.taken:
            look.left += 1
            return
        _load(hold, schedule, path, stamp, sha256)
    except UnfinishedError as error:
        look.waits, look.waits_for = f"{path.name} waits: {_own_words(error)}.", "earlier_file"
    except RefusedError as error:
        if _stamp(path) != stamp:
            look.arriving.append(path.name)
        else:
            _refuse(hold, path, stamp, error.problems)
    except OSError as error:
        what = f"it can't be read: {(error.strerror or type(error).__name__).lower()}"
        _refuse(hold, path, stamp, [Problem(path.name, None, None, what, "see that workers may read it")])


def _load(hold: Hold, schedule: Schedule, path: Path, stamp: str, sha256: str) -> None:
    bench, definition = hold.bench, Path(schedule.campaign)
    decision = decide(bench.registry, bench.settings, definition, path)
    refuse_too_early(bench.registry, decision)
    if decision.begins:
        problems = ask_about(bench.gateway, decision.campaign, definition, path, bench.sleep)
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise RefusedError(errors)
        hold.go_on()
    intake = carry_out(bench.ledger, bench.registry, bench.settings, decision, lambda *_: hold.go_on())
    night, campaign_id = hold.night, intake.campaign_id
    counts = {word: night.counts.get(word, 0) + n for word, n in intake.counts.items()}
    hold.night = replace(
        night,
        files=(*night.files, path.name),
        campaigns=tuple(dict.fromkeys((*night.campaigns, campaign_id))),
        counts=counts,
    )
    file = Taken(path.name, stamp, night.planned_ms, campaign_id, sha256)
    hold.unless_lost(hold.table.take_file(hold.entry, hold.night, hold.token, file))


# What is known of a file ------------------------------------------------------------------------------------


def _stamp(path: Path) -> str:
    """Tell a file from what it was before, wherever it is moved to; empty where there is none."""
    return ".".join(str(part) for part in stamp_of(path)[1:])


def _key(path: Path) -> str:
    return hashlib.sha256(bytes(path)).hexdigest()[:16]


def _as_text(name: str) -> str:
    """Give a name as it can be kept and shown."""
    return name.encode(errors="replace").decode()


def _is_arriving(path: Path) -> bool:
    return path.name.startswith(".") or path.suffix.lower() in _ARRIVING


def _is_quiet(hold: Hold, path: Path, stamp: str) -> bool:
    now_ms, seen = hold.bench.ledger.now_ms(), hold.night.seen.get(_key(path))
    if now_ms - int(stamp.rpartition(".")[2]) // 1_000_000 >= OLD_MS:
        return True
    if seen and seen["stamp"] == stamp:
        return bool(now_ms - seen["since_ms"] >= QUIET_MS) and not _is_arriving(path)
    _see(hold, path, {"stamp": stamp, "since_ms": now_ms})
    return False


def _is_refused(night: Night, path: Path, stamp: str) -> bool:
    seen = night.seen.get(_key(path))
    return bool(seen and seen["stamp"] == stamp and seen.get("refused"))


def _see(hold: Hold, path: Path, what: Mapping[str, object]) -> None:
    hold.night = replace(hold.night, seen={**hold.night.seen, _key(path): what})


def _refuse(hold: Hold, path: Path, stamp: str, problems: tuple[Problem, ...] | list[Problem]) -> None:
    _see(hold, path, {"stamp": stamp, "since_ms": 0, "refused": _as_text(path.name)})
    lines = (*hold.night.problems, *_lines(problems))
    hold.night = replace(hold.night, problems=lines[:PROBLEMS_KEPT])


def _lines(problems: tuple[Problem, ...] | list[Problem]) -> Iterator[str]:
    """Say what speaks against a file as a whole; of single rows only how many, for they hold customers' data."""
    of_rows = [problem for problem in problems if problem.row is not None]
    for problem in problems:
        if problem.row is None:
            yield Masker().text(str(replace(problem, file=Path(problem.file).name)))
    if of_rows:
        yield f"{len(of_rows)} problems of rows: `outreach check` tells them"


def _own_words(error: RefusedError) -> str:
    return error.problems[0].what


# What came of it --------------------------------------------------------------------------------------------


def _wait(night: Night, waits_for: WaitsFor, why: str) -> Night:
    return replace(night, state="waiting", waits_for=waits_for, outcome=f"{why} {TRIED_AGAIN}")


def _refused_definition(night: Night, definition: Path, error: RefusedError) -> Night:
    problems = tuple(_lines(error.problems))[:PROBLEMS_KEPT]
    return replace(
        night, state="refused", outcome=f"The definition {definition.name} was refused.", problems=problems
    )


def _sum_up(night: Night, look: _Round, pattern: str, *, matches: int) -> Night:
    refused = [str(seen["refused"]) for seen in night.seen.values() if seen.get("refused")]
    words = []
    if night.files:
        counts = ", ".join(f"{n:,} {word.replace('_', ' ')}" for word, n in night.counts.items() if n)
        words.append(f"Took in {_names(night.files)}: {counts}.")
    if refused:
        words.append(f"{_names(refused)} {'was' if len(refused) == 1 else 'were'} refused.")
    if look.arriving:
        words.append(f"{_names(look.arriving)} may still be growing.")
    if look.waits:
        words.append(look.waits)
    if look.waits or look.arriving:
        return _wait(night, look.waits_for or "file", " ".join(words))
    if not words and look.left:
        were = "1 that matches was" if look.left == 1 else f"{look.left} that match were"
        words.append(f"No new file: the {were} taken on earlier nights.")
    elif not words:
        words.append(f"No file: nothing matches {pattern}." if not matches else "No file that is complete.")
    state: NightState = "refused" if refused else "done" if night.files else "nothing"
    return replace(night, state=state, outcome=" ".join(words))


def _names(files: tuple[str, ...] | list[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
