"""The command `outreach` in processes of its own, as the tests give it, watch it and stop it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from zygote import Forked, Zygote

ACCOUNT = "AC" + "1" * 32
COMMAND = [sys.executable, "-m", "ops.cli"]
AREAS = (202, 206, 212, 213, 303, 305, 312, 404, 415, 503, 602, 617)

DEFINITION = """\
name = "spring"
channel = "sms"
from = "+14155550199"
to = "{{ phone }}"

[routing]
workspace_sid = "WS00000000000000000000000000000001"
workflow_sid = "WW00000000000000000000000000000001"
queue_sid = "WQ00000000000000000000000000000001"
worker_sid = "WK00000000000000000000000000000001"

[message]
body = "Hello {{ name }}"
"""


def number(row: int) -> str:
    """Give the number of a customer, by row; none that the simulator has a behaviour for."""
    area, last = divmod(row - 1, 50)
    return f"+1{AREAS[area]}55501{last:02}"


class Outreach:
    """An installation of its own: home, results and campaign files in `folder`, the simulator in Twilio's place."""

    def __init__(self, folder: Path, twilio_url: str, **environ: str) -> None:
        self.folder = folder
        self.home, self.results = folder / "home", folder / "results"
        self.definition, self.customers = folder / "spring.toml", folder / "customers.csv"
        self.environ = _clean(os.environ) | {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "secret-token",
            "OUTREACH_TWILIO_BASE_URL": twilio_url,
            "OUTREACH_HOME": str(self.home),
            "OUTREACH_RESULTS_DIR": str(self.results),
            "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "80",
            "OUTREACH_CONCURRENCY": "16",
            "OUTREACH_SETTLE_S": "0.3,0.6",
            **environ,
        }
        self._zygote = Zygote()
        self._running: list[Forked | subprocess.Popen[Any]] = []

    def write(self, rows: int | Sequence[str] = 3, *changes: tuple[str, str]) -> None:
        """Write a definition, with `changes` in its text, and a file of so many customers, or of these numbers."""
        text = DEFINITION
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.definition.write_text(text)
        numbers = [number(row) for row in range(1, rows + 1)] if isinstance(rows, int) else rows
        lines = ["phone,name", *(f"{phone},Name{row}" for row, phone in enumerate(numbers, start=1))]
        self.customers.write_text("\n".join(lines) + "\n")

    @property
    def files(self) -> tuple[str, str]:
        """Give the two arguments of `check`, `run` and `load`."""
        return str(self.definition), str(self.customers)

    def start(self, *arguments: str, **environ: str) -> Forked:
        """Start a command in a session of its own, as a terminal would; forked from where its imports are done."""
        whole = [*COMMAND, *arguments]
        process = self._zygote.start_with_pipes(whole, self.environ | environ, cwd=self.folder)
        self._running.append(process)
        return process

    def start_cold(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command the usual way, which takes a second of imports."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def __call__(
        self, *arguments: str, code: int = 0, timeout_s: float = 180, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Give a command, and hold its exit code against `code`."""
        return self.finish(self.start(*arguments, **environ), code, timeout_s)

    def finish(
        self, process: Forked, code: int = 0, timeout_s: float = 180
    ) -> "subprocess.CompletedProcess[str]":
        """Wait for a command's end, and hold its exit code against `code`."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end after {timeout_s} s\n{late.stderr!r}\n{self.logs()}") from None
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert done.returncode == code, (
            f"exit code {done.returncode}, not {code}\n{out}\n{err}\n{self.logs()}"
        )
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Give a command with --json; return what it answers."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def run(self, *options: str, code: int = 0) -> dict[str, Any]:
        """Send the campaign in the foreground; return the summary."""
        summary: dict[str, Any] = self.json("run", *self.files, *options, code=code)
        return summary

    def rows(self, campaign_id: str) -> list[dict[str, str]]:
        """Read the results file."""
        with (self.results / f"{campaign_id}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def logs(self) -> str:
        """Give the end of everything that was logged."""
        found = sorted((self.home / "logs").glob("*.log")) if self.home.is_dir() else []
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in found)

    def close(self) -> None:
        """End what is still running, and see that nothing of this installation is left."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        wait_until(lambda: not self.processes(), timeout_s=120)

    def processes(self) -> list[psutil.Process]:
        """List the processes of this installation: commands, workers, the embedded Redis."""
        # Only what was executed shows its environment.
        forked = {each.pid for each in self._running if each.poll() is None}
        return [one for one in psutil.process_iter() if one.pid in forked or self._is_ours(one)]

    def workers(self) -> list[psutil.Process]:
        """List the worker processes of this installation."""
        return [process for process in self.processes() if "celery" in command_line(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            ours = process.environ().get("OUTREACH_HOME") == str(self.home)
            return ours and "ops.simulator" not in command_line(process)
        except psutil.Error:
            return False


def wait_until(condition: Callable[[], Any], timeout_s: float = 90) -> Any:
    """Return what `condition` gives once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)
    return found


def command_line(process: psutil.Process) -> str:
    """Give the words a process was started with; none where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _clean(environ: "os._Environ[str]") -> dict[str, str]:
    prefixes = ("TWILIO_", "OUTREACH_")
    names = {"HTTPS_PROXY", "https_proxy", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    return {
        name: value for name, value in environ.items() if not name.startswith(prefixes) and name not in names
    }
