"""What an input may take: CPU time, and memory beyond what the process had before."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

MAX_CPU_S = 10  # of any input up to 64 KB; twice what a finding is, for instrumented and slow machines
MAX_MB = 200  # of any input up to 1 MB
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class TooSlow(BaseException):
    """An input that took too long; no Exception, for what is tested must not be able to catch it."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fail where the block takes more CPU time or memory than any input may; in the main thread only."""
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
    try:
        with _bounded_memory() if sys.platform == "linux" else contextlib.nullcontext():
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # A limit too, so that what is meant to take 400 GB fails here and not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (_status_mb("VmSize") + 4 * MAX_MB << 20, hard))
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # forgets the peak; not allowed in every container
    start = _status_mb("VmHWM")
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    grown = _status_mb("VmHWM") - start
    assert grown < MAX_MB, f"took {grown} MB"


def _status_mb(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) // 1024


def _stop(_: int, __: FrameType | None) -> None:
    raise TooSlow(f"took more than {MAX_CPU_S} s of CPU time")
