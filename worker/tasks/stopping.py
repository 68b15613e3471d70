"""How a worker ends: it opens no row any more, finishes those in hand, and is gone within 28 s; nothing is lost either way.

Celery itself waits for its threads as long as they take, pays no heed to a second SIGTERM, and joins its threads even on
SIGQUIT. A row that is left in hand is looked up by whoever comes next, as after a crash.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import NoReturn

from worker import loop

LEAVE_AFTER_S = 28.0
"""How long rows in hand have: a request takes 20 s at most, and many a supervisor kills after 30 s."""
_AT_ONCE = "told to leave at once"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Stopping:
    """Whether this worker is on its way out: rows that are not open yet go back to the ledger."""

    opens = True
    is_told = False
    begun = threading.Event()


def watch() -> None:
    """Be ready to leave: at once on SIGQUIT, and in time once stopping has begun."""
    signal.signal(signal.SIGQUIT, _leave_on_signal)
    # Celery's own for SIGINT has the next one join the threads first, however soon that comes.
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":  # Celery's own setting
        signal.signal(signal.SIGTERM, _leave_on_signal)
    threading.Thread(target=_leave_in_time, name="leaving", daemon=True).start()


def open_no_more() -> None:
    """Open no row any more, and finish those that are open: who asks for this stops the worker soon."""
    Stopping.opens = False


def begin() -> None:
    """Stop softly, asked for by a signal; the next one ends this process at once."""
    if Stopping.is_told:  # Celery took two before the first came to its end
        leave(_AT_ONCE)
    Stopping.is_told = True
    open_no_more()
    Stopping.begun.set()
    for one in _SIGNALS:
        signal.signal(one, _leave_on_signal)


def rest(seconds: float) -> None:
    """Sleep, but let the other rows of a loop on, and a thread go on at once when stopping begins."""
    if loop.here() is None:
        Stopping.begun.wait(seconds)
    else:
        loop.sleep(seconds)


def leave(why: str) -> NoReturn:
    """End this process at once, whatever its threads are doing."""
    # Not logged: a signal may have come in the middle of a line of the log.
    os.write(2, f"outreach worker: {why}; rows in hand are looked up by whoever goes on\n".encode())
    os._exit(1)


def _leave_on_signal(*_: object) -> None:
    leave(_AT_ONCE)


def _leave_in_time() -> None:
    Stopping.begun.wait()
    time.sleep(LEAVE_AFTER_S)
    leave(f"not done after {LEAVE_AFTER_S:.0f} s")
