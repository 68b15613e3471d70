"""Write buckets of rows into the ledger, in their order, while the next ones are read and checked."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from campaigns.check import CheckedRow

_AHEAD = 4
_SWITCH_S = 0.001


class Writer:
    """One thread that takes the buckets as they come: it waits for Redis and its disk, and the reader need not.

    So few wait for it that memory stays flat. What went wrong with a bucket is raised by a later call, or at the latest by
    `finish`, and no bucket after it is written. When the context is left by an error, the thread ends after the bucket in hand.
    """

    def __init__(self, write: Callable[[list[CheckedRow]], object]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._waiting: deque[tuple[Future[None], Callable[[], object]]] = deque()
        self._has_failed = False

    def __enter__(self) -> Writer:
        # Whoever comes back from Redis waits for the interpreter as long as this while the other thread reckons: at Python's
        # own 5 ms a bucket would wait longer than it takes to be checked.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def put(self, bucket: list[CheckedRow], tell: Callable[[], object]) -> None:
        """Have a bucket written; waits where too many are waiting already.

        `tell` is called when it is written, by this thread, and may end all by what it raises.
        """
        if len(self._waiting) >= _AHEAD:
            self._wait()
        self._waiting.append((self._thread.submit(self._take, bucket), tell))

    def finish(self) -> None:
        """Wait until all is written."""
        while self._waiting:
            self._wait()

    def _wait(self) -> None:
        written, tell = self._waiting.popleft()
        written.result()
        tell()

    def _take(self, bucket: list[CheckedRow]) -> None:
        if self._has_failed:
            return
        try:
            self._write(bucket)
        except BaseException:
            self._has_failed = True
            raise
