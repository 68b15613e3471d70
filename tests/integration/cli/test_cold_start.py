"""Commands import what they need and no more; a worker that gets ready opens nothing before it is told to begin."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.tasks.command import PARENT_FD, begin_line, ready_command

HEAVY = ("twilio", "celery", "kombu", "redis", "requests", "holidays", "phonenumbers", "jinja2", "aiohttp")
NOT_FOR_ROWS = (
    "typer",
    "rich.console",
    "holidays",
    "aiohttp",
    "worker.pipeline.intake",
    "worker.pipeline.timetable",
)
NOT_FOR_SPAWNING = ("typer", "rich", "dotenv", "platformdirs", "hashlib", "dataclasses", "worker.settings")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_that_it_does_not_show(arguments: list[str]) -> None:
    script = (
        "import sys; from ops.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: code = left.code\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )

    assert "Usage: outreach" in done.stdout
    assert done.stderr == "0 []\n"


def test_worker_that_is_never_told_to_begin_has_opened_nothing_and_imported_no_more_than_rows_need(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"

    done = subprocess.run(
        [sys.executable, "-X", "importtime", *ready_command()[1:]],
        input="",
        env={"OUTREACH_HOME": str(home), PARENT_FD: "0", "PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == ""
    said = [line.partition("import time:") for line in done.stderr.splitlines()]
    assert {before for before, _, _ in said} == {""}
    imported = {after.rpartition("|")[2].strip() for _, _, after in said}
    assert "twilio.rest" in imported
    assert imported.isdisjoint(NOT_FOR_ROWS)
    assert not home.exists()


def test_worker_that_begins_says_what_it_has_to_say_in_the_log_alone(tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    nowhere = {"OUTREACH_HOME": str(tmp_path / "home"), "OUTREACH_REDIS_URL": "unix:///nowhere"}

    done = subprocess.run(
        ready_command(),
        input=begin_line(4, log=log),
        env={**nowhere, "OUTREACH_LOG_LEVEL": "NONE", PARENT_FD: "0", "PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    assert "OUTREACH_LOG_LEVEL" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_run_starts_its_worker_before_it_imports_what_it_needs_itself() -> None:
    script = (
        "import sys; from ops.cli import spawning\n"
        f"print([name for name in {HEAVY + NOT_FOR_SPAWNING} if name in sys.modules])\n"
        "spawning.spawn_early = lambda: sys.exit('ops.cli.app' in sys.modules)\n"
        "from ops.cli import main; sys.argv = ['outreach', 'run']; main()"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")


# Stands in for Ctrl-C in the midst of an import: dataclasses are made by `exec`.
INTERRUPTED = """
import sys

class Finder:
    def find_spec(self, name, *_):
        if name == "%s":
            exec("raise KeyboardInterrupt")

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "importing", ["ops.cli.app", "typer._adapters"]
)  # our commands; what Typer reads options with
def test_command_that_is_interrupted_before_it_is_there_says_so_and_exits_with_3(
    tmp_path: Path, importing: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED % importing)

    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "status"],
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "", "interrupted\n")
