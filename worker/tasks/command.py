"""The command lines of a Celery worker and a beat, for those who start one; imports no Celery."""

from __future__ import annotations

import json
import math
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from worker.settings import Settings

OPEN_NO_MORE = signal.SIGUSR1
"""Asks a worker that has a parent to open no row any more and to finish the open ones."""
PARENT_FD = "OUTREACH_PARENT_FD"
"""Names the read end of a pipe whose other end only the parent holds: when the parent is gone, so is its worker."""


_ROW_S = 3.0
"""How long a row keeps its place: three answers of 0.8 s each, and the waits for its slots."""
_LEAST_THREADS, _MOST_THREADS = 16, 2048


def threads_for(settings: Settings, processes: int = 1) -> int:
    """Say how many threads a worker process needs, of so many: what is set, or what the paces of all accounts ask for."""
    pace_per_s = sum(each.account_interactions_per_s for each in settings.everyone())
    asked = math.ceil(pace_per_s * _ROW_S / processes)
    return settings.concurrency or min(_MOST_THREADS, max(_LEAST_THREADS, asked))


def worker_command(concurrency: int, log_level: str = "INFO") -> list[str]:
    """Give the command of one worker process with `concurrency` threads."""
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.tasks", "worker"),
        *("-P", "threads", "-c", str(concurrency), "-l", log_level),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def ready_command() -> list[str]:
    """Give the command of such a process that gets ready, and begins with a line on its stdin."""
    return [sys.executable, "-m", "worker.tasks.celery_when_told"]


def begin_line(concurrency: int, log_level: str = "INFO", log: Path | None = None) -> bytes:
    """Give that line; with `log`, what the process says from then on is appended there."""
    told = {"concurrency": concurrency, "log_level": log_level, "log": str(log) if log else None}
    return json.dumps(told).encode() + b"\n"


def beat_command(log_level: str = "INFO") -> list[str]:
    """Give the command of a beat, which wakes the workers for the timetable."""
    return [sys.executable, "-m", "celery", "--quiet", "-A", "worker.tasks", "beat", "-l", log_level]
