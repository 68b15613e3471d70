"""The command lines of a Celery worker and a beat, for those who start one; imports no Celery."""

from __future__ import annotations

import signal
import sys

OPEN_NO_MORE = signal.SIGUSR1
"""Asks a worker that has a parent to open no row any more and to finish the open ones."""
PARENT_FD = "OUTREACH_PARENT_FD"
"""Names the read end of a pipe whose other end only the parent holds: when the parent is gone, so is its worker."""


def worker_command(concurrency: int, log_level: str = "INFO") -> list[str]:
    """Give the command of one worker process with `concurrency` threads."""
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.tasks", "worker"),
        *("-P", "threads", "-c", str(concurrency), "-l", log_level),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def beat_command(log_level: str = "INFO") -> list[str]:
    """Give the command of a beat, which wakes the workers for the timetable."""
    return [sys.executable, "-m", "celery", "--quiet", "-A", "worker.tasks", "beat", "-l", log_level]
