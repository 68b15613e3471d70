"""Reads how all active campaigns stand, in one round trip: what the dispatcher goes by, ten times a second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib import resources

import redis

from worker.ledger.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Standing:
    """A campaign or wave that has rows to be queued now, in the window, or in doubt.

    `unsent`: rows from the window to OPEN, all without a message. `queued_n`: how often rows of it were put into the window so
    far; `slots`: how many of these took a slot of the account's pace.
    """

    id: str
    version: int
    pending: int
    queued: int
    in_doubt: int
    unsent: int
    has_fresh: bool
    has_old: bool
    queued_n: int
    slots: int


def read_standings(scripts: Scripts, prefix: str) -> list[Standing]:
    """Read them, in a fixed order.

    Raises: RedisUnavailableError if Redis gives no answer.
    """
    text, digest = _source()
    key, args = f"{prefix}active", scripts.arguments({})

    def read() -> bytes:
        try:
            found = scripts.client.evalsha(digest, 1, key, args)
        except redis.exceptions.NoScriptError:
            found = scripts.client.eval(text, 1, key, args)
        return bytes(found)

    return [Standing(*fields) for fields in sorted(json.loads(scripts.ask(read)))]


@cache
def _source() -> tuple[str, str]:
    text = (resources.files(__package__) / "lua" / "_standings.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()
