"""Tell whether a second signal counts that comes before Celery is through with the first."""

import subprocess
import sys

TWO_SIGNALS = "from worker.tasks import stopping; stopping.begin(); stopping.begin(); print('still here')"


def test_signal_during_the_first_ones_handler_ends_the_worker_at_once() -> None:
    ended = subprocess.run([sys.executable, "-c", TWO_SIGNALS], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "told to leave at once" in ended.stderr
