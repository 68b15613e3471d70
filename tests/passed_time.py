"""A Redis whose scripts are told the time that a test has passed on: so no stall of the machine is taken for one of the pacer's."""

from collections.abc import Iterator
from typing import Any

import redis

PREFIX = "o:{1a2b3c4d}:"


class PassedTime(redis.Redis):
    """A client whose scripts are told the time that a test has passed on; threads wait for it without waiting."""

    ASKED, TOLD = "redis.call('TIME')", "redis.call('MGET', 'time:s', 'time:us')"
    AHEAD_S = 1_795_000_000
    """How far Redis's clock is ahead of the monotonic one."""
    wakes_late_s = 0.0

    answers_late_s: Iterator[float] = iter(())

    def begin(self) -> None:
        """Forget everything, at the beginning of time."""
        self.flushall()
        self._now_us = 0
        self.pass_s(1000.0)

    def monotonic_s(self) -> float:
        """Give the monotonic clock."""
        return self._now_us / 1e6

    def sleep(self, seconds: float) -> None:
        """Let a thread sleep, and wake late."""
        self.pass_s(seconds + self.wakes_late_s)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_us += round(seconds * 1e6)
        now_s, micros = self._now()
        self.mset({"time:s": now_s, "time:us": micros})

    def time(self, **_: Any) -> tuple[int, int]:
        """Answer as Redis does."""
        return self._later(self._now())

    def _now(self) -> tuple[int, int]:
        return divmod(self.AHEAD_S * 1_000_000 + self._now_us, 1_000_000)

    def _later(self, answer: Any) -> Any:
        self.pass_s(next(self.answers_late_s, 0.0))
        return answer

    def eval(self, script: str, *args: Any) -> Any:
        """Run a script that asks for the time; by its digest this server knows none of them."""
        assert self.ASKED in script
        return self._later(super().eval(script.replace(self.ASKED, self.TOLD), *args))
