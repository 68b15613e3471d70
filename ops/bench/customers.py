"""A customers' file for the benchmarks, and the definition that it is for: made anew each time, the same each time."""

import csv
from pathlib import Path

COLUMNS = ("customer_id", "phone", "first_name", "due_date")
ROUTING = """\
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
agents = ["WK11223344556677889900aabbccddeeff", "WKffeeddccbbaa00998877665544332211"]
"""
DEFINITION = f"""
name = "bench"
channel = "whatsapp"
from = "whatsapp:+19252210100"
to = "{{{{ phone }}}}"
default_region = "GB"
{ROUTING}[routing.attributes]
customerName = "{{{{ first_name }}}}"
customerAddress = "{{{{ phone }}}}"
[message]
author = "Renewals team"
content_sid = "HX3a4b5c6d7e8f90123456789abcdef012"
[message.variables]
1 = "{{{{ first_name }}}}"
2 = "Your payment is due on {{{{ due_date }}}}."
"""


_AREAS = (202, 212, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 718, 808, 901, 919)


def number(row: int) -> str:
    """Give one of 128,000 numbers that libphonenumber takes."""
    return f"+1{_AREAS[row % 16]}{220 + row // 16 // 1000}{row // 16 % 1000:04d}"


def write_customers(path: Path, rows: int) -> None:
    """Write a file of so many customers: nine in ten numbers British, in five written forms, the others American in two.

    Every number is another; two of the four columns are variables of the message.
    """
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for row in range(rows):
            writer.writerow([f"C{row:07d}", _written_number(row), f"Name{row % 997}", f"{row % 28 + 1} May"])


def _written_number(row: int) -> str:
    middle, end = f"{row // 1000:04d}", f"{row % 1000:03d}"  # seven digits, distinct up to ten million rows
    if row % 10 == 0:
        # Area code, exchange 200-999, line: distinct, and of a range in use.
        place = row // 10
        area, rest = ("202", "212", "213", "312")[place // 8_000_000 % 4], f"{2_000_000 + place:07d}"
        return f"+1{area}{rest}" if row % 20 else f"+1 ({area}) {rest[:3]}-{rest[3:]}"
    forms = (
        f"+44790{middle}{end}",
        f"0790{middle}{end}",
        f"0790 {middle} {end}",
        f"+44 790 {middle} {end}",
        f"0044790{middle}{end}",
    )
    return forms[row % 5]
