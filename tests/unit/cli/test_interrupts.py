"""Tell whether wishes to stop are counted whenever they come, and wake whoever waits."""

import subprocess
import sys
import time

from ops.cli.interrupts import Interrupts

# A signal that comes between any two steps of `wait`: a thousand of them, and as many waits as fit between.
WAITS = """
import os, signal, threading, time
from ops.cli.interrupts import Interrupts

def ask():
    for _ in range(1000):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)

with Interrupts() as interrupts:
    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        interrupts.wait(0)
print(interrupts.count > 0)
"""


def test_signal_in_the_midst_of_a_wait_hangs_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_wish_to_stop_ends_the_wait_that_is_under_way_or_comes_next() -> None:
    with Interrupts() as interrupts:
        interrupts._note(15, None)
        began = time.monotonic()

        interrupts.wait(30)

    assert time.monotonic() - began < 20
    assert interrupts.count == 1
