"""Load a customers' file into the ledger in one streamed pass, 64 rows at a time, and start the campaign.

Reading and checking go on in one thread, writing in another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from campaigns.check import CheckedRow, check_rows
from campaigns.definition import Campaign
from campaigns.duplicates import AddressHashes, Duplicates
from campaigns.identity import address_hash
from campaigns.problems import Problem, RefusedError
from campaigns.recipients import compile_campaign
from campaigns.table import open_table
from worker.errors import RefusedHereError
from worker.ledger import keys
from worker.ledger.ledger import Ledger, LoadRow
from worker.ledger.registry import Registry
from worker.ledger.row import NO_HASH, pack_new
from worker.ledger.states import Reason, State
from worker.ledger.suppression import Suppression, contact
from worker.pipeline.rebuild import EarlierResults
from worker.pipeline.writing import Writer

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the rows and, nearly, the bytes of the file read, and written, so far."""

PROBLEMS_KEPT = 1_000
_STATES = {"ready": State.PENDING, "invalid": State.INVALID, "skipped": State.SKIPPED}
_REASONS = {"duplicate": Reason.DUPLICATE, "already_contacted": Reason.ALREADY_CONTACTED}


class UnfinishedError(RefusedError):
    """Report that another file of the campaign's name is still being sent: this one may be loaded when that has ended."""


@dataclass(slots=True)
class Loaded:
    """What a pass over a file has seen."""

    rows: int = 0
    size: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    warnings: list[Problem] = field(default_factory=list)
    suppressed: int = 0
    """Rows that are skipped because the customer is on the do-not-contact list."""
    joined: bool = False
    """Another loader had begun, or was there at the same time."""

    def see(self, bucket: Iterable[CheckedRow]) -> None:
        """Count some rows and keep their problems, as far as there is room."""
        for row in bucket:
            self.rows += 1
            self.size += sum(map(len, row.cells)) + len(row.cells)
            self.verdicts[row.verdict] = self.verdicts.get(row.verdict, 0) + 1
            if row.problems:
                self.problem_count += len(row.problems)
                self.problems += row.problems[: PROBLEMS_KEPT - len(self.problems)]


def load_file(
    ledger: Ledger,
    registry: Registry,
    campaign_id: str,
    campaign: Campaign,
    path: Path,
    fields: Mapping[str, str],
    contacted: AddressHashes | None,
    progress: Progress | None = None,
    stamp: tuple[int, ...] | None = None,
    results: Path | None = None,
    known: Sequence[str] | None = None,
    suppression: Suppression | None = None,
) -> Loaded:
    """Load the whole file, or the rest of it, and start the campaign.

    `stamp`: of the file that the campaign was named after, where it was looked at before; it must still be that one.
    `known`: the started campaigns of this name that `contacted` comes of; nobody knows whom one more would contact.
    `results`: of this campaign, where the ledger has lost it; a row that ended is loaded as it ended.
    `suppression`: customers on it are skipped; it is looked at once more before each message.
    Any number of loaders may do this at once, and each may be killed anywhere: a bucket is taken from the first that
    has it, all of them check the same rows, and the campaign starts once, when every row is there.

    Raises: RefusedError where the file turns out to be broken, changes meanwhile, or holds no row that can be sent;
    where `results` are not this file's; or where another file of this name was started meanwhile.
    """
    before = stamp or stamp_of(path)
    with ExitStack() as stack, open_table(path) as table, Duplicates(contacted) as seen:
        loaded = Loaded(warnings=list(table.warnings))
        compiled = compile_campaign(campaign, table.columns, table.file)
        fields = {**fields, "columns": json.dumps(table.columns, ensure_ascii=False)}
        earlier = None
        if results is None:
            created = registry.create(campaign_id, fields)
        else:
            earlier = EarlierResults(results, campaign_id, table.columns)
            stack.enter_context(earlier.reading())
            rebuilt = {**fields, "rebuilt": "1"}
            created = registry.create(campaign_id, rebuilt, seen=earlier.seen, created_ms=earlier.created_ms)
        loaded.joined = not created.ok
        there = registry.get(campaign_id).loaded

        def write(bucket: list[CheckedRow]) -> None:
            nonlocal there
            listed = _find_suppressed(bucket, None if earlier else suppression)
            loaded.suppressed += sum(listed)
            rows = [_load_row(row, is_listed) for row, is_listed in zip(bucket, listed, strict=True)]
            if earlier is not None:
                rows = [earlier.take(row, checked) for row, checked in zip(bucket, rows, strict=True)]
            if bucket[-1].number > there:
                in_all = earlier.rows if earlier else 0
                there = _load_bucket(ledger, campaign_id, bucket[0].number, rows, in_all)

        try:
            with Writer(write) as writer:
                for bucket in _buckets(check_rows(compiled, table, seen)):
                    loaded.see(bucket)
                    writer.put(bucket, partial(progress, loaded.rows, loaded.size) if progress else _silent)
                writer.finish()
            _refuse_changed(path, before)
            if earlier is None:
                _refuse_empty(path, loaded, len(contacted or ()))
            else:
                earlier.refuse_more()
            _start(registry, campaign_id, path, loaded.rows, known)
        except RefusedError:
            registry.discard(campaign_id)
            raise
    return loaded


def check_again(campaign: Campaign, path: Path, progress: Progress | None = None) -> Loaded:
    """Check all rows against a changed definition, without loading them.

    Raises: RefusedError as `load_file`.
    """
    with open_table(path) as table, Duplicates() as seen:
        loaded = Loaded(warnings=list(table.warnings))
        compiled = compile_campaign(campaign, table.columns, table.file)
        for bucket in _buckets(check_rows(compiled, table, seen)):
            loaded.see(bucket)
            if progress is not None:
                progress(loaded.rows, loaded.size)
    _refuse_empty(path, loaded, 0)
    return loaded


def _buckets(rows: Iterator[CheckedRow]) -> Iterator[list[CheckedRow]]:
    while bucket := list(islice(rows, keys.BUCKET)):
        yield bucket


def _load_bucket(ledger: Ledger, campaign_id: str, first: int, rows: list[LoadRow], in_all: int) -> int:
    """Load a bucket; give how many rows are in the ledger now, by whomever."""
    reply = ledger.load_rows(campaign_id, first, rows, in_all=in_all)
    there = int(reply.values[0] if reply.ok else reply.why or 0)
    if there < first - 1 + len(rows):
        raise _taken_away(campaign_id)
    return there


def _taken_away(campaign_id: str) -> RefusedHereError:
    return RefusedHereError(
        f"The load of {campaign_id} was taken away by another command.",
        "See what that command said; then give this one again.",
    )


def _find_suppressed(bucket: Sequence[CheckedRow], suppression: Suppression | None) -> list[bool]:
    """Tell for each row of a bucket whether it is to be skipped; one question for all of them.

    Not asked where a lost ledger is made anew: there a row may have been sent, which is found out first.
    """
    ready = [(at, row.recipient) for at, row in enumerate(bucket) if row.recipient is not None]
    found = [False] * len(bucket)
    if suppression is not None:
        contacts = [contact(each.channel, each.address) for _, each in ready]
        for (at, _), is_listed in zip(ready, suppression.find(contacts), strict=True):
            found[at] = is_listed
    return found


def _load_row(row: CheckedRow, is_suppressed: bool) -> LoadRow:
    state = _STATES[row.verdict]
    if row.recipient is not None:
        known_by = address_hash(row.recipient.address)
        if is_suppressed:
            return LoadRow(row.cells, pack_new(State.SKIPPED, known_by, int(Reason.SUPPRESSED)))
        return LoadRow(row.cells, pack_new(state, known_by))
    code = _REASONS.get(row.code, Reason.INVALID)
    has_own_words = code is Reason.INVALID
    note = (row.code, _sentence(row.sentence), _sentence(row.advice)) if has_own_words else None
    return LoadRow(row.cells, pack_new(state, NO_HASH, int(code), row.duplicate_of or 0), note)


def _start(registry: Registry, campaign_id: str, path: Path, rows: int, known: Sequence[str] | None) -> None:
    reply = registry.start(campaign_id, rows, known)
    if reply.ok:
        return
    if reply.why == "other":
        what = f"another file of this name was begun while this one was loaded: {reply.values[0].decode()}"
        advice = "give the command again when that one has ended: then this file contacts those whom it has not reached"
        raise UnfinishedError([Problem(str(path), None, None, what, advice)])
    info = registry.find(campaign_id)
    if info is None:
        raise _taken_away(campaign_id)
    if info.state == "loading":
        raise RefusedHereError(
            f"{info.loaded} rows of {campaign_id} are in the ledger, and the file has {rows}.",
            "Give the command again with the file unchanged.",
        )


def _refuse_changed(path: Path, before: tuple[int, ...]) -> None:
    if stamp_of(path) != before:
        raise _refused(
            path, "the file changed while it was read", "save it, wait, and give the command again"
        )


def _refuse_empty(path: Path, loaded: Loaded, contacted: int) -> None:
    if loaded.verdicts.get("ready", 0) > loaded.suppressed:
        return
    invalid, skipped = (
        loaded.verdicts.get("invalid", 0),
        loaded.verdicts.get("skipped", 0) + loaded.suppressed,
    )
    what = f"no row can be sent: {invalid} invalid, {skipped} skipped"
    if loaded.suppressed:
        what += f", {loaded.suppressed} of them because the customer is on the do-not-contact list"
        advice = "`outreach suppress list` shows it"
    else:
        advice = "correct the rows" if invalid or not contacted else "`--again` contacts everybody once more"
    raise RefusedError([Problem(str(path), None, None, what, advice), *loaded.problems])


def _refused(path: Path, what: str, advice: str) -> RefusedError:
    return RefusedError([Problem(str(path), None, None, what, advice)])


def stamp_of(path: Path) -> tuple[int, ...]:
    """Give what tells a file from what it was before, without reading it; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _silent() -> None:
    pass


def _sentence(text: str) -> str:
    """Make a sentence of what reads `file:line: what, advice` among problems."""
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.?!' else '.'}"
