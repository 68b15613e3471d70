"""Tell whether what comes from outside can do a terminal no harm, and nothing is cut where a program reads."""

import json
import os
import pty
import subprocess
import sys

import pytest

from ops.cli import screen


@pytest.fixture(autouse=True)
def _fresh_consoles() -> None:
    screen.out.cache_clear()
    screen.err.cache_clear()


def test_control_characters_and_reversed_writing_are_not_passed_on() -> None:
    assert (
        screen.plain("a\x1b[2Jb\u202ec\td\n")
        == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\td\n"
    )


def test_brackets_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    screen.answer("[red]Ann[/red] :smile:")

    assert capsys.readouterr().out == "[red]Ann[/red] :smile:\n"


def test_long_line_in_a_pipe_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen.say("word " * 400)

    assert capsys.readouterr().err.count("\n") == 1


def test_paragraph_in_a_pipe_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen.paragraph("word " * 400, indent=4)

    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("    word")


def test_paragraph_on_a_terminal_is_wrapped_and_keeps_its_indent() -> None:
    ours, theirs = pty.openpty()
    program = "from ops.cli import screen; screen.paragraph('word ' * 30, indent=4)"

    subprocess.run(
        [sys.executable, "-c", program],
        stdout=theirs,
        env={**os.environ, "COLUMNS": "40", "TERM": "xterm"},
        check=True,
    )

    os.close(theirs)
    lines = os.read(ours, 4096).decode().split("\r\n")[:-1]
    os.close(ours)
    assert len(lines) > 3
    assert all(line.startswith("    word") and len(line) <= 40 for line in lines)


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    screen.answer_json({"name": "Zoë"})

    said = capsys.readouterr().out
    assert "Zoë" in said
    assert json.loads(said) == {"name": "Zoë"}


def test_table_shows_cells_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = screen.new_table(["rows", "reason"], right=["rows"])
    screen.add_row(table, 3, "[bold]no[/bold]")

    screen.print_table(table, "Why")

    said = capsys.readouterr().out
    assert "[bold]no[/bold]" in said
    assert said.startswith("Why\n")
