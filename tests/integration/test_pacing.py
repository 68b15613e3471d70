"""Tell whether the shared paces hold, on a real server, over processes and threads.

Redis tells the scripts a time that only the test moves: so no stall of the machine is taken for one of the pacer's.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passed_time import PREFIX, PassedTime

from ops.bench.pacer import measure, most_in_window
from worker.errors import RedisUnavailableError
from worker.pacing import Bucket, Granted, Pacer, Wait
from worker.redis_server import EmbeddedRedis, connect

ACCOUNT = Bucket("interactions", 20, "the account's Interactions")
CAMPAIGN = Bucket("campaign:renewal-1a2b3c4d", 5, "the campaign's own ceiling")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("home")).hold() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[PassedTime]:
    client = PassedTime.from_url(url)
    client.begin()
    yield client
    client.close()


def pacer_of(client: PassedTime, **options: float) -> Pacer:
    return Pacer(client, PREFIX, clock=client.monotonic_s, sleep=client.sleep, **options)


def granted(pacer: Pacer, *buckets: Bucket, max_wait_ms: int = 2000) -> Granted:
    taken = pacer.acquire(buckets, max_wait_ms)
    assert isinstance(taken, Granted)
    return taken


def refused(pacer: Pacer, *buckets: Bucket, max_wait_ms: int = 1000) -> Wait:
    taken = pacer.acquire(buckets, max_wait_ms)
    assert isinstance(taken, Wait)
    return taken


def redis_us(client: PassedTime) -> int:
    seconds, micros = client.time()
    return seconds * 1_000_000 + micros


def key(bucket: Bucket) -> str:
    return f"{PREFIX}pace:{bucket.name}"


def test_slots_lie_an_interval_apart_without_a_burst(client: PassedTime) -> None:
    pacer = pacer_of(client, margin_s=0.02)

    slots_us = [granted(pacer, ACCOUNT).slot_us for _ in range(20)]

    assert all(b - a == pytest.approx(1_020_000 / 20, abs=1) for a, b in pairwise(slots_us))


def test_wait_beyond_the_longest_takes_nothing_and_says_when_to_come_back(client: PassedTime) -> None:
    pacer = pacer_of(client)
    while isinstance(pacer.acquire([ACCOUNT], 500), Granted):
        pass
    kept = client.hgetall(key(ACCOUNT))

    wait = refused(pacer, ACCOUNT, max_wait_ms=500)

    assert wait.bucket == ACCOUNT
    assert 1 <= wait.ms <= 51
    assert client.hgetall(key(ACCOUNT)) == kept
    client.sleep(wait.ms / 1000)
    assert granted(pacer, ACCOUNT, max_wait_ms=500).wait_ms <= 500


def test_refused_bucket_leaves_the_others_untouched(client: PassedTime) -> None:
    pacer = pacer_of(client)
    granted(pacer, CAMPAIGN)

    wait = refused(pacer, ACCOUNT, CAMPAIGN)

    assert wait.bucket == CAMPAIGN
    assert not client.exists(key(ACCOUNT))


def test_faster_bucket_loses_less_than_one_slot_to_a_slower_one(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first = granted(pacer, ACCOUNT, CAMPAIGN)

    for _ in range(2):  # by then no more of the account's slots may be taken than now, so it comes back early
        client.sleep(refused(pacer, ACCOUNT, CAMPAIGN).ms / 1000)
    second = granted(pacer, ACCOUNT, CAMPAIGN)

    assert second.wait_ms <= 50
    assert second.slot_us - first.slot_us == pytest.approx(1_014_000 / 5, abs=10_000)


def test_ceiling_is_used_up_beside_others_who_have_reserved_far_ahead(client: PassedTime) -> None:
    pacer = pacer_of(client)
    until_s, taken, again_s = client.monotonic_s() + 4, 0, 0.0
    while client.monotonic_s() < until_s:
        pacer.acquire([ACCOUNT], 500)  # by all the others: the next half second is always taken
        if client.monotonic_s() >= again_s:
            one = pacer.acquire([ACCOUNT, CAMPAIGN], 800)
            taken += isinstance(one, Granted)
            again_s = client.monotonic_s() + (one.ms / 1000 if isinstance(one, Wait) else 0.0)
        client.sleep(0.01)

    assert taken >= 0.95 * 4 * CAMPAIGN.per_s


def test_two_campaigns_share_the_account_and_each_keeps_its_ceiling(client: PassedTime) -> None:
    pacer, other = pacer_of(client), Bucket("campaign:other-1a2b3c4d", 20)
    taken: dict[str, list[int]] = {CAMPAIGN.name: [], other.name: []}
    until_s = client.monotonic_s() + 2
    while client.monotonic_s() < until_s:
        for bucket in (CAMPAIGN, other):
            one = pacer.acquire([ACCOUNT, bucket], 100)
            if isinstance(one, Granted):
                taken[bucket.name].append(one.slot_us)
        client.sleep(0.002)

    slots_us = sorted(taken[CAMPAIGN.name] + taken[other.name])
    assert all(b - a >= 50_000 for a, b in pairwise(slots_us))
    assert all(b - a >= 200_000 for a, b in pairwise(taken[CAMPAIGN.name]))
    assert len(slots_us) >= 0.95 * 40
    assert len(taken[CAMPAIGN.name]) >= 9


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paces=st.lists(st.floats(0.2, 200), min_size=1, max_size=3),
    calls=st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=1, max_size=25),
)
def test_whatever_is_asked_every_bucket_keeps_its_own_interval(
    client: PassedTime, paces: list[float], calls: list[set[int]]
) -> None:
    client.begin()
    pacer = pacer_of(client, margin_s=0.01)
    buckets = [Bucket(f"b{n}", pace) for n, pace in enumerate(paces)]
    slots_us: dict[Bucket, list[int]] = {bucket: [] for bucket in buckets}

    for call in calls:
        wanted = [buckets[n] for n in call if n < len(buckets)] or buckets[:1]
        taken = pacer.acquire(wanted, 2000)
        if isinstance(taken, Granted):
            for bucket in wanted:
                slots_us[bucket].append(taken.slot_us)
        else:
            assert taken.ms >= 1
            assert taken.bucket in wanted
            client.sleep(taken.ms / 1000)

    for bucket, taken_us in slots_us.items():
        assert all(b - a >= 1_010_000 / bucket.per_s - 1 for a, b in pairwise(taken_us))


@pytest.mark.parametrize("per_s", [0.5, 2.5, 7.3])
def test_pace_need_not_be_whole_nor_reach_one_a_second(client: PassedTime, per_s: float) -> None:
    pacer, bucket = pacer_of(client), Bucket("odd", per_s)
    first = granted(pacer, bucket)

    later = pacer.acquire([bucket], 1000)

    ahead_s = later.ms / 1000 + 1 if isinstance(later, Wait) else (later.slot_us - first.slot_us) / 1e6
    assert ahead_s == pytest.approx(1 / per_s, rel=0.05)


def test_changed_pace_counts_from_the_next_call(client: PassedTime) -> None:
    pacer = pacer_of(client)
    granted(pacer, Bucket("calls", 0.1))

    assert granted(pacer, Bucket("calls", 100)).wait_ms < 20


def test_clock_that_steps_back_stalls_for_two_seconds_at_most(client: PassedTime) -> None:
    pacer = pacer_of(client)
    granted(pacer, ACCOUNT)
    client.hset(key(ACCOUNT), "last_us", str(redis_us(client) + 3_600_000_000))

    wait = refused(pacer, ACCOUNT)

    assert 1000 <= wait.ms <= 1100, "those who had reserved before the step are still let out"
    client.pass_s(wait.ms / 1000)
    granted(pacer, ACCOUNT, max_wait_ms=1000)


def test_block_does_not_outlast_its_length_when_the_clock_steps_back(client: PassedTime) -> None:
    pacer = pacer_of(client)
    pacer.slow_down(ACCOUNT, 3)
    client.hincrby(key(ACCOUNT), "blocked_us", 3_600_000_000)

    assert pacer.peek([ACCOUNT])[0].blocked_ms <= 3000
    client.pass_s(3)
    assert pacer.peek([ACCOUNT])[0].blocked_ms == 0


def test_slowed_pace_climbs_and_its_slots_hold_after_the_clock_stepped_back(client: PassedTime) -> None:
    pacer = pacer_of(client)
    pacer.slow_down(ACCOUNT, 1)
    for moment in ("slowed_us", "first_us", "until_us", "blocked_us", "voided_us"):
        client.hincrby(key(ACCOUNT), moment, 3_600_000_000)

    assert pacer.peek([ACCOUNT])[0].per_s == 19
    client.pass_s(2)
    assert pacer.wait(granted(pacer, ACCOUNT)), "what was granted after the step is good"
    client.pass_s(30)
    assert pacer.peek([ACCOUNT])[0].per_s == 20


def test_thread_that_wakes_late_after_the_clock_stepped_back_sleeps_no_hour(client: PassedTime) -> None:
    pacer = pacer_of(client)
    slot = granted(pacer, ACCOUNT)
    client.AHEAD_S -= 3_600
    client.pass_s(0.02)
    refused(pacer, ACCOUNT)  # by which it learns of the step
    woke_s = client.monotonic_s()

    assert not pacer.wait(slot)

    assert client.monotonic_s() - woke_s < 3


def test_record_of_an_earlier_version_slows_nothing(client: PassedTime) -> None:
    client.hset(key(ACCOUNT), mapping={"share": "0.5", "slowed_us": str(redis_us(client))})

    assert granted(pacer_of(client), ACCOUNT).wait_ms == 0


def test_429s_to_calls_of_one_second_take_a_call_a_second_off_each(client: PassedTime) -> None:
    pacer = pacer_of(client)

    for slot in [granted(pacer, ACCOUNT) for _ in range(2)]:
        pacer.slow_down(ACCOUNT, None, slot.slot_us)

    (state,) = pacer.peek([ACCOUNT])
    assert (state.per_s, state.why, state.tries_more_ms) == (18, "429", 5000)
    first, second = granted(pacer, ACCOUNT), granted(pacer, ACCOUNT)
    assert second.slot_us - first.slot_us == pytest.approx(1_014_000 / 18, rel=0.01)


def test_retry_after_blocks_until_then(client: PassedTime) -> None:
    pacer = pacer_of(client)

    pacer.slow_down(ACCOUNT, 30)

    (state,) = pacer.peek([ACCOUNT])
    assert 29_000 < state.blocked_ms <= 30_000
    assert state.why == "retry_after"
    wait = refused(pacer, ACCOUNT)
    assert 28_000 < wait.ms <= 29_000


def test_slots_granted_before_most_calls_were_refused_are_given_up_everywhere(client: PassedTime) -> None:
    pacer, other = pacer_of(client), pacer_of(client)
    slots = [granted(pacer, ACCOUNT) for _ in range(5)]
    for slot in slots[:3]:
        client.sleep(0.05)
        pacer.slow_down(ACCOUNT, None, slot.slot_us)

    later = granted(pacer, ACCOUNT)

    assert not pacer.wait(slots[4])
    assert pacer.wait(later)
    unaware = granted(other, ACCOUNT)
    assert other.wait(unaware)


def test_repeated_429s_never_bring_it_to_a_standstill(client: PassedTime) -> None:
    pacer = pacer_of(client)
    for _ in range(60):
        pacer.slow_down(ACCOUNT, None)
        client.sleep(0.2)

    assert pacer.peek([ACCOUNT])[0].per_s == pytest.approx(1, abs=0.2)


def test_idle_buckets_are_forgotten(client: PassedTime) -> None:
    pacer = pacer_of(client)

    granted(pacer, ACCOUNT)
    pacer.slow_down(CAMPAIGN, 60)

    assert 0 < int(str(client.pttl(key(ACCOUNT)))) < 10_000
    assert 60_000 < int(str(client.pttl(key(CAMPAIGN)))) < 120_000


def test_look_takes_nothing(client: PassedTime) -> None:
    pacer = pacer_of(client)
    for _ in range(5):
        granted(pacer, ACCOUNT)

    (state,) = pacer.peek([ACCOUNT])

    assert 150 < state.reserved_ahead_ms < 260
    assert (state.per_s, state.blocked_ms, state.tries_more_ms, state.why) == (20, 0, 0, "")
    assert pacer.peek([ACCOUNT])[0].reserved_ahead_ms <= state.reserved_ahead_ms
    assert pacer.peek([]) == []


def test_slot_reached_late_moves_on_with_all_that_nobody_has_taken(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first, second = granted(pacer, ACCOUNT), granted(pacer, ACCOUNT)
    client.sleep(0.02)

    reached = pacer.wait(first)

    third = granted(pacer, ACCOUNT)
    assert reached
    assert third.slot_us - second.slot_us >= 1_014_000 / 20 + 17_000


def test_slot_reached_in_time_moves_nothing(client: PassedTime) -> None:
    pacer = pacer_of(client, late_s=0.2)
    first = granted(pacer, ACCOUNT)

    assert pacer.wait(first)

    assert int(str(client.hget(key(ACCOUNT), "last_us"), "ascii")) == first.slot_us


def test_slot_is_given_up_where_its_successor_a_second_later_is_taken(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first = granted(pacer, ACCOUNT)
    for _ in range(20):
        granted(pacer, ACCOUNT)
    kept = client.hgetall(key(ACCOUNT))
    client.sleep(0.01)

    reached = pacer.wait(first)

    assert not reached
    assert client.hgetall(key(ACCOUNT)) == kept


def test_slot_that_is_later_than_it_is_long_is_given_up_if_others_came_after(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first = granted(pacer, ACCOUNT)
    granted(pacer, ACCOUNT)
    client.sleep(0.06)

    assert not pacer.wait(first)


def test_stall_that_makes_two_slots_late_costs_its_length_once(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first, second = granted(pacer, ACCOUNT), granted(pacer, ACCOUNT)
    client.sleep(second.wait_ms / 1000 + 0.02)

    client.hset(key(ACCOUNT), "slipped_us", 90_000)
    client.hincrby(key(ACCOUNT), "last_us", 90_000)
    kept = client.hgetall(key(ACCOUNT))

    assert pacer.wait(first)
    assert pacer.wait(second)
    assert client.hgetall(key(ACCOUNT)) == kept


def test_slots_are_no_sooner_than_the_claim_before_the_call_takes(client: PassedTime) -> None:
    pacer, calls = pacer_of(client), Bucket("calls", 80)
    for _ in range(20):
        slot = granted(pacer, calls)
        client.sleep(0.02)  # the claim
        assert pacer.wait(slot)
        client.sleep(0.5)
    moved = client.hget(key(calls), "slipped_us")

    slot = granted(pacer, calls)
    client.sleep(0.02)
    reached = pacer.wait(slot)

    assert reached
    assert client.hget(key(calls), "slipped_us") == moved, "the slot was still to come"


def test_slow_answers_of_redis_do_not_keep_a_lone_call_from_its_slot(client: PassedTime) -> None:
    pacer = pacer_of(client)
    slot = granted(pacer, Bucket("calls", 80))
    client.sleep(0.1)  # the claim, on a slow disk

    assert pacer.wait(slot)


def test_call_that_stalls_after_its_slot_moves_the_free_slots_on(client: PassedTime) -> None:
    pacer = pacer_of(client)
    first, second = granted(pacer, ACCOUNT), granted(pacer, ACCOUNT)
    assert pacer.wait(first)

    pacer.sent(first, first.slot_s + 0.005)
    in_time = client.hgetall(key(ACCOUNT))
    pacer.sent(first, first.slot_s + 0.08)

    assert b"slipped_us" not in in_time
    assert granted(pacer, ACCOUNT).slot_us - second.slot_us >= 1_014_000 / 20 + 77_000


def test_call_that_went_out_at_its_moved_slot_moves_nothing_more(client: PassedTime) -> None:
    pacer = pacer_of(client)
    slot = granted(pacer, ACCOUNT)
    client.sleep(0.03)
    reached = pacer.wait(slot)
    kept = client.hgetall(key(ACCOUNT))
    assert reached is not None

    pacer.sent(reached, client.monotonic_s())

    assert reached.slot_s > slot.slot_s + 0.02
    assert client.hgetall(key(ACCOUNT)) == kept


def test_call_that_went_out_does_not_wait_for_a_redis_that_is_away(client: PassedTime) -> None:
    def wait_for_ever(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except redis.RedisError:
            pytest.fail("it waits")

    pacer = Pacer(client, PREFIX, clock=client.monotonic_s, sleep=client.sleep, ask=wait_for_ever)
    slot = granted(pacer, ACCOUNT)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisUnavailableError):
            pacer.sent(slot, slot.slot_s + 0.1)
    finally:
        client.config_set("maxmemory", 0)


def test_thread_that_is_always_late_gives_up_in_the_end(client: PassedTime) -> None:
    readings = count()
    pacer = Pacer(
        client, PREFIX, clock=lambda: client.monotonic_s() + next(readings) / 10, sleep=client.sleep
    )

    assert not pacer.wait(granted(pacer, ACCOUNT))


@pytest.mark.parametrize(
    ("wakes_late_s", "used"), [((0.0, 0.001, 0.002), 0.98), ((0.0, 0.0, 0.002, 0.006, 0.04), 0.8)]
)
def test_never_more_than_the_pace_is_let_through_and_nearly_all_of_it(
    client: PassedTime, wakes_late_s: tuple[float, ...], used: float
) -> None:
    pacer, chance = pacer_of(client), Random(3)
    held: list[Granted] = []
    let_through_s: list[float] = []

    while client.monotonic_s() < 1020:
        taken = pacer.acquire([ACCOUNT], 750)
        if isinstance(taken, Granted):
            held.append(taken)
            continue
        client.wakes_late_s = chance.choice(wakes_late_s)
        if pacer.wait(held.pop(0)):
            let_through_s.append(client.monotonic_s())

    assert most_in_window(let_through_s) <= 20
    assert len(let_through_s) >= used * 20 * 20


def test_first_calls_of_a_process_are_on_the_beat_though_redis_answers_slowly_at_first(
    client: PassedTime,
) -> None:
    other = granted(pacer_of(client), ACCOUNT)
    client.answers_late_s = iter([0.04, 0.02])

    own = granted(pacer_of(client), ACCOUNT)

    assert own.slot_s - other.slot_s == pytest.approx((own.slot_us - other.slot_us) / 1e6, abs=0.001)


def test_redis_that_is_gone_is_said_so(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/nobody.sock")
    pacer = Pacer(client, PREFIX, clock=time.monotonic, sleep=time.sleep)

    for ask in (lambda: pacer.acquire([ACCOUNT]), lambda: pacer.peek([ACCOUNT])):
        with pytest.raises(RedisUnavailableError):
            ask()


def test_redis_that_is_full_is_said_so(client: PassedTime) -> None:
    pacer = pacer_of(client)

    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisUnavailableError):
            pacer.acquire([ACCOUNT])
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_pace_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Bucket("calls", wrong)


def test_wait_that_others_could_not_bound_is_refused(client: PassedTime) -> None:
    with pytest.raises(ValueError, match="at most 2000 ms"):
        pacer_of(client).acquire([ACCOUNT], 2001)


def test_server_never_sees_more_than_agreed_from_any_number_of_processes_and_threads() -> None:
    seen = asyncio.run(measure(50, 4, processes=2, threads=8, latency_s=0.05))

    # What the machine itself held up, after the pacer had let it through, counts when it was let through.
    assert seen.most_due_in_1_s <= 50, seen
    assert seen.calls >= 75, f"too few calls to tell: {seen}"
