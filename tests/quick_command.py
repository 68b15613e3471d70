"""Commands given one after the other, forked from a process that has the libraries: each takes a quarter of the time."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from types import TracebackType

from outreach_command import COMMAND, Outreach
from zygote import Zygote

from worker.redis_server import EmbeddedRedis


class QuickCommands:
    """The command `outreach` of one installation, whose Redis runs meanwhile: else each would start and stop it.

    `zygote`: one that several of these share; without it this one has its own.
    """

    def __init__(self, outreach: Outreach, zygote: Zygote | None = None) -> None:
        self._outreach = outreach
        self._stack = ExitStack()
        self._shared = zygote
        self._numbers = itertools.count(1)

    def __enter__(self) -> QuickCommands:
        self._zygote = self._shared or self._stack.enter_context(Zygote())
        self._stack.enter_context(EmbeddedRedis(self._outreach.home).hold())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Give a command, and hold its exit code against `code`; all that it said, on stdout and stderr."""
        folder = self._outreach.folder
        log = folder / f"said-{next(self._numbers)}"
        process = self._zygote.start([*COMMAND, *arguments], self._outreach.environ, cwd=folder, log=log)
        ended, said = process.wait(180), log.read_text()
        assert ended == code, f"exit code {ended}, not {code}\n{said}\n{self._outreach.logs()}"
        return said
