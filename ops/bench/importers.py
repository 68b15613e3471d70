"""Ways to take a customers' file in, each measured in a process of its own: ours, and those that one would otherwise write.

    python -m ops.bench.importers WAY FILE REDIS_URL     # prints one JSON object

`load`: what `outreach load` does. `row_by_row`: read, parse the number, look whether it is possible, keep a set, and write each
row with a round trip of its own. `check`: what `outreach check` does. `plain`: as `row_by_row`, without writing.
"""

import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# What is imported is part of what a way takes, so each imports its own.
TAG = "0badcafe"
_PARTS = 5
See = Callable[[int], None]
"""Told how many rows have been read so far."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a way has taken; `parts_s` the wall-clock time of each fifth of the file."""

    rows: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    parts_s: tuple[float, ...] = ()


def take_in(way: str, file: Path, url: str = "") -> Taken:
    """Run a way in a process of its own, and see that it found each row ready."""
    command = [sys.executable, "-m", "ops.bench.importers", way, str(file), url]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Taken(**{**found, "parts_s": tuple(found["parts_s"])})


def load(file: Path, url: str, see: See) -> None:
    """Load the file."""
    import redis

    from campaigns.definition import parse_definition
    from ops.bench.customers import DEFINITION
    from worker.ledger.ledger import Ledger
    from worker.ledger.registry import Registry
    from worker.ledger.suppression import Suppression
    from worker.pipeline.loading import load_file

    client = redis.Redis.from_url(url)
    campaign = parse_definition(DEFINITION, "bench.toml")
    loaded = load_file(
        Ledger(client, TAG),
        Registry(client, TAG),
        "bench-1",
        campaign,
        file,
        {"name": "bench", "definition": campaign.canonical_json(), "file_sha256": "0" * 64},
        None,
        lambda rows, _: see(rows),
        suppression=Suppression(client, TAG),
    )
    assert loaded.verdicts == {"ready": loaded.rows}


def row_by_row(file: Path, url: str, see: See) -> None:
    """Write each row as it is read."""
    import redis

    client = redis.Redis.from_url(url)
    for number, address, row in _parsed(file):
        client.hset("bench:rows", str(number), json.dumps([address, *row.values()]))
        see(number)


def check(file: Path, _: str, see: See) -> None:
    """Check the file."""
    from campaigns.check import check_rows
    from campaigns.definition import parse_definition
    from campaigns.duplicates import Duplicates
    from campaigns.recipients import compile_campaign
    from campaigns.table import open_table
    from ops.bench.customers import DEFINITION

    with open_table(file) as table, Duplicates() as seen:
        compiled = compile_campaign(parse_definition(DEFINITION, "bench.toml"), table.columns, table.file)
        for row in check_rows(compiled, table, seen):
            assert row.verdict == "ready"
            see(row.number)


def plain(file: Path, _: str, see: See) -> None:
    """Read the file and parse the numbers."""
    for row in _parsed(file):
        see(row[0])


def _parsed(file: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    import phonenumbers

    seen: set[str] = set()
    with file.open(encoding="utf-8", newline="") as stream:
        for number, cells in enumerate(csv.DictReader(stream), start=1):
            parsed = phonenumbers.parse(cells["phone"], "GB")
            address = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
            if phonenumbers.is_possible_number(parsed) and address not in seen:
                seen.add(address)
                yield number, address, cells


WAYS = {"load": load, "row_by_row": row_by_row, "check": check, "plain": plain}


def main(way: str, file: Path, url: str) -> None:
    """Run a way in this process, and print what it took."""
    with file.open("rb") as stream:
        in_all = sum(1 for _ in stream) - 1
    began, cpu_began = time.perf_counter(), time.process_time()
    marks, last = [began], 0

    def see(rows: int) -> None:
        nonlocal last
        last = rows
        if rows >= in_all * len(marks) // _PARTS:
            marks.append(time.perf_counter())

    WAYS[way](file, url, see)
    ended, cpu_s = time.perf_counter(), time.process_time() - cpu_began
    assert last == in_all
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "rows": in_all,
        "wall_s": ended - began,
        "cpu_s": cpu_s,
        "peak_mb": peak / (1 << 10 if sys.platform != "darwin" else 1 << 20),
        "parts_s": [after - before for before, after in zip(marks, [*marks[1:_PARTS], ended], strict=False)],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
