"""Tell whether what the zygote forks is what `python -m` would have started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from zygote import Zygote


def test_forked_process_is_a_module_of_its_own_with_just_its_environment(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import os, sys\nprint(__name__, sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid())\nsys.exit(7)"
    )
    command = [sys.executable, "-m", "told", "one"]

    with Zygote() as zygote:
        code = zygote.start(command, {"ONLY": "this"}, cwd=tmp_path, log=tmp_path / "log").wait(60)

    assert code == 7
    assert (tmp_path / "log").read_text() == "__main__ ['one'] {'ONLY': 'this'} True\n"


def test_killed_process_tells_by_which_signal(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)")

    with Zygote() as zygote:
        sleeper = zygote.start([sys.executable, "-m", "sleeper"], {}, cwd=tmp_path, log=tmp_path / "log")
        while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
            time.sleep(0.01)
        sleeper.kill()

        assert sleeper.wait(60) == -signal.SIGKILL


def test_nothing_outlives_the_zygote(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(60)")
    with Zygote() as zygote:
        sleeper = zygote.start([sys.executable, "-m", "sleeper"], {}, cwd=tmp_path, log=tmp_path / "log")

    gone = subprocess.run(["kill", "-0", str(sleeper.pid)], capture_output=True, check=False)

    assert gone.returncode
