"""Tell whether worker processes are as many as the pace asks for, are kept alive, and end with their parent."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.cli.workers import WorkerProcesses, WorkersDieError, processes_and_threads
from worker.setting_values import SecretStr
from worker.settings import Settings

# Stands in for Celery: says that it is there, ends on SIGTERM, or when the pipe of its parent does.
PATIENT = "import os; print('here', flush=True); os.read(int(os.environ['OUTREACH_PARENT_FD']), 1)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def crew_of(tmp_path: Path, script: str, processes: int = 1) -> WorkerProcesses:
    return WorkerProcesses([sys.executable, "-c", script], processes, tmp_path / "workers.log")


@pytest.mark.parametrize(
    ("pace_per_s", "expected"),
    [(1, (1, 16)), (20, (1, 60)), (80, (1, 240)), (100, (2, 150)), (2_000, (2, 2_048))],
)
def test_threads_follow_from_the_pace(tmp_path: Path, pace_per_s: float, expected: tuple[int, int]) -> None:
    settings = Settings(home=tmp_path, account_interactions_per_s=pace_per_s)

    assert processes_and_threads(settings) == expected


def test_threads_serve_all_accounts(tmp_path: Path) -> None:
    acme = Settings(home=tmp_path, profile="acme", account_sid="AC" + "1" * 32)
    settings = Settings(
        home=tmp_path, account_sid="AC" + "2" * 32, auth_token=SecretStr("t"), accounts=(acme,)
    )

    assert processes_and_threads(settings) == (1, 120)


def test_threads_of_the_settings_stand(tmp_path: Path) -> None:
    assert processes_and_threads(Settings(home=tmp_path, concurrency=7)) == (1, 7)


def test_workers_stop_when_asked(tmp_path: Path) -> None:
    others = set(psutil.Process().children())
    crew = crew_of(tmp_path, PATIENT, processes=2)
    crew.start()

    crew.stop()

    assert not crew.started
    assert set(psutil.Process().children()) == others


def test_worker_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    others = set(psutil.Process().children())
    crew = crew_of(tmp_path, STUBBORN)
    crew.start()
    wait_until(lambda: (tmp_path / "workers.log").read_text() == "here\n")

    crew.stop(grace_s=0.1)

    assert set(psutil.Process().children()) == others


def test_dead_worker_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, "raise SystemExit(1)")
    crew.start()
    for _ in range(5):
        wait_until(crew.all_gone)
        assert crew.tend() == 1
    wait_until(crew.all_gone)

    with pytest.raises(WorkersDieError, match="died each time") as error:
        crew.tend()

    assert str(tmp_path / "workers.log") in str(error.value)
    crew.close()


def test_log_is_for_its_owner_only(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, PATIENT)
    crew.start()
    crew.stop()

    assert (tmp_path / "workers.log").stat().st_mode & 0o077 == 0


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = (
        "import sys, time; from pathlib import Path; from ops.cli.workers import WorkerProcesses\n"
        f"crew = WorkerProcesses([sys.executable, '-c', {PATIENT!r}], 1, Path(sys.argv[1]))\n"
        "crew.start(); print(crew._children[0].pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, tmp_path / "log"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    worker = psutil.Process(int(process.stdout.readline()))

    process.kill()
    process.communicate()

    worker.wait(20)
