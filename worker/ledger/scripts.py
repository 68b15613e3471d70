"""Runs the ledger's Lua scripts: one file each, between the common head and tail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import resources
from typing import Any, NamedTuple, Protocol

import redis

from worker import json_text
from worker.effects import effect
from worker.errors import RedisUnavailableError
from worker.ledger.floors import Floors
from worker.redis_calls import Ask, ask_once
from worker.redis_scripts import Script, slots_head


class Reply(NamedTuple):
    """What a script answered: `ok`, or why it changed nothing; `values` as the script's head says."""

    ok: bool
    why: str = ""
    values: tuple[Any, ...] = ()


@cache
def source(name: str) -> Script:
    """Give a script, between what it needs of the common head and the tail."""
    folder = resources.files(__package__) / "lua"
    head, body, tail = ((folder / f"{part}.lua").read_text() for part in ("_head", name, "_tail"))
    return Script.headed(slots_head() + head, f"local function act()\n{body}{tail}")


class SlotOrder(Protocol):
    """A slot of the shared paces that a claim's script takes: its buckets, what it may be, and when it was asked for."""

    @property
    def keys(self) -> Sequence[str]:
        """Name the buckets; a script has them last of its KEYS."""

    @property
    def limits(self) -> Sequence[float]:
        """Give what slot.lua wants; a script has it last of its ARGV."""

    def timed(self, act: Callable[[], Any]) -> Any:
        """Act, and note when that began and ended."""


class Scripts:
    """Calls scripts of one Redis; `now_ms` replaces Redis's clock in tests, `ask` says who waits for one that is away.

    Each call says how far its campaign, `keys[0]`, has been seen to come, and learns how far it has come now.
    """

    def __init__(
        self,
        client: redis.Redis,
        now_ms: Callable[[], int] | None = None,
        floors: Floors | None = None,
        ask: Ask = ask_once,
    ) -> None:
        self.client = client
        self.floors = floors or Floors()
        self.ask = ask
        self._now_ms = now_ms

    def now_ms(self, moment: tuple[int, int]) -> int:
        """Give the time the scripts go by, where Redis's own clock says `moment` (s, us)."""
        return self._now_ms() if self._now_ms else int(moment[0]) * 1000 + int(moment[1]) // 1000

    def arguments(self, args: dict[str, Any]) -> str:
        """Encode named arguments; those that are None are left out, for Lua knows no null."""
        if None in args.values():
            args = {name: value for name, value in args.items() if value is not None}
        if self._now_ms is not None:
            args = args | {"now_ms": self._now_ms()}
        return json_text.dumps(args)

    def run(
        self,
        name: str,
        keys: Sequence[str],
        args: dict[str, Any],
        rest: Sequence[bytes | str | float] = (),
        slot: SlotOrder | None = None,
    ) -> Reply:
        """Run a script with its named arguments; one that is to take a `slot` answers last what came of that.

        Raises: RedisUnavailableError if Redis gives no answer, or cannot keep anything now.
        """
        script = source(name)
        born, seq = self.floors.of(keys[0])
        if born:
            args = {"floor": seq, "born": born, **args}
        argv = (self.arguments(args), *rest)
        if slot is None:
            act = partial(script.evaluate, self.client, keys, argv)
        else:
            act = partial(
                slot.timed,
                partial(script.evaluate, self.client, (*keys, *slot.keys), (*argv, *slot.limits)),
            )
        with effect(name):
            *answer, seq, born = self.ask(act)
        self.floors.note(keys[0], born.decode(), seq)
        return read_reply(answer)


def read_reply(answer: list[Any]) -> Reply:
    """Read what a script returned."""
    verdict, *values = answer
    if verdict == b"ok":
        return Reply(True, "", tuple(values))
    why = values.pop(0).decode() if values else ""
    return Reply(False, why, tuple(values))


def retrying(
    act: Callable[[], Reply],
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Reply:
    """Run `act` again while Redis cannot be used, until the time `until` of `clock`.

    For what Twilio has answered already: better late in the ledger than looked up again.
    """
    wait_s = 0.1
    while True:
        try:
            return act()
        except RedisUnavailableError:
            if clock() + wait_s > until:
                raise
        sleep(wait_s)
        wait_s = min(1.0, wait_s * 2)
