"""A process that has everything imported and forks real workers and commands: each starts in a tenth of the time.

    with Zygote() as zygote:
        worker = zygote.start(worker_command(8), environ, cwd=folder, log=folder / "worker.log")
        worker.kill()                       # like a Popen: pid, poll, wait, send_signal, kill, terminate, returncode
        assert worker.wait(10) == -signal.SIGKILL

What is started is a process of its own, in a session of its own, that runs `python -m MODULE …` with just the given
environment. Nothing is imported ahead that reads settings. Its environment as others can see it is not its own, for it was
forked; and where a test asks what a start costs, or what it imports, it starts a process the usual way.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

IMPORTS = (
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
    *("worker.wiring", "worker.pipeline.intake", "worker.pipeline.refresh"),
)
_MOST_ASKED = 1 << 16


class Forked:
    """A process that the zygote forked."""

    def __init__(self, pid: int, args: Sequence[str], news: threading.Condition) -> None:
        self.pid, self.args = pid, list(args)
        self.returncode: int | None = None
        """Its exit code, or the signal that ended it as a negative number; None while it lives. It is noticed by itself."""
        self.stdout: Any = None
        self.stderr: Any = None
        self._news = news
        self._readers: list[tuple[threading.Thread, list[str]]] = []

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises: subprocess.TimeoutExpired.
        """
        with self._news:
            if not self._news.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read all that it says, where it was given pipes, and wait for its end.

        Raises: subprocess.TimeoutExpired; nothing that was read is lost.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if self.stdout is not None and not self._readers:
            self._readers = [_read(stream) for stream in (self.stdout, self.stderr)]
        for thread, _ in self._readers:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread, _ in self._readers):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        out, err = ("".join(pieces) for _, pieces in self._readers) if self._readers else ("", "")
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, where it still lives."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def is_stopped(self) -> bool:
        """Tell whether a signal has stopped it, and none has let it go on."""
        return self.returncode is None and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Zygote:
    """Starts processes by forking; ends those of its own that still live when it is left.

    All of a test process share the one that has everything imported.
    """

    def __init__(self) -> None:
        self._started: list[Forked] = []

    def start(self, command: Sequence[str], environ: Mapping[str, str], *, cwd: Path, log: Path) -> Forked:
        """Start `python -m MODULE …`; what it says is appended to `log`."""
        with log.open("ab") as file:
            return self._fork(command, environ, cwd, file.fileno(), file.fileno())

    def start_with_pipes(self, command: Sequence[str], environ: Mapping[str, str], *, cwd: Path) -> Forked:
        """Start `python -m MODULE …`; what it says is to be read from `stdout` and `stderr`."""
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        try:
            process = self._fork(command, environ, cwd, out_end, err_end)
        finally:
            os.close(out_end)
            os.close(err_end)
        process.stdout, process.stderr = (os.fdopen(end, encoding="utf-8") for end in (out, err))
        return process

    def _fork(
        self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, out: int, err: int
    ) -> Forked:
        python, option, module, *arguments = command
        assert (python, option) == (sys.executable, "-m"), "only modules can be forked"
        asked = {"module": module, "arguments": arguments, "environ": dict(environ), "cwd": str(cwd)}
        self._started.append(_Server.shared().fork(asked, command, (out, err)))
        return self._started[-1]

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what it started."""
        for process in self._started:
            process.kill()
        for process in self._started:
            process.communicate(60)
        self._started.clear()


class _Server:
    """This side of the process that forks."""

    _shared: _Server | None = None

    @classmethod
    def shared(cls) -> _Server:
        if cls._shared is None or cls._shared.process.poll() is not None:
            cls._shared = cls()
        return cls._shared

    def __init__(self) -> None:
        self.news = threading.Condition()
        self._living: dict[int, Forked] = {}
        self._asking = threading.Lock()
        self._begun: list[Forked] = []
        self._asked_for: Sequence[str] = ()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__], stdin=theirs, stdout=subprocess.PIPE, start_new_session=True
            )
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()
        atexit.register(self._close)

    def fork(self, asked: dict[str, Any], command: Sequence[str], says: Sequence[int]) -> Forked:
        with self._asking:
            self._asked_for = command
            socket.send_fds(self._line, [json.dumps(asked).encode()], says)
            with self.news:
                if not self.news.wait_for(lambda: self._begun, 120):
                    raise RuntimeError("the zygote does not answer")
                return self._begun.pop()

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                with self.news:
                    if "code" in told:
                        self._living.pop(told["pid"]).returncode = told["code"]
                    else:
                        begun = Forked(told["pid"], self._asked_for, self.news)
                        self._living[begun.pid] = begun
                        self._begun.append(begun)
                    self.news.notify_all()

    def _close(self) -> None:
        self._line.close()
        self.process.wait(60)


def _read(stream: Any) -> tuple[threading.Thread, list[str]]:
    pieces: list[str] = []

    def read() -> None:
        if not stream.closed:  # a test may have done so
            with stream:
                pieces.append(stream.read())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, pieces


# The process that forks -------------------------------------------------------------------------------------


def _serve() -> dict[str, Any] | None:
    """Fork what is asked for on stdin, and tell on stdout what was started and how it ended, until stdin ends.

    Returns: in a fork what it is asked to be; None at the end.
    """
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # their pages stay shared
    line = socket.socket(fileno=os.dup(0))
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([line, waker], [], [])
        if waker in ready:
            os.read(waker, 512)
            _reap(living)
        if line in ready:
            message, says, _, _ = socket.recv_fds(line, _MOST_ASKED, 2)
            if not message:  # whoever asked is gone
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
                return None
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(waker)
                os.close(wake)
                line.close()
                fork: dict[str, Any] = json.loads(message) | {"says": says}
                return fork
            living.add(pid)
            for descriptor in says:
                os.close(descriptor)
            _tell(pid=pid)


def _become(asked: dict[str, Any]) -> None:
    """Be the process that is asked for, to its end."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in enumerate((nothing, *asked["says"])):
        os.dup2(descriptor, place)
    for descriptor in {nothing, *asked["says"]}:
        os.close(descriptor)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    tempfile.tempdir = None  # it may be another one in this environment
    time.tzset()
    # As `python -m` has them; the first place is that of this file's own folder.
    sys.path[0] = asked["cwd"]
    sys.argv = [asked["module"], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


def _reap(living: set[int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            living.discard(pid)
            _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__" and (wanted := _serve()) is not None:
    _become(wanted)
