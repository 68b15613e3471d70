"""Count the wishes to stop: the first asks for an orderly end, the second for an end at once."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_S = 0.05


class Interrupts:
    """While inside, Ctrl-C, SIGTERM and SIGHUP are counted instead of ending the process."""

    def __init__(self) -> None:
        self.count = 0
        self._heeded = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        for one in _SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:  # as under `nohup`
                self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the next wish to stop."""
        # No Event: its `set`, called by a signal in the midst of its `wait`, would wait for a lock that this thread holds.
        deadline = time.monotonic() + seconds
        while self.count == self._heeded and (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(left_s, _POLL_S))
        self._heeded = self.count

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
