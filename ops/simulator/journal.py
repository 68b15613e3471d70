"""Write down every effect and every request, so that a test can judge what really happened."""

import json
import os
from collections import Counter, deque
from pathlib import Path
from typing import Any

from ops.simulator.clock import Clock


class Journal:
    """Effects and requests, in memory and, where asked, appended to a file line by line."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if path else None
        self.effects: list[dict[str, Any]] = []
        self.requests: list[tuple[float, str, int, str]] = []
        self.counts: Counter[str] = Counter()
        self.fault_counts: Counter[str] = Counter()
        self.status_counts: Counter[int] = Counter()
        self.generation = 0
        self._latest: dict[str, deque[dict[str, Any]]] = {}

    def effect(self, kind: str, now: float, **facts: Any) -> None:
        """Note that something happens `now`; `at` is on the steady clock, as it is of requests."""
        entry = {
            "n": len(self.effects) + 1,
            "effect": kind,
            "at": round(now - self._clock.skew_s, 6),
            "date": self._clock.iso(now),
            **facts,
        }
        self.effects.append(entry)
        self.counts[kind] += 1
        if kind == "fault":
            self.fault_counts[str(facts["fault"])] += 1
        self._latest.setdefault(kind, deque(maxlen=30)).append(entry)
        self._write(entry)

    def request(self, arrived: float, endpoint: str, status: int, account: str) -> None:
        """Note a request: when it arrived and what it was answered; status 0 is a cut or a hang."""
        self.requests.append((arrived, endpoint, status, account))
        self.status_counts[status] += 1
        self._write({"request": endpoint, "at": round(arrived, 6), "status": status, "account": account})

    def latest(self, kind: str) -> list[dict[str, Any]]:
        """Return the last effects of a kind, newest first."""
        return list(reversed(self._latest.get(kind, ())))

    def reset(self) -> None:
        """Forget everything in memory; the file gets a line that says so."""
        self.effects.clear()
        self.requests.clear()
        for counter in (self.counts, self.fault_counts, self.status_counts):
            counter.clear()
        self.generation += 1
        self._latest.clear()
        self._write({"reset": True, "at": round(self._clock.steady(), 6)})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, entry: dict[str, Any]) -> None:
        # One unbuffered write a line: what is written survives a kill of this process.
        if self._file is not None:
            os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")
