"""The scheduler of `celery -A worker.tasks beat`: RedBeat, made to outlive what its Redis and its lock go through.

Only the beat that holds the lock acts; any number may stand by. All that a beat does is wake the timetable: what is due,
and whether it has been done, stands in the ledger.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from celery.signals import beat_init
from redbeat import schedulers as redbeat

from worker import wiring
from worker.errors import OutreachError, RedisUnavailableError
from worker.logs import get_logger
from worker.pipeline.status import alive_workers
from worker.redis_calls import LockLostError, ask_once
from worker.tasks.app import WAKE_EVERY_S, parts

log = get_logger(__name__)

_WAIT_S = 2.0
_SILENT_S = 3 * WAKE_EVERY_S

# It would wait for the lock for ever before the first tick, and swallow what goes wrong meanwhile.
beat_init.disconnect(redbeat.acquire_distributed_beat_lock)


class PatientScheduler(redbeat.RedBeatScheduler):  # type: ignore[misc]
    """Wakes the timetable while it holds the lock; stands by without it, and waits for a Redis that is away.

    RedBeat itself ends with a traceback where it loses its lock (a stalled process, a Redis that was emptied) or its Redis.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        self._said = ""
        self._woke_at = time.monotonic()
        self._has_workers: bool | None = None
        super().__init__(*args, **named)

    def setup_schedule(self) -> None:
        """Have the entries in Redis; said in a sentence where there is none."""
        try:
            ask_once(super().setup_schedule)
        except OutreachError as error:
            log.error("beat.cannot_start", error=str(error))  # noqa: TRY400  the sentence says it all
            raise SystemExit(error.exit_code) from None

    def tick(self, *_: Any, **__: Any) -> float:
        """Do what is due, if this is the beat that acts; the seconds until the next look."""
        try:
            wait_s: float = ask_once(self._tick)
        except RedisUnavailableError as error:
            self._say("waits", error=str(error))
            return self._revive()
        except LockLostError:
            # Somebody else may act by now; and the entries may be gone with the lock.
            self.lock = None
            self._say("lost_its_lock")
            return 0.0
        return wait_s

    def _tick(self) -> float:
        self._has_workers = None
        if self.lock is None and not self._take_lock():
            self._say("stands_by")
            return float(self.max_interval)
        if time.monotonic() - self._woke_at > _SILENT_S:
            self._begin_anew()
        return float(super().tick())

    def maybe_due(self, entry: Any, **named: Any) -> float:
        """Send an entry's message if it is due, and somebody is there to take it.

        A message that has expired stays in Redis until a worker comes by: without one they would pile up.
        """
        is_due, wait_s = entry.is_due()
        if not is_due:
            return float(wait_s)
        if (
            self._has_workers is None
        ):  # once for the entries of all accounts: a Redis that hangs takes its time
            self._has_workers = self._look_for_workers()
        if not self._has_workers:
            self._woke_at = time.monotonic()
            self._say("waits_for_a_worker")
            return float(self.max_interval)
        self._say("acts")
        self._woke_at = time.monotonic()
        return float(super().maybe_due(entry, **named))

    def close(self) -> None:
        """Give the lock back, so that another beat acts at once."""
        with contextlib.suppress(RedisUnavailableError, LockLostError):  # then it runs out by itself
            ask_once(super().close)

    def _take_lock(self) -> bool:
        client = redbeat.get_redis(self.app)
        lock = client.lock(self.lock_key, timeout=self.lock_timeout)
        # The library's own would add to the time that is left, rather than set it.
        lock.lua_extend = client.register_script(redbeat.LUA_EXTEND_TO_SCRIPT)
        if not lock.acquire(blocking=False):
            return False
        self.lock = lock
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        """Have the entries there, and due now.

        For a Redis that was emptied, and for a clock that was put back: by it, the last time may lie in the future.
        """
        client = redbeat.get_redis(self.app)
        for name in self.app.conf.beat_schedule:
            client.hdel(self.Entry.generate_key(self.app, name), "meta")
        super().setup_schedule()
        self._woke_at = time.monotonic()

    def _look_for_workers(self) -> bool:
        trouble = None
        for tag in parts.accounts:
            try:
                if any(not wiring.is_gone(owner) for owner in alive_workers(parts.bench(tag))):
                    return True
            except RedisUnavailableError as error:  # an account may have one of its own
                trouble = error
        if trouble:
            raise trouble
        return False

    def _revive(self) -> float:
        """Start the embedded Redis again if it has died, and nobody else is there to do so."""
        with contextlib.suppress(RedisUnavailableError):
            died_of = wiring.revive_redis(parts.settings)
            if died_of:
                log.warning("redis.started_again", why=died_of)
        return _WAIT_S

    def _say(self, what: str, **more: str) -> None:
        """Log a change of what this beat does; the same again is no news."""
        if what != self._said:
            self._said = what
            (log.warning if "wait" in what or "lost" in what else log.info)(f"beat.{what}", **more)
