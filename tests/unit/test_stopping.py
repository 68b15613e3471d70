"""Tell whether a worker leaves that is not done in time, or is told a second time, and says so."""

import subprocess
import sys

LEAVES = """
import threading
from worker.tasks import stopping
stopping.LEAVE_AFTER_S = 0.1
stopping.watch()
stopping.begin()
threading.Event().wait()
"""

TWO_SIGNALS = "from worker.tasks import stopping; stopping.begin(); stopping.begin(); print('still here')"


def test_worker_whose_rows_take_too_long_leaves_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 1
    assert (
        done.stderr == "outreach worker: not done after 0 s; rows in hand are looked up by whoever goes on\n"
    )


def test_signal_during_the_first_ones_handler_ends_the_worker_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_SIGNALS], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 1
    assert (done.stdout, done.stderr[:38]) == ("", "outreach worker: told to leave at once")
