"""The tables of SCALING.md follow from what was measured, by arithmetic that can be done by hand."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from ops.bench.record import Measured
from ops.bench.report import Answer, Figure
from ops.bench.scaling import BEGIN, END, PAGE, renew

MEASURED = {
    "cost": {"ours at 100/s: of it worker": 2.0, "ours at 100/s: of it Redis": 0.5},
    "parts": {
        "round trips to Redis": 15.0,
        "messages in the broker": 0.3,
        "sent to Redis": 4000.0,
        "answered by Redis": 3500.0,
        "written to its append-only file": 6000.0,
        "fsyncs, at most": 2.0,
        "an fsync, alone": 1.0,
    },
    "size": {
        "Redis beside the columns, 10,000 rows": 150.0,
        "Redis beside the columns, 1,000,000 rows": 130.0,
    },
}


def measured(*names: str) -> dict[str, Measured]:
    return {
        name: Measured(
            Answer(
                "?", "!", ".", tuple(Figure(what, "ms", (each,)) for what, each in MEASURED[name].items())
            ),
            date(2026, 3, 1),
            "2 cores",
        )
        for name in names
    }


def test_tables_are_made_between_the_marks_once_all_was_measured(tmp_path: Path) -> None:
    page = tmp_path / "SCALING.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    renew(measured("cost", "parts"), page)
    assert "old" in page.read_text()

    renew(measured("cost", "parts", "size"), page)

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| Redis's memory, columns left out | 130 ms | [size](bench/RESULTS.md#size) |" in text
    assert "| sent to Redis | 4,000 ms | [parts](bench/RESULTS.md#parts) |" in text
    assert "| answered by Redis | 3,500 ms | [parts](bench/RESULTS.md#parts) |" in text
    assert "| accounts, at 20 rows/s each | 5 | 50 | 500 |" in text
    assert "| worker processes, each 70% of a core | 1 | 3 | 29 |" in text
    assert "| Redis servers, each 50% of a core | 1 | 1 | 10 |" in text
    assert "| network of Redis, all servers | 6 Mbit/s | 60 Mbit/s | 600 Mbit/s |" in text
    short = "a worker's core (350 rows/s)"
    assert (
        f"| short at first | nothing: one of each will do | {short} | {short}, then a Redis's core (1,000 rows/s) |"
        in text
    )


def test_what_is_short_first_is_named_first(tmp_path: Path) -> None:
    page = tmp_path / "SCALING.md"
    page.write_text(f"{BEGIN}\n{END}")
    everything = measured("cost", "parts", "size")
    dear = (
        Figure("ours at 100/s: of it worker", "ms", (2.0,)),
        Figure("ours at 100/s: of it Redis", "ms", (5.0,)),
    )
    everything["cost"] = replace(everything["cost"], answer=replace(everything["cost"].answer, figures=dear))

    renew(everything, page)

    assert "| a Redis's core (100 rows/s), then a worker's core (350 rows/s) |" in page.read_text()


def test_page_has_the_marks() -> None:
    text = PAGE.read_text()

    assert text.index(BEGIN) < text.index(END)
