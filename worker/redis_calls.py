"""Ask Redis: what it cannot do now is told from other faults in a plain sentence, and waited for by whoever may wait."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from worker.errors import RedisUnavailableError

LockLostError = redis.exceptions.LockError
"""A lock of the library ran out, or is somebody else's by now."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1.0

# The first word of an error by which a server refuses for now -> what that means, and what to do.
_NOT_NOW = {
    "OOM": (
        "Redis is full: it has used all the memory that its `maxmemory` allows.",
        "Give it more, or free some.",
    ),
    "MISCONF": (
        "Redis cannot write to its disk, and so takes no changes.",
        "See that the disk is not full and can be written.",
    ),
    "READONLY": (
        "Redis takes no changes: it is a replica.",
        "Make it the primary, or point OUTREACH_REDIS_URL at the primary.",
    ),
    "NOREPLICAS": (
        "Redis takes no changes: too few replicas follow it.",
        "See to its replicas, or lower its `min-replicas-to-write`.",
    ),
    "MASTERDOWN": ("Redis is a replica that has lost its primary.", "See to the primary."),
    "LOADING": ("Redis is still loading its data.", "Wait until it has done so."),
    "BUSY": ("Redis is busy with somebody's long script.", "Wait for its end, or stop it with SCRIPT KILL."),
}
# The library takes the first word, by which the others are told, off the texts of these.
_BY_CLASS: tuple[tuple[type[redis.RedisError], str], ...] = (
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.BusyLoadingError, "LOADING"),
)
# Redis 6.2 hands on what a script was refused with at the end of a sentence of its own, behind a dash.
_WORD = re.compile(rf"(?:^|[ -])({'|'.join(_NOT_NOW)})\b")


Ask = Callable[[Callable[[], Any]], Any]
"""Asks Redis for something: returns what that returns, or raises RedisUnavailableError where it can't be done now."""


def not_now(error: redis.RedisError) -> RedisUnavailableError | None:
    """Translate an error that means `not now` into ours; None where it is another fault."""
    word = next((word for kind, word in _BY_CLASS if isinstance(error, kind)), None)
    if word is None and isinstance(error, redis.ConnectionError):
        return RedisUnavailableError("Redis cannot be reached.", "See that it runs; it is tried again.")
    if word is None and isinstance(error, redis.TimeoutError):
        return RedisUnavailableError(
            "Redis gives no answer in time.", "See how busy it is; it is tried again."
        )
    if word is None:
        found = _WORD.search(str(error))
        word = found[1] if found else None
    return RedisUnavailableError(*_NOT_NOW[word]) if word else None


def ask_once(act: Callable[[], Any]) -> Any:
    """Ask Redis, and don't wait for one that is away.

    Raises: RedisUnavailableError if it gives no answer, or cannot keep anything now.
    """
    try:
        return act()
    except redis.RedisError as error:
        wrapped = not_now(error)
        if wrapped is None:
            raise
        raise wrapped from error


@dataclass(frozen=True, slots=True)
class AskPatiently:
    """Asks again and again while Redis is away, until `gives_up` says so: for whoever has a row in hand.

    They know what nobody else does: what they have claimed, and what Twilio has answered. A question whose answer
    got lost is asked twice, so it must do no harm the second time; a token, or the row's state, sees to that.
    """

    sleep: Callable[[float], Any]
    gives_up: Callable[[], bool]

    def __call__(self, act: Callable[[], Any]) -> Any:
        """Return what `act` returns.

        Raises: RedisUnavailableError once it is given up.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return ask_once(act)
            except RedisUnavailableError:
                if self.gives_up():
                    raise
            self.sleep(wait_s)
            wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
