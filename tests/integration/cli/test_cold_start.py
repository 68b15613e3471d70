"""Commands import what they need and no more; a worker that gets ready opens nothing before it is told to begin."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ops.cli.crew import Crew
from worker.settings import Settings
from worker.tasks.command import PARENT_FD, ready_command

HEAVY = ("twilio", "celery", "kombu", "redis", "requests", "holidays", "phonenumbers", "jinja2", "aiohttp")


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


def test_worker_that_is_never_told_to_begin_has_opened_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"

    done = subprocess.run(
        ready_command(4),
        input="",
        env={"OUTREACH_HOME": str(home), PARENT_FD: "0", "PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("", "")
    assert not home.exists()


def test_home_that_workers_who_get_ready_find_missing_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "folder" / "home"

    with closing(Crew(Settings(home=home), verbose=False)) as crew:
        crew.get_ready()

    assert home.stat().st_mode & 0o777 == 0o700


def test_home_that_cannot_be_made_is_not_for_workers_who_get_ready_to_tell(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with closing(Crew(Settings(home=tmp_path / "file" / "home"), verbose=False)) as crew:
        crew.get_ready()

    assert not crew.is_ours


# Stands in for Ctrl-C in the midst of an import: dataclasses are made by `exec`.
INTERRUPTED = """
import sys

class Finder:
    def find_spec(self, name, *_):
        if name == "ops.cli.app":
            exec("raise KeyboardInterrupt")

sys.meta_path.insert(0, Finder())
"""


def test_command_that_is_interrupted_before_it_is_there_says_so_and_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)

    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "status"],
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "", "interrupted\n")
