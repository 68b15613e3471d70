"""Ask Twilio what became of accepted messages and whether customers wrote back: young ones often, old ones seldom.

The ledger keeps which buckets of rows are to be asked for, and when; which rows of a bucket are due follows from their age.
One look-up of a conversation shows both its deliveries and its replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.gateway.seen import MessageRead
from worker.ledger.keys import is_wave, parent_of
from worker.ledger.ledger import Poll
from worker.ledger.row import Record
from worker.ledger.states import Delivery, State
from worker.logs import get_logger
from worker.pacing.pacer import Bucket, Wait
from worker.pipeline import pace
from worker.pipeline.bench import LoadedCampaign, Workbench
from worker.pipeline.hearing import SKEW, delivery_of, note_answer, note_delivery

log = get_logger(__name__)

_H = 3600
STEPS_S = (1, 3, 10, 30, 60, 120, 300, 600, 1800, _H, 3 * _H, 6 * _H, 12 * _H, 24 * _H, 48 * _H, 72 * _H)
"""Ages of a message at which its delivery is asked for; after the last it is left as it is."""
SELDOM_FROM_S = 600
"""From which age on a conversation is looked at only for what the customer writes: replies are no matter of seconds."""
READ_FROM_S = 60
"""From which age on a message that was delivered is asked for again, whether it was read: that is no matter of seconds either."""
LOOKS_PER_S = 20.0
"""At least so many look-ups a second, or as many as the account may open Interactions: one for each message that can be sent.
Twilio's limits of conversations are for changing them, not for reading; what is too much for it all the same, a 429 says."""
WITHOUT_RECEIPTS = frozenset({"chat", "web", "gbm", "messenger"})
"""Channels whose messages get no delivery receipts: only replies are looked for."""
_READ_TOO = frozenset({"whatsapp"})
"""Channels that tell when a message was read; elsewhere `delivered` is the last that is heard."""
FORBIDDEN = pace.FORBIDDEN - {404, 20404}
FORBIDDEN_S, TROUBLE_S, WAIT_AT_MOST_S = 300.0, 30.0, 5.0
FAILURES = 3
"""After so many look-ups without an answer the rest of the bucket is left for later: Twilio is in trouble."""
AT_ONCE = 4
"""Look-ups of one bucket under way at a time: by one alone, a second's messages would take ten."""
SOONEST_MS = 500
_ROOM_S = 5.0


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll did: how many conversations were looked at, and whether rows that were due are left."""

    looked: int
    cut_short: bool


def bucket_of_looks(bench: Workbench) -> Bucket:
    """Give the account's pace of asking for deliveries and replies."""
    per_s = max(LOOKS_PER_S, bench.settings.account_interactions_per_s)
    return Bucket("receipts", per_s, f"our own pace of {per_s:g} look-ups of conversations a second")


def steps_of(channel: str, record: Record) -> Sequence[int]:
    """Give the ages at which a row's conversation is looked at; none where nothing more can be learnt."""
    if record.state is not State.ACCEPTED or record.delivery.is_lost or record.has_opted_out:
        return ()
    if is_settled(channel, record.delivery):
        return _from(SELDOM_FROM_S)
    return _from(READ_FROM_S) if record.delivery is Delivery.DELIVERED else STEPS_S


def _from(age_s: int) -> Sequence[int]:
    return STEPS_S[STEPS_S.index(age_s) :]


def is_settled(channel: str, delivery: Delivery) -> bool:
    """Tell whether nothing more will be heard of a message's delivery."""
    if channel in WITHOUT_RECEIPTS or delivery.is_lost or delivery is Delivery.READ:
        return True
    return delivery is Delivery.DELIVERED and channel not in _READ_TOO


def is_due(steps: Sequence[int], accepted_ms: int, last_ms: int, now_ms: int) -> bool:
    """Tell whether a step has been passed since the last poll."""
    return any(last_ms < accepted_ms + step * 1000 <= now_ms for step in steps)


def next_step_ms(steps: Sequence[int], accepted_ms: int, now_ms: int) -> int | None:
    """Tell how long it is to the next step; None where there is none."""
    return next((due - now_ms for step in steps if (due := accepted_ms + step * 1000) > now_ms), None)


def poll(
    bench: Workbench,
    campaign_id: str,
    taken: Poll,
    goes_on: Callable[[], bool] = lambda: True,
) -> Polled:
    """Look at the conversations of a bucket's rows that have become due since it was polled last, and note when it is next.

    What was not come to, in time or because Twilio forbids it, stays due. A poll that dies comes again after its lease.
    """
    loaded, now_ms = bench.campaign(campaign_id), bench.ledger.now_ms()
    if now_ms >= taken.until_ms:  # somebody else has it by now
        return Polled(0, cut_short=True)
    ends_at = bench.clock() + (taken.until_ms - now_ms) / 1000 - 2 * bench.request_s - _ROOM_S
    due = [row for row in _rows(bench, loaded, taken.bucket) if row.is_due(taken.last_ms, now_ms)]
    # In any order: where many are left for later, it is not the same ones each time.
    round_ = _Round(bench, loaded, taken.last_ms, lambda: goes_on() and bench.clock() < ends_at)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look") as threads:
        for _ in threads.map(round_.look, bench.rng.sample(due, len(due))):
            pass  # what went wrong with one of them is raised here
    after_ms = bench.ledger.now_ms()
    again_ms: int | None
    if round_.rest_s is not None:
        again_ms, asked_ms = int(round_.rest_s * 1000), taken.last_ms
    else:
        left = [
            wait for row in _rows(bench, loaded, taken.bucket) if (wait := row.next_ms(now_ms)) is not None
        ]
        again_ms, asked_ms = (max(SOONEST_MS, min(left) - (after_ms - now_ms)) if left else None), now_ms
    bench.ledger.poll_again(campaign_id, taken, asked_ms, again_ms)
    return Polled(round_.looked, cut_short=round_.rest_s is not None)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    record: Record
    steps: Sequence[int]
    accepted_at: datetime

    def is_due(self, last_ms: int, now_ms: int) -> bool:
        return is_due(self.steps, _ms(self.accepted_at), last_ms, now_ms)

    def next_ms(self, now_ms: int) -> int | None:
        return next_step_ms(self.steps, _ms(self.accepted_at), now_ms)


def _rows(bench: Workbench, loaded: LoadedCampaign, bucket: int) -> Iterator[_Row]:
    """Read the rows of a bucket that something may still be learnt of; a wave's replies stand on the campaign's rows."""
    name, channel = loaded.info.id, loaded.campaign.channel
    own = dict(bench.ledger.read_bucket(name, bucket))
    first = dict(bench.ledger.read_bucket(parent_of(name), bucket)) if is_wave(name) else own
    for number, record in own.items():
        accepted_at, answers = record.finished_at, first.get(number, record)
        if accepted_at is None or not record.conversation_sid or answers.has_opted_out:
            continue
        steps = steps_of(channel, record)
        if steps:
            yield _Row(number, record, steps, accepted_at)


class _Round:
    """One poll of one bucket: it ends early (`rest_s`: for how long) where going on is of no use."""

    def __init__(
        self, bench: Workbench, loaded: LoadedCampaign, last_ms: int, goes_on: Callable[[], bool]
    ) -> None:
        self._bench, self._loaded, self._goes_on = bench, loaded, goes_on
        self._bucket = bucket_of_looks(bench)
        self._last_at = datetime.fromtimestamp(last_ms / 1000, tz=UTC)
        self._lock = Lock()
        self._failures = 0
        self.looked = 0
        self.rest_s: float | None = None

    def look(self, row: _Row) -> None:
        """Look at a row's conversation, unless the round is over. From several threads at once."""
        if not self._reach_slot():
            return
        with self._lock:
            self.looked += 1
        settled = is_settled(self._loaded.campaign.channel, row.record.delivery)
        since = max(row.accepted_at, self._last_at) if settled else row.accepted_at
        skew = timedelta(seconds=self._bench.gateway.clock_skew_s)
        answer = self._bench.gateway.read_conversation(row.record.conversation_sid, since + skew - SKEW)
        if isinstance(answer, Unknown):
            self._heed_failure(answer)
            return
        self._failures = 0
        self._heed(row, answer.value, skew)

    def _heed(self, row: _Row, messages: Sequence[MessageRead], skew: timedelta) -> None:
        name, number, record = self._loaded.info.id, row.number, row.record
        newer = list(messages)
        ours = next((at for at, each in enumerate(messages) if each.sid == record.message_sid), None)
        if ours is not None:
            newer = newer[:ours]
        # Before the delivery: a row that is known to be delivered is not looked at so soon again, should this process die.
        for each in reversed(newer):  # the oldest first: it is the one that answered
            if each.key is None:
                note_answer(
                    self._bench, parent_of(name), number, each.author, each.body, each.created_at - skew
                )
        if ours is not None:
            self._heed_delivery(row, delivery_of(messages[ours].delivery))

    def _heed_delivery(self, row: _Row, delivery: Delivery) -> None:
        record, code = row.record, 0
        if delivery <= record.delivery:
            return
        if delivery.is_lost:
            answer = self._ask_receipt(record)
            if isinstance(
                answer, Unknown
            ):  # without its code it would tell nobody what to do: asked for once more
                return
            code = answer.value
        note_delivery(self._bench, self._loaded.info.id, row.number, record.message_sid, delivery, code)

    def _ask_receipt(self, record: Record) -> Answer[int]:
        if not self._reach_slot():
            return Unknown(0)
        answer = self._bench.gateway.fetch_receipt(record.conversation_sid, record.message_sid)
        if isinstance(answer, Unknown):
            if (
                answer.code in FORBIDDEN
            ):  # it will be no better later: the conversation can be read, and this can't
                return Accepted(0)
            self._heed_failure(answer)
            return answer
        return Accepted(answer.value.error_code if answer.value else 0)

    def _reach_slot(self) -> bool:
        """Wait for a slot of the shared pace as long as there is time."""
        bench = self._bench
        while self.rest_s is None and self._goes_on():
            slot = pace.take(bench, [self._bucket])
            if not isinstance(slot, Wait):
                if pace.arrive(bench, [self._bucket], slot):
                    return True
            elif slot.ms > WAIT_AT_MOST_S * 1000:
                self._end(slot.ms / 1000)
            else:
                bench.sleep(min(slot.ms, pace.MAX_WAIT_MS) / 1000)
        self._end(SOONEST_MS / 1000)
        return False

    def _end(self, rest_s: float) -> None:
        with self._lock:
            self.rest_s = rest_s if self.rest_s is None else max(rest_s, self.rest_s)

    def _heed_failure(self, answer: Unknown) -> None:
        """Heed an answer that tells nothing: this row waits for its next step, and where it is of no use so do the others."""
        bench = self._bench
        pace.slow_down(bench, self._bucket, answer)
        if answer.code in FORBIDDEN:
            # For everybody: what the credentials may not do for one conversation they may not do for the next.
            bench.pacer.slow_down(self._bucket, FORBIDDEN_S)
            self._end(FORBIDDEN_S)
            log.warning("receipts.forbidden", campaign=self._loaded.info.id, code=answer.code)
            return
        with self._lock:
            self._failures += not answer.throttled
        if self._failures >= FAILURES:
            self._end(TROUBLE_S)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
