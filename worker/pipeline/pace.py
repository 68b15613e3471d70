"""Which buckets a call is taken from, and how a row waits for its slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, TypeVar

from worker.errors import RedisUnavailableError
from worker.gateway.outcome import Answer, Deferred, Unanswered, Unknown
from worker.ledger import keys
from worker.ledger.scripts import Reply
from worker.ledger.states import Reason
from worker.pacing.pacer import Bucket, Granted, Order, Wait
from worker.pipeline.bench import LoadedCampaign, Workbench

T = TypeVar("T")

MAX_WAIT_MS = 800
"""How long a slot is waited for; a row whose slot is further off goes back to the ledger."""

LOOK_UPS_PER_S = 3.0  # https://www.twilio.com/docs/taskrouter/api/task, changelog of 2024-10-18
FORBIDDEN = frozenset({401, 403, 404, 405, 20003, 20004, 20008, 20403, 20404})
"""Answers of a look-up that will not change by waiting."""
_BACKOFF_CAP_MS = 60_000
_NEEDED_S = 1.0
"""Time to write down what came of a request, within its lease."""
_ARRIVALS = 4


def account_bucket(bench: Workbench) -> Bucket:
    """Give the account's bucket for creating Interactions."""
    per_s = bench.settings.account_interactions_per_s
    return _bucket("interactions", per_s, "the account's pace of {:g} Interactions a second")


def ceiling_bucket(loaded: LoadedCampaign) -> Bucket | None:
    """Give the campaign's own bucket, which it shares with its waves, where its definition sets a ceiling."""
    per_s = loaded.campaign.pacing.interactions_per_second
    if per_s is None:
        return None
    name = ceiling_name(loaded.info.id)
    return _bucket(name, per_s, "the campaign's own pace of {:g} Interactions a second")


def ceiling_name(any_id: str) -> str:
    """Name the bucket of a campaign's own ceiling; its waves have the same."""
    return f"campaign:{keys.parent_of(any_id)}"


def opening_buckets(bench: Workbench, loaded: LoadedCampaign) -> list[Bucket]:
    """List the buckets an Interaction is taken from."""
    ceiling = ceiling_bucket(loaded)
    return [account_bucket(bench)] + ([ceiling] if ceiling else [])


def sending_buckets(loaded: LoadedCampaign, sender: str) -> list[Bucket]:
    """List the buckets a message is taken from: its sender's, where it has a limit."""
    per_s = loaded.campaign.sender_messages_per_s
    if per_s is None or not sender:
        return []
    return [_bucket(_sender_name(sender), per_s, "the sender's pace of {:g} messages a second")]


@lru_cache(1024)
def _sender_name(sender: str) -> str:
    return f"sender:{blake2b(sender.encode(), digest_size=6).hexdigest()}"


def task_look_ups() -> Bucket:
    """Give the account's bucket for looking Flex tasks up by attribute."""
    return _bucket("task_look_ups", LOOK_UPS_PER_S, "Twilio's limit of {:g} task look-ups a second")


def flex(bench: Workbench, endpoint: str) -> Bucket:
    """Give the bucket of another Flex endpoint; each has the account's limit for itself."""
    per_s = bench.settings.account_interactions_per_s
    return _bucket(
        f"flex:{endpoint}", per_s, f"the account's pace of {{:g}} calls a second to Flex's {endpoint}"
    )


@lru_cache(1024)
def _bucket(name: str, per_s: float, label: str) -> Bucket:
    """Give a bucket, made once: each row asks for the same few."""
    return Bucket(name, per_s, label.format(per_s))


def take(bench: Workbench, buckets: Sequence[Bucket], longest_ms: int = MAX_WAIT_MS) -> Granted | Wait | None:
    """Reserve a slot within `longest_ms` in all of `buckets`, or say how long it would take; None: no slot is needed.

    A slot of several buckets may not be reserved long before: it is waited for here, no longer than for a reserved one. Back
    in the ledger, the row would be a tick or so late for each slot, and a pace below the account's was never used up.
    """
    if not buckets:
        return None
    until = bench.clock() + longest_ms / 1000
    slot = bench.pacer.acquire(buckets, longest_ms)
    while isinstance(slot, Wait) and (left_ms := _sleep_on(bench, buckets, slot, until)) >= 0:
        slot = bench.pacer.acquire(buckets, left_ms)
    return slot


class Claimed(NamedTuple):
    """What came of a claim: its `slot`, or how long one would take (nothing was claimed then); None: no slot is needed, or refused.

    `at`: by the worker's clock, its lease has not begun before then.
    """

    reply: Reply
    slot: Granted | Wait | None
    at: float


def claim(
    bench: Workbench,
    buckets: Sequence[Bucket],
    act: Callable[[Order | None], Reply],
    longest_ms: int = MAX_WAIT_MS,
) -> Claimed:
    """Claim a row by `act`, whose script takes a slot as well, as `take` does: where none is near, nothing is claimed."""
    until = bench.clock() + longest_ms / 1000
    claimed = _claim_once(bench, buckets, act, longest_ms)
    while isinstance(claimed.slot, Wait) and (left_ms := _sleep_on(bench, buckets, claimed.slot, until)) >= 0:
        claimed = _claim_once(bench, buckets, act, left_ms)
    return claimed


def _claim_once(
    bench: Workbench, buckets: Sequence[Bucket], act: Callable[[Order | None], Reply], longest_ms: int
) -> Claimed:
    order = bench.pacer.order(buckets, longest_ms) if buckets else None
    at = bench.clock()
    reply = act(order)
    if order is not None and (reply.ok or reply.why == "wait"):
        return Claimed(reply, bench.pacer.read(order, reply.values[-1]), at)
    return Claimed(reply, None, at)


def _sleep_on(bench: Workbench, buckets: Sequence[Bucket], wait: Wait, until: float) -> int:
    """Sleep until a slot is asked for again; how far off it may be then (ms). Negative: it is not worth it."""
    if len(buckets) == 1:
        return -1
    left_ms = int((until - bench.clock()) * 1000) - wait.ms
    if left_ms >= 0:
        bench.sleep(wait.ms / 1000)
    return left_ms


def arrive(bench: Workbench, buckets: Sequence[Bucket], slot: Granted | None) -> bool:
    """Sleep until the slot; one that was reached late is taken anew. False: give the row back."""
    return Beat(bench, buckets, slot).arrive()


class Beat:
    """The gate of a request with an effect: its slot is there, and the claim outlasts the request.

    To be asked right before the first byte, so that nothing but the wire lies between slot and server.
    """

    def __init__(
        self,
        bench: Workbench,
        buckets: Sequence[Bucket],
        slot: Granted | None,
        lease_until: float = float("inf"),
    ) -> None:
        self._bench, self._lease_until = bench, lease_until
        self.buckets, self.slot = buckets, slot
        self.missed = False

    def arrive(self) -> bool:
        """Wait for the slot; False, and `missed`, where nothing may be sent."""
        bench = self._bench
        on_time = self._reach_slot()
        self.missed = not on_time or bench.clock() + bench.request_s + _NEEDED_S > self._lease_until
        return not self.missed

    def left(self) -> None:
        """Move the free slots on if the machine stalled the request after its slot: it crowds those that come after it."""
        if self.slot is None:
            return
        try:  # noqa: SIM105  a context costs more than what it is for, twice a row
            self._bench.pacer.sent(self.slot, self._bench.clock())
        except RedisUnavailableError:
            # The request is out; what became of it matters more than the beat of others.
            pass

    def _reach_slot(self) -> bool:
        for _ in range(_ARRIVALS):
            if self.slot is None:
                return True
            if reached := self._bench.pacer.wait(self.slot):
                self.slot = reached
                return True
            again = take(self._bench, self.buckets)
            if isinstance(again, Wait):
                return False
            self.slot = again
        return False


def ask(bench: Workbench, bucket: Bucket, call: Callable[[], Answer[T]]) -> Answer[T]:
    """Make a look-up at its pace; one that would have to wait long is Unknown, for it proves nothing."""
    slot = take(bench, [bucket])
    if isinstance(slot, Wait) or not arrive(bench, [bucket], slot):
        return Unknown(int(Reason.THROTTLED), bucket.label, slot.ms / 1000 if isinstance(slot, Wait) else 1.0)
    answer = call()
    if isinstance(answer, Unknown):
        slow_down(bench, bucket, answer, slot)
    return answer


def slow_down(
    bench: Workbench, bucket: Bucket, answer: Deferred | Unknown, slot: Granted | None = None
) -> None:
    """Slow a bucket where Twilio asked for it; `slot` is the refused call's, where it is known."""
    if answer.throttled:
        bench.pacer.slow_down(bucket, answer.retry_after_s, slot.slot_us if slot else 0)


def put_off(bench: Workbench, beat: Beat, outcome: Deferred, tries: int) -> tuple[int, int]:
    """Say when a request that was not processed is made again (ms), and the code why.

    Where Twilio asked for it, the first of its buckets, Twilio's own, is slowed.
    """
    if beat.buckets:
        slow_down(bench, beat.buckets[0], outcome, beat.slot)
    code = outcome.code or int(Reason.THROTTLED if outcome.throttled else Reason.NOT_REACHED)
    return backoff_ms(bench, tries, outcome.retry_after_s), code


def first_look(bench: Workbench, outcome: Unanswered) -> tuple[int, int]:
    """Say when a request that went unanswered is looked up first (ms), and the code why."""
    first_ms = int(bench.settings.settle_s[0] * 1000)
    return gathered_ms(bench, first_ms), outcome.code or int(Reason.NO_ANSWER)


def backoff_ms(bench: Workbench, tries: int, retry_after_s: float | None = None, base_ms: int = 1_000) -> int:
    """Say when to try again: exponential with jitter, capped, never before Twilio's `Retry-After`."""
    longest = min(_BACKOFF_CAP_MS, base_ms * 2 ** min(tries, 10))
    wait_ms = bench.rng.uniform(longest / 2, longest)
    return int(max(wait_ms, (retry_after_s or 0) * 1000))


def gathered_ms(bench: Workbench, wait_ms: int) -> int:
    """Prolong a wait so that rows in doubt are due together: one task look-up serves many, and there are few a second."""
    grid_ms = max(1, int(bench.settings.settle_s[0] * 250))
    return wait_ms + -(bench.ledger.now_ms() + wait_ms) % grid_ms
