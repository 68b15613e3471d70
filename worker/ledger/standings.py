"""Reads how all active campaigns stand, in one round trip: what the dispatcher goes by, ten times a second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from worker.ledger.scripts import Scripts
from worker.redis_scripts import Script


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
    keys, argv = (f"{prefix}active",), (scripts.arguments({}),)
    found = scripts.ask(lambda: _source().evaluate(scripts.client, keys, argv))
    return [Standing(*fields) for fields in sorted(json.loads(found))]


@cache
def _source() -> Script:
    return Script.of((resources.files(__package__) / "lua" / "_standings.lua").read_text())
