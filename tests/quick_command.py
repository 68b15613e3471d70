"""Commands given one after the other, forked from a process that has the libraries: each takes a quarter of the time."""

from __future__ import annotations

import itertools
from types import TracebackType

from outreach_command import COMMAND, Outreach
from zygote import Zygote

from worker.redis_server import EmbeddedRedis


class QuickCommands:
    """The command `outreach` of one installation, whose Redis runs meanwhile: else each would start and stop it."""

    def __init__(self, outreach: Outreach) -> None:
        self._outreach = outreach
        self._zygote = Zygote()
        self._redis = EmbeddedRedis(outreach.home).hold()
        self._numbers = itertools.count(1)

    def __enter__(self) -> QuickCommands:
        self._redis.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zygote.close()
        self._redis.__exit__(kind, error, trace)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Give a command, and hold its exit code against `code`; all that it said, on stdout and stderr."""
        folder = self._outreach.folder
        log = folder / f"said-{next(self._numbers)}"
        process = self._zygote.start([*COMMAND, *arguments], self._outreach.environ, cwd=folder, log=log)
        ended, said = process.wait(180), log.read_text()
        assert ended == code, f"exit code {ended}, not {code}\n{said}\n{self._outreach.logs()}"
        return said
