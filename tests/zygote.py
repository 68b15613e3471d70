"""A process that has the libraries imported and forks real workers and commands: each starts in a quarter of the time.

    with Zygote() as zygote:
        worker = zygote.start(worker_command(8), environ, cwd=folder, log=folder / "worker.log")
        worker.kill()                       # like a Popen: pid, poll, wait, send_signal, kill, terminate, returncode
        assert worker.wait(10) == -signal.SIGKILL

What is started is a process of its own, in a session of its own, that runs `python -m MODULE …` with just the given
environment. Only libraries are imported ahead: all of ours that reads settings is imported after the fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("celery.bin.celery", "celery.bin.worker", "celery.apps.worker", "celery.worker.consumer"),
    *(
        "celery.worker.components",
        "celery.concurrency.thread",
        "celery.app.amqp",
        "celery.events",
        "celery.fixups",
    ),
    *("kombu.transport.redis", "kombu.transport.virtual", "celery.loaders.app", "celery.app.control"),
    *("redis", "twilio.rest", "pydantic", "phonenumbers", "jinja2.sandbox", "structlog", "psutil", "urllib3"),
    *("typer", "rich.console", "rich.live", "rich.progress", "rich.table", "dotenv", "email_validator"),
)


class Forked:
    """A process that the zygote forked."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote

    @property
    def returncode(self) -> int | None:
        """Return its exit code, or the signal that ended it as a negative number; None while it lives."""
        return self._zygote.ended.get(self.pid)

    def poll(self) -> int | None:
        """Return the same: its end is noticed by itself."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises: subprocess.TimeoutExpired.
        """
        with self._zygote.news:
            if not self._zygote.news.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return self._zygote.ended[self.pid]

    def send_signal(self, number: int) -> None:
        """Send a signal, where it still lives."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Zygote:
    """Starts processes by forking; ends those that still live when it is left."""

    def __init__(self) -> None:
        self.ended: dict[int, int] = {}
        self.news = threading.Condition()
        self._started: list[int] = []
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()

    def start(self, command: Sequence[str], environ: Mapping[str, str], *, cwd: Path, log: Path) -> Forked:
        """Start `python -m MODULE …`; what it says is appended to `log`."""
        python, option, module, *arguments = command
        assert (python, option) == (sys.executable, "-m"), "only modules can be forked"
        asked = {
            "module": module,
            "arguments": arguments,
            "environ": dict(environ),
            "cwd": str(cwd),
            "log": str(log),
        }
        with self._asking, self.news:
            known = len(self._started)
            assert self._process.stdin
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            if not self.news.wait_for(lambda: len(self._started) > known, 60):
                raise RuntimeError("the zygote does not answer")
            return Forked(self, self._started[-1])

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what it started, and end it."""
        for pid in self._started:
            Forked(self, pid).kill()
        for pid in self._started:
            Forked(self, pid).wait(20)
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                with self.news:
                    if "code" in told:
                        self.ended[told["pid"]] = told["code"]
                    else:
                        self.ended.pop(told["pid"], None)  # the number may have been another's before
                        self._started.append(told["pid"])
                    self.news.notify_all()


def _serve() -> dict[str, Any] | None:
    """Fork what is asked for on stdin, and tell on stdout what was started and how it ended, until stdin ends.

    Returns: in a fork what it is asked to be; None at the end.
    """
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # their pages stay shared
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked = b""
    while True:
        ready, _, _ = select.select([0, waker], [], [])
        if waker in ready:
            os.read(waker, 512)
            _reap()
        if 0 in ready:
            piece = os.read(0, 65536)
            if not piece:
                return None
            *lines, asked = (asked + piece).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(waker)
                    os.close(wake)
                    fork: dict[str, Any] = json.loads(line)
                    return fork
                _tell(pid=pid)


def _become(asked: dict[str, Any]) -> None:
    """Be the process that is asked for, to its end."""
    os.setsid()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, place)
    os.close(nothing)
    os.close(log)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    # As `python -m` has them; the first place is that of this file's own folder.
    sys.path[0] = asked["cwd"]
    sys.argv = [asked["module"], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__" and (wanted := _serve()) is not None:
    _become(wanted)
