"""Redis is killed, full, read-only, slow, silent, or its broker flushed: workers wait, say so, and nobody is lost or told twice."""

import os
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from installation import elapsed, longest_gap, report, times
from outreach_command import wait_until
from redis_scene import RESUMED_S, Scene
from turns import Turns

from worker.ledger.states import Event
from worker.pipeline.rescue import QUEUED_MS
from worker.tasks.command import worker_command
from worker.wiring import broker_url

PER_S = 10
SILENT_S = float(os.environ.get("OUTREACH_TEST_REDIS_SILENT_S", "18"))
"""Longer than any time-out of ours. The issue's minute is `OUTREACH_TEST_REDIS_SILENT_S=60`."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turns[Scene]]:
    """Start the server, the workers and the simulator once; whatever trouble there was, it is over after each test."""
    turns = Turns(lambda: closing(Scene(tmp_path_factory.mktemp("redis-trouble"))))
    yield turns
    turns.close()


@pytest.fixture
def scene(scenes: Turns[Scene], request: pytest.FixtureRequest) -> Iterator[Scene]:
    """See that the same workers are alive afterwards."""
    with scenes.turn(request.node) as scene:
        before = len(scene.said())
        yield scene
        said = scene.said(before)
        assert all(worker.poll() is None for worker in scene.workers), said[-3000:]
        for noise in ("Traceback", "DeprecationWarning"):
            assert noise not in said, said


@pytest.mark.timeout(240)
@pytest.mark.parametrize("down_s", [0.3, 1.0, 10.0])
def test_killed_server_is_waited_for_and_gone_on_with(scene: Scene, down_s: float) -> None:
    said = len(scene.said())
    campaign_id = scene.begin(60)

    scene.redis.kill()
    scene.wait_said("Redis cannot be reached", said)
    time.sleep(down_s)
    sent = scene.sent(campaign_id)
    resumed_s = scene.resumes(campaign_id, scene.redis.start(), sent)

    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)
    # Whoever had a row in hand went on with it: nobody waited for a lease, or looked up what was never in doubt.
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_full_server_is_named_and_waited_for(scene: Scene) -> None:
    said = len(scene.said())
    campaign_id = scene.begin(60)
    used = scene.redis.client.info("memory")["used_memory"]

    scene.redis.client.config_set("maxmemory", used // 2)
    scene.wait_said("Redis is full", said)
    time.sleep(2)
    sent = scene.sent(campaign_id)
    status = scene.status()
    scene.redis.client.config_set("maxmemory", 0)
    resumed_s = scene.resumes(campaign_id, time.monotonic(), sent)

    assert "waiting for: Redis is full" in " ".join(status.split())
    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_server_ends_when_its_disk_is_full_and_is_gone_on_with_when_there_is_room(scene: Scene) -> None:
    campaign_id = scene.begin(60)

    scene.redis.fill_disk(room_bytes=2_000)
    scene.redis.wait_gone()
    time.sleep(1)
    sent = scene.sent(campaign_id)
    resumed_s = scene.resumes(campaign_id, scene.redis.start(), sent)

    assert "Exiting" in scene.redis.log()
    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_server_that_cannot_write_to_its_disk_is_named_and_waited_for(scene: Scene) -> None:
    said = len(scene.said())
    campaign_id = scene.begin(60)
    scene.redis.client.config_set("appendfsync", "everysec")  # which refuses writes, where `always` ends

    scene.redis.fill_disk(room_bytes=2_000)
    scene.wait_said("Redis cannot write to its disk", said)
    sent = scene.sent(campaign_id)
    status = scene.status()
    resumed_s = scene.resumes(campaign_id, scene.redis.free_disk(), sent)
    scene.redis.client.config_set("appendfsync", "always")

    assert "waiting for: Redis cannot write to its disk" in " ".join(status.split())
    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_replica_is_named_and_waited_for_until_it_is_the_primary_again(scene: Scene) -> None:
    said = len(scene.said())
    campaign_id = scene.begin(60)

    scene.redis.client.replicaof("127.0.0.1", "1")
    scene.wait_said("it is a replica", said)
    time.sleep(2)
    sent = scene.sent(campaign_id)
    status = scene.status()
    scene.redis.client.replicaof("NO", "ONE")
    resumed_s = scene.resumes(campaign_id, time.monotonic(), sent)

    assert "waiting for: Redis takes no changes: it is a replica" in " ".join(status.split())
    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_slow_server_costs_time_and_nothing_else(scene: Scene) -> None:
    ceiling = ("[message]", f"[pacing]\ninteractions_per_second = {PER_S}\n\n[message]")
    campaign_id = scene.begin(45, 8, ceiling)

    for _ in range(3):
        scene.redis.suspend()
        time.sleep(2.5)
        scene.redis.resume()
        time.sleep(0.3)

    scene.judge(campaign_id, 45)
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0
    moments = sorted(one["at"] for one in scene.effects(campaign_id, "interaction"))
    most = max(sum(begin <= at < begin + 1 for at in moments) for begin in moments)
    # Some calls the machine may bunch on their way to Twilio.
    assert most <= 1.5 * PER_S, "the time that was lost was made up for"


@pytest.mark.timeout(300)
def test_server_that_gives_no_answer_is_waited_for(scene: Scene) -> None:
    said = len(scene.said())
    campaign_id = scene.begin(60)

    scene.redis.suspend()
    began = time.monotonic()
    time.sleep(SILENT_S)
    scene.wait_said("Redis gives no answer in time", said)
    sent = scene.sent(campaign_id)
    report(f"silent for {elapsed(began):.0f} s")
    resumed_s = scene.resumes(campaign_id, scene.redis.resume(), sent)

    assert resumed_s < RESUMED_S
    scene.judge(campaign_id, 60)


@pytest.mark.timeout(240)
def test_flushed_broker_costs_seconds_and_no_row(scene: Scene) -> None:
    said = len(scene.said())
    scene.twilio.settings(
        latency_ms=700
    )  # so that messages lie in the broker's queue, and all threads are busy
    campaign_id = scene.begin(60)
    broker = _broker(scene)

    wait_until(lambda: broker.llen(_queue(scene)))
    broker.flushdb()
    wait_until(lambda: broker.llen(_queue(scene)))
    broker.delete(_queue(scene))
    scene.judge(campaign_id, 60)
    scene.twilio.settings(latency_ms=40)

    gap_s = longest_gap(times(scene.effects(campaign_id, "interaction")))
    report(f"longest pause {gap_s:.2f} s")
    assert gap_s < RESUMED_S
    assert "rows.rescued" in scene.said(said), "there was nothing to lose"
    assert scene.stories(campaign_id)[Event.LEASE_OVER] == 0


@pytest.mark.timeout(240)
def test_rows_that_wait_long_in_the_window_are_not_taken_for_lost(scene: Scene) -> None:
    said = len(scene.said())
    scene.twilio.settings(
        latency_ms=2_500
    )  # all threads are busy, and a row waits in the queue for longer than 5 s
    slow = scene.begin(5, 0, ("[message]", "[pacing]\ninteractions_per_second = 0.5\n\n[message]"))
    full = scene.begin(26, 0)
    queued = scene.bench.ledger.key(full, "queued")

    longest_s = 0.0
    while scene.bench.registry.get(full).left:
        oldest = scene.bench.ledger.client.zrange(queued, 0, 0, withscores=True)
        now_ms = scene.bench.ledger.now_ms()
        longest_s = max([longest_s, *((now_ms - since) / 1000 for _, since in oldest)])
        time.sleep(0.1)
    scene.judge(full, 26)
    scene.judge(slow, 5)
    scene.twilio.settings(latency_ms=40)

    report(f"a row waited in the window for {longest_s:.1f} s")
    assert longest_s > QUEUED_MS / 1000, "no row waited long enough to look lost"
    assert "rows.rescued" not in scene.said(said)


@pytest.mark.timeout(240)
def test_worker_that_is_started_while_redis_is_away_waits_for_it(scene: Scene) -> None:
    log = scene.log.with_name("late.log")
    scene.redis.kill()

    worker = scene.zygote.start(worker_command(8), scene.site.environ, cwd=scene.site.folder, log=log)
    wait_until(lambda: log.exists() and "Trying again" in log.read_text(), timeout_s=60)
    scene.redis.start()

    wait_until(lambda: _is_seen(scene, worker.pid), timeout_s=60)
    worker.kill()


def _broker(scene: Scene) -> "redis.Redis":
    return redis.Redis.from_url(broker_url(scene.redis.url), decode_responses=True)


def _queue(scene: Scene) -> str:
    return f"outreach:{scene.settings.account_tag}"


def _is_seen(scene: Scene, pid: int) -> bool:
    return any(facts["pid"] == pid for facts in scene.bench.registry.workers().values())
