"""Share the agreed paces among all workers: a call takes a slot in each of its buckets, and is made on the beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import redis

from worker.effects import effect
from worker.pacing.redis_clock import RedisClock
from worker.redis_calls import Ask, ask_once
from worker.redis_scripts import Script, slots_head

# Nobody reserves further ahead: this bounds what a step of Redis's clock can do. Also in bucket.lua.
MAX_WAIT_MS = 2000
# The calls of a second are spread over this much more than a second, and a slot may be reached that late: what lies
# between the two is for what happens to a call between its slot and the wire. Measured with ops/bench/pacer.py.
MARGIN_S = 0.011
LATE_S = 0.003
_SLIPS_MAX = 5
# Between slot and call lies a claim, on disk. A slot that is sooner than that is missed, and moving it costs a question more.
_LEAD_MAX_S = 0.1
# A process's first answers come over a connection that is being made, from scripts that are being loaded: a translation
# of Redis's clock that rests on these alone is off by several milliseconds, and so were the first calls.
_BLUR_S = 0.001
_LOOKS_MAX = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """Name one shared pace; `label` is what people read (`status`, `waiting_for`)."""

    name: str
    per_s: float
    label: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.per_s < float("inf"):
            raise ValueError(f"a pace is a number above 0, not {self.per_s}")


class Granted(NamedTuple):
    """Hold a slot: at `slot_s` on the monotonic clock, `slot_us` on Redis's.

    `granted_us` says when, on Redis's clock; `slipped_us` for each of `buckets` how far its slots had been moved on by then,
    as slip.lua wants it.
    """

    slot_s: float
    slot_us: int
    granted_us: int
    buckets: tuple[Bucket, ...]
    slipped_us: tuple[int, ...]

    @property
    def wait_ms(self) -> int:
        """Say how far off the slot was when it was taken."""
        return max(0, round((self.slot_us - self.granted_us) / 1000))


class Wait(NamedTuple):
    """Hold no slot: the same call would be granted after `ms`, whole and >= 1; `bucket` is the one that decides."""

    ms: int
    bucket: Bucket


@dataclass(slots=True)
class Order:
    """Ask for a slot in all of `buckets`: what a script that takes one is given, and when it was asked and answered."""

    buckets: tuple[Bucket, ...]
    keys: tuple[str, ...]
    limits: tuple[float, ...]
    clock: Callable[[], float]
    asked_s: float = 0.0
    answered_s: float = 0.0

    def timed(self, act: Callable[[], Any]) -> Any:
        """Act, and note when that began and ended: the last time, however long Redis was away before."""
        self.asked_s = self.clock()
        answer = act()
        self.answered_s = self.clock()
        return answer


@dataclass(frozen=True, slots=True)
class BucketState:
    """Say how a bucket stands: the pace in force, slots taken ahead, and why it is slower than configured, until when.

    `reserved_ahead_ms`: until the latest slot that was taken; negative: since then.
    """

    bucket: Bucket
    per_s: float
    reserved_ahead_ms: int
    blocked_ms: int
    tries_more_ms: int
    why: str

    def slots_within(self, seconds: float) -> int:
        """Count the slots that nobody has taken yet of the next so many seconds."""
        interval_s = (1 + MARGIN_S) / self.per_s
        free_in_s = max(0.0, self.blocked_ms / 1000, self.reserved_ahead_ms / 1000 + interval_s)
        return 0 if free_in_s > seconds else int((seconds - free_in_s) / interval_s) + 1


class Pacer:
    """Take slots of shared paces, on Redis's clock.

    Redis keeps `<prefix>pace:<bucket name>`, a hash for each bucket, until it holds nobody back any more.
    At most ceil(per_s) calls fall into any second, and `per_s` a second in the long run, as the server sees them,
    as long as what happens between `wait` and the wire varies by less than MARGIN_S - LATE_S.
    If Redis's clock steps forward, slots that were reserved before are sent beside new ones for up to MAX_WAIT_MS: not prevented.
    """

    def __init__(
        self,
        client: "redis.Redis",
        prefix: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        margin_s: float = MARGIN_S,
        late_s: float = LATE_S,
        ask: Ask = ask_once,
    ) -> None:
        self._prefix = f"{prefix}pace:"
        self._ask = ask
        self._clock = clock
        self._sleep = sleep
        self._margin_s, self._margin_us = margin_s, _us(margin_s)
        self._late_s = late_s
        self._answer_s = 0.0
        self._reach_s = self._reach_varies_s = 0.0
        self._redis_clock = RedisClock()
        self._client = client
        self._is_clock_set = False
        self._voided_us: dict[str, int] = {}

    def acquire(self, buckets: Sequence[Bucket], max_wait_ms: int = 750) -> Granted | Wait:
        """Take one slot in every bucket, at most `max_wait_ms` ahead, or none and say how long to wait.

        A wait well below a second leaves room to move a slot that is reached late, see `wait`.
        `buckets`: the widest first, which all who share one of the others need too. None is taken either where that would waste
        a whole slot of it; the wait then ends when no slot would be wasted.
        Follow a grant with `wait`.

        Raises: RedisUnavailableError if Redis gives no answer.
        """
        order = self.order(buckets, max_wait_ms)
        with effect("take_slot"):
            answer, order.asked_s, order.answered_s = self._run("gcra", buckets, order.limits)
        return self.read(order, answer)

    def order(self, buckets: Sequence[Bucket], max_wait_ms: int = 750) -> Order:
        """Ask for a slot as `acquire` does, for another script to take it: intent and slot are one round trip then.

        Follow it with `read`.

        Raises: RedisUnavailableError if Redis gives no answer.
        """
        if not buckets or not 0 <= max_wait_ms <= MAX_WAIT_MS:
            raise ValueError(f"at least one bucket, and a wait of at most {MAX_WAIT_MS} ms")
        if not self._is_clock_set:
            self._set_clock()
        lead_us = _us(self._lead_s(max_wait_ms))
        limits = (max_wait_ms * 1000, self._margin_us, lead_us, *[bucket.per_s for bucket in buckets])
        return Order(tuple(buckets), self._keys(buckets), limits, self._clock)

    def read(self, order: Order, answer: Sequence[Any]) -> Granted | Wait:
        """Read what a script has answered to `order`, in slot.lua's words.

        `again` instead of `granted`: an earlier answer was lost, this is what it said but for slots that were voided since, and
        nothing can be learnt from its times.
        """
        verdict, time_us, now_us, decisive, *told = answer
        verdict, now_us = _text(verdict), int(now_us)
        for bucket, voided_us in zip(order.buckets, told[1::2], strict=True):
            self._voided_us[bucket.name] = int(voided_us)
        if verdict != "again":
            self._redis_clock.observe(order.asked_s, order.answered_s, now_us / 1e6)
            self._answer_s += (order.answered_s - order.asked_s - self._answer_s) / 16
        if verdict == "wait":
            return Wait(ms=max(1, -(-int(time_us) // 1000)), bucket=order.buckets[int(decisive) - 1])
        slot_us = int(time_us)
        slot_s = self._redis_clock.monotonic_s(slot_us / 1e6)
        return Granted(slot_s, slot_us, now_us, order.buckets, tuple(map(int, told[::2])))

    def _keys(self, buckets: Sequence[Bucket]) -> tuple[str, ...]:
        return tuple([self._prefix + bucket.name for bucket in buckets])

    def _set_clock(self) -> None:
        """Look at Redis's clock, once a process, until it is known well or is too far away for that."""
        for _ in range(_LOOKS_MAX):
            moment, asked_s, answered_s = self._timed(self._client.time, self._ask)
            self._redis_clock.observe(asked_s, answered_s, int(moment[0]) + int(moment[1]) / 1e6)
            if self._redis_clock.blur_s <= _BLUR_S:
                break
        self._is_clock_set = True

    def wait(self, granted: Granted) -> Granted | None:
        """Sleep until the slot, and give it as it was reached; None if it was missed for good, and another must be acquired.

        A late call would crowd those after it into one second with those before. So a slot reached late is moved to now, and
        all that nobody has taken yet with it: that costs the pace the lateness, where a slot given up costs the whole slot.
        What is later than that is given up, and what was granted before Twilio refused most calls.
        Call this last, right before the request.

        Raises: RedisUnavailableError if a slot must be moved and Redis gives no answer.
        """
        slot_s, answer_s = granted.slot_s, self._answer_s
        self._learn_lead(self._clock() - self._redis_clock.monotonic_s(granted.granted_us / 1e6))
        for _ in range(_SLIPS_MAX):
            ahead_s = slot_s - self._clock()
            if ahead_s > MAX_WAIT_MS / 1000:  # of a clock that has stepped back since
                return None
            if ahead_s > 0:
                self._sleep(ahead_s)
            for bucket in granted.buckets:
                if self._voided_us.get(bucket.name, 0) > granted.granted_us:
                    return None
            if self._clock() - slot_s <= self._late_s:
                return granted if slot_s == granted.slot_s else granted._replace(slot_s=slot_s)
            slot_us, answer_s = self._move(granted, answer_s)
            if slot_us is None:
                return None
            slot_s = self._redis_clock.monotonic_s(slot_us / 1e6)
        return None

    def _learn_lead(self, reach_s: float) -> None:
        """Learn how long it takes from grant to call; smoothed as TCP does with its round trips (RFC 6298)."""
        self._reach_varies_s += (abs(reach_s - self._reach_s) - self._reach_varies_s) / 16
        self._reach_s += (reach_s - self._reach_s) / 16

    def _lead_s(self, max_wait_ms: int) -> float:
        longest_s = min(_LEAD_MAX_S, max_wait_ms / 4000)
        return max(0.0, min(longest_s, self._reach_s + 2 * self._reach_varies_s))

    def sent(self, granted: Granted, sent_s: float) -> None:
        """Tell when the call went out, if that can be known: one that stalled after `wait` moves the free slots on, too.

        Costs nothing unless it was late by most of the margin. `granted` is the slot as `wait` gave it, `sent_s` is read from the
        clock right after the writing.

        Raises: RedisUnavailableError if slots must be moved and Redis gives no answer.
        """
        if sent_s - granted.slot_s > self._margin_s * 0.75:
            self._move(granted, sent_s - self._clock(), went_out=True)

    def _move(self, granted: Granted, answer_s: float, *, went_out: bool = False) -> tuple[int | None, float]:
        limits: list[float] = [
            granted.slot_us,
            self._margin_us,
            *map(_us, (answer_s, self._late_s)),
            int(went_out),
        ]
        for bucket, slipped_us in zip(granted.buckets, granted.slipped_us, strict=True):
            limits += [bucket.per_s, slipped_us]
        with effect("move_slots"):
            # A call that went out is being answered: its thread waits for nobody else.
            ask = ask_once if went_out else self._ask
            answer, asked_s, answered_s = self._run("slip", granted.buckets, limits, ask)
        return int(answer) if answer else None, answered_s - asked_s

    def slow_down(self, bucket: Bucket, retry_after_s: float | None, slot_us: int = 0) -> None:
        """Slow a bucket after a 429 to the call that had this slot (0: just now); block it for `retry_after_s`.

        It feels its way up again by itself; slow_down.lua says how.

        Raises: RedisUnavailableError if Redis gives no answer.
        """
        with effect("slow_down"):
            limits = [_us(max(0.0, retry_after_s or 0.0)), bucket.per_s, slot_us, self._margin_us]
            self._run("slow_down", [bucket], limits)

    def peek(self, buckets: Sequence[Bucket]) -> list[BucketState]:
        """Describe how each bucket stands; takes nothing.

        Raises: RedisUnavailableError if Redis gives no answer.
        """
        seen = self._run("peek", buckets, [bucket.per_s for bucket in buckets])[0] if buckets else []
        return [
            BucketState(
                bucket=bucket,
                per_s=float(per_s),
                reserved_ahead_ms=int(ahead_us) // 1000,
                blocked_ms=-(-int(blocked_us) // 1000),
                tries_more_ms=-(-int(tries_more_us) // 1000),
                why=_text(why),
            )
            for bucket, (per_s, ahead_us, blocked_us, tries_more_us, why) in zip(buckets, seen, strict=True)
        ]

    def _run(
        self, name: str, buckets: Sequence[Bucket], args: Sequence[float], ask: Ask | None = None
    ) -> tuple[Any, float, float]:
        script, keys = _script(name), self._keys(buckets)
        return self._timed(lambda: script.evaluate(self._client, keys, args), ask or self._ask)

    def _timed(self, act: Callable[[], Any], ask: Ask) -> tuple[Any, float, float]:
        """Return what Redis answered, when it was asked and when it answered: however long it was away before."""

        def run() -> tuple[Any, float, float]:
            asked_s = self._clock()
            return act(), asked_s, self._clock()

        answered: tuple[Any, float, float] = ask(run)
        return answered


@cache
def _script(name: str) -> Script:
    return Script.headed(slots_head(), (resources.files(__package__) / f"{name}.lua").read_text())


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
