"""How fast, and in how much memory, is a customers' file checked? Beside a plain DictReader + phonenumbers pass.

    python -m ops.bench.check_speed --rows 100000 1000000

Each pass runs in a process of its own on one core, over the same file: nine in ten numbers British, in five written
forms, the others American in two; every number distinct; four columns, two of them variables of the message. Imports
are part of the time. `a cpu s` is the rows checked in a second of CPU time, which other programs disturb less.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEFINITION = """
name = "check-speed"
channel = "whatsapp"
from = "whatsapp:+19252210100"
to = "{{ phone }}"
default_region = "GB"
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
agents = ["WK11223344556677889900aabbccddeeff", "WKffeeddccbbaa00998877665544332211"]
[routing.attributes]
customerName = "{{ first_name }}"
customerAddress = "{{ phone }}"
[message]
author = "Renewals team"
content_sid = "HX3a4b5c6d7e8f90123456789abcdef012"
[message.variables]
1 = "{{ first_name }}"
2 = "Your payment is due on {{ due_date }}."
"""


def write_customers(path: Path, rows: int, kind: str) -> None:
    """Write the file; `kind`: mixed (written forms as people have them) or e164."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["customer_id", "phone", "first_name", "due_date"])
        for row in range(rows):
            writer.writerow([f"C{row:07d}", _number(row, kind), f"Name{row % 997}", f"{row % 28 + 1} May"])


def _number(row: int, kind: str) -> str:
    middle, end = f"{row // 1000:04d}", f"{row % 1000:03d}"  # seven digits, distinct up to ten million rows
    if row % 10 == 0:
        # Area code, exchange 200-999, line: distinct, and of a range in use.
        place = row // 10
        area, rest = ("202", "212", "213", "312")[place // 8_000_000 % 4], f"{2_000_000 + place:07d}"
        return f"+1{area}{rest}" if kind == "e164" or row % 20 else f"+1 ({area}) {rest[:3]}-{rest[3:]}"
    if kind == "e164":
        return f"+44790{middle}{end}"
    forms = (
        f"+44790{middle}{end}",
        f"0790{middle}{end}",
        f"0790 {middle} {end}",
        f"+44 790 {middle} {end}",
        f"0044790{middle}{end}",
    )
    return forms[row % 5]


def check(path: Path) -> dict[str, int]:
    """Check the file as `outreach check` does, and count the verdicts."""
    from campaigns.check import check_rows
    from campaigns.definition import parse_definition
    from campaigns.duplicates import Duplicates
    from campaigns.recipients import compile_campaign
    from campaigns.table import open_table

    counts = {"ready": 0, "invalid": 0, "skipped": 0}
    with open_table(path) as table, Duplicates() as seen:
        compiled = compile_campaign(
            parse_definition(DEFINITION, "check-speed.toml"), table.columns, table.file
        )
        for row in check_rows(compiled, table, seen):
            counts[row.verdict] += 1
    return counts


def plain(path: Path) -> dict[str, int]:
    """Do what a script would: read, parse the number, look whether it is possible, keep a set."""
    import phonenumbers

    counts = {"ready": 0, "invalid": 0, "skipped": 0}
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number = phonenumbers.parse(row["phone"], "GB")
            address = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            if not phonenumbers.is_possible_number(number):
                counts["invalid"] += 1
            elif address in seen:
                counts["skipped"] += 1
            else:
                seen.add(address)
                counts["ready"] += 1
    return counts


def measure(way: str, path: Path) -> dict[str, float]:
    """Run one way in this process, on one core, and print its figures."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    started, cpu = time.perf_counter(), time.process_time()
    counts = {"check": check, "plain": plain}[way](path)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_mb": peak / (1024 if sys.platform != "darwin" else 1 << 20),
        **counts,
    }


def main() -> None:
    """Measure both ways for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000])
    parser.add_argument("--kind", choices=["mixed", "e164"], default="mixed")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    print(
        f"{'rows':>9} {'way':<6} {'wall s':>7} {'cpu s':>7} {'rows/s':>8} {'a cpu s':>8} {'peak MB':>8} verdicts"
    )
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            path = Path(folder) / f"customers-{rows}.csv"
            write_customers(path, rows, options.kind)
            rates = {}
            for way in ("plain", "check"):
                command = [sys.executable, "-m", "ops.bench.check_speed", "--measure", way, str(path)]
                figures = json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout
                )
                rates[way] = rows / figures["cpu_s"]
                verdicts = ", ".join(f"{figures[word]} {word}" for word in ("ready", "invalid", "skipped"))
                print(
                    f"{rows:>9} {way:<6} {figures['wall_s']:>7.2f} {figures['cpu_s']:>7.2f} "
                    f"{rows / figures['wall_s']:>8.0f} {rates[way]:>8.0f} {figures['peak_mb']:>8.0f} {verdicts}"
                )
            print(
                f"{rows:>9} check is {rates['check'] / rates['plain']:.2f} times as fast as plain, by CPU time"
            )


if __name__ == "__main__":
    main()
