"""The benchmarks' frame runs each in a process of its own, goes on after one that fails, and keeps what was measured."""

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.bench.__main__ import benchmarks, main, run
from ops.bench.chart import WIDTH as WIDTH_OF_CHART
from ops.bench.record import Measured, keep
from ops.bench.report import WIDTH, Answer, Draft, Figure, Goal, as_text

ONE = """
from ops.bench.report import Answer, Chart, Figure, Goal, Series, repeat

def answer(*, full: bool) -> Answer:
    runs = tuple(repeat(iter((3.0, 1.0, 2.0, 5.0, 4.0)).__next__))
    line = Series("ours & theirs", (1e4, 1e6), (180.0, 175.5))
    return Answer(
        "How long?", "python -m ops.bench one", "Full size." if full else "A small one.",
        (Figure("a row", "ms", runs),), (Goal("at most 3 ms", is_met=True), Goal("at most 2 ms", is_met=False)),
        (Chart("one-by-size", "Cost by size", "rows", "bytes a row", (line,), is_x_log=True),),
    )
"""
HALF = """
from ops.bench.report import Draft, Figure

def answer(*, full):
    draft = Draft()
    with draft.part("the large one"):
        raise MemoryError
    with draft.part("the small one"):
        draft.figures.append(Figure("a row", "ms", (7.0,)))
    return draft.answer("How long?", "python -m ops.bench half", "Both.")
"""
BROKEN = """
import no_such_client

def answer(*, full):
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a package of two benchmarks and a module that is none; the first cannot be imported."""
    folder = tmp_path / "made_up_benchmarks"
    folder.mkdir()
    for name, text in (("__init__", ""), ("broken", BROKEN), ("one", ONE), ("helper", "def other(): ...")):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_one_that_fails_is_named_and_the_others_are_kept_with_what_was_measured_before(
    package: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert run(["one"], results, full=True, package=package) == []
    first = (results / "RESULTS.md").read_text()

    failed = run(["broken", "one"], results, full=False, package=package)

    assert failed == ["broken"]
    told = capfd.readouterr()
    assert "broken failed" in told.err
    assert "no_such_client" in told.err
    assert "a row    1       3    5  ms" in told.out
    assert "goal NOT met: at most 2 ms" in told.out
    assert "Full size." in first
    page = (results / "RESULTS.md").read_text()
    assert "A small one." in page
    assert "Full size." not in page
    assert "| a row | 1 | 3 | 5 | ms | 5 |" in page
    assert "| at most 2 ms | **no** | [one](#one) |" in page
    assert "![Cost by size](charts/one-by-size.svg)" in page
    texts = list(ET.parse(results / "charts/one-by-size.svg").iter("{http://www.w3.org/2000/svg}text"))
    words = {text.text: text for text in texts}
    assert {"rows", "bytes a row", "ours & theirs", "10,000", "1,000,000", "200"} <= set(words)
    # Centred at the right edge of the axis, in a type whose digits are some 7 wide: half of it is beyond.
    assert float(words["1,000,000"].attrib["x"]) + 4.5 * 7 < WIDTH_OF_CHART


def test_part_that_fails_is_named_and_the_others_are_kept(
    package: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / package / "half.py").write_text(HALF)

    failed = run(["half"], tmp_path / "results", full=True, package=package)

    assert failed == ["half (the large one)"]
    assert "MemoryError" in capfd.readouterr().err
    page = (tmp_path / "results" / "RESULTS.md").read_text()
    assert "| a row | 7 | 7 | 7 | ms | 1 |" in page
    assert "- Not measured, for it failed: the large one." in page


def test_nothing_measured_is_no_answer() -> None:
    draft = Draft()
    with draft.part("all of it"):
        raise OSError

    with pytest.raises(RuntimeError, match="all of it"):
        draft.answer("How long?", "python -m ops.bench none", "Nothing.")


def test_benchmarks_are_found_unread(package: str) -> None:
    assert benchmarks(package) == ["broken", "one"]


def test_help_says_what_each_benchmark_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ops.bench", "--help"])

    with pytest.raises(SystemExit):
        main()

    told = capsys.readouterr().out.splitlines()
    asked = {name: line for line in told for name in benchmarks() if line.startswith(f"  {name} ")}
    assert list(asked) == benchmarks()
    assert all(line.endswith("?") for line in asked.values())
    assert any(line.startswith("Example: python -m ops.bench ") for line in told)


def test_what_is_said_in_a_terminal_is_broken_between_words() -> None:
    long = "word " * 60
    answer = Answer(
        long, "command", long, (Figure("a row", "ms", (1.0,)),), (Goal(long, is_met=True),), (), (long,)
    )

    told = as_text("one", answer)

    assert max(map(len, told.splitlines())) <= WIDTH
    assert told.split().count("word") == 4 * 60


def test_what_was_not_seen_to_end_is_kept_as_endless(tmp_path: Path) -> None:
    runs = (math.inf, 1.0, math.inf)
    measured = Measured(
        Answer("How long?", "command", "Once.", (Figure("a row", "s", runs),)),
        datetime.now(UTC).date(),
        "here",
    )

    keep(tmp_path, "one", measured)

    assert keep(tmp_path, "other", measured)["one"].answer.figures[0].runs == runs
    assert "| a row | 1 | inf | inf | s | 3 |" in (tmp_path / "RESULTS.md").read_text()
