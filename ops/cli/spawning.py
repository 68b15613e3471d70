"""Start worker processes that get ready; `run` starts one before anything else, for its imports are most of what a start takes.

Nothing is imported here but what that takes.
"""

import contextlib
import os
import subprocess
from collections.abc import Sequence

from worker.tasks.command import PARENT_FD, ready_command

_early: "list[tuple[subprocess.Popen[bytes], tuple[int, int]]]" = []


def spawn(command: Sequence[str], parent_fd: int, stream: int) -> "subprocess.Popen[bytes]":
    """Start a process that begins with a line on its stdin, says what it has to say on `stream`, and holds `parent_fd`."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stream,
        stderr=stream,
        env=os.environ | {PARENT_FD: str(parent_fd)},
        pass_fds=(parent_fd,),
        # A Ctrl-C of the terminal is for this process alone, which then asks its workers.
        start_new_session=True,
    )


def spawn_early() -> None:
    """Start a worker's imports before this command's own, if none has; it opens nothing before it is told to begin."""
    if _early:
        return
    pipe = os.pipe()
    with contextlib.suppress(OSError):  # then one is started, or that is told in words, where it is needed
        # Never stdout, which is for answers; where its log is, it learns when it begins.
        _early.append((spawn(ready_command(), pipe[0], 2), pipe))


def take_early() -> "tuple[subprocess.Popen[bytes], tuple[int, int]] | None":
    """Hand over the worker that was started early, with both ends of its pipe, if there is one."""
    return _early.pop() if _early else None


def end_early() -> None:
    """End it where nobody has taken it."""
    while (early := take_early()) is not None:
        child, pipe = early
        child.kill()
        child.communicate()
        for end in pipe:
            os.close(end)
