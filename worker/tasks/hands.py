"""Shares a worker's threads among accounts: one whose calls hang has no more of them than it leaves to the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Hands:
    """Count who has how many of the threads in hand.

    The limit moves with what is free: one account alone has half of them, and each further one that holds on to all it gets
    still leaves as many free as it has itself.
    Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998
    """

    def __init__(self, threads: int, accounts: int) -> None:
        self._threads = threads
        self._is_shared = accounts > 1
        self._in_hand: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, tag: str) -> Iterator[bool]:
        """Take a thread for an account's work; False where it has its part already."""
        with self._lock:
            free = self._threads - self._in_hand.total()
            may = not self._is_shared or self._in_hand[tag] < max(1, free)
            self._in_hand[tag] += may
        try:
            yield may
        finally:
            with self._lock:
                self._in_hand[tag] -= may
